//! What there is of kept machines, also where it can't be read: what holds secrets is found by its folder, and goes
//! when its time has come, whatever is written in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use machine::{Snapshot, SnapshotId, SnapshotPlace};
use model::{Job, JobId, RunId};

use super::{FORMAT, Kept, clean, folder, now_unix_ms, unix_ms};
use crate::data::DataFolder;

/// Kept machines of a data folder; the oldest go first. Each takes the memory that it had, on disk.
const KEPT_MACHINES: usize = 5;

/// A machine is kept this long: what holds secrets must not lie around for ever.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// A snapshot this old whose record is not there will never have one: its Hearth was killed between the two.
const STRAY_AFTER: Duration = Duration::from_secs(10 * 60);

/// What begins the names of their snapshots.
const PREFIX: &str = "debug-";

/// What begins the names of templates of machines (see [`machine::templates`]).
const TEMPLATES: &str = "template-";

/// What a kept machine is called: its snapshot `debug-<run>-<job>-<attempt>`, its record `<attempt>-<job>.json` in
/// the run's folder. No two attempts share a name: a job has another id in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// The run.
    pub(crate) run: RunId,
    /// The job.
    pub(crate) job: JobId,
    attempt: u64,
}

impl Name {
    /// That of this job's machine.
    pub(crate) fn of_job(job: &Job) -> Name {
        Name { run: job.run, job: job.id, attempt: job.attempt.into() }
    }

    fn of_snapshot(id: &SnapshotId) -> Option<Name> {
        let mut parts = id.0.strip_prefix(PREFIX)?.split('-').map(|part| part.parse().ok());
        match (parts.next()??, parts.next()??, parts.next()??, parts.next()) {
            (run, job, attempt, None) => Some(Name { run: RunId(run), job: JobId(job), attempt }),
            _ => None,
        }
    }

    fn of_record(run: RunId, file: &str) -> Option<Name> {
        let (attempt, job) = file.strip_suffix(".json")?.split_once('-')?;
        Some(Name { run, job: JobId(job.parse().ok()?), attempt: attempt.parse().ok()? })
    }

    /// Its snapshot.
    pub(crate) fn snapshot(self) -> SnapshotId {
        SnapshotId(format!("{PREFIX}{}-{}-{}", self.run, self.job, self.attempt))
    }

    /// The file of its record.
    pub(super) fn record(self) -> String {
        format!("{}-{}.json", self.attempt, self.job)
    }

    /// Removes the machine and its record.
    pub(crate) fn remove(self, data: &DataFolder) -> Result<()> {
        Snapshot::remove(data.root(), &self.snapshot())?;
        let path = folder(data, self.run).join(self.record());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The kept machines that there are.
#[derive(Default)]
pub(crate) struct Found {
    /// Those that can be read.
    pub(crate) kept: Vec<Kept>,
    /// The others.
    pub(crate) unreadable: Vec<Unreadable>,
}

/// A kept machine that can't be used.
pub(crate) struct Unreadable {
    /// Its name.
    pub(crate) name: Name,
    /// What can't be read, why, and what to do.
    pub(crate) why: String,
}

impl Found {
    /// Those of one run, by job.
    pub(crate) fn of_run(data: &DataFolder, run: RunId) -> Result<Found> {
        let mut places = places(data)?;
        places.retain(|place| Name::of_snapshot(&place.id).is_some_and(|name| name.run == run));
        let mut names = named(places);
        for name in records(data, run)? {
            names.entry(name).or_default();
        }
        Ok(Found::read(data, names))
    }

    /// Those of all runs, the newest first.
    pub(crate) fn all(data: &DataFolder) -> Result<Found> {
        let mut names = named(places(data)?);
        for name in all_records(data)? {
            names.entry(name).or_default();
        }
        let mut found = Found::read(data, names);
        found.kept.sort_by_key(|kept| std::cmp::Reverse(kept.kept_unix_ms));
        Ok(found)
    }

    /// One by one: what can't be read hides no other.
    fn read(data: &DataFolder, names: BTreeMap<Name, Option<SnapshotPlace>>) -> Found {
        let mut found = Found::default();
        for (name, place) in names {
            match read(data, name, place) {
                Ok(kept) => found.kept.push(kept),
                Err(error) => {
                    let (why, run) = (crate::told::told(&error), name.run);
                    let why = format!("{why}; `hearth debug --rm {run}` removes it with its machine");
                    found.unreadable.push(Unreadable { name, why });
                }
            }
        }
        found
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.unreadable.is_empty()
    }
}

/// The folders of kept machines.
fn places(data: &DataFolder) -> Result<Vec<SnapshotPlace>> {
    let mut places = all_places(data)?;
    places.retain(|place| place.id.0.starts_with(PREFIX));
    Ok(places)
}

fn all_places(data: &DataFolder) -> Result<Vec<SnapshotPlace>> {
    Snapshot::places(data.root()).context("can't read the folder of snapshots")
}

fn named(places: Vec<SnapshotPlace>) -> BTreeMap<Name, Option<SnapshotPlace>> {
    places.into_iter().filter_map(|place| Some((Name::of_snapshot(&place.id)?, Some(place)))).collect()
}

/// The records of one run.
fn records(data: &DataFolder, run: RunId) -> Result<Vec<Name>> {
    let files = names_in(&folder(data, run))?;
    Ok(files.iter().filter_map(|file| Name::of_record(run, file)).collect())
}

/// The records of all runs. Those of a run whose folder can't be read are left out.
fn all_records(data: &DataFolder) -> Result<Vec<Name>> {
    let runs = names_in(&data.root().join("runs"))?;
    let runs = runs.iter().filter_map(|run| run.parse().ok().map(RunId));
    Ok(runs.flat_map(|run| records(data, run).unwrap_or_default()).collect())
}

/// What is in a folder; nothing if it is not there.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("can't read {}", folder.display()))?,
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// A kept machine. One whose folder is gone still has its record, which says what it was.
fn read(data: &DataFolder, name: Name, place: Option<SnapshotPlace>) -> Result<Kept> {
    place.map_or(Ok(()), |place| place.snapshot.map(drop))?;
    let path = folder(data, name.run).join(name.record());
    if !path.exists() {
        bail!("{} has no record: what kept it was killed, or is about to write one", name.snapshot());
    }
    let text = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    let kept: Kept = serde_json::from_slice(&text)
        .with_context(|| format!("{} is not what this version of Hearth writes", path.display()))?;
    if kept.format != FORMAT || Name::of_job(&kept.job) != name {
        bail!("{} is not what this version of Hearth writes", path.display());
    }
    Ok(kept)
}

/// Removes what is too old or too much, readable or not, and what nobody knows of. Returns what was removed of the
/// former.
pub(crate) fn prune(data: &DataFolder) -> Result<Vec<SnapshotId>> {
    let now = now_unix_ms();
    let mut places = all_places(data)?;
    prune_templates(data, &places, now)?;
    places.retain(|place| place.id.0.starts_with(PREFIX));
    if places.is_empty() {
        // Nearly always; there may be many runs to look through.
        return Ok(Vec::new());
    }
    let (strays, kept): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| is_stray(data, place, now));
    for stray in strays {
        Snapshot::remove(data.root(), &stray.id)?;
    }
    let mut all: Vec<_> = kept.into_iter().map(|place| (place.made_unix_ms, place.id)).collect();
    all.extend(without_folder(data, &all)?);
    let goes = too_many(all, now);
    for id in &goes {
        match Name::of_snapshot(id) {
            Some(name) => name.remove(data).and_then(|()| clean(data, name.run))?,
            None => Snapshot::remove(data.root(), id)?,
        }
    }
    Ok(goes)
}

/// The machines that are gone, whose records are not, and when these were written.
fn without_folder(data: &DataFolder, there: &[(u64, SnapshotId)]) -> Result<Vec<(u64, SnapshotId)>> {
    let mut names = all_records(data)?;
    names.retain(|name| !there.iter().any(|(_, id)| *id == name.snapshot()));
    let written =
        |name: &Name| fs::metadata(folder(data, name.run).join(name.record())).ok()?.modified().ok();
    Ok(names.iter().filter_map(|name| Some((unix_ms(written(name)?), name.snapshot()))).collect())
}

/// Removes old templates that can't be read, which those who make new ones do not find.
fn prune_templates(data: &DataFolder, places: &[SnapshotPlace], now_unix_ms: u64) -> Result<()> {
    let is_due = |place: &&SnapshotPlace| {
        place.id.0.starts_with(TEMPLATES) && place.snapshot.is_err() && age(place, now_unix_ms) > KEPT_FOR
    };
    for place in places.iter().filter(is_due) {
        Snapshot::remove(data.root(), &place.id)?;
    }
    Ok(())
}

fn age(place: &SnapshotPlace, now_unix_ms: u64) -> Duration {
    Duration::from_millis(now_unix_ms.saturating_sub(place.made_unix_ms))
}

/// Whether a snapshot has no record, and will have none.
fn is_stray(data: &DataFolder, place: &SnapshotPlace, now_unix_ms: u64) -> bool {
    let Some(name) = Name::of_snapshot(&place.id) else { return false };
    age(place, now_unix_ms) > STRAY_AFTER && !folder(data, name.run).join(name.record()).exists()
}

/// Of kept machines with the times when they were made, those that have to go.
fn too_many(mut all: Vec<(u64, SnapshotId)>, now_unix_ms: u64) -> Vec<SnapshotId> {
    all.sort_by_key(|(made, _)| std::cmp::Reverse(*made));
    let is_old = |made: u64| Duration::from_millis(now_unix_ms.saturating_sub(made)) > KEPT_FOR;
    let goes =
        all.into_iter().enumerate().filter(|(index, (made, _))| *index >= KEPT_MACHINES || is_old(*made));
    goes.map(|(_, (_, id))| id).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{kept, snapshot};
    use super::*;

    #[test]
    fn machines_are_kept_for_a_week_and_five_of_them() {
        const DAY: u64 = 24 * 3600 * 1000;
        let now = 100 * DAY;
        let gone = |ages: &[u64]| {
            let all = ages.iter().map(|age| (now - age * DAY, SnapshotId(format!("debug-1-{age}-1"))));
            too_many(all.collect(), now).into_iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(gone(&[7, 6, 5, 4, 3, 2, 1]), ["debug-1-6-1", "debug-1-7-1"]);
        assert_eq!(gone(&[6, 8]), ["debug-1-8-1"]);
    }

    #[test]
    fn a_machine_whose_record_was_never_written_is_removed_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        let old = now_unix_ms() - 2 * u64::try_from(STRAY_AFTER.as_millis()).unwrap();
        kept(1, now_unix_ms()).write(&data).unwrap();
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

    #[test]
    fn a_record_that_can_t_be_read_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        kept(1, 5).write(&data).unwrap();
        let damaged = super::folder(&data, RunId(7)).join("1-2.json");
        fs::write(&damaged, "{}").unwrap();
        for found in [Found::all(&data).unwrap(), Found::of_run(&data, RunId(7)).unwrap()] {
            assert_eq!(found.kept.iter().map(|kept| kept.job.id.0).collect::<Vec<_>>(), [1]);
            let [unreadable] = &found.unreadable[..] else { panic!("one can't be read") };
            assert_eq!(unreadable.name.job, JobId(2));
            assert!(unreadable.why.contains("1-2.json"), "{}", unreadable.why);
        }
        assert_eq!(Kept::wanted(&data, 7).unwrap().kept.len(), 1);
    }

    #[test]
    fn a_record_is_found_again_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        let why = Kept::wanted(&data, 7).err().unwrap();
        assert!(why.to_string().contains("--debug-on-failure"));
        kept(2, 5).write(&data).unwrap();
        kept(1, 6).write(&data).unwrap();
        let ids = |found: Found| found.kept.iter().map(|kept| kept.job.id.0).collect::<Vec<_>>();
        assert_eq!(ids(Kept::wanted(&data, 7).unwrap()), [1, 2]);
        Found::of_run(&data, RunId(7)).unwrap().kept[0].remove(&data).unwrap();
        assert_eq!(ids(Found::all(&data).unwrap()), [2]);
    }
}
