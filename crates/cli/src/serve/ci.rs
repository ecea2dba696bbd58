//! `hearth serve`: webhooks in, jobs on machines, results out.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use axum::Router;
use forge::git::Mirrors;
use forge::github::client::Client;
use machine::pool::Pool;
use machine::{Driver, FindingLevel};
use runner::action_store::{ActionStoreConfig, GitActionStore, MirrorTemplate, MirrorTemplateError};
use runner::source::RemoteRepositories;
use scheduler::chain::Chain;
use scheduler::clock::Clock;
use scheduler::dispatch::Dispatcher;
use scheduler::engine::{Parts, Preparer};
use scheduler::expand::{Expander, OwnApp};
use scheduler::identity::Issuer;
use scheduler::intake::Intake;
use scheduler::origin::Origin;
use scheduler::queue::{Closed, Limits, Profile, Queue};
use scheduler::reader::Reader;
use scheduler::report::{Patience, Reporter};
use scheduler::retry::Policy;
use scheduler::token::{Installed, Tokens};
use scheduler::workshop::Workshop;
use scheduler::{Engine, workshop};
use server::auth::AuthConfig;
use server::health::Check;
use server::metrics::{Metrics, watch};
use server::pages::{self, Pages};
use server::traces::{Collector, tell};
use server::webhook::WebhookConfig;
use server::{Server, discovery, http};
use store::log::LogFolder;
use store::seal::SealKey;
use store::{SqliteStore, Store};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::checks::{self, Checked};
use super::control::EngineControl;
use super::demo::Demo;
use super::disk::Disk;
use super::machines::Beside;
use super::missed;
use super::premises::ServerPremises;
use super::profiles::{self, ImageCheck};
use super::ranges::GithubRanges;
use super::retention::Forgetter;
use super::secrets::{self, SealedSecrets};
use super::settings::Settings;
use super::{first_token, log, numbers, records};
use crate::args::{LogFormat, ServeArgs};
use crate::config::{self, Config};
use crate::data::DataFolder;
use crate::exit;
use crate::run::interrupt::Interrupts;

/// How long jobs may still run once the server is to stop. What is not done then is run again by the next life.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);

/// Serves until it is interrupted.
pub(crate) async fn serve(args: ServeArgs) -> Result<u8> {
    let demo = args.demo.then(Demo::make).transpose()?;
    let config = match &demo {
        Some(demo) => demo.config(),
        None => Config::load(args.places.config.as_deref())?,
    };
    let metrics = Metrics::default();
    log::start(args.log_format.or(config.serve.log_format).unwrap_or(LogFormat::Text), &metrics)?;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    config::unused(names).iter().for_each(|note| warn!("{note}"));
    let settings = match &demo {
        Some(demo) => demo.settings(&config, args.listen)?,
        None => Settings::new(&config, args.listen, |name| std::env::var(name).ok())?,
    };
    let given = args.places.data.clone().or_else(|| config.data.clone());
    let data = DataFolder::open(demo.as_ref().map(Demo::data).or(given))?;
    let Checked { tls, client, notes } = checks::check(&config, &settings, Some(data.root()))?;
    notes.iter().for_each(|note| warn!("{note}"));
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(data.root())?);
    let mut interrupts = Interrupts::new()?;
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("can't listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    let tls = tls.zip(config.serve.tls.clone());
    if tls.is_none() && !address.ip().is_loopback() {
        warn!(%address, "it can be reached from elsewhere, and tokens go there unencrypted: put a proxy with TLS in front, or set serve.tls");
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = settings.url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
    let house = House::open(&config, &settings, client, &data, Arc::clone(&store), &url, &metrics).await?;
    first_token::make(&*store, &data).await?;
    let stop_listening = CancellationToken::new();
    let router = house.router(settings, &config, &url, &stop_listening);
    tell_address(&data, &format!("{scheme}://{address}"));
    if let Some(demo) = &demo {
        say!("sign in there with {}", demo.token()?);
        demo.push(&store).await?;
        house.news.notify_one();
    }
    let serving = match tls {
        None => tokio::spawn(http::serve(listener, router, stop_listening.clone())),
        Some((tls, files)) => {
            house.tasks.spawn(files.watch(tls.clone(), stop_listening.clone()));
            tokio::spawn(http::serve_tls(listener, tls, router, stop_listening.clone()))
        }
    };
    interrupts.next().await;
    info!(
        "stopping: running jobs have {} s to end, what is left is run again by the next start; once more stops at once",
        DRAIN_DEADLINE.as_secs()
    );
    metrics.closed("draining", true);
    house.engine.limit(|limits: &mut Limits| limits.closed = Some(Closed::Draining)).await;
    tokio::select! {
        () = house.engine.quiet() => {}
        () = tokio::time::sleep(if demo.is_some() { Duration::ZERO } else { DRAIN_DEADLINE }) => {}
        () = interrupts.next() => {}
    }
    if tokio::time::timeout(workshop::END_DEADLINE, house.engine.hand_back()).await.is_err() {
        eprintln!("hearth: some jobs do not end; they count as interrupted");
    }
    stop_listening.cancel();
    house.close().await;
    // Its connections end by themselves, within a bound of their own.
    let _ = serving.await;
    Ok(exit::SUCCESS)
}

/// All that works behind the pages.
struct House {
    store: Arc<dyn Store>,
    logs: Arc<LogFolder>,
    key: Arc<SealKey>,
    engine: Engine,
    dispatcher: Dispatcher,
    workshop: Arc<Workshop>,
    news: Arc<Notify>,
    drivers: Vec<Arc<dyn Driver>>,
    images: Vec<ImageCheck>,
    beside: Option<Beside>,
    profiles: Vec<Profile>,
    data: DataFolder,
    disk: Disk,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl House {
    async fn open(
        config: &Config,
        settings: &Settings,
        client: Option<Client>,
        data: &DataFolder,
        store: Arc<dyn Store>,
        url: &str,
        metrics: &Metrics,
    ) -> Result<House> {
        let machines = profiles::open(config, data).await?;
        machines.notes.iter().for_each(|note| info!("{note}"));
        let client = client.map(|client| client.observed(numbers::of_calls(metrics)));
        let app = client.clone().filter(|client| client.app().is_some());
        let origin = Arc::new(Origin {
            addresses: settings.addresses.clone(),
            elsewhere: settings.clone_from.clone(),
            mirrors: Mirrors::open(data.root().join("mirrors"))?.observed(numbers::of_fetches(metrics)),
            reader: Reader::new(app.clone(), settings.token.clone()),
        });
        let actions = Arc::new(open_actions(config, data)?);
        let key = Arc::new(secrets::key(&*store, data).await?);
        let preparer = Arc::new(Preparer {
            store: Arc::clone(&store),
            origin: Arc::clone(&origin),
            actions: actions.clone(),
            secrets: Arc::new(SealedSecrets { store: Arc::clone(&store), key: Arc::clone(&key) }),
            permissions: config.serve.github.default_permissions.into(),
        });
        let ending = TaskTracker::new();
        let workshop = Arc::new(Workshop {
            benches: machines.benches,
            origin: Arc::clone(&origin),
            actions,
            remotes: Arc::new(open_remotes(config, data)?),
            tokens: Tokens {
                store: Arc::clone(&store),
                app,
                ending: ending.clone(),
                installed: Installed::default(),
            },
            issuer: Arc::new(Issuer::open(data.root(), url)?),
            results: Arc::new(records::open(config, data, Arc::clone(&store)).await?),
            options: runner::RunnerOptions::default(),
            untrusted_isolation: config.serve.untrusted_isolation.into(),
            trees: data.root().join("trees"),
            ids: workshop::MachineIds::default(),
            checked_out: workshop::Trees::default(),
            ending,
        });
        let beside = Beside::open(config, data).await?;
        let (stop, tasks, news) = (CancellationToken::new(), TaskTracker::new(), Arc::new(Notify::new()));
        let logs = Arc::new(LogFolder::new(&data.root().join("logs/jobs")));
        let parts = Parts {
            store: Arc::clone(&store),
            logs: Arc::clone(&logs),
            preparer,
            worker: workshop.clone(),
            retry: Policy::default(),
        };
        let profiles = machines.profiles.as_slice().to_vec();
        Forgetter::clean(&data.root().join("trees"))?;
        let disk = Disk::open(data.root(), config.serve.disk);
        disk.measured(metrics);
        numbers::of_pools(metrics, machines_ready(&workshop));
        let limits = Limits { closed: disk.closed(), ..limits(config, settings) };
        let queue = Queue::new(limits, machines.profiles);
        let engine = Engine::start(parts, queue, stop.clone(), &tasks).await?;
        let forgetter = Forgetter {
            keep: config.serve.retention,
            store: Arc::clone(&store),
            logs: Arc::clone(&logs),
            results: Arc::clone(&workshop.results),
            mirrors: origin.mirrors.clone(),
            data: data.clone(),
            metrics: metrics.clone(),
        };
        if let Some(own) = &settings.senders.beside_github {
            let (api, allowed) = (settings.addresses.api(), settings.senders.allowed.clone());
            let ranges = GithubRanges::open(&api, data.root(), own.clone(), allowed).await?;
            tasks.spawn(ranges.run(stop.clone()));
        }
        tasks.spawn(forgetter.run(stop.clone()));
        tasks.spawn(disk.clone().watch(engine.clone(), stop.clone()));
        let expander = Arc::new(Expander {
            store: Arc::clone(&store),
            origin: Arc::clone(&origin),
            approval: config.serve.approval,
            priorities: config.serve.priorities.clone(),
            app: client.clone().and_then(OwnApp::new),
        });
        let dispatcher =
            Dispatcher { store: Arc::clone(&store), expander: Arc::clone(&expander), engine: engine.clone() };
        let intake =
            Intake { store: Arc::clone(&store), expander, engine: engine.clone(), news: news.clone() };
        tasks.spawn(intake.run(stop.clone()));
        let chain = Chain {
            store: Arc::clone(&store),
            origin: Arc::clone(&origin),
            news: Arc::clone(&news),
            url: url.to_owned(),
        };
        tasks.spawn(chain.run(stop.clone()));
        tasks
            .spawn(Clock::new(Arc::clone(&store), Arc::clone(&origin), dispatcher.clone()).run(stop.clone()));
        match client {
            None => warn!(
                "no GITHUB_TOKEN and no App: results are shown on the pages here, and nothing is reported"
            ),
            Some(client) => {
                let missed =
                    missed::reconciler(Arc::clone(&store), client.clone(), settings.url.clone(), metrics);
                tasks.spawn(missed.run(stop.clone()));
                let url = url.to_owned();
                let patience = Patience::default();
                let reporter =
                    Reporter { store: Arc::clone(&store), logs: Arc::clone(&logs), client, url, patience };
                tasks.spawn(reporter.run(stop.clone()));
            }
        }
        if let Some(collector) = Collector::named(|name| std::env::var(name).ok())? {
            tasks.spawn(tell(collector, Arc::clone(&store), metrics.clone(), stop.clone()));
        }
        tasks.spawn(watch(metrics.clone(), Arc::clone(&store), stop.clone()));
        Ok(House {
            store,
            engine,
            dispatcher,
            workshop,
            news,
            drivers: machines.drivers,
            images: ImageCheck::all(config, data.root()),
            beside,
            profiles,
            logs,
            key,
            data: data.clone(),
            disk,
            metrics: metrics.clone(),
            stop,
            tasks,
        })
    }

    /// All that is served, until `stop`.
    fn router(&self, settings: Settings, config: &Config, url: &str, stop: &CancellationToken) -> Router {
        let control = Arc::new(EngineControl {
            engine: self.engine.clone(),
            dispatcher: self.dispatcher.clone(),
            news: Arc::clone(&self.news),
            results: Arc::clone(&self.workshop.results),
            data: self.data.clone(),
        });
        let auth = AuthConfig {
            anonymous_read: config.serve.anonymous_read,
            secure_cookies: url.starts_with("https://"),
        };
        let auth = server::auth::Auth::new(Arc::clone(&self.store), auth);
        let auth = Arc::new(match settings.people {
            Some(people) => auth.with_people(people),
            None => auth,
        });
        let premises = Arc::new(ServerPremises {
            profiles: self.profiles.clone(),
            pools: machines_ready(&self.workshop),
            data: self.data.clone(),
            address: settings.url.clone(),
        });
        let pages = Pages::new(pages::Parts {
            store: Arc::clone(&self.store),
            logs: LogFolder::clone(&self.logs),
            control: control.clone(),
            auth: Arc::clone(&auth),
            seal: Arc::clone(&self.key),
            proxies: settings.senders.proxies.clone(),
            premises: premises.clone(),
            stop: stop.clone(),
        });
        let beside = self.beside.iter().map(|beside| &beside.driver);
        let beside = beside.filter(|one| self.drivers.iter().all(|driver| driver.name() != one.name()));
        let checks = self.drivers.iter().chain(beside).map(|driver| {
            let name = format!("driver {}", driver.name());
            Arc::new(DriverCheck { name, driver: Arc::clone(driver) }) as Arc<dyn Check>
        });
        let images = self.images.iter().map(|image| Arc::new(image.clone()) as Arc<dyn Check>);
        let server = Server::new(server::Parts {
            store: Arc::clone(&self.store),
            control,
            webhook: WebhookConfig {
                allowed: settings.senders.allowed,
                rate: settings.senders.rate,
                ..WebhookConfig::new(settings.webhook_secrets)
            },
            auth,
            proxies: settings.senders.proxies,
            premises,
            checks: checks.chain(images).chain([Arc::new(self.disk.clone()) as Arc<dyn Check>]).collect(),
            metrics: self.metrics.clone(),
            logs: LogFolder::clone(&self.logs),
            files: self.data.root().to_owned(),
            seal: Arc::clone(&self.key),
            stop: self.stop.clone(),
            machines: self.beside.as_ref().map(|beside| beside.machines.clone()),
        });
        server.router().merge(pages.router()).merge(discovery::router(&self.workshop.issuer))
    }

    /// Ends what still runs, and waits until the machines are gone.
    async fn close(self) {
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

/// The pools of all profiles that keep machines ready.
fn machines_ready(workshop: &Workshop) -> Vec<Pool> {
    workshop.benches.values().filter_map(|bench| bench.pool.clone()).collect()
}

/// Whether machines can be had, found out by making one.
struct DriverCheck {
    name: String,
    driver: Arc<dyn Driver>,
}

#[async_trait]
impl Check for DriverCheck {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self) -> Result<(), String> {
        let probe = self.driver.probe().await;
        let bad = probe.findings.iter().find(|finding| finding.level == FindingLevel::Bad);
        match bad.filter(|_| !probe.usable) {
            Some(finding) => Err(format!("{}: {}", finding.subject, finding.detail)),
            None if probe.usable => Ok(()),
            None => Err("it does not work here; `hearth doctor` says more".to_owned()),
        }
    }
}

/// Where it says where it listens, for the commands that speak to it.
pub(crate) const ADDRESS_FILE: &str = "address";

fn tell_address(data: &DataFolder, address: &str) {
    let path = data.root().join(ADDRESS_FILE);
    // A full disk is no reason not to serve: commands can be told with --server.
    if let Err(error) = std::fs::write(&path, format!("{address}\n")) {
        warn!("commands do not find this server by themselves: can't write {}: {error}", path.display());
    }
    say!("{address}");
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

fn mirrors(config: &Config) -> Result<Vec<MirrorTemplate>> {
    let templates = config.actions_mirrors.iter().map(|template| template.parse());
    Ok(templates.collect::<Result<_, MirrorTemplateError>>()?)
}

fn open_actions(config: &Config, data: &DataFolder) -> Result<GitActionStore> {
    let folder = data.root().join("actions");
    let actions = ActionStoreConfig { mirrors: mirrors(config)?, ..ActionStoreConfig::new(&folder) };
    GitActionStore::open(actions)
        .with_context(|| format!("can't open the cache of actions {}", folder.display()))
}

fn open_remotes(config: &Config, data: &DataFolder) -> Result<RemoteRepositories> {
    let folder = data.root().join("checkouts");
    RemoteRepositories::open(&folder, mirrors(config)?, false)
        .with_context(|| format!("can't use the folder for checkouts {}", folder.display()))
}
