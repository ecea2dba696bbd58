//! `hearth serve`: webhooks in, jobs on machines, results out. Its life, from the first look at its configuration to its
//! last connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use scheduler::queue::{Closed, Limits};
use scheduler::workshop;
use server::http;
use server::metrics::Metrics;
use store::{SqliteStore, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::checks::{self, Checked};
use super::demo::Demo;
use super::house::{Ground, House};
use super::settings::Settings;
use super::{first_token, log};
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
    if data.make_private()? {
        warn!(
            "the data folder {} could be read by others: it is its owner's only now",
            data.root().display()
        );
    }
    let Checked { tls, client, notes } = checks::check(&config, &settings, Some(data.root()))?;
    notes.iter().for_each(|note| warn!("{note}"));
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(data.root())?);
    let mut interrupts = Interrupts::new()?;
    let tls = tls.zip(config.serve.tls.clone());
    let (listener, address) = listen(settings.listen, tls.is_some()).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = settings.url.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
    let ground = Ground {
        config: &config,
        settings: &settings,
        data: &data,
        store: &store,
        client,
        url: &url,
        metrics: &metrics,
    };
    let house = House::open(ground).await?;
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
    let patience = if demo.is_some() { Duration::ZERO } else { DRAIN_DEADLINE };
    drain(&house, patience, &mut interrupts).await;
    stop_listening.cancel();
    house.close().await;
    // Its connections end by themselves, within a bound of their own.
    let _ = serving.await;
    Ok(exit::SUCCESS)
}

async fn listen(address: SocketAddr, has_tls: bool) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    let address = listener.local_addr()?;
    if !has_tls && !address.ip().is_loopback() {
        warn!(%address, "it can be reached from elsewhere, and tokens go there unencrypted: put a proxy with TLS in front, or set serve.tls");
    }
    Ok((listener, address))
}

/// Starts nothing new, and lets what runs end, for so long or until it is interrupted once more.
async fn drain(house: &House, patience: Duration, interrupts: &mut Interrupts) {
    info!(
        "stopping: running jobs have {} s to end, what is left is run again by the next start; once more stops at once",
        patience.as_secs()
    );
    house.metrics.closed("draining", true);
    house.engine.limit(|limits: &mut Limits| limits.closed = Some(Closed::Draining)).await;
    tokio::select! {
        () = house.engine.quiet() => {}
        () = tokio::time::sleep(patience) => {}
        () = interrupts.next() => {}
    }
    if tokio::time::timeout(workshop::END_DEADLINE, house.engine.hand_back()).await.is_err() {
        eprintln!("hearth: some jobs do not end; they count as interrupted");
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
