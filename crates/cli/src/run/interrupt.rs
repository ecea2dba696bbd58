//! Ctrl-C: the first cancels the run, the second ends it.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, counted.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    came: bool,
}

impl Interrupts {
    /// From now on these signals no longer end the process by themselves.
    pub(crate) fn new() -> std::io::Result<Interrupts> {
        Ok(Interrupts {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            came: false,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        self.came = true;
    }

    /// Whether the user has asked to end.
    pub(crate) fn came(&self) -> bool {
        self.came
    }
}
