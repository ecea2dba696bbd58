//! A real store that can't be read when it is told so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use model::{DeliveryId, JobId, RepositoryId, RunId, RunState, Timestamp};
use serde_json::Value as Json;
use store::query::{ArtifactFilter, CacheFilter, RunFilter};
use store::record::{
    AnnotationOf, Artifact, Attempt, Cache, Delivery, Expansion, Job, KeptFile, NewDelivery, NewRun,
    PlanInput, Receipt, Repository, RepositoryFacts, Run, Scope, SealedSecret, Step, Token, Variable,
};
use store::{Change, Store, StoreError};
use tokio::sync::broadcast;

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The disk has no room just now.
    Passing,
    /// What is written there can't be read by anybody.
    Lasting,
}

/// Which calls meet what.
#[derive(Default)]
pub(crate) struct Faults {
    coming: Mutex<BTreeMap<&'static str, Coming>>,
}

struct Coming {
    fault: Fault,
    /// So many calls go well before.
    after: usize,
    /// So many fail then.
    times: usize,
    met: usize,
}

impl Faults {
    /// The next calls of this name fail.
    pub(crate) fn fail(&self, call: &'static str, fault: Fault, times: usize) {
        self.fail_after(call, 0, fault, times);
    }

    /// The calls of this name fail that come after so many more.
    pub(crate) fn fail_after(&self, call: &'static str, after: usize, fault: Fault, times: usize) {
        let coming = Coming { fault, after, times, met: 0 };
        self.coming.lock().expect("whole").insert(call, coming);
    }

    /// From now on all goes well. Gives how many calls have failed.
    pub(crate) fn pass(&self) -> usize {
        std::mem::take(&mut *self.coming.lock().expect("whole")).values().map(|coming| coming.met).sum()
    }

    /// A call of this name is made.
    pub(crate) fn meet(&self, call: &str) -> Result<(), StoreError> {
        let mut coming = self.coming.lock().expect("whole");
        let Some(coming) = coming.get_mut(call) else { return Ok(()) };
        if coming.after > 0 {
            coming.after -= 1;
            return Ok(());
        }
        if coming.met == coming.times {
            return Ok(());
        }
        coming.met += 1;
        Err(match coming.fault {
            Fault::Passing => StoreError::Full { what: format!("the {call} of a test") },
            Fault::Lasting => {
                StoreError::Damaged { path: "a test".into(), reason: format!("its {call} are no JSON") }
            }
        })
    }
}

/// The real store behind its faults.
pub(crate) struct FaultyStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) faults: Arc<Faults>,
}

/// Each call meets its fault, or goes on to the real store.
macro_rules! behind_faults {
    ($($call:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for FaultyStore {
            fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
                self.inner.subscribe()
            }

            $(async fn $call(&self, $($name: $type),*) -> Result<$answer, StoreError> {
                self.faults.meet(stringify!($call))?;
                self.inner.$call($($name),*).await
            })*
        }
    };
}

behind_faults! {
    receive(delivery: NewDelivery) -> Receipt;
    due_deliveries(now: Timestamp, apart_from: Vec<String>, limit: usize) -> Vec<Delivery>;
    delivery(id: DeliveryId) -> Option<(Delivery, Vec<u8>)>;
    deliveries(before: Option<DeliveryId>, limit: usize) -> Vec<Delivery>;
    known_deliveries(guids: Vec<String>) -> BTreeSet<String>;
    expand(delivery: DeliveryId, expansion: Expansion, at: Timestamp) -> Vec<Run>;
    create_run(run: NewRun, at: Timestamp) -> Run;
    apply(changes: Vec<Change>) -> ();
    repository_seen(facts: RepositoryFacts, at: Timestamp) -> RepositoryId;
    repository(id: RepositoryId) -> Option<Repository>;
    repositories() -> Vec<Repository>;
    run(id: RunId) -> Option<Run>;
    runs(filter: &RunFilter, limit: usize) -> Vec<Run>;
    unfinished_runs() -> Vec<Run>;
    attempts(run: RunId) -> Vec<Attempt>;
    unannounced(after: Option<(RunId, u32)>, limit: usize) -> Vec<(Attempt, RunState)>;
    plan_inputs(run: RunId, attempt: u32) -> Vec<PlanInput>;
    jobs(run: RunId, attempt: u32) -> Vec<Job>;
    job(id: JobId) -> Option<Job>;
    steps(job: JobId) -> Vec<Step>;
    annotations(run: RunId, attempt: u32) -> Vec<AnnotationOf>;
    reported(run: RunId) -> Option<Json>;
    secrets(scope: &Scope) -> Vec<SealedSecret>;
    sealed_scopes() -> Vec<Scope>;
    variables(scope: &Scope) -> Vec<Variable>;
    tokens() -> Vec<Token>;
    token(digest: &[u8; 32]) -> Option<Token>;
    setting(key: &str) -> Option<Json>;
    settings(prefix: &str) -> Vec<(String, Json)>;
    artifacts(filter: &ArtifactFilter, limit: usize) -> Vec<Artifact>;
    caches(filter: &CacheFilter, limit: usize) -> Vec<Cache>;
    kept_files() -> Vec<KeptFile>;
    expired_runs(before: Timestamp, limit: usize) -> Vec<(RunId, Vec<JobId>)>;
    forget_runs(runs: Vec<RunId>) -> ();
    forget_deliveries(bodies: Timestamp, whole: Timestamp, limit: usize) -> usize;
    check() -> ();
    backup(to: &Path) -> ();
}
