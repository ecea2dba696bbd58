//! Moves what the write-ahead log holds into the database, beside the thread that writes: nobody whose delivery is to be
//! acknowledged waits for that. While nobody writes, a log that has grown gives its room back.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::connect::{self, BUSY_TIMEOUT};
use super::fault::Fault;

/// Operations after which the log is worth moving: some megabytes of it.
const OPERATIONS: usize = 256;

/// How long it must not have been woken before the log is made shorter.
const QUIET: Duration = Duration::from_secs(1);

/// Bytes of the log that stay, as they would be written again at once: what is moved usually has fewer. A large webhook
/// has 25 MB, and SQLite itself never makes the file shorter.
const KEPT_BYTES: u64 = 8 * 1024 * 1024;

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
        let log = log_of(path);
        // It needs to be woken once for all that came while it worked.
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new().name("store-checkpoints".to_owned());
        let thread = thread
            .spawn(move || run(&connection, &woken, &log))
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

/// The write-ahead log of a database.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = OsString::from(path);
    log.push("-wal");
    PathBuf::from(log)
}

// What fails now, as on a full disk, is tried again with the next, and by whoever closes the database; the log has it all
// until then.
fn run(connection: &Connection, woken: &Receiver<()>, log: &Path) {
    loop {
        match woken.recv_timeout(QUIET) {
            Ok(()) => drop(checkpoint(connection, "PASSIVE")),
            Err(RecvTimeoutError::Timeout) => {
                if std::fs::metadata(log).is_ok_and(|log| log.len() > KEPT_BYTES) {
                    let _ = shorten(connection);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn checkpoint(connection: &Connection, how: &str) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()))
}

/// Moves the log and cuts it off, unless somebody reads or writes just now. Nearly all is moved while others may write.
fn shorten(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint(connection, "PASSIVE")?;
    connection.busy_timeout(Duration::ZERO)?;
    let cut = checkpoint(connection, "TRUNCATE");
    connection.busy_timeout(BUSY_TIMEOUT)?;
    cut
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_log_that_has_grown_gives_its_room_back_while_nobody_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hearth.db");
        let writer = connect::writer(&path).unwrap();
        let _checkpoints = Checkpoints::start(&path).unwrap();
        let large = 2 * KEPT_BYTES;
        writer
            .execute_batch(&format!("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob({large}))"))
            .unwrap();
        let length = || std::fs::metadata(log_of(&path)).unwrap().len();
        assert!(length() > large);
        let begun = Instant::now();
        while length() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", length());
            std::thread::yield_now();
        }
        let kept: u64 = writer.query_row("SELECT length(b) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, large);
    }
}
