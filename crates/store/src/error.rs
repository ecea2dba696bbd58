//! Why the store can't do something.

use std::path::PathBuf;

/// What went wrong, with what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the data folder.
    #[error("another hearth (process {holder}) has the data folder {}; stop it, or choose another folder with --data", .folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// Number of the process, as far as it is known.
        holder: String,
    },
    /// The database can't be read.
    #[error("the database {} is damaged ({reason}); put a backup in its place with `hearth restore FROM --data {}`, or move the file away to begin anew", .path.display(), .path.parent().unwrap_or(.path).display())]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A newer version of Hearth wrote the database.
    #[error("the database {} has format {found}, and this version of Hearth knows {known}; run the newer version", .path.display())]
    TooNew {
        /// Its file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// There is no room.
    #[error("no room left for {what}; free some space on the disk of the data folder")]
    Full {
        /// What was to be written.
        what: String,
    },
    /// A change does not fit what is there: a fault of the caller, told rather than written.
    #[error("{what} can't become {next}: it is {now}")]
    Illegal {
        /// The object.
        what: String,
        /// Its state.
        now: String,
        /// The state that it was to have.
        next: String,
    },
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(String),
    /// The database can't be used now, for a reason that may pass: the disk, another process, the host's bounds.
    #[error("can't {operation} now: {reason}")]
    Unavailable {
        /// What was to be done, with what.
        operation: String,
        /// Why not.
        reason: String,
    },
    /// Everything else.
    #[error("can't {operation}: {reason}")]
    Failed {
        /// What was to be done, with what.
        operation: String,
        /// Why not.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same call may go well later, without anybody changing what is asked or what is kept.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, StoreError::Full { .. } | StoreError::Unavailable { .. })
    }
}
