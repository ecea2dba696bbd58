//! What an operator watches, in numbers: `GET /metrics`.
//!
//! [`Metrics`] is passed to whoever measures something. What happens to runs, jobs, and steps it hears from the store
//! ([`watch`]), so that nobody has to count by hand.

mod family;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use machine::pool::KindStatus;
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
    pool_made: Family<Histogram>,
    pool_leases: Family<Counter>,
    pool_misses: Family<Counter>,
    pool_failures: Family<Counter>,
    closed: Family<Gauge>,
    disk_free: Family<Gauge>,
    disk_size: Family<Gauge>,
    disk_inodes: Family<Gauge>,
    forge_calls: Family<Histogram>,
    errors: Family<Counter>,
    forgotten: Family<Counter>,
    traces: Family<Counter>,
    tally: Mutex<Tally>,
    /// Asked before the numbers are read.
    sources: Mutex<Vec<Source>>,
}

/// Sets numbers that nobody tells of by themselves.
type Source = Box<dyn Fn(&Metrics) + Send + Sync>;

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
            pool_made: family(
                "hearth_pool_start_seconds",
                "From when a machine that is kept ready was missing until it was ready.",
                &["type"],
            ),
            pool_leases: family(
                "hearth_pool_leases_total",
                "Leases of machines that are kept ready.",
                &["type"],
            ),
            pool_misses: family("hearth_pool_misses_total", "Leases that found no machine ready.", &["type"]),
            pool_failures: family(
                "hearth_pool_failures_total",
                "Machines that could not be made ready, or died while they were.",
                &["type"],
            ),
            closed: family("hearth_closed", "1 while nothing new starts, by why.", &["reason"]),
            disk_free: family("hearth_disk_free_bytes", "Room left on the data folder's disk.", &[]),
            disk_size: family("hearth_disk_size_bytes", "Size of the data folder's disk.", &[]),
            disk_inodes: family(
                "hearth_disk_free_inodes",
                "Files that the data folder's disk has room for.",
                &[],
            ),
            forge_calls: family(
                "hearth_forge_call_seconds",
                "Calls of the forge's API and of git.",
                &["operation", "outcome"],
            ),
            errors: family("hearth_errors_total", "What went wrong inside the server, by part.", &["part"]),
            forgotten: family(
                "hearth_forgotten_total",
                "What was kept long enough, by what it was.",
                &["what"],
            ),
            traces: family(
                "hearth_traces_total",
                "Traces for the collector, by what became of them.",
                &["outcome"],
            ),
            tally: Mutex::default(),
            sources: Mutex::default(),
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

    /// How a type of machine that is kept ready stands now.
    pub fn pool(&self, status: &KindStatus) {
        let kind = status.name.as_str();
        let states = [("ready", status.ready), ("starting", status.starting), ("wanted", status.wanted)];
        for (state, machines) in states {
            self.0.pool.change(&[kind, state], |gauge| gauge.0 = machines as u64);
        }
        self.0.pool_leases.change(&[kind], |counter| counter.0 = status.leases);
        self.0.pool_misses.change(&[kind], |counter| counter.0 = status.misses);
        self.0.pool_failures.change(&[kind], |counter| counter.0 = status.failures + status.deaths);
    }

    /// A machine of this type was made ready in so long.
    pub fn pool_made(&self, kind: &str, took: Duration) {
        self.0.pool_made.change(&[kind], |histogram| histogram.observe(took.as_secs_f64()));
    }

    /// Whether nothing new starts for this reason.
    pub fn closed(&self, reason: &str, is_closed: bool) {
        self.0.closed.change(&[reason], |gauge| gauge.0 = u64::from(is_closed));
    }

    /// The disk of the data folder: bytes left, bytes in all, and files left.
    pub fn disk(&self, free: u64, size: u64, inodes: u64) {
        self.0.disk_free.change(&[], |gauge| gauge.0 = free);
        self.0.disk_size.change(&[], |gauge| gauge.0 = size);
        self.0.disk_inodes.change(&[], |gauge| gauge.0 = inodes);
    }

    /// So many of something were kept long enough.
    pub fn forgotten(&self, what: &str, count: u64) {
        self.0.forgotten.change(&[what], |counter| counter.0 += count);
    }

    /// A trace was sent, or dropped.
    pub(crate) fn trace(&self, outcome: &str) {
        self.0.traces.change(&[outcome], |counter| counter.0 += 1);
    }

    /// Asks this each time before the numbers are read. It must be quick: it holds up who reads them.
    pub fn ask(&self, source: impl Fn(&Metrics) + Send + Sync + 'static) {
        self.sources().push(Box::new(source));
    }

    /// Something went wrong in a part of the server.
    pub fn error(&self, part: &str) {
        self.0.errors.change(&[part], |counter| counter.0 += 1);
    }

    /// All of it, as Prometheus reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.sources().iter().for_each(|source| source(self));
        self.tally().show(self);
        let Families { webhooks, webhook_seconds, missed, runs, jobs, runs_ended, jobs_ended, .. } = &*self.0;
        webhooks.write(&mut text);
        webhook_seconds.write(&mut text);
        missed.write(&mut text);
        runs.write(&mut text);
        jobs.write(&mut text);
        runs_ended.write(&mut text);
        jobs_ended.write(&mut text);
        let Families { queue_wait, lease, first_line, job_seconds, step_seconds, pool_made, .. } = &*self.0;
        for histogram in [queue_wait, lease, first_line, job_seconds, step_seconds, pool_made] {
            histogram.write(&mut text);
        }
        let Families { pool_leases, pool_misses, pool_failures, infrastructure, errors, .. } = &*self.0;
        for counter in [
            infrastructure,
            pool_leases,
            pool_misses,
            pool_failures,
            errors,
            &self.0.forgotten,
            &self.0.traces,
        ] {
            counter.write(&mut text);
        }
        let Families { pool, closed, disk_free, disk_size, disk_inodes, .. } = &*self.0;
        for gauge in [pool, closed, disk_free, disk_size, disk_inodes] {
            gauge.write(&mut text);
        }
        self.0.forge_calls.write(&mut text);
        text
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source>> {
        self.0.sources.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names of metrics in a text, those of a histogram's parts as the histogram's.
    fn names(text: &str) -> BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let parts = ["_bucket", "_sum", "_count"];
        words
            .filter(|word| word.starts_with("hearth_"))
            .map(|word| parts.iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word).to_owned())
            .collect()
    }

    #[test]
    fn what_rules_dashboard_and_guide_name_is_what_is_served() {
        let served: BTreeSet<String> = Metrics::default()
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .map(str::to_owned)
            .collect();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let read = |path: &str| names(&std::fs::read_to_string(format!("{root}/{path}")).unwrap());
        for path in ["packaging/prometheus/alerts.yml", "packaging/grafana/hearth.json"] {
            let named = read(path);
            assert!(named.len() > 5, "{path} names {named:?}");
            let unknown: Vec<_> = named.difference(&served).collect();
            assert!(unknown.is_empty(), "{path}: {unknown:?}");
        }
        assert_eq!(read("docs/guide/operate.md"), served);
    }
}
