//! One process at a time has a data folder.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::error::StoreError;

/// Name of the file below the data folder. Whoever holds its lock has the folder; it says which process that is.
pub(crate) const LOCK_FILE: &str = "hearth.lock";

/// Held as long as the folder is used. The kernel lets go of it however the process ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, or says who has it.
    pub(crate) fn take(folder: &Path) -> Result<FolderLock, StoreError> {
        let path = folder.join(LOCK_FILE);
        let failed = |error: io::Error| StoreError::Failed {
            operation: format!("lock {}", path.display()),
            reason: error.to_string(),
        };
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The number only helps to find it.
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "unknown",
                    number => number,
                };
                return Err(StoreError::Taken { folder: folder.to_owned(), holder: holder.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        sign(&mut file).map_err(failed)?;
        Ok(FolderLock { _file: file })
    }
}

/// Leaves the number of this process there.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    match writeln!(file, "{}", std::process::id()) {
        // The lock holds without it, and a full disk is no reason to stay away from what is on it.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
        signed => signed,
    }
}
