//! Machines of failed jobs that were kept: a snapshot each, and a record of where the job stood,
//! `<data>/runs/<run>/debug/jobs/<attempt>-<job>.json`.
//!
//! No secret is in a record. The memory and the disk in a snapshot may hold what the job was given, and so may the
//! job's vault, which lies with them: they are for the owner of the data folder only, never for a pool, and they go
//! after a while by themselves.

mod record;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use machine::{Driver, Machine, MachineSpec, Snapshot, SnapshotId};
use model::{Job, MachineId, RunId, Secrets};
use runner::{Checkpoint, Halted, Vault};
use serde::{Deserialize, Serialize};
use workflow::plan::JobPath;

use crate::data::DataFolder;
pub(crate) use record::{Machines, RunFacts, RunLog, RunRecord, Text, clean, results_of};

/// Kept machines of a data folder; the oldest go first. Each takes the memory that it had, on disk.
pub(crate) const KEPT_MACHINES: usize = 5;

/// A machine is kept this long: what holds secrets must not lie around for ever.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// What begins the names of their snapshots: `debug-<run>-<job>-<attempt>`.
const PREFIX: &str = "debug-";

/// A snapshot this old whose record is not there will never have one: its Hearth was killed between the two.
const STRAY_AFTER: Duration = Duration::from_secs(10 * 60);

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
        let id = SnapshotId(format!("{PREFIX}{}-{}-{}", job.run, job.id, job.attempt));
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
    /// The kept machines of one run, by job.
    pub(crate) fn of_run(data: &DataFolder, run: RunId) -> Result<Vec<Kept>> {
        let folder = folder(data, run);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("can't read {}", folder.display()))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.push(read(&path)?);
            }
        }
        all.sort_by_key(|kept| kept.job.id);
        Ok(all)
    }

    /// The kept machine of a job.
    pub(crate) fn of_job(data: &DataFolder, run: RunId, path: &JobPath) -> Result<Option<Kept>> {
        Ok(Kept::of_run(data, run)?.into_iter().find(|kept| kept.path == *path))
    }

    /// All kept machines, the newest first. A record that can't be read is left out.
    pub(crate) fn all(data: &DataFolder) -> Result<Vec<Kept>> {
        let runs = data.root().join("runs");
        let entries = match fs::read_dir(&runs) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("can't read {}", runs.display()))?,
        };
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut all: Vec<Kept> =
            ids.flat_map(|id| Kept::of_run(data, RunId(id)).unwrap_or_default()).collect();
        all.sort_by_key(|kept| std::cmp::Reverse(kept.kept_unix_ms));
        Ok(all)
    }

    /// The kept machines of a run, or what to do since there are none.
    pub(crate) fn wanted(data: &DataFolder, run: u64) -> Result<Vec<Kept>> {
        let kept = Kept::of_run(data, RunId(run))?;
        if kept.is_empty() {
            bail!(
                "no machine of run {run} is kept; `hearth run --debug-on-failure --machine qemu` keeps those of jobs \
                 that fail, and `hearth debug --list` shows what there is"
            );
        }
        Ok(kept)
    }

    /// Writes the record, or replaces it, whole.
    pub(crate) fn write(&self, data: &DataFolder) -> Result<()> {
        record::write_whole(&folder(data, self.job.run), &self.file(), self)
    }

    /// No two attempts share a name: a job has another id in each.
    fn file(&self) -> String {
        record_name(self.job.attempt.into(), self.job.id.0)
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
        Snapshot::remove(data.root(), &self.snapshot)?;
        let path = folder(data, self.job.run).join(self.file());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove {}", path.display()))
            }
            _ => Ok(()),
        }
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

fn folder(data: &DataFolder, run: RunId) -> PathBuf {
    record::folder(data, run).join("jobs")
}

fn record_name(attempt: u64, job: u64) -> String {
    format!("{attempt}-{job}.json")
}

fn read(path: &Path) -> Result<Kept> {
    let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let kept: Kept = serde_json::from_slice(&text).with_context(|| {
        format!("{} is not what this version of Hearth writes; remove it", path.display())
    })?;
    if kept.format != FORMAT {
        bail!("{} has format {}, not {FORMAT}; remove it", path.display(), kept.format);
    }
    Ok(kept)
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

/// Removes what is too old or too much, and what nobody knows of. Returns what was removed of the former.
pub(crate) fn prune(data: &DataFolder) -> Result<Vec<Kept>> {
    let mut snapshots = Snapshot::list(data.root()).context("can't read the folder of snapshots")?;
    snapshots.retain(|snapshot| snapshot.id.0.starts_with(PREFIX));
    if snapshots.is_empty() {
        // Nearly always; there may be many runs to look through.
        return Ok(Vec::new());
    }
    let now = now_unix_ms();
    for stray in snapshots.iter().filter(|snapshot| is_stray(data, snapshot, now)) {
        Snapshot::remove(data.root(), &stray.id)?;
    }
    let all = Kept::all(data)?;
    let goes = too_many(&all, now);
    for kept in &goes {
        kept.remove(data)?;
        clean(data, kept.job.run)?;
    }
    Ok(goes)
}

/// Whether a snapshot has no record, and will have none.
fn is_stray(data: &DataFolder, snapshot: &Snapshot, now_unix_ms: u64) -> bool {
    let mut parts = snapshot.id.0.trim_start_matches(PREFIX).split('-').map(str::parse::<u64>);
    let (Some(Ok(run)), Some(Ok(job)), Some(Ok(attempt))) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let age = Duration::from_millis(now_unix_ms.saturating_sub(snapshot.made_unix_ms));
    age > STRAY_AFTER && !folder(data, RunId(run)).join(record_name(attempt, job)).exists()
}

/// Of the kept machines, the newest first, those that have to go.
fn too_many(all: &[Kept], now_unix_ms: u64) -> Vec<Kept> {
    let age = |kept: &Kept| Duration::from_millis(now_unix_ms.saturating_sub(kept.kept_unix_ms));
    let goes = |(index, kept): &(usize, &Kept)| *index >= KEPT_MACHINES || age(kept) > KEPT_FOR;
    all.iter().enumerate().filter(goes).map(|(_, kept)| kept.clone()).collect()
}

fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(job: u64, kept_unix_ms: u64) -> Kept {
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
            "format": FORMAT, "kept_unix_ms": kept_unix_ms, "snapshot": "debug-7-1-1", "driver": "qemu",
            "path": "a", "secrets": ["KEY"], "job": job, "checkpoint": checkpoint,
        }))
        .unwrap()
    }

    #[test]
    fn machines_are_kept_for_a_week_and_five_of_them() {
        const DAY: u64 = 24 * 3600 * 1000;
        let now = 100 * DAY;
        let all: Vec<Kept> = (1..=7).map(|age| kept(age, now - age * DAY)).collect();
        let gone = |all: &[Kept]| too_many(all, now).iter().map(|kept| kept.job.id.0).collect::<Vec<_>>();
        assert_eq!(gone(&all), [6, 7]);
        assert_eq!(gone(&[kept(1, now - 6 * DAY), kept(2, now - 8 * DAY)]), [2]);
    }

    #[test]
    fn a_machine_whose_record_was_never_written_is_removed_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        let old = now_unix_ms() - 2 * u64::try_from(STRAY_AFTER.as_millis()).unwrap();
        let recorded = Kept { kept_unix_ms: now_unix_ms(), ..kept(1, 0) };
        recorded.write(&data).unwrap();
        for (id, made_unix_ms) in
            [("debug-7-1-1", old), ("debug-7-2-1", old), ("debug-7-3-1", now_unix_ms()), ("template-1", old)]
        {
            snapshot(data.root(), id, made_unix_ms);
        }
        assert!(prune(&data).unwrap().is_empty());
        let left: Vec<String> =
            Snapshot::list(data.root()).unwrap().into_iter().map(|snapshot| snapshot.id.0).collect();
        assert_eq!(left, ["debug-7-1-1", "debug-7-3-1", "template-1"]);
    }

    fn snapshot(data: &Path, id: &str, made_unix_ms: u64) {
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

    #[test]
    fn a_record_is_found_again_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        assert!(Kept::wanted(&data, 7).unwrap_err().to_string().contains("--debug-on-failure"));
        kept(2, 5).write(&data).unwrap();
        kept(1, 6).write(&data).unwrap();
        let ids = |all: Vec<Kept>| all.iter().map(|kept| kept.job.id.0).collect::<Vec<_>>();
        assert_eq!(ids(Kept::wanted(&data, 7).unwrap()), [1, 2]);
        Kept::of_run(&data, RunId(7)).unwrap()[0].remove(&data).unwrap();
        assert_eq!(ids(Kept::all(&data).unwrap()), [2]);
    }
}
