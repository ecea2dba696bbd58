//! Jobs on real machines.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use machine::pool::Pool;
use machine::{Driver, Isolation, Machine, MachineSpec};
use model::{Conclusion, EventSink, Job, JobEvent, JobResult, MachineId, RunId, Trust};
use runner::results::{CacheScope, Grant, ResultsService};
use runner::source::{FirstOf, RemoteRepositories, WorkTree};
use runner::{ActionStore, Cancellation, RunnerOptions, Services, SourceProvider};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::identity::Issuer;
use crate::origin::Origin;
use crate::queue::{Placement, Size};
use crate::token::{JobToken, Tokens};
use crate::worker::{Order, Worker};

/// Machines of one profile.
pub struct Bench {
    /// Who makes them.
    pub driver: Arc<dyn Driver>,
    /// What they are like, but for their id.
    pub spec: MachineSpec,
    /// How large they are.
    pub size: Size,
    /// Those that are kept ready, if any are, under the profile's name.
    pub pool: Option<Pool>,
}

/// Carries jobs out on machines of drivers.
pub struct Workshop {
    /// Machines by the name of their profile.
    pub benches: BTreeMap<String, Bench>,
    /// Where repositories come from.
    pub origin: Arc<Origin>,
    /// Where actions come from.
    pub actions: Arc<dyn ActionStore>,
    /// Other repositories that jobs check out.
    pub remotes: Arc<RemoteRepositories>,
    /// Their tokens.
    pub tokens: Tokens,
    /// Signs who they are.
    pub issuer: Arc<Issuer>,
    /// Caches and artifacts.
    pub results: Arc<ResultsService>,
    /// How jobs are run.
    pub options: RunnerOptions,
    /// The least wall around a job that nobody here vouches for.
    pub untrusted_isolation: Isolation,
    /// Folder of the trees that jobs check out.
    pub trees: PathBuf,
    /// What makes ids of machines.
    pub ids: MachineIds,
    /// Trees in use.
    pub checked_out: Trees,
    /// Machines that are being destroyed.
    pub ending: TaskTracker,
}

/// Gives out ids of machines, none twice.
pub struct MachineIds {
    prefix: String,
    given: AtomicU64,
}

impl Default for MachineIds {
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let prefix = format!("hearth-{:x}-{:x}", since.as_micros(), std::process::id());
        MachineIds { prefix, given: AtomicU64::new(0) }
    }
}

impl MachineIds {
    fn next(&self) -> MachineId {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        MachineId(format!("{}-{number}", self.prefix))
    }
}

/// The trees of runs, each made by the first job that asks and gone with the last.
#[derive(Default)]
pub struct Trees(Mutex<HashMap<RunId, Weak<OnceCell<Tree>>>>);

/// What the jobs of a run that run at the same time share: a folder with the files of its commit, and what its actions are.
struct Tree {
    provider: Arc<WorkTree>,
    actions: Arc<dyn ActionStore>,
    /// Removes it.
    _folder: tempfile::TempDir,
}

#[async_trait]
impl Worker for Workshop {
    async fn work(
        &self,
        mut order: Order,
        sink: Arc<dyn EventSink>,
        cancellation: Cancellation,
    ) -> JobResult {
        let began = Instant::now();
        let end = |conclusion, infrastructure_error: Option<String>| {
            let result = JobResult {
                conclusion,
                infrastructure_error,
                decided: None,
                outputs: Vec::new(),
                environment_url: None,
                steps: Vec::new(),
            };
            sink.emit(JobEvent::JobFinished { result: result.clone(), duration: began.elapsed() });
            result
        };
        let started = tokio::select! {
            started = async {
                tokio::try_join!(self.machine(&order), self.tree(&order), self.token(&order))
            } => started,
            () = cancellation.cancelled() => return end(Conclusion::Cancelled, None),
        };
        let (machine, tree, token) = match started {
            Ok(all) => all,
            Err(reason) => return end(Conclusion::Failure, Some(reason)),
        };
        token.give(&mut order.job);
        let services = self.services(&order, &tree);
        let options = self.options.clone();
        let mut result =
            runner::run_job(order.job, &machine, services, Arc::clone(&sink), cancellation, options).await;
        drop(token);
        let mut machine = machine;
        if let Some(reason) = &mut result.infrastructure_error
            && let Some(words) = machine.guard.last_words().await
        {
            reason.push_str(&format!("\n{words}"));
        }
        self.ending.spawn(async move {
            // The driver's next life removes what does not go away.
            let _ = machine.destroy().await;
        });
        result
    }

    fn refuses(&self, job: &Job, Placement { profile, .. }: &Placement) -> Option<String> {
        let driver = &self.benches.get(profile)?.driver;
        let is_safe =
            job.trust != Trust::Untrusted || driver.capabilities().isolation >= self.untrusted_isolation;
        (!is_safe).then(|| {
            format!(
                "code of a fork is not run on machines of the driver {}: their wall is too weak for it; give the \
                 profile {profile} a driver of virtual machines, or lower `untrusted-isolation` if you must",
                driver.name()
            )
        })
    }
}

impl Workshop {
    /// Waits until all machines are gone, those included that were kept ready.
    pub async fn close(&self) {
        for bench in self.benches.values() {
            if let Some(pool) = &bench.pool {
                pool.close().await;
            }
        }
        self.ending.close();
        self.ending.wait().await;
    }

    async fn machine(&self, order: &Order) -> Result<Machine, String> {
        let Placement { profile, size } = &order.machine;
        let bench =
            self.benches.get(profile).ok_or_else(|| format!("there is no machine profile {profile}"))?;
        // It was asked before; that no fork gets such a machine must not rest on whoever asks.
        if let Some(reason) = self.refuses(&order.job, &order.machine) {
            return Err(reason);
        }
        match &bench.pool {
            Some(pool) if *size == bench.size => pool.lease(profile).await.map_err(|error| error.to_string()),
            _ => {
                let spec = MachineSpec {
                    id: self.ids.next(),
                    vcpus: Some(size.vcpus),
                    memory_mib: Some(size.memory_mib),
                    ..bench.spec.clone()
                };
                bench.driver.start(spec).await.map_err(|error| error.to_string())
            }
        }
    }

    async fn token(&self, order: &Order) -> Result<JobToken, String> {
        self.tokens.mint(order.run.what.repository, &order.repository, &order.job.permissions).await
    }

    /// The tree of the run's commit.
    async fn tree(&self, order: &Order) -> Result<Arc<OnceCell<Tree>>, String> {
        let cell = {
            let mut trees = self.checked_out.0.lock().unwrap_or_else(PoisonError::into_inner);
            trees.retain(|_, tree| tree.strong_count() > 0);
            let known = trees.get(&order.run.id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let cell = Arc::default();
                trees.insert(order.run.id, Arc::downgrade(&cell));
                cell
            })
        };
        cell.get_or_try_init(|| self.check_out(order)).await?;
        Ok(cell)
    }

    async fn check_out(&self, order: &Order) -> Result<Tree, String> {
        let say = |error: &dyn std::fmt::Display| format!("can't check out {}: {error}", order.run.what.sha);
        let want: Vec<forge::git::Want> = Vec::from(&order.facts.start);
        let mirror = self.origin.mirror_with(&order.run.what.sha, &order.repository, &want).await;
        let mirror = mirror.map_err(|error| say(&error))?;
        tokio::fs::create_dir_all(&self.trees).await.map_err(|error| say(&error))?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&self.trees);
        let folder = folder.map_err(|error| say(&error))?;
        let path = folder.path().join("tree");
        let what = &order.run.what;
        let url = self.origin.addresses.clone_url(mirror.name());
        mirror.check_out(&what.sha, &what.reference, &url, &path).await.map_err(|error| say(&error))?;
        let (provider, actions) = (Arc::new(WorkTree::new(path)), self.actions.for_run());
        Ok(Tree { provider, actions, _folder: folder })
    }

    fn services(&self, order: &Order, tree: &Arc<OnceCell<Tree>>) -> Services {
        let own: Arc<dyn SourceProvider> = Arc::new(Held(Arc::clone(tree)));
        let sources: Arc<dyn SourceProvider> = Arc::new(FirstOf(vec![own, self.remotes.clone()]));
        let grant = Grant {
            run: order.run.id,
            job: order.job.id,
            cache_mode: order.job.cache_mode,
            caches: cache_scope(order),
        };
        Services {
            actions: tree.get().map_or_else(|| self.actions.for_run(), |tree| Arc::clone(&tree.actions)),
            checkout: Some(Arc::clone(&sources)),
            source: Some(sources),
            results: Some(self.results.endpoint(&grant, self.issuer.identity(&order.job))),
        }
    }
}

/// The tree of a run, held for as long as a job may ask for it.
struct Held(Arc<OnceCell<Tree>>);

#[async_trait]
impl SourceProvider for Held {
    async fn archive(
        &self,
        request: &runner::CheckoutRequest,
    ) -> Result<Option<Box<dyn tokio::io::AsyncRead + Send + Unpin>>, runner::SourceError> {
        match self.0.get() {
            Some(tree) => tree.provider.archive(request).await,
            None => Ok(None),
        }
    }
}

/// Which caches the jobs of a run see.
fn cache_scope(order: &Order) -> CacheScope {
    let text = |job: &Job, pointer: &str| {
        job.contexts.github.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    let branch = |name: String| (!name.is_empty()).then(|| format!("refs/heads/{name}"));
    let base = branch(text(&order.job, "/base_ref"));
    let default = branch(text(&order.job, "/event/repository/default_branch"));
    CacheScope {
        repository: order.place.clone(),
        own_ref: order.run.what.reference.clone(),
        read_refs: base.into_iter().chain(default).collect(),
    }
}

/// How long the destruction of machines may take when the server ends; what is left, the next life removes.
pub const END_DEADLINE: Duration = Duration::from_secs(20);
