//! What jobs hand over, in files, and what stands for it in the store.
//!
//! ```text
//!   upload ──► file ──► row ──► the job hears yes
//!   removal ─► file gone ─► row gone
//! ```
//!
//! A server that is killed in between leaves a file without a row, or a row without a file. The next start
//! [compares](agree) both.

mod agree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use model::{RunId, Timestamp};
use runner::results::{KeptArtifact, KeptCache, Ledger, ResultsConfig, ResultsService, Wish};
use store::query::CacheFilter;
use store::record::{NewArtifact, NewCache};
use store::{Change, Store, StoreError};

use crate::config::Config;
use crate::data::DataFolder;

/// Where caches are, below the data folder.
const CACHES: &str = "caches";

/// Brings files and rows together, and serves what jobs hand over.
pub(super) async fn open(
    config: &Config,
    data: &DataFolder,
    store: Arc<dyn Store>,
) -> Result<ResultsService> {
    let rows = Rows { store, root: data.root().to_owned(), keep: config.serve.retention.artifacts() };
    agree::agree(&rows, data).await.context("can't compare the files that jobs have left with the store")?;
    let caches = data.root().join(CACHES);
    let runs = data.clone();
    let results = ResultsConfig {
        least_free: config.serve.disk.least_free(),
        ledger: Some(Arc::new(rows)),
        ..ResultsConfig::new(&caches, move |run| artifacts(&runs, run))
    };
    let service = ResultsService::start(results).await;
    service.with_context(|| format!("can't serve caches from {}", caches.display()))
}

/// Where the artifacts of a run are.
fn artifacts(data: &DataFolder, run: RunId) -> PathBuf {
    data.run(run).join("artifacts")
}

/// The rows of the store that stand for files below the data folder.
struct Rows {
    store: Arc<dyn Store>,
    root: PathBuf,
    /// How long artifacts are kept.
    keep: Duration,
}

impl Rows {
    /// A file as rows name it.
    fn file(&self, path: &Path) -> io::Result<String> {
        let below = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
        below.map(str::to_owned).ok_or_else(|| {
            io::Error::other(format!("{} is not below {}", path.display(), self.root.display()))
        })
    }

    fn of_artifact(&self, kept: KeptArtifact) -> io::Result<Change> {
        let end = kept.created_at.after(self.keep);
        Ok(Change::ArtifactKept(NewArtifact {
            run: kept.run,
            number: kept.id,
            job: kept.job,
            file: self.file(&kept.path)?,
            name: kept.name,
            file_name: kept.file_name,
            size: kept.size,
            digest: kept.digest,
            created_at: kept.created_at,
            // No longer than the server keeps them, whatever the job wants.
            expires_at: kept.expires_at.map_or(end, |wanted| wanted.clamp(kept.created_at, end)),
        }))
    }

    fn of_cache(&self, kept: KeptCache) -> io::Result<Change> {
        Ok(Change::CacheKept(NewCache {
            file: self.file(&kept.path)?,
            repository: kept.repository,
            reference: kept.reference,
            key: kept.key,
            version: kept.version,
            size: kept.size,
            digest: kept.digest,
            created_at: kept.created_at,
        }))
    }

    fn without_caches(&self, paths: &[PathBuf]) -> io::Result<Vec<Change>> {
        paths.iter().map(|path| Ok(Change::CacheGone { file: self.file(path)? })).collect()
    }

    async fn apply(&self, changes: Vec<Change>) -> io::Result<()> {
        self.store.apply(changes).await.map_err(of_store)
    }
}

/// A full disk is told as one.
fn of_store(error: StoreError) -> io::Error {
    match error {
        StoreError::Full { .. } => io::Error::new(io::ErrorKind::StorageFull, error),
        error => io::Error::other(error),
    }
}

#[async_trait]
impl Ledger for Rows {
    async fn artifact_kept(&self, artifact: KeptArtifact) -> io::Result<()> {
        self.apply(vec![self.of_artifact(artifact)?]).await
    }

    async fn artifact_gone(&self, run: RunId, id: u64) -> io::Result<()> {
        self.apply(vec![Change::ArtifactGone { run, number: id }]).await
    }

    async fn cache_kept(&self, cache: KeptCache, evicted: Vec<PathBuf>) -> io::Result<()> {
        let mut changes = self.without_caches(&evicted)?;
        changes.push(self.of_cache(cache)?);
        self.apply(changes).await
    }

    async fn cache_used(&self, path: &Path, at: Timestamp) -> io::Result<()> {
        self.apply(vec![Change::CacheUsed { file: self.file(path)?, at }]).await
    }

    async fn caches_gone(&self, paths: Vec<PathBuf>) -> io::Result<()> {
        self.apply(self.without_caches(&paths)?).await
    }

    async fn cache(
        &self,
        repository: &str,
        reference: &str,
        version: &str,
        wish: Wish<'_>,
    ) -> io::Result<Option<KeptCache>> {
        let (key, key_prefix) = match wish {
            Wish::Key(key) => (Some(key.to_owned()), None),
            Wish::Prefix(prefix) => (None, Some(prefix.to_owned())),
        };
        let filter = CacheFilter {
            repository: Some(repository.to_owned()),
            reference: Some(reference.to_owned()),
            version: Some(version.to_owned()),
            key,
            key_prefix,
            ..CacheFilter::default()
        };
        let found = self.store.caches(&filter, 1).await.map_err(of_store)?.into_iter().next();
        Ok(found.map(|cache| KeptCache {
            path: self.root.join(&cache.what.file),
            repository: cache.what.repository,
            reference: cache.what.reference,
            key: cache.what.key,
            version: cache.what.version,
            size: cache.what.size,
            digest: cache.what.digest,
            created_at: cache.what.created_at,
            used_at: cache.used_at,
        }))
    }
}
