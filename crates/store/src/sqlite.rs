//! The store in one SQLite database.

mod access;
mod apply;
mod checkpoint;
mod connect;
mod copy;
mod delivery;
mod expiry;
mod fault;
mod job;
mod kept;
mod migration;
mod readers;
mod repository;
mod run;
mod word;
mod writer;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use model::{DeliveryId, JobId, RepositoryId, RunId, RunState, Timestamp};
use rusqlite::Connection;
use serde_json::Value as Json;
use tokio::sync::broadcast;

use self::readers::Readers;
use self::writer::Writer;
use crate::change::Change;
use crate::error::StoreError;
use crate::lock::{FolderLock, LOCK_FILE};
use crate::query::{ArtifactFilter, CacheFilter, RunFilter};
use crate::record::{
    AnnotationOf, Artifact, Attempt, Cache, Delivery, Expansion, Job, KeptFile, NewDelivery, NewRun,
    PlanInput, Receipt, Repository, RepositoryFacts, Run, Scope, SealedSecret, Step, Token, Variable,
};
use crate::store::Store;

/// Name of the database below the data folder; SQLite keeps `-wal` and `-shm` beside it.
pub const DATABASE_FILE: &str = "hearth.db";

/// A [`Store`] in one SQLite database: a write-ahead log, one thread that writes, and a few connections that read.
///
/// Dropping it finishes what is queued, waits for that, and lets go of the folder.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped in this order: the lock is the last.
    writer: Writer,
    readers: Readers,
    _lock: FolderLock,
}

impl SqliteStore {
    /// Takes a data folder, which must be there, and opens its database, making it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another process has the folder, [`StoreError::Damaged`] and
    /// [`StoreError::TooNew`] when the database can't be used.
    pub fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
        let lock = FolderLock::take(folder, LOCK_FILE)?;
        let path = folder.join(DATABASE_FILE);
        let connection =
            connect::writer(&path).map_err(|fault| fault.into_error("open a database", &path))?;
        let writer = Writer::start(&path, connection)?;
        Ok(SqliteStore { writer, readers: Readers::new(&path), _lock: lock })
    }
}

/// Looks at a database that nobody uses: whether this version of Hearth can, and whether it is whole.
///
/// # Errors
/// [`StoreError::Damaged`], and [`StoreError::TooNew`].
pub(crate) fn examine(path: &Path) -> Result<(), StoreError> {
    connect::examine(path).map_err(|fault| fault.into_error("examine a database", path))
}

/// Copies a database that another process may be using.
pub(crate) fn copy(path: &Path, to: &Path) -> Result<(), StoreError> {
    let copied = connect::reader(path).and_then(|connection| copy::write(&connection, to));
    copied.map_err(|fault| fault.into_error("copy a database", path))
}

/// Takes out of a database that nobody uses what stands for files that are not there.
///
/// # Errors
/// When it can't be read or written.
pub(crate) fn forget_missing(path: &Path, is_there: impl Fn(&str) -> bool) -> Result<usize, StoreError> {
    let forgotten = connect::beside(path).and_then(|mut connection| {
        let transaction = connection.transaction()?;
        // A copy of what an earlier version is still using has none.
        if !transaction.table_exists(None, "caches")? {
            return Ok(0);
        }
        let forgotten = kept::forget_missing(&transaction, is_there)?;
        transaction.commit()?;
        Ok(forgotten)
    });
    forgotten.map_err(|fault| fault.into_error("compare with the files a database", path))
}

#[async_trait]
impl Store for SqliteStore {
    async fn receive(&self, delivery: NewDelivery) -> Result<Receipt, StoreError> {
        self.writer.write("write a delivery", move |c, _| delivery::receive(c, &delivery)).await
    }

    async fn due_deliveries(
        &self,
        now: Timestamp,
        apart_from: Vec<String>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.readers.read("read due deliveries", move |c| delivery::due(c, now, &apart_from, limit)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<(Delivery, Vec<u8>)>, StoreError> {
        self.readers.read("read a delivery", move |c| delivery::one(c, id)).await
    }

    async fn deliveries(
        &self,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.readers.read("read deliveries", move |c| delivery::newest(c, before, limit)).await
    }

    async fn known_deliveries(&self, guids: Vec<String>) -> Result<BTreeSet<String>, StoreError> {
        self.readers.read("look for deliveries", move |c| delivery::known(c, guids)).await
    }

    async fn expand(
        &self,
        delivery: DeliveryId,
        expansion: Expansion,
        at: Timestamp,
    ) -> Result<Vec<Run>, StoreError> {
        let write = self.writer.write("write what came of a delivery", move |c, told| {
            let runs = delivery::expand(c, delivery, expansion, at)?;
            told.extend(runs.iter().map(|run| Change::RunCreated(Box::new(run.clone()))));
            Ok(runs)
        });
        write.await
    }

    async fn create_run(&self, run: NewRun, at: Timestamp) -> Result<Run, StoreError> {
        let write = self.writer.write("write a run", move |c, told| {
            let run = run::create(c, None, run, at)?;
            told.push(Change::RunCreated(Box::new(run.clone())));
            Ok(run)
        });
        write.await
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let write = self.writer.write("write changes", move |c, told| {
            *told = apply::all(c, changes)?;
            Ok(())
        });
        write.await
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
        self.writer.subscribe()
    }

    async fn repository_seen(
        &self,
        facts: RepositoryFacts,
        at: Timestamp,
    ) -> Result<RepositoryId, StoreError> {
        self.writer.write("write a repository", move |c, _| repository::seen(c, &facts, at)).await
    }

    async fn repository(&self, id: RepositoryId) -> Result<Option<Repository>, StoreError> {
        self.readers.read("read a repository", move |c| repository::one(c, id)).await
    }

    async fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        self.readers.read("read repositories", repository::all).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.readers.read("read a run", move |c| run::one(c, id)).await
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<Run>, StoreError> {
        let filter = filter.clone();
        self.readers.read("read runs", move |c| run::matching(c, &filter, limit)).await
    }

    async fn unfinished_runs(&self) -> Result<Vec<Run>, StoreError> {
        self.readers.read("read unfinished runs", run::unfinished).await
    }

    async fn attempts(&self, run: RunId) -> Result<Vec<Attempt>, StoreError> {
        self.readers.read("read attempts", move |c| run::attempts(c, run)).await
    }

    async fn unannounced(
        &self,
        after: Option<(RunId, u32)>,
        limit: usize,
    ) -> Result<Vec<(Attempt, RunState)>, StoreError> {
        self.readers.read("read what is to be announced", move |c| run::unannounced(c, after, limit)).await
    }

    async fn plan_inputs(&self, run: RunId, attempt: u32) -> Result<Vec<PlanInput>, StoreError> {
        self.readers.read("read what a plan was told", move |c| run::plan_inputs(c, run, attempt)).await
    }

    async fn jobs(&self, run: RunId, attempt: u32) -> Result<Vec<Job>, StoreError> {
        self.readers.read("read jobs", move |c| job::of_attempt(c, run, attempt)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.readers.read("read a job", move |c| job::one(c, id)).await
    }

    async fn steps(&self, job: JobId) -> Result<Vec<Step>, StoreError> {
        self.readers.read("read steps", move |c| job::steps(c, job)).await
    }

    async fn annotations(&self, run: RunId, attempt: u32) -> Result<Vec<AnnotationOf>, StoreError> {
        self.readers.read("read annotations", move |c| job::annotations(c, run, attempt)).await
    }

    async fn reported(&self, run: RunId) -> Result<Option<Json>, StoreError> {
        self.readers.read("read what was reported", move |c| run::reported(c, run)).await
    }

    async fn secrets(&self, scope: &Scope) -> Result<Vec<SealedSecret>, StoreError> {
        let scope = scope.clone();
        self.readers.read("read secrets", move |c| access::secrets(c, &scope)).await
    }

    async fn sealed_scopes(&self) -> Result<Vec<Scope>, StoreError> {
        self.readers.read("read whose secrets there are", access::sealed_scopes).await
    }

    async fn variables(&self, scope: &Scope) -> Result<Vec<Variable>, StoreError> {
        let scope = scope.clone();
        self.readers.read("read variables", move |c| access::variables(c, &scope)).await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.readers.read("read tokens", access::tokens).await
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        let digest = *digest;
        self.readers.read("read a token", move |c| access::token(c, &digest)).await
    }

    async fn setting(&self, key: &str) -> Result<Option<Json>, StoreError> {
        let key = key.to_owned();
        self.readers.read("read a setting", move |c| access::setting(c, &key)).await
    }

    async fn settings(&self, prefix: &str) -> Result<Vec<(String, Json)>, StoreError> {
        let prefix = prefix.to_owned();
        self.readers.read("read settings", move |c| access::settings(c, &prefix)).await
    }

    async fn artifacts(&self, filter: &ArtifactFilter, limit: usize) -> Result<Vec<Artifact>, StoreError> {
        let filter = filter.clone();
        self.readers.read("read artifacts", move |c| kept::artifacts(c, &filter, limit)).await
    }

    async fn caches(&self, filter: &CacheFilter, limit: usize) -> Result<Vec<Cache>, StoreError> {
        let filter = filter.clone();
        self.readers.read("read caches", move |c| kept::caches(c, &filter, limit)).await
    }

    async fn kept_files(&self) -> Result<Vec<KeptFile>, StoreError> {
        self.readers.read("read what stands for files", kept::files).await
    }

    async fn expired_runs(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<JobId>)>, StoreError> {
        self.readers.read("read runs that have expired", move |c| expiry::runs(c, before, limit)).await
    }

    async fn forget_runs(&self, runs: Vec<RunId>) -> Result<(), StoreError> {
        self.writer.write("forget runs", move |c, _| expiry::forget_runs(c, &runs)).await
    }

    async fn forget_deliveries(
        &self,
        bodies: Timestamp,
        whole: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let found = self
            .readers
            .read("read deliveries that have expired", move |c| expiry::deliveries(c, bodies, whole, limit));
        let (bodies, whole) = found.await?;
        if bodies.is_empty() && whole.is_empty() {
            return Ok(0);
        }
        let forget = move |c: &Connection, _: &mut Vec<Change>| expiry::forget_deliveries(c, &bodies, &whole);
        self.writer.write("forget deliveries", forget).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let write = self.writer.write("write a heartbeat", |c, _| {
            c.prepare_cached("UPDATE pulse SET beat = beat + 1")?.execute([])?;
            Ok(())
        });
        write.await?;
        self.readers
            .read("read the heartbeat", |c| {
                Ok(c.prepare_cached("SELECT beat FROM pulse")?.query_row([], |_| Ok(()))?)
            })
            .await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_owned();
        self.readers.read("copy the database", move |c| copy::write(c, &to)).await
    }
}
