//! Folders for work in progress. What a killed process leaves behind is told by its lock, and swept up.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::file_lock;

/// A folder that goes away with its owner. While the owner lives, it holds the lock file beside it.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes an empty folder in `root`.
    pub(crate) fn new_in(root: &Path) -> io::Result<Self> {
        // The lock comes first, so that a folder without a live owner can be told.
        let (lock, lock_path) = loop {
            let file = tempfile::Builder::new().prefix("work-").suffix(".lock").tempfile_in(root)?;
            let (lock, lock_path) = file.keep().map_err(|error| error.error)?;
            lock.lock()?;
            // Another process that swept before the lock was taken has removed the file.
            if lock_path.exists() {
                break (lock, lock_path);
            }
        };
        let folder = lock_path.with_extension("");
        fs::create_dir(&folder)?;
        Ok(Scratch { folder, lock_path, _lock: lock })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove_tree(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Removes the folders in `root` whose owners are gone.
pub(crate) fn sweep(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        if let Ok(Some(_lock)) = file_lock::try_exclusive(&path) {
            remove_tree(&path.with_extension(""))?;
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Removes a folder and all in it; fine if it is not there.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_without_a_live_owner_are_swept_up() {
        let root = tempfile::tempdir().unwrap();
        let owned = Scratch::new_in(root.path()).unwrap();
        let left = root.path().join("work-left");
        fs::create_dir(&left).unwrap();
        fs::write(root.path().join("work-left.lock"), "").unwrap();
        sweep(root.path()).unwrap();
        assert!(owned.path().is_dir() && !left.exists());
        drop(owned);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
