//! From what SQLite says to what people are told.

use std::io;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::error::StoreError;

/// Why something in the database did not work; what was to be done is added by whoever knows it.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// What is written there can't be.
    Damaged(String),
    /// A newer version wrote it.
    TooNew { found: u32, known: u32 },
    /// The caller is at fault, or already said all.
    Told(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Told(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Fault {
        Fault::Damaged(error.to_string())
    }
}

impl Fault {
    /// What the system said about a file beside SQLite.
    pub(super) fn from_io(error: &io::Error, operation: &str, path: &Path) -> Fault {
        Fault::Told(match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Full { what: path.display().to_string() }
            }
            _ => StoreError::Failed {
                operation: format!("{operation} {}", path.display()),
                reason: error.to_string(),
            },
        })
    }

    /// In words: `operation` ("write a delivery") on the database at `path`.
    pub(super) fn into_error(self, operation: &str, path: &Path) -> StoreError {
        match self {
            Fault::Told(error) => error,
            Fault::Damaged(reason) => StoreError::Damaged { path: path.to_owned(), reason },
            Fault::TooNew { found, known } => StoreError::TooNew { path: path.to_owned(), found, known },
            Fault::Sqlite(error) => in_words(&error, operation, path),
        }
    }
}

/// [`Fault::into_error`] of what SQLite said.
pub(super) fn in_words(error: &rusqlite::Error, operation: &str, path: &Path) -> StoreError {
    // The index of the write-ahead log is a file too, and has a code of its own when there is no room for it.
    let has_no_index =
        error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE);
    match error.sqlite_error_code() {
        Some(_) if has_no_index => StoreError::Full { what: path.display().to_string() },
        Some(ErrorCode::DiskFull) => StoreError::Full { what: path.display().to_string() },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged { path: path.to_owned(), reason: error.to_string() }
        }
        // A word or a JSON text that no version of Hearth writes.
        None if is_conversion(error) => {
            StoreError::Damaged { path: path.to_owned(), reason: error.to_string() }
        }
        code => {
            let (operation, reason) = (format!("{operation} in {}", path.display()), error.to_string());
            match code.is_some_and(may_pass) {
                true => StoreError::Unavailable { operation, reason },
                false => StoreError::Failed { operation, reason },
            }
        }
    }
}

/// Whether the reason is around the database, not in it or in what was asked ([result codes](https://sqlite.org/rescode.html)).
fn may_pass(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::OperationInterrupted
    )
}

fn is_conversion(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hinders_the_database_may_pass_and_what_is_wrong_in_it_does_not() {
        let told = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            in_words(&error, "read a run", Path::new("/data/hearth.db"))
        };
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_IOERR_READ, ffi::SQLITE_CANTOPEN, ffi::SQLITE_FULL] {
            assert!(told(code).may_pass(), "{:?}", told(code));
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_ERROR, ffi::SQLITE_CONSTRAINT] {
            assert!(!told(code).may_pass(), "{:?}", told(code));
        }
        let words = told(ffi::SQLITE_BUSY).to_string();
        assert!(words.starts_with("can't read a run in /data/hearth.db now: "), "{words}");
        assert!(!Fault::Damaged("no JSON".to_owned()).into_error("read a run", Path::new("/db")).may_pass());
    }
}
