//! Which logs are being written, and who waits for more of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::JobId;
use tokio::sync::watch;

/// How far a log is.
///
/// ```text
/// idle ──► writing ──► complete
///   ▲         │            │
///   └─────────┘            │   its writer is gone, and it may go on
///             ▲────────────┘   it goes on after all
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nobody writes it.
    Idle,
    /// It has so many lines, and more will come.
    Writing(u64),
    /// Nothing follows.
    Complete,
}

/// One log, as long as somebody writes or follows it.
#[derive(Debug)]
pub(super) struct LiveLog {
    pub(super) job: JobId,
    pub(super) progress: watch::Sender<Progress>,
    all: LiveLogs,
}

/// All that are written or followed.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveLogs(Arc<Mutex<HashMap<JobId, Weak<LiveLog>>>>);

impl LiveLogs {
    /// The one of a job.
    pub(super) fn of(&self, job: JobId) -> Arc<LiveLog> {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get(&job).and_then(Weak::upgrade) {
            return log;
        }
        let log = Arc::new(LiveLog { job, progress: watch::Sender::new(Progress::Idle), all: self.clone() });
        logs.insert(job, Arc::downgrade(&log));
        log
    }

    /// Whether a job's log is being written.
    pub(super) fn is_written(&self, job: JobId) -> bool {
        let logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.get(&job).and_then(Weak::upgrade);
        drop(logs);
        log.is_some_and(|log| matches!(*log.progress.borrow(), Progress::Writing(_)))
    }
}

impl LiveLog {
    /// Takes the right to write it, which one can have at a time.
    pub(super) fn begin(&self) -> bool {
        self.progress.send_if_modified(|progress| {
            let is_free = !matches!(progress, Progress::Writing(_));
            if is_free {
                *progress = Progress::Writing(0);
            }
            is_free
        })
    }
}

impl Drop for LiveLog {
    fn drop(&mut self) {
        let mut logs = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another may have come in between.
        if logs.get(&self.job).is_some_and(|log| log.strong_count() == 0) {
            logs.remove(&self.job);
        }
    }
}
