//! Machines of failed jobs that were kept: a snapshot each, and beside it a record of where the job stood,
//! `<data>/runs/<run>/debug/<job>.json`.
//!
//! No secret is in a record. The memory and the disk in a snapshot may hold what the job was given: they are
//! for the owner of the data folder only, never for a pool, and they go after a while by themselves.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use machine::{Driver, Machine, MachineSpec, Snapshot, SnapshotId};
use model::{Job, MachineId, RunId, Secrets};
use runner::Checkpoint;
use runner::results::CacheScope;
use serde::{Deserialize, Serialize};

use crate::data::DataFolder;

/// Kept machines of a data folder; the oldest go first. Each takes the memory that it had, on disk.
pub(crate) const KEPT_MACHINES: usize = 5;

/// A machine is kept this long: what holds secrets must not lie around for ever.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Counts up when records of before can't be read.
const FORMAT: u32 = 1;

/// A kept machine, and where its job stood.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    format: u32,
    /// When, in milliseconds since 1970.
    pub(crate) kept_unix_ms: u64,
    /// What the run is called.
    pub(crate) run: RunFacts,
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

/// What a resumed job must know of its run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunFacts {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// The repository's folder.
    pub(crate) root: PathBuf,
    /// The event and the commit.
    pub(crate) what: String,
    /// `owner/name`.
    pub(crate) repository: String,
    /// The ref that the run is of.
    pub(crate) own_ref: String,
    /// Refs whose caches it reads.
    pub(crate) read_refs: Vec<String>,
}

impl RunFacts {
    /// Whose caches the jobs use.
    pub(crate) fn caches(&self) -> CacheScope {
        CacheScope {
            repository: self.repository.clone(),
            own_ref: self.own_ref.clone(),
            read_refs: self.read_refs.clone(),
        }
    }
}

/// Keeps machines of one run.
pub(crate) struct Keeper {
    /// Where.
    pub(crate) data: DataFolder,
    /// Of which run.
    pub(crate) run: RunFacts,
}

impl Keeper {
    /// Freezes the machine of a job that was halted. Says how to get at it.
    pub(crate) async fn keep(
        &self,
        driver: &dyn Driver,
        machine: Machine,
        job: &Job,
        checkpoint: Checkpoint,
    ) -> Result<String> {
        let id = SnapshotId(format!("debug-{}-{}-{}", job.run, job.id, job.attempt));
        let snapshot = driver.snapshot(machine, &id).await?;
        let before = Kept::of_run(&self.data, job.run)?.into_iter().find(|kept| kept.job.id == job.id);
        let kept = Kept {
            format: FORMAT,
            kept_unix_ms: now_unix_ms(),
            run: self.run.clone(),
            snapshot: id,
            driver: driver.name().to_owned(),
            secrets: job.secrets.keys().cloned().collect(),
            job: runner::without_secrets(job),
            checkpoint,
        };
        let written = close_to_others(&snapshot.folder).and_then(|()| kept.write(&self.data));
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&snapshot.folder);
            return Err(error);
        }
        if let Some(before) = before.filter(|before| before.snapshot != kept.snapshot) {
            Snapshot::remove(self.data.root(), &before.snapshot)?;
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
        let folder = folder(data, self.job.run);
        let path = folder.join(format!("{}.json", self.job.id));
        let write = || -> Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            // Such a file is for its owner only.
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().with_context(|| format!("can't write {}", path.display()))
    }

    /// Removes the machine and its record.
    pub(crate) fn remove(&self, data: &DataFolder) -> Result<()> {
        Snapshot::remove(data.root(), &self.snapshot)?;
        let path = folder(data, self.job.run).join(format!("{}.json", self.job.id));
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
            "its machine is kept as step {} ('{}') left it: `hearth debug {run}` opens a shell there, \
             `hearth run --resume {run}` goes on from that step",
            step.step + 1,
            step.name
        )
    }
}

fn folder(data: &DataFolder, run: RunId) -> PathBuf {
    data.run(run).join("debug")
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

/// Removes what is too old or too much. Returns what was removed.
pub(crate) fn prune(data: &DataFolder) -> Result<Vec<Kept>> {
    let all = Kept::all(data)?;
    let goes = too_many(&all, now_unix_ms());
    goes.iter().try_for_each(|kept| kept.remove(data))?;
    Ok(goes)
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
            "step": 0, "name": "Test", "script": null, "lost": [], "results": [], "argv": [], "folder": [],
            "process_env": [], "env": [], "paths": [], "records": [], "instances": [], "posts": [],
        });
        serde_json::from_value(serde_json::json!({
            "format": FORMAT, "kept_unix_ms": kept_unix_ms, "snapshot": "debug-7-1-1", "driver": "qemu",
            "run": {"workflow": "CI", "root": "/", "what": "push", "repository": "o/r", "own_ref": "r", "read_refs": []},
            "secrets": ["KEY"], "job": job, "checkpoint": checkpoint,
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
