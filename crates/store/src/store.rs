//! The trait.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use model::{DeliveryId, JobId, RepositoryId, RunId, RunState, Timestamp};
use serde_json::Value as Json;
use tokio::sync::broadcast;

use crate::change::Change;
use crate::error::StoreError;
use crate::query::{ArtifactFilter, CacheFilter, RunFilter};
use crate::record::{
    AnnotationOf, Artifact, Attempt, Cache, Delivery, Expansion, Job, KeptFile, NewDelivery, NewRun,
    PlanInput, Receipt, Repository, RepositoryFacts, Run, Scope, SealedSecret, Step, Token, Variable,
};

/// Durable state.
///
/// All calls may be made at once, from any task. A call that writes returns once what it wrote
/// survives the loss of power; what it wrote is there whole or not at all. A call whose future is
/// dropped may or may not have written. Illegal transitions ([`model::state`]) are refused, and then nothing of
/// the transaction is written.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps a delivery, once: the same `guid` again gives what is there. One that had failed is received anew.
    async fn receive(&self, delivery: NewDelivery) -> Result<Receipt, StoreError>;

    /// Deliveries that are received and due at `now`, oldest first, at most `limit`. Those of the repositories in
    /// `apart_from` (`owner/name`; empty: of no repository) are left out and take no room in it.
    async fn due_deliveries(
        &self,
        now: Timestamp,
        apart_from: Vec<String>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// A delivery and its body, which is empty once it was [forgotten](Store::forget_deliveries).
    async fn delivery(&self, id: DeliveryId) -> Result<Option<(Delivery, Vec<u8>)>, StoreError>;

    /// The newest deliveries with lower ids than `before`, at most `limit`.
    async fn deliveries(&self, before: Option<DeliveryId>, limit: usize)
    -> Result<Vec<Delivery>, StoreError>;

    /// Those of these deliveries, by the forge's names, that are here, however they stand.
    async fn known_deliveries(&self, guids: Vec<String>) -> Result<BTreeSet<String>, StoreError>;

    /// Writes down what came of a received delivery: its new state and all its runs, in one transaction. A
    /// delivery that is not received any more is left as it is, and no run is made ([`StoreError::Illegal`]).
    async fn expand(
        &self,
        delivery: DeliveryId,
        expansion: Expansion,
        at: Timestamp,
    ) -> Result<Vec<Run>, StoreError>;

    /// Makes a run without a delivery: a person or the clock has asked.
    async fn create_run(&self, run: NewRun, at: Timestamp) -> Result<Run, StoreError>;

    /// Writes these changes in one transaction.
    async fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Changes from now on, each transaction's together, in order. A subscriber that is too slow misses some and is
    /// told how many; it then asks for the present state.
    fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Change>>>;

    /// Remembers what a forge says of a repository; the same repository gets the same id.
    async fn repository_seen(
        &self,
        facts: RepositoryFacts,
        at: Timestamp,
    ) -> Result<RepositoryId, StoreError>;

    /// One repository.
    async fn repository(&self, id: RepositoryId) -> Result<Option<Repository>, StoreError>;

    /// All repositories, by name.
    async fn repositories(&self) -> Result<Vec<Repository>, StoreError>;

    /// One run.
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError>;

    /// Runs, newest first, at most `limit` and [`PAGE`](crate::query::PAGE).
    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<Run>, StoreError>;

    /// All runs that have not ended, oldest first.
    async fn unfinished_runs(&self) -> Result<Vec<Run>, StoreError>;

    /// The attempts of a run, in order.
    async fn attempts(&self, run: RunId) -> Result<Vec<Attempt>, StoreError>;

    /// Attempts whose [progress](Attempt::progress) is another than the one that was last
    /// [announced](Change::Announced), oldest runs first, those behind `after` only, at most `limit`; each with what was
    /// announced, and without its plan.
    async fn unannounced(
        &self,
        after: Option<(RunId, u32)>,
        limit: usize,
    ) -> Result<Vec<(Attempt, RunState)>, StoreError>;

    /// What the plan of an attempt was told, in order.
    async fn plan_inputs(&self, run: RunId, attempt: u32) -> Result<Vec<PlanInput>, StoreError>;

    /// The jobs of an attempt, by id.
    async fn jobs(&self, run: RunId, attempt: u32) -> Result<Vec<Job>, StoreError>;

    /// One job.
    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// The steps of a job, in the order in which they began.
    async fn steps(&self, job: JobId) -> Result<Vec<Step>, StoreError>;

    /// The annotations of an attempt, in order. A job that was taken over from an earlier attempt has those of the one
    /// that ran in its place ([`Job::ran_as`]).
    async fn annotations(&self, run: RunId, attempt: u32) -> Result<Vec<AnnotationOf>, StoreError>;

    /// What was last reported of a run.
    async fn reported(&self, run: RunId) -> Result<Option<Json>, StoreError>;

    /// The sealed secrets of a scope, by name.
    async fn secrets(&self, scope: &Scope) -> Result<Vec<SealedSecret>, StoreError>;

    /// The scopes that have secrets.
    async fn sealed_scopes(&self) -> Result<Vec<Scope>, StoreError>;

    /// The variables of a scope, by name.
    async fn variables(&self, scope: &Scope) -> Result<Vec<Variable>, StoreError>;

    /// All tokens, by name.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// The token with this digest.
    async fn token(&self, digest: &[u8; 32]) -> Result<Option<Token>, StoreError>;

    /// A setting.
    async fn setting(&self, key: &str) -> Result<Option<Json>, StoreError>;

    /// The settings whose names begin so, by name.
    async fn settings(&self, prefix: &str) -> Result<Vec<(String, Json)>, StoreError>;

    /// Artifacts of all runs, newest first, at most `limit` and [`PAGE`](crate::query::PAGE).
    async fn artifacts(&self, filter: &ArtifactFilter, limit: usize) -> Result<Vec<Artifact>, StoreError>;

    /// Caches, newest first, at most `limit` and [`PAGE`](crate::query::PAGE).
    async fn caches(&self, filter: &CacheFilter, limit: usize) -> Result<Vec<Cache>, StoreError>;

    /// All that stands for a file, however much it is: a server compares it at its start with the files.
    async fn kept_files(&self) -> Result<Vec<KeptFile>, StoreError>;

    /// Runs whose latest attempt ended before this moment, oldest first and at most `limit`, with all jobs of all their
    /// attempts.
    async fn expired_runs(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<JobId>)>, StoreError>;

    /// Forgets runs with all that belongs to them. Those that have not ended stay; their numbers are not given again.
    async fn forget_runs(&self, runs: Vec<RunId>) -> Result<(), StoreError>;

    /// Forgets the bodies of deliveries that were done before `bodies`, and all of those that were done before `whole`;
    /// at most `limit` of each. Says how many. What a run has come of stays as long as the run, which needs it to start,
    /// and to start again.
    async fn forget_deliveries(
        &self,
        bodies: Timestamp,
        whole: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError>;

    /// Whether reading and writing work, by doing both.
    async fn check(&self) -> Result<(), StoreError>;

    /// Writes a whole copy of the database to this file, while everything goes on.
    async fn backup(&self, to: &Path) -> Result<(), StoreError>;
}
