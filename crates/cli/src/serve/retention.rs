//! Forgets what was kept long enough, a little at a time, while the server works.
//!
//! Nothing of a run that has not ended is touched: the store says which have, and only those are looked at.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use forge::git::Mirrors;
use model::Timestamp;
use runner::results::ResultsService;
use serde::Deserialize;
use server::metrics::Metrics;
use store::Store;
use store::log::LogFolder;
use store::query::{ArtifactFilter, Expired};
use store::retention::{Retention, RunFolder, prune};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::data::DataFolder;
use crate::kept;

/// How often it is looked: what is kept for days need not go to the minute.
const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// Wait between two steps of one look, so that whoever else writes comes in between.
const STEP_EVERY: Duration = Duration::from_millis(100);

/// Artifacts of one step: each is some files to remove, and a transaction.
const ARTIFACTS: usize = 50;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// For how many days things are kept, in `hearth.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct RetentionConfig {
    /// Runs with their logs and artifacts, after they ended.
    runs_days: u32,
    /// Artifacts, after they were made.
    pub(super) artifacts_days: u32,
    /// Caches, after a job last used them.
    caches_days: u32,
    /// Bodies of deliveries, after they were done.
    payloads_days: u32,
    /// Deliveries, after they were done.
    deliveries_days: u32,
    /// Mirrors of repositories, after they were last fetched.
    mirrors_days: u32,
}

impl Default for RetentionConfig {
    /// Artifacts and logs for 90 days and caches for 7, as GitHub does
    /// (<https://docs.github.com/en/organizations/managing-organization-settings/configuring-the-retention-period-for-github-actions-artifacts-and-logs-in-your-organization>).
    /// GitHub sends a delivery again for 3 days.
    fn default() -> RetentionConfig {
        RetentionConfig {
            runs_days: 90,
            artifacts_days: 90,
            caches_days: 7,
            payloads_days: 14,
            deliveries_days: 30,
            mirrors_days: 90,
        }
    }
}

impl RetentionConfig {
    pub(super) fn check(&self) -> Result<()> {
        let all = [
            ("runs-days", self.runs_days),
            ("artifacts-days", self.artifacts_days),
            ("caches-days", self.caches_days),
            ("payloads-days", self.payloads_days),
            ("deliveries-days", self.deliveries_days),
            ("mirrors-days", self.mirrors_days),
        ];
        for (key, days) in all {
            if days == 0 {
                bail!("serve.retention.{key} of the configuration is 0; the least is 1 day");
            }
        }
        Ok(())
    }

    /// How long artifacts are kept.
    pub(super) fn artifacts(&self) -> Duration {
        days(self.artifacts_days)
    }

    fn of_store(&self) -> Retention {
        Retention {
            runs: days(self.runs_days),
            payloads: days(self.payloads_days),
            deliveries: days(self.deliveries_days),
        }
    }
}

fn days(days: u32) -> Duration {
    DAY * days
}

/// What is forgotten, and from where.
pub(super) struct Forgetter {
    pub(super) keep: RetentionConfig,
    pub(super) store: Arc<dyn Store>,
    pub(super) logs: Arc<LogFolder>,
    pub(super) results: Arc<ResultsService>,
    pub(super) mirrors: Mirrors,
    pub(super) data: DataFolder,
    pub(super) metrics: Metrics,
}

impl Forgetter {
    /// Removes trees of jobs that an earlier life left. The data folder is this server's.
    pub(super) fn clean(trees: &Path) -> Result<()> {
        removed(trees)
            .with_context(|| format!("can't remove what an earlier life left in {}", trees.display()))
    }

    /// Works until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let forget = async {
            let mut every = tokio::time::interval(LOOK_EVERY);
            loop {
                every.tick().await;
                self.look(Timestamp::now(), SystemTime::now()).await;
            }
        };
        stop.run_until_cancelled(forget).await;
    }

    /// Forgets all that is due. What can't be forgotten now is due again the next time.
    async fn look(&self, now: Timestamp, clock: SystemTime) {
        self.told("runs", self.runs(now).await);
        self.told("artifacts", self.artifacts(now).await);
        let since = |kept: u32| clock.checked_sub(days(kept)).unwrap_or(SystemTime::UNIX_EPOCH);
        let caches = self.results.forget_caches(since(self.keep.caches_days)).await;
        self.told("caches", caches.map_err(anyhow::Error::from));
        self.told("mirrors", self.unused_mirrors(since(self.keep.mirrors_days)).await);
        let data = self.data.clone();
        self.told("kept machines", blocking(move || Ok(kept::prune(&data)?.len())).await);
    }

    fn told(&self, what: &str, forgotten: Result<usize>) {
        match forgotten {
            Ok(0) => {}
            Ok(count) => {
                info!(what, count, "forgotten, as the configuration says");
                self.metrics.forgotten(what, count as u64);
            }
            Err(error) => {
                let error = format!("{error:#}");
                warn!(what, error, "what was kept long enough can't be forgotten; trying again later");
            }
        }
    }

    /// Runs and deliveries.
    async fn runs(&self, now: Timestamp) -> Result<usize> {
        let data = self.data.clone();
        let files: RunFolder = Arc::new(move |run| data.run(run));
        let mut runs = 0;
        loop {
            let keep = self.keep.of_store();
            let pruned = prune(&*self.store, &self.logs, &files, &keep, now).await?;
            runs += pruned.runs;
            self.metrics.forgotten("deliveries", pruned.deliveries as u64);
            if !pruned.is_more {
                return Ok(runs);
            }
            tokio::time::sleep(STEP_EVERY).await;
        }
    }

    /// Artifacts of runs that stay.
    async fn artifacts(&self, now: Timestamp) -> Result<usize> {
        let made_before = now.before(self.keep.artifacts());
        let filter =
            ArtifactFilter { expired: Some(Expired { now, made_before }), ..ArtifactFilter::default() };
        let mut forgotten = 0;
        loop {
            let expired = self.store.artifacts(&filter, ARTIFACTS).await?;
            for artifact in &expired {
                self.results.remove_artifact(artifact.what.run, artifact.what.number).await?;
            }
            forgotten += expired.len();
            if expired.len() < ARTIFACTS {
                return Ok(forgotten);
            }
            tokio::time::sleep(STEP_EVERY).await;
        }
    }

    async fn unused_mirrors(&self, since: SystemTime) -> Result<usize> {
        let mirrors = self.mirrors.clone();
        let unused = blocking(move || Ok(mirrors.unused(since)?)).await?;
        for name in &unused {
            self.mirrors.remove(name).await?;
        }
        Ok(unused.len())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Removes a folder, if it is there.
fn removed(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_nothing_is_kept_for_none() {
        let read = |text: &str| serde_saphyr::from_str::<RetentionConfig>(text);
        let some = read("{runs-days: 3, caches-days: 1}").unwrap();
        assert_eq!((some.runs_days, some.caches_days, some.artifacts_days), (3, 1, 90));
        some.check().unwrap();
        let none = read("{mirrors-days: 0}").unwrap().check().unwrap_err().to_string();
        assert!(none.contains("mirrors-days of the configuration is 0"), "{none}");
        assert!(read("{run-days: 3}").is_err());
    }
}
