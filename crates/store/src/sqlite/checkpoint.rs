//! Moves what the write-ahead log holds into the database, beside the thread that writes: nobody whose delivery is to be
//! acknowledged waits for that.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connect;
use super::fault::Fault;

/// Operations after which the log is worth moving: some megabytes of it.
const OPERATIONS: usize = 256;

/// A thread that sleeps until enough was written. Dropping it waits for what it is doing.
pub(super) struct Checkpoints {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Operations since it was woken.
    since: usize,
}

impl Checkpoints {
    /// Starts the thread for the database at `path`, which is there.
    pub(super) fn start(path: &Path) -> Result<Checkpoints, Fault> {
        let connection = connect::beside(path)?;
        // It needs to be woken once for all that came while it worked.
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new().name("store-checkpoints".to_owned());
        let thread = thread
            .spawn(move || run(&connection, &woken))
            .map_err(|error| Fault::from_io(&error, "start a thread for", path))?;
        Ok(Checkpoints { wake: Some(wake), thread: Some(thread), since: 0 })
    }

    /// Takes note of so many operations.
    pub(super) fn written(&mut self, operations: usize) {
        self.since += operations;
        if self.since >= OPERATIONS {
            self.since = 0;
            if let Some(wake) = &self.wake {
                // If it is to be woken already, that is enough.
                let _ = wake.try_send(());
            }
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was printed.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        // What fails now, as on a full disk, is tried again with the next, and by whoever closes the database; the log
        // has it all until then.
        let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}
