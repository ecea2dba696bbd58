//! The unpacked trees: found, claimed, published, and evicted.
//!
//! ```text
//! trees/<commit>/        the tree; appears by rename, never changes
//! locks/<commit>         held shared by runs that use the tree, exclusively while it is evicted; its
//!                        text is the tree's size in bytes, its time that of the last use
//! making/<commit>        held while the tree is being fetched
//! scratch/<random>/      a fetch or an eviction in progress, with a lock file beside it that its owner holds
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::file_lock;
use crate::scratch::{self, Scratch};

/// Bytes that all trees together may take: some hundred of the usual actions, several versions each.
const CACHE_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// The trees of one cache folder.
pub(super) struct Trees {
    root: PathBuf,
    bound: u64,
    /// Shared locks of the trees that this process has given out.
    held: Mutex<HashMap<String, File>>,
}

/// The right to make one tree; nobody else makes it meanwhile.
pub(super) struct Claim {
    commit: String,
    tree: PathBuf,
    folder: FetchFolder,
    _scratch: Scratch,
    _making: File,
}

/// What a fetch leaves in its folder.
#[derive(Clone, Debug)]
pub(super) struct FetchFolder(PathBuf);

impl FetchFolder {
    #[cfg(test)]
    pub(super) fn at(path: &Path) -> FetchFolder {
        FetchFolder(path.to_owned())
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.0.join("repository")
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// Makes it empty for the next try.
    pub(super) fn clear(&self) -> io::Result<()> {
        scratch::remove_tree(&self.0)?;
        fs::create_dir_all(&self.0)
    }
}

impl Claim {
    pub(super) fn is_there(&self) -> bool {
        self.tree.is_dir()
    }

    pub(super) fn folder(&self) -> &FetchFolder {
        &self.folder
    }
}

impl Trees {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let trees = Trees { root: root.to_owned(), bound: CACHE_BYTES, held: Mutex::default() };
        for folder in ["trees", "locks", "making", "scratch"] {
            fs::create_dir_all(root.join(folder))?;
        }
        scratch::sweep(&root.join("scratch"))?;
        Ok(trees)
    }

    /// The same trees, none of them given out.
    pub(super) fn for_run(&self) -> Trees {
        Trees { root: self.root.clone(), bound: self.bound, held: Mutex::default() }
    }

    /// How errors of this cache are told.
    pub(super) fn describe(&self, error: &io::Error) -> String {
        format!(
            "the action cache {}: {error}; free space there or choose another data folder",
            self.root.display()
        )
    }

    pub(super) fn holds(&self, commit: &str) -> bool {
        self.tree_path(commit).is_dir()
    }

    /// The tree, if it is there; from now on it stays.
    pub(super) fn find(&self, commit: &str) -> io::Result<Option<PathBuf>> {
        if !self.holds(commit) {
            return Ok(None);
        }
        let lock = file_lock::open(&self.lock_path(commit))?;
        if lock.try_lock_shared().is_err() || !self.holds(commit) {
            return Ok(None);
        }
        Ok(Some(self.hold(commit, lock)))
    }

    /// Waits for the right to make the tree.
    pub(super) async fn claim(&self, commit: &str) -> io::Result<Claim> {
        let (making, scratch) = (self.root.join("making").join(commit), self.root.join("scratch"));
        let (commit, tree) = (commit.to_owned(), self.tree_path(commit));
        run_blocking(move || {
            let making = file_lock::exclusive(&making)?;
            let scratch = Scratch::new_in(&scratch)?;
            let folder = FetchFolder(scratch.path().to_owned());
            Ok(Claim { commit, tree, folder, _scratch: scratch, _making: making })
        })
        .await
    }

    /// Makes the claimed tree visible, and gives it out.
    pub(super) async fn publish(&self, claim: Claim) -> io::Result<PathBuf> {
        let lock_path = self.lock_path(&claim.commit);
        let (commit, lock) = run_blocking(move || {
            let mut lock = file_lock::open(&lock_path)?;
            lock.lock_shared()?;
            if !claim.is_there() {
                lock.set_len(0)?;
                write!(lock, "{}", size_of_tree(&claim.folder().tree())?)?;
                // Without this a power cut could leave a tree with empty files under its final name.
                rustix::fs::syncfs(File::open(claim.folder().tree())?)?;
                fs::rename(claim.folder().tree(), &claim.tree)?;
            }
            Ok((claim.commit, lock))
        })
        .await?;
        let tree = self.hold(&commit, lock);
        let (root, bound) = (self.root.clone(), self.bound);
        run_blocking(move || evict(&root, bound)).await?;
        Ok(tree)
    }

    fn hold(&self, commit: &str, lock: File) -> PathBuf {
        // The time is for eviction only; a cache that can't be written to still serves.
        let _ = lock.set_modified(SystemTime::now());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(commit.to_owned()).or_insert(lock);
        self.tree_path(commit)
    }

    fn tree_path(&self, commit: &str) -> PathBuf {
        self.root.join("trees").join(commit)
    }

    fn lock_path(&self, commit: &str) -> PathBuf {
        self.root.join("locks").join(commit)
    }
}

/// Removes trees, the longest unused first, until the rest fits. A tree that is in use stays.
fn evict(root: &Path, bound: u64) -> io::Result<()> {
    let mut trees = Vec::new();
    for entry in fs::read_dir(root.join("locks"))? {
        let entry = entry?;
        let mut text = String::new();
        File::open(entry.path())?.take(32).read_to_string(&mut text)?;
        let size = text.trim().parse::<u64>().unwrap_or(0);
        trees.push((entry.metadata()?.modified()?, size, entry.file_name()));
    }
    let mut total: u64 = trees.iter().map(|(_, size, _)| size).sum();
    trees.sort();
    for (_, size, name) in trees {
        if total <= bound {
            break;
        }
        let Some(lock) = file_lock::try_exclusive(&root.join("locks").join(&name))? else { continue };
        // Renamed first, so that nobody ever sees half a tree.
        let scratch = Scratch::new_in(&root.join("scratch"))?;
        match fs::rename(root.join("trees").join(&name), scratch.path().join("tree")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => lock.set_len(0)?,
        }
        total = total.saturating_sub(size);
    }
    Ok(())
}

fn size_of_tree(root: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                total += metadata.len();
            }
        }
    }
    Ok(total)
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn add(trees: &Trees, commit: &str) {
        let claim = trees.claim(commit).await.unwrap();
        fs::create_dir(claim.folder().tree()).unwrap();
        fs::write(claim.folder().tree().join("file"), [0; 100]).unwrap();
        trees.publish(claim).await.unwrap();
    }

    #[tokio::test]
    async fn the_longest_unused_tree_is_evicted_but_never_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let earlier_run = Trees::open(folder.path()).unwrap();
        for (commit, age) in [("old", 300), ("older", 400), ("used", 500)] {
            add(&earlier_run, commit).await;
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            file_lock::open(&earlier_run.lock_path(commit)).unwrap().set_modified(time).unwrap();
        }
        drop(earlier_run);
        let other_run = Trees::open(folder.path()).unwrap();
        let lock = file_lock::open(&other_run.lock_path("used")).unwrap();
        lock.lock_shared().unwrap();
        let run = Trees { bound: 300, ..Trees::open(folder.path()).unwrap() };
        add(&run, "new").await;
        let there = ["old", "older", "used", "new"].map(|commit| run.holds(commit));
        assert_eq!(there, [true, false, true, true]);
    }
}
