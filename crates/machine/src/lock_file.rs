//! Files whose lock says that somebody is alive.
//!
//! The kernel lets go of a lock when its holder dies, however that happens. Whoever can take
//! the lock of something may clear it away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Attempts to take a lock whose file is replaced meanwhile; each costs somebody else a removal.
const ATTEMPTS: usize = 16;

/// Locks the file at `path`, which is made if need be, and makes sure that it is still the file there.
/// `None`: somebody holds it.
pub(crate) fn take(path: &Path) -> io::Result<Option<File>> {
    for _ in 0..ATTEMPTS {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        let there = fs::metadata(path);
        if there.is_ok_and(|there| {
            file.metadata().is_ok_and(|ours| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        }) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Whether somebody holds the lock of the file at `path`. Where it is not there, nobody does.
pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    // Shared, so that two who ask do not take each other for the holder.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(false),
    }
}
