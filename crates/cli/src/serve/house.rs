//! All that works behind the pages, put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use forge::github::client::Client;
use machine::Driver;
use machine::pool::Pool;
use scheduler::dispatch::Dispatcher;
use scheduler::engine::{Parts, Preparer};
use scheduler::expand::{Expander, OwnApp};
use scheduler::identity::Issuer;
use scheduler::queue::{Limits, Profile, Queue};
use scheduler::retry::Policy;
use scheduler::token::{Installed, Tokens};
use scheduler::workshop::{Bench, Workshop};
use scheduler::{Engine, workshop};
use server::metrics::Metrics;
use store::Store;
use store::log::LogFolder;
use store::seal::SealKey;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::disk::Disk;
use super::machines::Beside;
use super::profiles::{self, ImageCheck};
use super::retention::Forgetter;
use super::secrets::{self, SealedSecrets};
use super::settings::Settings;
use super::sources::Sources;
use super::{numbers, records};
use crate::config::Config;
use crate::data::DataFolder;

/// What it stands on.
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) settings: &'a Settings,
    pub(super) data: &'a DataFolder,
    pub(super) store: &'a Arc<dyn Store>,
    /// Speaks to the forge, as an App or with a token.
    pub(super) client: Option<Client>,
    /// Where the server is reached.
    pub(super) url: &'a str,
    pub(super) metrics: &'a Metrics,
}

/// All of it.
pub(super) struct House {
    pub(super) store: Arc<dyn Store>,
    pub(super) logs: Arc<LogFolder>,
    pub(super) key: Arc<SealKey>,
    pub(super) engine: Engine,
    pub(super) dispatcher: Dispatcher,
    pub(super) workshop: Arc<Workshop>,
    pub(super) news: Arc<Notify>,
    pub(super) drivers: Vec<Arc<dyn Driver>>,
    pub(super) images: Vec<ImageCheck>,
    pub(super) beside: Option<Beside>,
    pub(super) profiles: Vec<Profile>,
    pub(super) data: DataFolder,
    pub(super) disk: Disk,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl House {
    /// Opens it, and begins all that goes on in it.
    pub(super) async fn open(mut ground: Ground<'_>) -> Result<House> {
        let observer = numbers::of_calls(ground.metrics);
        ground.client = ground.client.take().map(|client| client.observed(observer));
        let Ground { config, settings, data, store, metrics, ref client, .. } = ground;
        let machines = profiles::open(config, data).await?;
        machines.notes.iter().for_each(|note| info!("{note}"));
        let app = client.clone().filter(|client| client.app().is_some());
        let sources = Sources::open(config, settings, data, app.clone(), metrics)?;
        let key = Arc::new(secrets::key(&**store, data).await?);
        let preparer = Arc::new(Preparer {
            store: Arc::clone(store),
            origin: Arc::clone(&sources.origin),
            actions: sources.actions.clone(),
            secrets: Arc::new(SealedSecrets { store: Arc::clone(store), key: Arc::clone(&key) }),
            permissions: config.serve.github.default_permissions.into(),
            artifact_days: config.serve.retention.artifacts_days,
        });
        let workshop = Arc::new(workshop(&ground, &sources, app, machines.benches).await?);
        let beside = Beside::open(config, data).await?;
        Forgetter::clean(&workshop.trees)?;
        let disk = Disk::open(data.root(), config.serve.disk);
        disk.measured(metrics);
        numbers::of_pools(metrics, machines_ready(&workshop));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let logs = Arc::new(LogFolder::new(&data.root().join("logs/jobs")));
        let parts = Parts {
            store: Arc::clone(store),
            logs: Arc::clone(&logs),
            preparer,
            worker: workshop.clone(),
            retry: Policy::default(),
        };
        let profiles = machines.profiles.as_slice().to_vec();
        let limits = Limits { closed: disk.closed(), ..limits(config, settings) };
        let queue = Queue::new(limits, machines.profiles);
        let engine = Engine::start(parts, queue, stop.clone(), &tasks).await?;
        let expander = Arc::new(Expander {
            store: Arc::clone(store),
            origin: sources.origin,
            approval: config.serve.approval,
            priorities: config.serve.priorities.clone(),
            app: client.clone().and_then(OwnApp::new),
        });
        let house = House {
            store: Arc::clone(store),
            logs,
            key,
            dispatcher: Dispatcher { store: Arc::clone(store), expander, engine: engine.clone() },
            engine,
            workshop,
            news: Arc::new(Notify::new()),
            drivers: machines.drivers,
            images: ImageCheck::all(config, data.root()),
            beside,
            profiles,
            data: data.clone(),
            disk,
            metrics: metrics.clone(),
            stop,
            tasks,
        };
        house.begin_chores(&ground).await?;
        Ok(house)
    }

    /// Ends what still runs, and waits until the machines are gone.
    pub(super) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(beside) = &self.beside {
            beside.machines.shut_down().await.iter().for_each(|failure| warn!("machine API: {failure}"));
        }
        if tokio::time::timeout(workshop::END_DEADLINE, self.workshop.close()).await.is_err() {
            warn!("some machines do not go away; the next start removes them");
        }
    }
}

/// Who carries jobs out.
async fn workshop(
    ground: &Ground<'_>,
    sources: &Sources,
    app: Option<Client>,
    benches: BTreeMap<String, Bench>,
) -> Result<Workshop> {
    let Ground { config, data, store, url, .. } = ground;
    let ending = TaskTracker::new();
    let tokens =
        Tokens { store: Arc::clone(store), app, ending: ending.clone(), installed: Installed::default() };
    Ok(Workshop {
        benches,
        origin: Arc::clone(&sources.origin),
        actions: sources.actions.clone(),
        remotes: Arc::clone(&sources.remotes),
        tokens,
        issuer: Arc::new(Issuer::open(data.root(), url)?),
        results: Arc::new(records::open(config, data, Arc::clone(store)).await?),
        options: runner::RunnerOptions::default(),
        untrusted_isolation: config.serve.untrusted_isolation.into(),
        trees: data.root().join("trees"),
        ids: workshop::MachineIds::default(),
        checked_out: workshop::Trees::default(),
        ending,
    })
}

/// The pools of all profiles that keep machines ready.
pub(super) fn machines_ready(workshop: &Workshop) -> Vec<Pool> {
    workshop.benches.values().filter_map(|bench| bench.pool.clone()).collect()
}

fn limits(config: &Config, settings: &Settings) -> Limits {
    let usual = Limits::default();
    Limits {
        running_workflows: settings.running_workflows.unwrap_or(usual.running_workflows),
        jobs: config.jobs.map(usize::from),
        jobs_per_repository: settings.jobs_per_repository,
        ..usual
    }
}
