//! What an operator watches, in numbers: `GET /metrics`.
//!
//! [`Metrics`] is passed to whoever measures something. What happens to runs, jobs, and steps it hears from the store
//! ([`watch`]), so that nobody has to count by hand.

mod family;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::{Store, StoreError};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use family::{Counter, Family, Gauge, Histogram, Value};
use tally::Tally;

/// The content type of what [`Metrics::text`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long to wait when the store can't be read, before trying it again.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// All numbers. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

/// The metrics of one server.
struct Families {
    webhooks: Family<Counter>,
    webhook_seconds: Family<Histogram>,
    missed: Family<Counter>,
    runs: Family<Gauge>,
    jobs: Family<Gauge>,
    runs_ended: Family<Counter>,
    jobs_ended: Family<Counter>,
    queue_wait: Family<Histogram>,
    lease: Family<Histogram>,
    first_line: Family<Histogram>,
    job_seconds: Family<Histogram>,
    step_seconds: Family<Histogram>,
    infrastructure: Family<Counter>,
    pool: Family<Gauge>,
    forge_calls: Family<Histogram>,
    errors: Family<Counter>,
    tally: Mutex<Tally>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics(Arc::new(Families::new()))
    }
}

impl Families {
    fn new() -> Families {
        Families {
            webhooks: family(
                "hearth_webhooks_total",
                "Webhooks, by event and what became of them.",
                &["event", "outcome"],
            ),
            webhook_seconds: family(
                "hearth_webhook_seconds",
                "From the head of a webhook to its answer.",
                &[],
            ),
            missed: family(
                "hearth_missed_webhooks_total",
                "Webhooks that nobody had taken, by what became of them when they were found.",
                &["outcome"],
            ),
            runs: family("hearth_runs", "Runs that have not ended, by state.", &["state"]),
            jobs: family("hearth_jobs", "Jobs that have not ended, by state.", &["state"]),
            runs_ended: family("hearth_runs_ended_total", "Runs that ended.", &["conclusion"]),
            jobs_ended: family("hearth_jobs_ended_total", "Jobs that ended.", &["conclusion"]),
            queue_wait: family(
                "hearth_queue_wait_seconds",
                "From a job's turn in its run until a machine is asked for.",
                &[],
            ),
            lease: family(
                "hearth_machine_lease_seconds",
                "From asking for a machine until a job has it.",
                &[],
            ),
            first_line: family(
                "hearth_first_line_seconds",
                "From a job's machine until its first step's first line.",
                &[],
            ),
            job_seconds: family("hearth_job_seconds", "From a job's machine until its end.", &["conclusion"]),
            step_seconds: family("hearth_step_seconds", "Steps of jobs.", &["conclusion"]),
            infrastructure: family(
                "hearth_infrastructure_failures_total",
                "Jobs whose machine failed, each time.",
                &[],
            ),
            pool: family("hearth_pool_machines", "Machines, by type and state.", &["type", "state"]),
            forge_calls: family(
                "hearth_forge_call_seconds",
                "Calls of the forge's API and of git.",
                &["operation", "outcome"],
            ),
            errors: family("hearth_errors_total", "What went wrong inside the server, by part.", &["part"]),
            tally: Mutex::default(),
        }
    }
}

fn family<T: Value>(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family<T> {
    Family::new(name, help, labels)
}

impl Metrics {
    /// A webhook was answered.
    pub fn webhook(&self, event: &str, outcome: &str, took: Duration) {
        self.0.webhooks.change(&[event, outcome], |counter| counter.0 += 1);
        self.0.webhook_seconds.change(&[], |histogram| histogram.observe(took.as_secs_f64()));
    }

    /// So many webhooks were found that nobody had taken.
    pub fn missed(&self, outcome: &str, webhooks: u64) {
        if webhooks > 0 {
            self.0.missed.change(&[outcome], |counter| counter.0 += webhooks);
        }
    }

    /// The forge was called.
    pub fn forge_call(&self, operation: &str, outcome: &str, took: Duration) {
        self.0.forge_calls.change(&[operation, outcome], |histogram| histogram.observe(took.as_secs_f64()));
    }

    /// So many machines of a type are in a state now.
    pub fn pool(&self, kind: &str, state: &str, machines: u64) {
        self.0.pool.change(&[kind, state], |gauge| gauge.0 = machines);
    }

    /// Something went wrong in a part of the server.
    pub fn error(&self, part: &str) {
        self.0.errors.change(&[part], |counter| counter.0 += 1);
    }

    /// All of it, as Prometheus reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.tally().show(self);
        let Families { webhooks, webhook_seconds, missed, runs, jobs, runs_ended, jobs_ended, .. } = &*self.0;
        webhooks.write(&mut text);
        webhook_seconds.write(&mut text);
        missed.write(&mut text);
        runs.write(&mut text);
        jobs.write(&mut text);
        runs_ended.write(&mut text);
        jobs_ended.write(&mut text);
        let Families { queue_wait, lease, first_line, job_seconds, step_seconds, .. } = &*self.0;
        for histogram in [queue_wait, lease, first_line, job_seconds, step_seconds] {
            histogram.write(&mut text);
        }
        let Families { infrastructure, pool, forge_calls, errors, .. } = &*self.0;
        infrastructure.write(&mut text);
        pool.write(&mut text);
        forge_calls.write(&mut text);
        errors.write(&mut text);
        text
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what the store tells, until `stop`.
pub async fn watch(metrics: Metrics, store: Arc<dyn Store>, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        loop {
            if follow(&metrics, &*store).await.is_err() {
                metrics.error("metrics");
                tokio::time::sleep(READ_AGAIN).await;
            }
        }
    })
    .await;
}

/// Takes stock, and hears of changes until some were missed.
async fn follow(metrics: &Metrics, store: &dyn Store) -> Result<(), StoreError> {
    let mut changes = store.subscribe();
    let mut tally = Tally::default();
    for run in store.unfinished_runs().await? {
        let jobs = store.jobs(run.id, run.attempt).await?;
        tally.found(&run, &jobs);
    }
    *metrics.tally() = tally;
    loop {
        match changes.recv().await {
            Ok(changes) => {
                let mut tally = metrics.tally();
                changes.iter().for_each(|change| tally.hear(change, metrics));
            }
            Err(RecvError::Lagged(_)) => return Ok(()),
            // The store is gone, and with it all that there was to count.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
