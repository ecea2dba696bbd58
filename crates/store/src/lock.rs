//! One process at a time has a data folder, or a part of it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::error::StoreError;

/// Name of the file below the data folder whose lock the server holds; it says which process that is.
pub(crate) const LOCK_FILE: &str = "hearth.lock";

/// How long processes that a killed holder has left may keep its lock: the kernel ends them with it, which takes the
/// time that a loaded host needs to take machines down.
const LEFT_BEHIND: Duration = Duration::from_secs(10);

/// Held as long as the folder is used. The kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes what the lock of this file below the folder stands for, or says who has it. Blocks for up to ten seconds
    /// where that is a process which was killed, until the last of those that it has left is gone too.
    ///
    /// # Errors
    /// [`StoreError::Taken`], and [`StoreError::Failed`] where the file can't be used.
    pub fn take(folder: &Path, file: &str) -> Result<FolderLock, StoreError> {
        let path = folder.join(file);
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
                let holder = holder(&mut file);
                let taken = StoreError::Taken { folder: folder.to_owned(), holder: holder.clone() };
                if is_there(&holder) {
                    return Err(taken);
                }
                file = left(file).ok_or(taken)?;
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        sign(&mut file).map_err(failed)?;
        Ok(FolderLock { _file: file })
    }
}

/// The number of the process that has the folder; it only helps to find it.
fn holder(file: &mut File) -> String {
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    match holder.trim() {
        "" => "unknown".to_owned(),
        number => number.to_owned(),
    }
}

/// Whether the process with this number lives, as far as can be known.
fn is_there(holder: &str) -> bool {
    holder.parse::<u32>().is_err() || Path::new("/proc").join(holder).exists()
}

/// Waits for those who hold the lock of a process that is gone.
fn left(file: File) -> Option<File> {
    let (sender, receiver) = mpsc::channel();
    // Where it is too long, the thread waits on; it holds nothing but the file.
    thread::spawn(move || drop(sender.send(file.lock().map(|()| file))));
    receiver.recv_timeout(LEFT_BEHIND).ok()?.ok()
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    use super::*;

    /// The file of a folder that somebody holds who left this number.
    fn held(folder: &Path, holder: u32) -> File {
        let path = folder.join(LOCK_FILE);
        fs::write(&path, holder.to_string()).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        file.lock().unwrap();
        file
    }

    /// A number that no process has any more.
    fn ended() -> u32 {
        let mut process = Command::new("true").spawn().unwrap();
        process.wait().unwrap();
        process.id()
    }

    #[test]
    fn a_folder_whose_holder_was_killed_is_taken_once_what_it_left_has_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let file = held(folder.path(), ended());
        let inode = format!(":{} ", file.metadata().unwrap().ino());
        let path = folder.path().to_owned();
        let taking = thread::spawn(move || FolderLock::take(&path, LOCK_FILE).map(drop));
        let waits = || {
            fs::read_to_string("/proc/locks")
                .unwrap()
                .lines()
                .any(|lock| lock.contains("->") && lock.contains(&inode))
        };
        while !waits() {
            assert!(!taking.is_finished(), "{:?}", taking.join());
            thread::yield_now();
        }
        drop(file);
        taking.join().unwrap().unwrap();
    }

    #[test]
    fn a_folder_whose_holder_lives_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let _file = held(folder.path(), std::os::unix::process::parent_id());
        let refused = FolderLock::take(folder.path(), LOCK_FILE).unwrap_err();
        assert!(matches!(refused, StoreError::Taken { .. }), "{refused}");
    }
}
