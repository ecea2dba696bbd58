//! An engine and a store with knobs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use machine::pool::KindStatus;
use model::{DeliveryId, JobId, RepositoryId, RunId, RunState, Timestamp};
use scheduler::decide::Wait;
use scheduler::queue::{Capacity, Profile, Size, Subject};
use serde_json::Value as Json;
use server::control::{Again, Control, ControlError, Dispatch, Review};
use server::pages::premises::{Disk, Premises};
use store::query::{ArtifactFilter, CacheFilter, RunFilter};
use store::record::{
    AnnotationOf, Artifact, Attempt, Cache, Delivery, Expansion, Job, KeptFile, NewDelivery, NewRun,
    PlanInput, Receipt, Repository, RepositoryFacts, Run, Scope, SealedSecret, Step, Token, Variable,
};
use store::{Change, SqliteStore, Store, StoreError};
use tokio::sync::broadcast;

/// What the engine was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Cancel(Subject, String),
    Again(RunId, Again, String),
    Approve(RunId, String),
    Review(JobId, Review),
    Dispatch(Dispatch),
    RemoveArtifact(RunId, u64),
    RemoveCaches(Vec<String>),
}

/// One kind of machine, of which one is ready, and a disk that is half full.
pub(crate) struct FakePremises;

impl Premises for FakePremises {
    fn profiles(&self) -> Vec<Profile> {
        let capacity = Capacity { machines: Some(4), ..Capacity::default() };
        vec![Profile {
            name: "default".to_owned(),
            group: None,
            labels: vec!["ubuntu-latest".to_owned()],
            size: Size::default(),
            largest: None,
            capacity,
        }]
    }

    fn pool(&self) -> Vec<KindStatus> {
        vec![KindStatus {
            name: "default".to_owned(),
            image: None,
            ready: 1,
            starting: 0,
            wanted: 2,
            leases: 5,
            misses: 0,
            failures: 1,
            deaths: 0,
            last_failure: Some("no room".to_owned()),
        }]
    }

    fn disk(&self) -> Option<Disk> {
        Some(Disk { free_bytes: 50, size_bytes: 100 })
    }

    fn address(&self) -> Option<String> {
        None
    }
}

/// An engine that remembers, and answers as it is told.
#[derive(Default)]
pub(crate) struct FakeControl {
    pub(crate) asked: Mutex<Vec<Asked>>,
    /// Answers everything with this.
    pub(crate) refuses: Mutex<Option<ControlError>>,
    pub(crate) waits: Mutex<Vec<Wait>>,
    /// What a dispatch starts.
    pub(crate) starts: Mutex<Vec<Run>>,
    pub(crate) nudges: AtomicUsize,
    /// From where removed caches go.
    pub(crate) store: Mutex<Option<Arc<FlakyStore>>>,
}

impl FakeControl {
    fn hear(&self, asked: Asked) -> Result<(), ControlError> {
        self.asked.lock().unwrap().push(asked);
        self.refuses.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn nudges(&self) -> usize {
        self.nudges.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Control for FakeControl {
    async fn cancel(&self, subject: Subject, reason: String) -> Result<(), ControlError> {
        self.hear(Asked::Cancel(subject, reason))
    }

    async fn again(&self, run: RunId, again: Again, actor: String) -> Result<u32, ControlError> {
        self.hear(Asked::Again(run, again, actor)).map(|()| 2)
    }

    async fn approve(&self, run: RunId, actor: String) -> Result<(), ControlError> {
        self.hear(Asked::Approve(run, actor))
    }

    async fn review(&self, job: JobId, review: Review) -> Result<(), ControlError> {
        self.hear(Asked::Review(job, review))
    }

    async fn dispatch(&self, wish: Dispatch) -> Result<Vec<Run>, ControlError> {
        self.hear(Asked::Dispatch(wish)).map(|()| self.starts.lock().unwrap().clone())
    }

    async fn waits(&self) -> Result<Vec<Wait>, ControlError> {
        Ok(self.waits.lock().unwrap().clone())
    }

    async fn remove_artifact(&self, run: RunId, number: u64) -> Result<(), ControlError> {
        self.hear(Asked::RemoveArtifact(run, number))
    }

    async fn remove_caches(&self, files: Vec<String>) -> Result<(), ControlError> {
        let store = self.store.lock().unwrap().clone();
        if let Some(store) = store {
            let gone = files.iter().map(|file| Change::CacheGone { file: file.clone() }).collect();
            store.apply(gone).await.unwrap();
        }
        self.hear(Asked::RemoveCaches(files))
    }

    fn nudge(&self) {
        self.nudges.fetch_add(1, Ordering::SeqCst);
    }
}

/// A real store that fails when it is told to.
pub(crate) struct FlakyStore {
    inner: SqliteStore,
    /// Nothing is written.
    pub(crate) is_full: AtomicBool,
    /// Every second delivery is not written, and its caller told so; half of these after it was written.
    pub(crate) is_flaky: AtomicBool,
    calls: AtomicUsize,
}

impl FlakyStore {
    pub(crate) fn new(inner: SqliteStore) -> FlakyStore {
        FlakyStore {
            inner,
            is_full: AtomicBool::new(false),
            is_flaky: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
        }
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.is_full.load(Ordering::SeqCst) {
            true => Err(StoreError::Full { what: "a test".to_owned() }),
            false => Ok(()),
        }
    }
}

fn broken() -> StoreError {
    StoreError::Failed { operation: "write a delivery".to_owned(), reason: "the test says so".to_owned() }
}

#[async_trait]
impl Store for FlakyStore {
    async fn receive(&self, delivery: NewDelivery) -> Result<Receipt, StoreError> {
        self.writable()?;
        if !self.is_flaky.load(Ordering::SeqCst) {
            return self.inner.receive(delivery).await;
        }
        match self.calls.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => Err(broken()),
            2 => self.inner.receive(delivery).await.and(Err(broken())),
            _ => self.inner.receive(delivery).await,
        }
    }

    async fn due_deliveries(
        &self,
        now: Timestamp,
        apart_from: Vec<String>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.inner.due_deliveries(now, apart_from, limit).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<(Delivery, Vec<u8>)>, StoreError> {
        self.inner.delivery(id).await
    }

    async fn deliveries(
        &self,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.inner.deliveries(before, limit).await
    }

    async fn known_deliveries(&self, guids: Vec<String>) -> Result<BTreeSet<String>, StoreError> {
        self.inner.known_deliveries(guids).await
    }

    async fn expand(&self, id: DeliveryId, to: Expansion, at: Timestamp) -> Result<Vec<Run>, StoreError> {
        self.inner.expand(id, to, at).await
    }

    async fn create_run(&self, run: NewRun, at: Timestamp) -> Result<Run, StoreError> {
        self.inner.create_run(run, at).await
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.apply(changes).await
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
        self.inner.subscribe()
    }

    async fn repository_seen(
        &self,
        facts: RepositoryFacts,
        at: Timestamp,
    ) -> Result<RepositoryId, StoreError> {
        self.inner.repository_seen(facts, at).await
    }

    async fn repository(&self, id: RepositoryId) -> Result<Option<Repository>, StoreError> {
        self.inner.repository(id).await
    }

    async fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        self.inner.repositories().await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.inner.run(id).await
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<Run>, StoreError> {
        self.inner.runs(filter, limit).await
    }

    async fn unfinished_runs(&self) -> Result<Vec<Run>, StoreError> {
        self.inner.unfinished_runs().await
    }

    async fn attempts(&self, run: RunId) -> Result<Vec<Attempt>, StoreError> {
        self.inner.attempts(run).await
    }

    async fn unannounced(
        &self,
        after: Option<(RunId, u32)>,
        limit: usize,
    ) -> Result<Vec<(Attempt, RunState)>, StoreError> {
        self.inner.unannounced(after, limit).await
    }

    async fn plan_inputs(&self, run: RunId, attempt: u32) -> Result<Vec<PlanInput>, StoreError> {
        self.inner.plan_inputs(run, attempt).await
    }

    async fn jobs(&self, run: RunId, attempt: u32) -> Result<Vec<Job>, StoreError> {
        self.inner.jobs(run, attempt).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.inner.job(id).await
    }

    async fn steps(&self, job: JobId) -> Result<Vec<Step>, StoreError> {
        self.inner.steps(job).await
    }

    async fn annotations(&self, run: RunId, attempt: u32) -> Result<Vec<AnnotationOf>, StoreError> {
        self.inner.annotations(run, attempt).await
    }

    async fn reported(&self, run: RunId) -> Result<Option<Json>, StoreError> {
        self.inner.reported(run).await
    }

    async fn secrets(&self, scope: &Scope) -> Result<Vec<SealedSecret>, StoreError> {
        self.inner.secrets(scope).await
    }

    async fn sealed_scopes(&self) -> Result<Vec<Scope>, StoreError> {
        self.inner.sealed_scopes().await
    }

    async fn variables(&self, scope: &Scope) -> Result<Vec<Variable>, StoreError> {
        self.inner.variables(scope).await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.inner.tokens().await
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        self.inner.token(digest).await
    }

    async fn setting(&self, key: &str) -> Result<Option<Json>, StoreError> {
        self.inner.setting(key).await
    }

    async fn settings(&self, prefix: &str) -> Result<Vec<(String, Json)>, StoreError> {
        self.inner.settings(prefix).await
    }

    async fn artifacts(&self, filter: &ArtifactFilter, limit: usize) -> Result<Vec<Artifact>, StoreError> {
        self.inner.artifacts(filter, limit).await
    }

    async fn caches(&self, filter: &CacheFilter, limit: usize) -> Result<Vec<Cache>, StoreError> {
        self.inner.caches(filter, limit).await
    }

    async fn kept_files(&self) -> Result<Vec<KeptFile>, StoreError> {
        self.inner.kept_files().await
    }

    async fn expired_runs(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<JobId>)>, StoreError> {
        self.inner.expired_runs(before, limit).await
    }

    async fn forget_runs(&self, runs: Vec<RunId>) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.forget_runs(runs).await
    }

    async fn forget_deliveries(
        &self,
        bodies: Timestamp,
        whole: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.writable()?;
        self.inner.forget_deliveries(bodies, whole, limit).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.check().await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.inner.backup(to).await
    }
}
