//! A run that is told event by event, and a terminal that shows it.

use std::num::NonZeroU16;
use std::time::{Duration, Instant, SystemTime};

use model::{
    Annotation, AnnotationLevel, Conclusion, JobEvent, JobId, JobResult, LogLine, StepPhase, StepRef, Stream,
};

use super::super::board::{Board, Logs, Manner};
use super::super::paper::Live;
use super::super::region::region;
use super::super::style::Palette;
use super::super::terminal::Size;
use crate::run::output::JobTitle;

/// A board, the terminal that shows it, and a clock that stands still until it is told otherwise.
pub(super) struct Stage {
    pub(super) board: Board,
    pub(super) terminal: vt100::Parser,
    live: Live<Vec<u8>>,
    size: Size,
    now: Instant,
    /// The step that events speak of.
    at: StepRef,
}

/// The first step of a job.
const STEP: StepRef = StepRef { index: 0, phase: StepPhase::Main };

impl Stage {
    /// A terminal of this size, on which logs are folded.
    pub(super) fn new(columns: u16, rows: u16) -> Stage {
        Stage::with(columns, rows, Logs::Folded)
    }

    pub(super) fn with(columns: u16, rows: u16, logs: Logs) -> Stage {
        let size = Size { columns: columns.into(), rows: rows.into() };
        let palette = Palette { colour: true };
        let manner = Manner { palette, logs, debug: false, columns: Some(size.columns) };
        let now = Instant::now();
        Stage {
            board: Board::new(manner, now),
            terminal: vt100::Parser::new(cells(rows), cells(columns), 0),
            live: Live::new(Vec::new()),
            size,
            now,
            at: STEP,
        }
    }

    pub(super) fn resize(&mut self, columns: u16, rows: u16) {
        self.terminal.set_size(cells(rows), cells(columns));
        self.size = Size { columns: columns.into(), rows: rows.into() };
        self.board.set_columns(columns.into());
    }

    /// From here on, events speak of this step of their job.
    pub(super) fn turn_to(&mut self, index: usize) {
        self.at.index = index;
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn tell(&mut self, job: &str, event: &JobEvent) {
        self.board.job_event(&title(job), event, self.now);
    }

    pub(super) fn queue(&mut self, job: &str) {
        self.board.job_queued(&title(job), self.now);
    }

    pub(super) fn start_step(&mut self, job: &str, name: &str) {
        let (name, at) = (name.to_owned(), SystemTime::UNIX_EPOCH);
        self.tell(job, &JobEvent::StepStarted { step: self.at, name, at });
    }

    pub(super) fn log(&mut self, job: &str, text: &str) {
        let (text, at) = (text.to_owned(), SystemTime::UNIX_EPOCH);
        self.tell(
            job,
            &JobEvent::Log(LogLine { step: self.at, sequence: 0, stream: Stream::Stdout, at, text }),
        );
    }

    /// Hearth repeats a script, as the head of its step.
    pub(super) fn head(&mut self, job: &str, text: &str) {
        self.tell(job, &JobEvent::GroupStarted { step: self.at, title: format!("Run {text}") });
        let (text, at) = (text.to_owned(), SystemTime::UNIX_EPOCH);
        self.tell(
            job,
            &JobEvent::Log(LogLine { step: self.at, sequence: 0, stream: Stream::Hearth, at, text }),
        );
        self.tell(job, &JobEvent::GroupEnded { step: self.at });
    }

    pub(super) fn annotate(&mut self, job: &str, annotation: Annotation) {
        self.tell(job, &JobEvent::Annotation { step: self.at, annotation });
    }

    pub(super) fn end_step(&mut self, job: &str, conclusion: Conclusion, took: Duration) {
        self.tell(
            job,
            &JobEvent::StepFinished { step: self.at, outcome: conclusion, conclusion, duration: took },
        );
    }

    pub(super) fn end_job(&mut self, job: &str, conclusion: Conclusion) {
        let result = JobResult {
            conclusion,
            infrastructure_error: None,
            decided: None,
            outputs: Vec::new(),
            environment_url: None,
            steps: Vec::new(),
        };
        self.tell(job, &JobEvent::JobFinished { result, duration: Duration::from_secs(3) });
    }

    /// The rows of the live region.
    pub(super) fn region(&self) -> Vec<String> {
        region(&self.board, self.size, self.now)
    }

    /// Draws, and gives back how many bytes that took.
    pub(super) fn draw(&mut self) -> usize {
        let region = self.region();
        self.live.draw(self.board.lines(), region);
        self.board.forget_lines();
        let bytes = std::mem::take(self.live.out());
        self.terminal.process(&bytes);
        bytes.len()
    }

    /// What the terminal shows, without the empty rows at its end.
    pub(super) fn screen(&self) -> Vec<String> {
        let contents = self.terminal.screen().contents();
        contents.trim_end().lines().map(|row| row.trim_end().to_owned()).collect()
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has rows and columns")
}

/// The job of this name; its id is made of the name.
pub(super) fn title(name: &str) -> JobTitle {
    let id = name.bytes().fold(0_u64, |id, byte| id.wrapping_mul(31).wrapping_add(byte.into()));
    JobTitle { id: JobId(id), key: name.to_owned(), name: name.to_owned() }
}

/// An error without a place.
pub(super) fn error(message: &str) -> Annotation {
    Annotation {
        level: AnnotationLevel::Error,
        message: message.to_owned(),
        title: None,
        file: None,
        line: None,
        end_line: None,
        column: None,
        end_column: None,
        code: None,
    }
}
