//! Since when people are asked about a run or a job, where its record does not say it: it was not from the beginning, or
//! the clock was set back meanwhile.

use std::collections::BTreeMap;

use model::{JobId, RunId, Timestamp};
use serde_json::Value as Json;
use store::record::Run;
use store::{Change, Store, StoreError};
use tracing::info;

use super::Core;
use super::live::LiveJob;

impl Core {
    /// Since when somebody is asked to approve a run that waits for that.
    pub(super) async fn run_asked_at(&self, run: &Run) -> Result<Timestamp, StoreError> {
        let kept = self.parts.store.setting(&key_of_run(run.id)).await?;
        Ok(kept.and_then(|at| moment(&at)).unwrap_or(run.queued_at))
    }

    /// Somebody was asked to approve a run before the clock was set back: they are asked from now on.
    pub(super) async fn ask_anew(&mut self, run: RunId) {
        let now = Timestamp::now();
        self.write(vec![Change::Setting { key: key_of_run(run), value: now.0.into() }]).await;
        info!(%run, "the clock was set back: the run waits for approval from now on");
        self.queue.asked(run, now);
    }
}

/// Under this, since when people are asked about a run and its jobs, until they have answered or it has ended.
fn asked(run: RunId) -> String {
    format!("asked/{run}/")
}

fn key_of_run(run: RunId) -> String {
    format!("{}run", asked(run))
}

fn key_of_job(job: JobId) -> String {
    format!("{}{job}", asked(crate::recipe::run_of(job)))
}

fn moment(kept: &Json) -> Option<Timestamp> {
    kept.as_u64().map(Timestamp)
}

pub(super) fn keep(job: JobId, at: Timestamp) -> Change {
    Change::Setting { key: key_of_job(job), value: at.0.into() }
}

/// Forgets since when somebody was asked about a job that has ended, if it was kept.
pub(super) fn forget(id: JobId, job: &LiveJob) -> Option<Change> {
    job.is_asked_later.then(|| Change::Setting { key: key_of_job(id), value: Json::Null })
}

/// Nobody is asked any more to approve a run. Nothing, where nothing is kept.
pub(super) fn forget_run(run: RunId) -> Change {
    Change::Setting { key: key_of_run(run), value: Json::Null }
}

/// Since when people are asked about jobs of a run, where their records do not say it.
pub(super) async fn of_jobs(store: &dyn Store, run: RunId) -> Result<BTreeMap<JobId, Timestamp>, StoreError> {
    let prefix = asked(run);
    let kept = store.settings(&prefix).await?.into_iter();
    let read = |(key, at): (String, Json)| {
        let job = key.strip_prefix(&prefix)?.parse().ok()?;
        Some((JobId(job), moment(&at)?))
    };
    Ok(kept.filter_map(read).collect())
}
