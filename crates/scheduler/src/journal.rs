//! Writes down what a job tells: lines go to its log, everything else to the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{EventSink, JobEvent, JobId, LogLine, StepPhase, StepRef, StepState, Stream, Timestamp};
use store::log::LogWriter;
use store::record::Step;
use store::{Change, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::info;

/// How often buffered lines are written: fast enough for the eye of whoever watches live.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// Changes of one transaction: a job that tells much is not to hold the store for long.
const TOGETHER: usize = 64;

/// The journal of one job on one machine.
pub(crate) struct Journal {
    job: JobId,
    lines: Mutex<Lines>,
    /// Taken when the journal is closed.
    changes: Mutex<Option<mpsc::UnboundedSender<Change>>>,
}

struct Lines {
    /// Taken when the journal is closed.
    writer: Option<LogWriter>,
    /// Written since the last flush.
    fresh: bool,
    next: u64,
    spoke: bool,
    failure: Option<String>,
}

/// Ends the journal: everything is written after that.
pub(crate) struct Keeper {
    writing: JoinHandle<Result<(), String>>,
    flushing: JoinHandle<()>,
}

impl Journal {
    /// Begins to write. `writer` goes on after the last line of an earlier try.
    pub(crate) fn open(job: JobId, store: Arc<dyn Store>, writer: LogWriter) -> (Arc<Journal>, Keeper) {
        // Bounded by what a job may tell besides lines: steps, annotations, summaries, all of them few.
        let (changes, inbox) = mpsc::unbounded_channel();
        let lines =
            Lines { next: writer.count(), writer: Some(writer), fresh: false, spoke: false, failure: None };
        let journal = Arc::new(Journal { job, lines: Mutex::new(lines), changes: Mutex::new(Some(changes)) });
        let writing = tokio::spawn(write(job, store, inbox));
        let flushing = tokio::spawn(flush(Arc::downgrade(&journal)));
        (journal, Keeper { writing, flushing })
    }

    /// A line of Hearth's own, outside of every step.
    pub(crate) fn note(&self, text: &str) {
        let step = StepRef { index: 0, phase: StepPhase::SetUp };
        self.line(step, Stream::Hearth, Timestamp::now().into(), text);
    }

    fn line(&self, step: StepRef, stream: Stream, at: std::time::SystemTime, text: &str) {
        let mut lines = self.lines();
        let line = LogLine { step, sequence: lines.next, stream, at, text: text.to_owned() };
        lines.next += 1;
        lines.fresh = true;
        let written = lines.writer.as_mut().map(|writer| writer.write(std::slice::from_ref(&line)));
        if let Some(Err(error)) = written {
            lines.failure.get_or_insert_with(|| error.to_string());
        }
        if step.phase == StepPhase::Main && stream != Stream::Hearth && !lines.spoke {
            lines.spoke = true;
            self.tell(Change::JobSpoke { job: self.job, at: at.into() });
        }
    }

    fn tell(&self, change: Change) {
        if let Some(changes) = &*self.changes() {
            // Nobody listens any more only where the store has failed, which the end of the job tells.
            let _ = changes.send(change);
        }
    }

    fn flush(&self) {
        let mut lines = self.lines();
        if std::mem::take(&mut lines.fresh)
            && let Some(Err(error)) = lines.writer.as_mut().map(LogWriter::flush)
        {
            lines.failure.get_or_insert_with(|| error.to_string());
        }
    }

    fn changes(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<Change>>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Journal {
    fn emit(&self, event: JobEvent) {
        let now = std::time::SystemTime::now();
        match event {
            JobEvent::JobStarted { at, machine, .. } => {
                info!(job = %self.job, machine, "job started");
                self.tell(Change::JobStarted { job: self.job, machine, at: at.into() });
            }
            JobEvent::StepStarted { step, name, at } => {
                let first_line = self.lines().next;
                self.tell(Change::StepStarted(Box::new(Step {
                    job: self.job,
                    step,
                    name,
                    state: StepState::Running,
                    outcome: None,
                    conclusion: None,
                    started_at: at.into(),
                    ended_at: None,
                    first_line,
                    summary: None,
                })));
            }
            JobEvent::Log(line) => self.line(line.step, line.stream, line.at, &line.text),
            JobEvent::GroupStarted { step, title } => {
                self.line(step, Stream::Hearth, now, &format!("##[group]{title}"));
            }
            JobEvent::GroupEnded { step } => self.line(step, Stream::Hearth, now, "##[endgroup]"),
            JobEvent::Debug { step, message } => {
                self.line(step, Stream::Hearth, now, &format!("##[debug]{message}"));
            }
            // Its line is in the log already, in the words of whoever said it.
            JobEvent::Annotation { annotation, .. } => {
                self.tell(Change::Annotated { job: self.job, annotation });
            }
            JobEvent::Summary { step, markdown } => {
                self.tell(Change::Summary { job: self.job, step, markdown });
            }
            JobEvent::StepFinished { step, outcome, conclusion, .. } => {
                self.tell(Change::StepEnded { job: self.job, step, outcome, conclusion, at: now.into() });
            }
            JobEvent::Contacted { contact, times } => {
                let step = StepRef { index: 0, phase: StepPhase::Complete };
                let how_often = crate::retry::how_often(times);
                self.line(step, Stream::Hearth, now, &format!("network: {contact} ({how_often})"));
            }
            // The end is the scheduler's to write, with the plan; outputs are in it.
            JobEvent::Output { .. } | JobEvent::JobFinished { .. } => {}
        }
    }
}

impl Keeper {
    /// Waits until all is written, and if this `is_last` try, until it would survive the loss of power. Call it when
    /// the job emits nothing any more.
    ///
    /// # Errors
    /// Something could not be written: the job's record has a hole.
    pub(crate) async fn close(self, journal: &Journal, is_last: bool) -> Result<(), String> {
        self.flushing.abort();
        journal.flush();
        let (mut failure, writer) = {
            let mut lines = journal.lines();
            (lines.failure.take(), lines.writer.take())
        };
        if let Some(writer) = writer.filter(|_| is_last) {
            let finished = tokio::task::spawn_blocking(move || writer.finish()).await;
            let finished = finished.map_err(|error| error.to_string());
            if let Err(reason) = finished.and_then(|end| end.map_err(|error| error.to_string())) {
                failure.get_or_insert(reason);
            }
        }
        drop(journal.changes().take());
        let written = self.writing.await.unwrap_or_else(|error| Err(error.to_string()));
        match failure {
            Some(failure) => Err(failure),
            None => written,
        }
    }
}

async fn write(
    job: JobId,
    store: Arc<dyn Store>,
    mut inbox: mpsc::UnboundedReceiver<Change>,
) -> Result<(), String> {
    let mut together = Vec::with_capacity(TOGETHER);
    while inbox.recv_many(&mut together, TOGETHER).await > 0 {
        let changes = std::mem::take(&mut together);
        store.apply(changes).await.map_err(|error| format!("job {job} can't be written down: {error}"))?;
    }
    Ok(())
}

async fn flush(journal: std::sync::Weak<Journal>) {
    let mut every = tokio::time::interval(FLUSH_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        match journal.upgrade() {
            Some(journal) => journal.flush(),
            None => return,
        }
    }
}
