//! How connections to the database are made, and what is checked before the first.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::checkpoint::log_of;
use super::fault::Fault;
use super::migration;

/// How long a connection waits for another. Only checkpoints ever make one wait, for milliseconds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements that a connection keeps: all that this crate has, with room.
const STATEMENTS: usize = 128;

/// Length of the write-ahead log at which the writer itself moves it into the database: 64 MiB. Before that a thread of
/// its own does (see [`checkpoint`](super::checkpoint)), which never quite gets to the end while others write.
const LONGEST_LOG_PAGES: u32 = 16 * 1024;

/// A database up to this size is checked at every start, a larger one only when its last life did not end well: the
/// check reads all of it, which is less than half a second so far.
const CHECKED_ALWAYS_BYTES: u64 = 64 * 1024 * 1024;

/// Opens the database for writing, making it, or bringing it to the newest format, and checking it first.
pub(super) fn writer(path: &Path) -> Result<Connection, Fault> {
    make_private(path).map_err(|error| Fault::from_io(&error, "open", path))?;
    let doubtful = is_doubtful(path);
    let mut connection = open(path)?;
    if doubtful {
        check(&connection)?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A transaction that has returned survives the loss of power.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", LONGEST_LOG_PAGES)?;
    migration::run(&mut connection)?;
    Ok(connection)
}

/// Opens a database that is there, beside the connection that writes.
pub(super) fn beside(path: &Path) -> Result<Connection, Fault> {
    let connection = open(path)?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

/// Opens a database that is there, for reading only.
pub(super) fn reader(path: &Path) -> Result<Connection, Fault> {
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Reads the whole of a database that nobody uses.
pub(super) fn examine(path: &Path) -> Result<(), Fault> {
    let connection = open(path)?;
    check(&connection)?;
    migration::must_be_known(&connection)
}

fn open(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    // Sorting must not need room on a disk that is full.
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

/// The files beside it get the permissions that SQLite finds on the database.
pub(super) fn make_private(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Whether the database may have suffered: whoever ends well leaves no write-ahead log.
fn is_doubtful(path: &Path) -> bool {
    let left = std::fs::metadata(log_of(path)).is_ok_and(|log| log.len() > 0);
    left || std::fs::metadata(path).is_ok_and(|database| database.len() <= CHECKED_ALWAYS_BYTES)
}

/// Reads the whole database and says what is wrong with it first.
pub(super) fn check(connection: &Connection) -> Result<(), Fault> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Fault::Damaged(found)) }
}
