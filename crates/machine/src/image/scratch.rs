//! Folders for work in progress, which are removed if their maker dies, and locks.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::ImageError;

/// Names of folders for work in progress begin so.
const PREFIX: &str = ".new-";

/// A folder for work in progress. It is locked while its maker lives, and removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes an empty folder in `parent`, after removing those whose makers are gone.
    pub(crate) fn new_in(parent: &Path) -> Result<Self, ImageError> {
        sweep(parent).map_err(ImageError::io("clearing", parent))?;
        loop {
            let made = tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(parent)
                .map_err(ImageError::io("making a folder in", parent))?;
            let path = made.keep();
            let lock = File::open(&path).and_then(|folder| folder.lock().map(|()| folder));
            match lock {
                // Swept before it was locked: the lock is on a folder that has no name any more.
                Ok(lock) if !is_at(&lock, &path) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(lock) => return Ok(Self { path, _lock: lock }),
                Err(error) => return Err(ImageError::io("locking", &path)(error)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the folder to its place, which must be free, or an empty folder.
    pub(crate) fn rename(self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Gone already if it was moved to its place.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders whose makers are gone. How many there were.
pub(crate) fn sweep(parent: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(folder) = File::open(entry.path()) else { continue };
        if folder.try_lock().is_ok() {
            fs::remove_dir_all(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Takes the lock at `path` for as long as the file is open. `None`: another process has it.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = lock_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A file to lock, which stays.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Makes a folder for its owner only, and those above it.
pub(crate) fn make_private(path: &Path) -> Result<(), ImageError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(ImageError::io("making the folder", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_without_a_live_maker_are_swept_up() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::new_in(parent.path()).unwrap();
        let dead = parent.path().join(".new-dead");
        fs::create_dir_all(dead.join("inside")).unwrap();
        let other = Scratch::new_in(parent.path()).unwrap();
        assert!(living.path().is_dir() && other.path().is_dir() && !dead.exists());
        drop((living, other));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
