//! One fetch at a time for a mirror, of all processes that use the folder.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Holds a lock until it is dropped, or its process dies.
pub(super) struct FileLock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl FileLock {
    /// Waits for the lock. Whoever has it is fetching, which has a time limit.
    pub(super) async fn of(path: PathBuf) -> io::Result<FileLock> {
        tokio::task::spawn_blocking(move || take(&path)).await.map_err(io::Error::other)?
    }
}

fn take(path: &Path) -> io::Result<FileLock> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    // Says when the mirror was last wanted; where that can't be told, it is only forgotten too early.
    let _ = file.set_modified(std::time::SystemTime::now());
    Ok(FileLock(file))
}
