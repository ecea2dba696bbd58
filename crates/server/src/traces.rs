//! Traces of runs, for an OpenTelemetry collector: what a webhook waited for, from its arrival to the end of its run.
//!
//! ```text
//! run ─┬─ webhook       arrived ─► run made
//!      ├─ queue         run made ─► its turn
//!      └─ job ─┬─ queue         could begin ─► a machine is asked for
//!              ├─ machine       asked for ─► there
//!              ├─ first line    machine there ─► first line of its first step
//!              └─ step …
//! ```
//!
//! They are made of the times that the store has, when a run has ended: nothing is measured beside what pages show, and
//! nobody waits for the collector. What it does not take in time is dropped, and counted. Decision record 0036 says why
//! this is our own.

mod otlp;
mod send;

use std::sync::Arc;
use std::time::Duration;

use model::{RunId, Timestamp};
use store::record::{Job, Run, Step};
use store::{Change, Store, StoreError};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::metrics::Metrics;
pub use send::{Collector, CollectorError};

/// Runs that wait to be sent. More than end while a collector restarts; each is an id.
const WAITING: usize = 1000;

/// Jobs of a run that are told: a larger matrix has shown what it shows.
const JOBS: usize = 256;

/// Waits before a trace is sent again that the collector had no time for.
const AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// All that is known of a run that has ended.
struct Ended {
    run: Run,
    received_at: Option<Timestamp>,
    repository: String,
    jobs: Vec<(Job, Vec<Step>)>,
}

/// Sends the trace of each run that ends, until `stop`.
pub async fn tell(collector: Collector, store: Arc<dyn Store>, metrics: Metrics, stop: CancellationToken) {
    let (queue, waiting) = mpsc::channel(WAITING);
    let listening = listen(&*store, queue, &metrics);
    let sending = send_all(&collector, &*store, waiting, &metrics);
    stop.run_until_cancelled(async { tokio::join!(listening, sending) }).await;
}

/// Hears of runs that end.
async fn listen(store: &dyn Store, queue: mpsc::Sender<RunId>, metrics: &Metrics) {
    let mut changes = store.subscribe();
    loop {
        match changes.recv().await {
            Ok(changes) => {
                for change in changes.iter() {
                    if let Change::RunEnded { run, .. } = change
                        && queue.try_send(*run).is_err()
                    {
                        metrics.trace("dropped");
                    }
                }
            }
            Err(RecvError::Lagged(_)) => metrics.trace("dropped"),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn send_all(
    collector: &Collector,
    store: &dyn Store,
    mut waiting: mpsc::Receiver<RunId>,
    metrics: &Metrics,
) {
    let mut was_taken = true;
    while let Some(run) = waiting.recv().await {
        let sent = match ended(store, run).await {
            Ok(Some(ended)) => send(collector, &otlp::spans(&ended, collector.service())).await,
            Ok(None) => continue,
            Err(error) => Err(error.to_string()),
        };
        metrics.trace(if sent.is_ok() { "sent" } else { "dropped" });
        match &sent {
            Ok(()) => {}
            // Once, and not for each run while it is away.
            Err(reason) if was_taken => {
                warn!(%run, reason, "the collector does not take a trace; it is dropped")
            }
            Err(reason) => debug!(%run, reason, "the collector does not take a trace; it is dropped"),
        }
        was_taken = sent.is_ok();
    }
}

async fn send(collector: &Collector, trace: &serde_json::Value) -> Result<(), String> {
    let mut waits = AGAIN.iter();
    loop {
        match collector.send(trace).await {
            Ok(()) => return Ok(()),
            Err(refused) => match waits.next().filter(|_| refused.may_pass) {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => return Err(refused.reason),
            },
        }
    }
}

async fn ended(store: &dyn Store, id: RunId) -> Result<Option<Ended>, StoreError> {
    let Some(run) = store.run(id).await? else { return Ok(None) };
    let received_at = match run.delivery.filter(|_| run.attempt == 1) {
        Some(delivery) => store.delivery(delivery).await?.map(|(delivery, _)| delivery.received_at),
        None => None,
    };
    let repository = store.repository(run.what.repository).await?;
    let repository = repository.map(|repository| repository.facts.full_name).unwrap_or_default();
    let mut jobs = Vec::new();
    for job in store.jobs(id, run.attempt).await?.into_iter().take(JOBS) {
        let steps = store.steps(job.id).await?;
        jobs.push((job, steps));
    }
    Ok(Some(Ended { run, received_at, repository, jobs }))
}
