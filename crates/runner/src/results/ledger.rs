//! What somebody keeps of artifacts and caches beside their files: a server's database, which its pages read.
//!
//! A file comes before what stands for it, and goes before it. Whoever is killed in between leaves one without the
//! other; [`kept_artifacts`](super::kept_artifacts) and [`kept_caches`](super::kept_caches) say which files there are.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use model::{RunId, Timestamp};

use super::kept::{KeptArtifact, KeptCache};

/// Which key of a cache is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish<'a> {
    /// This one.
    Key(&'a str),
    /// The newest that begins so.
    Prefix(&'a str),
}

impl Wish<'_> {
    /// Whether a key is wanted.
    #[must_use]
    pub fn is_met_by(&self, key: &str) -> bool {
        match self {
            Wish::Key(wanted) => key == *wanted,
            Wish::Prefix(prefix) => key.starts_with(prefix),
        }
    }
}

/// What a job wishes of one ref, in order: the key itself, then what begins with it, then the same for each restore key.
/// <https://docs.github.com/actions/reference/workflows-and-actions/dependency-caching#cache-key-matching>
pub(super) fn wishes<'a>(key: &'a str, restore_keys: &'a [String]) -> impl Iterator<Item = Wish<'a>> {
    let keys = std::iter::once(key).chain(restore_keys.iter().map(String::as_str));
    keys.flat_map(|key| [Wish::Key(key), Wish::Prefix(key)])
}

/// Keeps what stands for files. All calls may be made at once; what one wrote is durable when it returns. A file is
/// named by its path.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The files of an artifact are there; those of an earlier one of its name count no more.
    ///
    /// # Errors
    /// When it can't be written. The files are removed again then, and the job is told.
    async fn artifact_kept(&self, artifact: KeptArtifact) -> io::Result<()>;

    /// The files of an artifact are gone; perhaps there were none.
    ///
    /// # Errors
    /// When it can't be written.
    async fn artifact_gone(&self, run: RunId, id: u64) -> io::Result<()>;

    /// The file of a cache is there, and these had to make room for it.
    ///
    /// # Errors
    /// When it can't be written. The file is removed again then, and the job is told.
    async fn cache_kept(&self, cache: KeptCache, evicted: Vec<PathBuf>) -> io::Result<()>;

    /// A cache is restored.
    ///
    /// # Errors
    /// When it can't be written. The job gets the cache all the same.
    async fn cache_used(&self, path: &Path, at: Timestamp) -> io::Result<()>;

    /// The files of these caches are gone.
    ///
    /// # Errors
    /// When it can't be written.
    async fn caches_gone(&self, paths: Vec<PathBuf>) -> io::Result<()>;

    /// The file of the newest cache of a repository, a ref, and a version that meets a wish.
    ///
    /// # Errors
    /// When it can't be read.
    async fn cache(
        &self,
        repository: &str,
        reference: &str,
        version: &str,
        wish: Wish<'_>,
    ) -> io::Result<Option<KeptCache>>;
}
