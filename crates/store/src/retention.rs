//! What is forgotten, and when: a little at a time, so that nobody waits for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{RunId, Timestamp};

use crate::error::StoreError;
use crate::log::LogFolder;
use crate::store::Store;

/// Runs of one call: one may have thousands of jobs, and all that it has goes in one transaction.
const RUNS: usize = 10;

/// Deliveries and bodies of one call.
const DELIVERIES: usize = 100;

/// How long things are kept after they ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Runs with their attempts, jobs, steps, annotations, and logs.
    pub runs: Duration,
    /// Bodies of deliveries; those of runs stay as long as these. Without its body a delivery can't be tried anew.
    pub payloads: Duration,
    /// Deliveries themselves; those of runs stay as long as these. One that was forgotten is new when it is sent again.
    pub deliveries: Duration,
}

/// What one call has forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Runs.
    pub runs: usize,
    /// Logs of jobs.
    pub logs: usize,
    /// Deliveries, and bodies of deliveries.
    pub deliveries: usize,
    /// Whether there was more than one call forgets.
    pub is_more: bool,
}

/// Where the files of a run lie that are not the store's.
pub type RunFolder = Arc<dyn Fn(RunId) -> PathBuf + Send + Sync>;

/// Forgets some of what ended too long ago. Logs and files go before their runs do, so that none is left over by a
/// crash.
///
/// # Errors
/// When the store, a log, or a folder can't be written; what was forgotten before stays so.
pub async fn prune(
    store: &dyn Store,
    logs: &LogFolder,
    files: &RunFolder,
    keep: &Retention,
    now: Timestamp,
) -> Result<Pruned, StoreError> {
    let expired = store.expired_runs(now.before(keep.runs), RUNS).await?;
    let mut pruned = Pruned { runs: expired.len(), ..Pruned::default() };
    let mut runs = Vec::new();
    for (run, jobs) in expired {
        pruned.logs += jobs.len();
        let (logs, files) = (logs.clone(), files(run));
        let failed = |reason: String| StoreError::Failed {
            operation: format!("remove the logs and files of run {run}"),
            reason,
        };
        let removing = tokio::task::spawn_blocking(move || {
            jobs.iter().try_for_each(|job| logs.remove(*job))?;
            Ok::<_, StoreError>(removed(&files))
        });
        removing
            .await
            .map_err(|ended| failed(ended.to_string()))??
            .map_err(|error| failed(error.to_string()))?;
        runs.push(run);
    }
    store.forget_runs(runs).await?;
    let (bodies, whole) = (now.before(keep.payloads), now.before(keep.deliveries));
    pruned.deliveries = store.forget_deliveries(bodies, whole, DELIVERIES).await?;
    pruned.is_more = pruned.runs == RUNS || pruned.deliveries >= DELIVERIES;
    Ok(pruned)
}

/// Removes a folder, if it is there.
fn removed(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
