//! Lines for people: each with its job, steps with marks and times, and what failed at the end. On a terminal, the
//! jobs that run are shown live below them.

mod annotation;
mod board;
mod echo;
mod job;
mod log_files;
mod paper;
mod region;
pub(super) mod style;
mod summary;
mod tail;
pub(super) mod terminal;
#[cfg(test)]
mod tests;
pub(super) mod text;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{Conclusion, JobEvent};

use super::{JobTitle, Output, RunEnd, RunStart};

use board::{Board, Logs, Manner};
use echo::Echo;
use log_files::LogFiles;
use paper::Paper;
use style::{Ink, Palette};
use terminal::Size;
use text::one_line;

/// How often the region is drawn when only time has passed: what the spinner needs.
const FRAME: Duration = Duration::from_millis(100);

/// A run that is over sooner leaves its lines and never shows a region, which would only flash.
const FIRST_FRAME: Duration = Duration::from_millis(150);

/// Bytes of lines that may wait for the next frame; more are shown at once, so that nothing piles up.
const WAITING_BYTES: usize = 64 * 1024;

/// Output for people.
pub(crate) struct People {
    board: Board,
    paper: Paper,
    drawn: Option<Instant>,
    echo: Echo,
    /// Whole logs, where the display folds them.
    files: Option<LogFiles>,
    root: PathBuf,
}

impl People {
    /// Every line of every log, one after the other. `root` is the repository, whose lines annotations speak of.
    pub(crate) fn plain(debug: bool, root: &Path) -> People {
        let manner = Manner { palette: Palette { colour: false }, logs: Logs::Shown, debug, columns: None };
        People::new(manner, Paper::lines(), root)
    }

    /// Steps as they end, logs of failing ones at the end (all of them as they come if `verbose`), and the jobs
    /// that run `live` below.
    pub(crate) fn pretty(colour: bool, live: bool, verbose: bool, debug: bool, root: &Path) -> People {
        let logs = if verbose || debug { Logs::Shown } else { Logs::Folded };
        let columns = live.then(|| Size::of_stdout().columns);
        let manner = Manner { palette: Palette { colour }, logs, debug, columns };
        let paper = if live { Paper::live() } else { Paper::lines() };
        People::new(manner, paper, root)
    }

    fn new(manner: Manner, paper: Paper, root: &Path) -> People {
        let board = Board::new(manner, Instant::now());
        People { board, paper, drawn: None, echo: Echo::default(), files: None, root: root.to_owned() }
    }

    /// Brings lines onto paper. On a live terminal they wait for the next frame; in a file, log lines wait for the
    /// next call of `flush`: there may be millions of them.
    fn settle(&mut self, at_once: bool) {
        let is_live = matches!(self.paper, Paper::Live(_));
        if !is_live || self.board.lines().len() >= WAITING_BYTES {
            self.paper.write(self.board.lines());
            self.board.forget_lines();
        }
        if at_once {
            self.paper.flush();
        }
    }
}

impl Output for People {
    fn run_started(&mut self, start: &RunStart<'_>) {
        let (workflow, name) = (one_line(start.workflow), one_line(start.name));
        let title =
            if name.is_empty() || name == workflow { workflow } else { format!("{workflow}: {name}") };
        let palette = self.board.manner().palette;
        let detail = palette.paint(Ink::Faint, &format!("{} · {}", one_line(start.what), start.driver));
        let headline = format!("{}  {detail}", palette.paint(Ink::Strong, &title));
        self.board.run_started(&headline, Instant::now());
        self.files = (self.board.manner().logs == Logs::Folded).then(|| LogFiles::new(start.logs));
        self.settle(true);
    }

    fn job_queued(&mut self, job: &JobTitle) {
        self.board.job_queued(job, Instant::now());
    }

    fn machine_note(&mut self, job: &JobTitle, note: &str) {
        self.board.machine_note(job, note, Instant::now());
        self.settle(true);
    }

    fn job_event(&mut self, job: &JobTitle, event: &JobEvent) {
        let trouble = self.files.as_mut().and_then(|files| files.job_event(job, event));
        self.board.job_event(job, event, Instant::now());
        self.settle(!matches!(event, JobEvent::Log(_)));
        if let Some(trouble) = trouble {
            self.note(&trouble);
        }
    }

    fn decided(&mut self, job: &JobTitle, conclusion: Conclusion, reason: Option<&str>) {
        self.board.decided(job, conclusion, reason, Instant::now());
        self.settle(true);
    }

    fn waiting(&mut self, jobs: usize) {
        self.board.waiting = jobs;
    }

    fn run_finished(&mut self, end: &RunEnd<'_>) {
        self.board.waiting = 0;
        if let Some(files) = &mut self.files {
            files.finish();
        }
        let files = self.files.as_ref();
        let world = summary::World {
            source_line: &|annotation| annotation::source_line(&self.root, annotation),
            log_of: &|job| files?.of(job),
            logs: files.and_then(LogFiles::folder),
        };
        let lines = summary::summary(&self.board, end, &world, Instant::now());
        lines.iter().for_each(|line| self.board.line(line));
        self.pause();
    }

    fn note(&mut self, text: &str) {
        let text = self.board.manner().palette.paint(Ink::Caution, &format!("note: {}", one_line(text)));
        self.board.line(&text);
        self.settle(true);
    }

    fn flush(&mut self) {
        let Paper::Live(live) = &mut self.paper else { return self.paper.flush() };
        let now = Instant::now();
        let due = self.drawn.is_none_or(|drawn| now.duration_since(drawn) >= FRAME);
        if due || !self.board.lines().is_empty() {
            let size = Size::of_stdout();
            self.board.set_columns(size.columns);
            let is_early = now.duration_since(self.board.began) < FIRST_FRAME;
            let region = if is_early { Vec::new() } else { region::region(&self.board, size, now) };
            if !region.is_empty() {
                self.echo.off();
            }
            live.draw(self.board.lines(), region);
            self.board.forget_lines();
            self.drawn = Some(now);
        }
    }

    fn pause(&mut self) {
        match &mut self.paper {
            Paper::Live(live) => live.draw(self.board.lines(), Vec::new()),
            Paper::Lines(_) => self.paper.write(self.board.lines()),
        }
        self.board.forget_lines();
        self.paper.flush();
        self.echo.back();
    }
}
