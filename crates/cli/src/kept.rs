//! Machines of failed jobs that were kept: a snapshot each, and a record of where the job stood,
//! `<data>/runs/<run>/debug/jobs/<attempt>-<job>.json`.
//!
//! No secret is in a record. The memory and the disk in a snapshot may hold what the job was given, and so may the
//! job's vault, which lies with them: they are for the owner of the data folder only, never for a pool, and they go
//! after a while by themselves.

mod found;
mod record;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use machine::{Driver, Machine, MachineSpec, Snapshot, SnapshotId};
use model::{Job, MachineId, RunId, Secrets};
use runner::{Checkpoint, Halted, Vault};
use serde::{Deserialize, Serialize};
use workflow::plan::JobPath;

use crate::data::DataFolder;
pub(crate) use found::{Found, Name, Unreadable, prune};
pub(crate) use record::{Machines, RunFacts, RunLog, RunRecord, Text, clean, results_of};

/// Counts up when records of before can't be read.
const FORMAT: u32 = 2;

/// The file of a snapshot with the job's vault.
const VAULT: &str = "vault.json";

/// A kept machine, and where its job stood.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    format: u32,
    /// When, in milliseconds since 1970.
    pub(crate) kept_unix_ms: u64,
    /// The job's name in all attempts.
    pub(crate) path: JobPath,
    /// Its machine.
    pub(crate) snapshot: SnapshotId,
    /// The driver that can restore it.
    pub(crate) driver: String,
    /// Names of the job's secrets.
    pub(crate) secrets: Vec<String>,
    /// The job, without its secrets.
    pub(crate) job: Job,
    /// Where it stood.
    pub(crate) checkpoint: Checkpoint,
}

/// Keeps machines of one run.
pub(crate) struct Keeper {
    /// Where.
    pub(crate) data: DataFolder,
}

impl Keeper {
    /// Freezes the machine of a job that was halted. Says how to get at it.
    pub(crate) async fn keep(
        &self,
        driver: &dyn Driver,
        machine: Machine,
        (job, path): (&Job, &JobPath),
        halted: Halted,
    ) -> Result<String> {
        let id = Name::of_job(job).snapshot();
        machine.guard.check_restorable().await?;
        let snapshot = driver.snapshot(machine, &id).await?;
        let before = Kept::of_job(&self.data, job.run, path)?;
        let kept = Kept {
            format: FORMAT,
            kept_unix_ms: now_unix_ms(),
            path: path.clone(),
            snapshot: id,
            driver: driver.name().to_owned(),
            secrets: job.secrets.keys().cloned().collect(),
            job: runner::without_secrets(job),
            checkpoint: halted.checkpoint,
        };
        let written = record::write_whole(&snapshot.folder, VAULT, &halted.vault)
            .and_then(|()| close_to_others(&snapshot.folder))
            .and_then(|()| kept.write(&self.data));
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&snapshot.folder);
            return Err(error);
        }
        if let Some(before) = before.filter(|before| before.snapshot != kept.snapshot) {
            before.remove(&self.data)?;
        }
        prune(&self.data)?;
        Ok(kept.describe())
    }
}

impl Kept {
    /// The kept machine of a job. One that can't be read is of no use to it.
    pub(crate) fn of_job(data: &DataFolder, run: RunId, path: &JobPath) -> Result<Option<Kept>> {
        Ok(Found::of_run(data, run)?.kept.into_iter().find(|kept| kept.path == *path))
    }

    /// The kept machines of a run, of which at least one can be used, or what to do since there are none.
    pub(crate) fn wanted(data: &DataFolder, run: u64) -> Result<Found> {
        let found = Found::of_run(data, RunId(run))?;
        if found.is_empty() {
            return Err(none_of(run));
        }
        if let ([], [first, ..]) = (&found.kept[..], &found.unreadable[..]) {
            bail!("no machine of run {run} that is kept can be used: {}", first.why);
        }
        Ok(found)
    }

    /// Writes the record, or replaces it, whole.
    pub(crate) fn write(&self, data: &DataFolder) -> Result<()> {
        record::write_whole(&folder(data, self.job.run), &Name::of_job(&self.job).record(), self)
    }

    /// Where the job stood, with what is kept with its machine.
    pub(crate) fn halted(&self, data: &DataFolder) -> Result<Halted> {
        let path = Snapshot::all(data.root()).join(&self.snapshot.0).join(VAULT);
        let vault: Result<Vault> =
            fs::read(&path).map_err(Into::into).and_then(|text| Ok(serde_json::from_slice(&text)?));
        let vault = vault.with_context(|| {
            format!(
                "can't read {}, without which masked values would be shown; run the workflow again",
                path.display()
            )
        })?;
        Ok(Halted { checkpoint: self.checkpoint.clone(), vault })
    }

    /// Removes the machine and its record.
    pub(crate) fn remove(&self, data: &DataFolder) -> Result<()> {
        Name::of_job(&self.job).remove(data)
    }

    /// A machine as the failed step left it.
    pub(crate) async fn restore(
        &self,
        data: &DataFolder,
        driver: &dyn Driver,
        id: MachineId,
    ) -> Result<Machine> {
        let snapshot = Snapshot::open(data.root(), &self.snapshot)
            .context("the kept machine is gone; run the workflow again")?;
        let network = snapshot.network;
        Ok(driver.restore(&snapshot, MachineSpec::new(id, network)).await?)
    }

    /// The job's secrets among those that the user gave, and the names of those that are missing.
    pub(crate) fn secrets(&self, given: &Secrets) -> (Secrets, Vec<String>) {
        let has = |name: &&String| given.contains_key(*name);
        let missing = self.secrets.iter().filter(|name| !has(name)).cloned().collect();
        let secrets = self.secrets.iter().filter(has).map(|name| (name.clone(), given[name].clone()));
        (secrets.collect(), missing)
    }

    fn describe(&self) -> String {
        let (run, step) = (self.job.run, &self.checkpoint);
        format!(
            "its machine is kept as {} left it: `hearth debug {run}` opens a shell there, \
             `hearth run --resume {run}` goes on from that step",
            step.title()
        )
    }
}

/// That no machine of a run is kept, and what to do.
pub(crate) fn none_of(run: u64) -> anyhow::Error {
    anyhow!(
        "no machine of run {run} is kept; `hearth run --debug-on-failure --machine qemu` keeps those of jobs that \
         fail, and `hearth debug --list` shows what there is"
    )
}

fn folder(data: &DataFolder, run: RunId) -> PathBuf {
    record::folder(data, run).join("jobs")
}

/// Leaves the folder of a snapshot, and what is in it, to its owner alone.
fn close_to_others(folder: &Path) -> Result<()> {
    let close = || -> std::io::Result<()> {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o600))?;
            }
        }
        Ok(())
    };
    close().with_context(|| format!("can't close {} to others", folder.display()))
}

fn now_unix_ms() -> u64 {
    unix_ms(SystemTime::now())
}

/// Milliseconds since 1970.
fn unix_ms(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn kept(job: u64, kept_unix_ms: u64) -> Kept {
        let snapshot = format!("debug-7-{job}-1");
        let job = serde_json::json!({
            "id": job, "run": 7, "attempt": 1, "key": "a", "name": "a", "steps": [],
            "contexts": {"github": null, "vars": null, "inputs": null, "needs": null, "strategy": null, "matrix": null},
            "env": [], "defaults": {"shell": null, "working_directory": null}, "outputs": [], "environment_url": null,
            "container": null, "services": null, "timeout": {"secs": 1, "nanos": 0},
            "cancel_timeout": {"secs": 1, "nanos": 0}, "secrets": {}, "trust": "trusted",
        });
        let checkpoint = serde_json::json!({
            "step": 0, "name": "Test", "inside": [], "script": null, "spent": {"secs": 0, "nanos": 0}, "masks": 0,
            "actions": [], "results": [], "argv": [], "folder": [], "process_env": [], "env": [], "paths": [], "records": [], "instances": [], "posts": [],
        });
        serde_json::from_value(serde_json::json!({
            "format": FORMAT, "kept_unix_ms": kept_unix_ms, "snapshot": snapshot, "driver": "qemu",
            "path": "a", "secrets": ["KEY"], "job": job, "checkpoint": checkpoint,
        }))
        .unwrap()
    }

    pub(super) fn snapshot(data: &Path, id: &str, made_unix_ms: u64) {
        let manifest = serde_json::json!({
            "id": id, "driver": "qemu", "image": "i", "vcpus": 1, "memory_mib": 1, "disk_mib": 1,
            "layout": {"home": "/h", "work": "/w", "temp": "/t", "tool_cache": "/o"}, "network": "none",
            "made_unix_ms": made_unix_ms, "version": "QEMU", "files": {},
        });
        let place = Snapshot::all(data).join(id);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("manifest.json"), manifest.to_string()).unwrap();
    }

    #[test]
    fn secrets_that_were_not_given_again_are_named() {
        let given = Secrets::from([("OTHER".to_owned(), model::Secret("x".to_owned()))]);
        assert_eq!(kept(1, 0).secrets(&given), (Secrets::new(), vec!["KEY".to_owned()]));
    }
}
