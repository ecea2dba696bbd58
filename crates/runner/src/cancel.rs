//! How a job is stopped from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Stops a job, on two levels. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Cancellation {
    cancel: CancellationToken,
    kill: CancellationToken,
    /// Set before it is cancelled because the job's time was up.
    expired: Arc<AtomicBool>,
}

impl Cancellation {
    /// Nothing is stopped yet.
    pub fn new() -> Cancellation {
        Cancellation::default()
    }

    /// Cancels the job: the running step is asked to end, and steps that want to run after a
    /// cancellation, and post steps, still do.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Cancels the job because its time is up.
    pub(crate) fn expire(&self) {
        self.expired.store(true, Ordering::SeqCst);
        self.cancel();
    }

    /// Whether it was cancelled because its time was up.
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.load(Ordering::SeqCst)
    }

    /// Ends everything now: no step runs any more.
    pub fn kill(&self) {
        self.cancel.cancel();
        self.kill.cancel();
    }

    /// Whether the job was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Whether everything shall end now.
    pub fn is_killed(&self) -> bool {
        self.kill.is_cancelled()
    }

    /// Waits until the job is cancelled.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Waits until everything shall end.
    pub async fn killed(&self) {
        self.kill.cancelled().await;
    }

    /// One that follows this one and can be stopped apart from it.
    pub(crate) fn child(&self) -> Cancellation {
        Cancellation {
            cancel: self.cancel.child_token(),
            kill: self.kill.child_token(),
            expired: Arc::default(),
        }
    }
}
