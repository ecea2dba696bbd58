//! Artifacts on disk, one folder for each run.
//!
//! ```text
//! <folder>/<name>/...                  the files, unpacked
//! <folder>/.hearth/<run>-<id>.blob     the upload as it came
//! <folder>/.hearth/<run>-<id>.json     what it is
//! ```
//!
//! Several runs may be given the same folder. They don't see each other's artifacts; of two with the same
//! name, the files of the later one stay.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use model::{JobId, RunId};
use serde::{Deserialize, Serialize};

use super::time::millis;
use super::unpack::unpack;
use super::upload::measure;

/// Where the records and uploads of a run lie, beside the unpacked artifacts.
pub(super) const RECORDS: &str = ".hearth";

/// Artifacts that one run may have; GitHub's clients list at most 1000.
const ARTIFACTS: usize = 1000;

/// Bytes of an artifact's name: that of a folder.
const NAME_BYTES: usize = 255;

/// What GitHub allows in no name: <https://github.com/actions/toolkit/tree/main/packages/artifact>.
const FORBIDDEN: [char; 11] = ['"', ':', '<', '>', '|', '*', '?', '\r', '\n', '\\', '/'];

/// Describes one artifact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Artifact {
    pub(super) run: RunId,
    /// Unique in its run.
    pub(super) id: u64,
    pub(super) job: JobId,
    pub(super) name: String,
    pub(super) mime: String,
    pub(super) size: u64,
    /// Milliseconds since 1970.
    pub(super) created: u64,
    /// The same: until when its job wants it to be kept, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<u64>,
    /// `sha256:` and 64 digits; empty until it is finalized.
    pub(super) digest: String,
    /// Whether the folder of its name is this artifact's.
    #[serde(default)]
    unpacked: bool,
    /// The upload, until it is finalized.
    #[serde(skip)]
    pub(super) upload: Option<String>,
    /// An earlier service has left it: a job of an earlier attempt, whose name may be taken again.
    #[serde(skip)]
    earlier: bool,
}

impl Artifact {
    pub(super) fn is_finalized(&self) -> bool {
        self.upload.is_none()
    }

    /// Whether the upload is an archive of the files, rather than the one file itself.
    fn is_zip(&self) -> bool {
        self.mime == "application/zip" || self.mime.is_empty()
    }

    /// Name of one of its two files.
    pub(super) fn record(&self, extension: &str) -> String {
        format!("{}-{}.{extension}", self.run, self.id)
    }

    /// What a download of the upload is called.
    pub(super) fn file_name(&self) -> String {
        if self.is_zip() { format!("{}.zip", self.name) } else { self.name.clone() }
    }
}

/// An artifact that a job begins to upload.
pub(super) struct NewArtifact {
    pub(super) name: String,
    pub(super) mime: String,
    pub(super) expires: Option<u64>,
}

/// Why an artifact was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArtifactError {
    #[error("{0}")]
    Name(String),
    #[error("an artifact with this name already exists on the workflow run")]
    Exists,
    #[error("a run has at most {ARTIFACTS} artifacts")]
    TooMany,
    #[error("there is no such artifact in this run")]
    Missing,
    #[error("{0}")]
    Mismatch(String),
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// Gives the folder of a run's artifacts.
pub type ArtifactFolder = std::sync::Arc<dyn Fn(RunId) -> PathBuf + Send + Sync>;

/// The artifacts of all runs of one service.
pub(super) struct ArtifactStore {
    folder: ArtifactFolder,
    runs: Mutex<BTreeMap<u64, Vec<Artifact>>>,
}

impl ArtifactStore {
    pub(super) fn new(folder: ArtifactFolder) -> Self {
        ArtifactStore { folder, runs: Mutex::default() }
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<Artifact>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_run<T>(&self, run: RunId, work: impl FnOnce(&mut Vec<Artifact>) -> T) -> T {
        let mut runs = self.runs();
        work(runs.entry(run.0).or_insert_with(|| of_run(&self.records(run), run)))
    }

    /// Where uploads of the run grow and records lie.
    pub(super) fn records(&self, run: RunId) -> PathBuf {
        (self.folder)(run).join(RECORDS)
    }

    /// Reserves the name.
    pub(super) fn create(&self, run: RunId, job: JobId, new: NewArtifact) -> Result<u64, ArtifactError> {
        let NewArtifact { name, mime, expires } = new;
        check_name(&name)?;
        self.with_run(run, |artifacts| {
            if artifacts.iter().any(|artifact| artifact.name == name && !artifact.earlier) {
                return Err(ArtifactError::Exists);
            }
            if artifacts.len() >= ARTIFACTS {
                return Err(ArtifactError::TooMany);
            }
            let id = artifacts.iter().map(|artifact| artifact.id).max().unwrap_or(0) + 1;
            artifacts.push(Artifact {
                run,
                id,
                job,
                name,
                mime,
                size: 0,
                created: millis(SystemTime::now()),
                expires,
                digest: String::new(),
                unpacked: false,
                upload: Some(String::new()),
                earlier: false,
            });
            Ok(id)
        })
    }

    /// Notes which upload belongs to a reserved name.
    pub(super) fn set_upload(&self, run: RunId, id: u64, upload: &str) {
        self.with_run(run, |artifacts| {
            if let Some(artifact) = artifacts.iter_mut().find(|artifact| artifact.id == id) {
                artifact.upload = Some(upload.to_owned());
            }
        });
    }

    /// The reserved artifact of that name which this job uploads.
    pub(super) fn pending(&self, run: RunId, job: JobId, name: &str) -> Option<Artifact> {
        let is_it = |one: &&Artifact| one.name == name && one.job == job && !one.is_finalized();
        self.with_run(run, |artifacts| artifacts.iter().find(is_it).cloned())
    }

    /// Checks the upload, and writes its files through to the disk. The run does not see it yet. Blocks.
    pub(super) fn keep(
        &self,
        run: RunId,
        artifact: &Artifact,
        content: &Path,
        said_size: Option<u64>,
        said_digest: Option<&str>,
    ) -> Result<Artifact, ArtifactError> {
        let (size, digest) = measure(content)?;
        if said_size.is_some_and(|said| said != size) {
            return Err(ArtifactError::Mismatch(format!(
                "{size} bytes were uploaded, not as many as were said"
            )));
        }
        if said_digest.is_some_and(|said| !said.eq_ignore_ascii_case(&digest)) {
            return Err(ArtifactError::Mismatch(format!(
                "the upload's digest is {digest}, not the one that was said"
            )));
        }
        let done = Artifact { size, digest, upload: None, ..artifact.clone() };
        let records = self.records(run);
        File::open(content)?.sync_all()?;
        fs::rename(content, records.join(done.record("blob")))?;
        write_record(&records, &done)?;
        File::open(&records)?.sync_all()?;
        Ok(done)
    }

    /// Makes an artifact whose files are kept visible to the run. `false`: it was deleted meanwhile.
    pub(super) fn publish(&self, run: RunId, done: &Artifact) -> bool {
        self.with_run(run, |artifacts| {
            let is_wanted = artifacts.iter().any(|one| one.id == done.id);
            if is_wanted {
                artifacts.retain(|one| one.id != done.id && !(one.earlier && one.name == done.name));
                artifacts.push(done.clone());
            }
            is_wanted
        })
    }

    /// Removes the files of an artifact that was kept and is not published. Blocks.
    pub(super) fn withdraw(&self, run: RunId, artifact: &Artifact) -> io::Result<()> {
        discard(&(self.folder)(run), artifact)
    }

    /// Unpacks a finalized artifact into the folder of its name. Blocks.
    pub(super) fn unpack(&self, run: RunId, artifact: &Artifact) -> io::Result<()> {
        let records = self.records(run);
        let blob = records.join(artifact.record("blob"));
        let folder = tempfile::tempdir_in(&records)?;
        let target = folder.path().join("files");
        fs::create_dir(&target)?;
        if artifact.is_zip() {
            unpack(File::open(blob)?, &target)?;
        } else {
            fs::hard_link(&blob, target.join(&artifact.name))
                .or_else(|_other_filesystem| fs::copy(&blob, target.join(&artifact.name)).map(|_bytes| ()))?;
        }
        // Under the lock, so that a deletion meanwhile is not undone.
        self.with_run(run, |artifacts| {
            if let Some(artifact) = artifacts.iter_mut().find(|one| one.id == artifact.id) {
                let place = (self.folder)(run);
                make_room(&place, artifact)?;
                fs::rename(&target, place.join(&artifact.name))?;
                artifact.unpacked = true;
                write_record(&records, artifact)?;
            }
            Ok(())
        })
    }

    /// The artifacts that can be downloaded.
    pub(super) fn list(&self, run: RunId) -> Vec<Artifact> {
        self.with_run(run, |artifacts| artifacts.iter().filter(|one| one.is_finalized()).cloned().collect())
    }

    /// Where the upload lies.
    pub(super) fn blob(&self, run: RunId, id: u64) -> Option<(PathBuf, Artifact)> {
        let artifact = self.list(run).into_iter().find(|artifact| artifact.id == id)?;
        Some((self.records(run).join(artifact.record("blob")), artifact))
    }

    /// Forgets a reservation whose upload failed.
    pub(super) fn abandon(&self, run: RunId, id: u64) {
        self.with_run(run, |artifacts| artifacts.retain(|one| one.id != id || one.is_finalized()));
    }

    /// Removes an artifact with its files. Gives its id and its upload, if that is still open. Blocks.
    pub(super) fn delete(
        &self,
        run: RunId,
        is_meant: impl Fn(&Artifact) -> bool,
    ) -> Result<Artifact, ArtifactError> {
        self.with_run(run, |artifacts| {
            let position = artifacts.iter().position(is_meant);
            let artifact = position.map(|at| artifacts.remove(at)).ok_or(ArtifactError::Missing)?;
            discard(&(self.folder)(run), &artifact)?;
            Ok(artifact)
        })
    }
}

fn remove(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes an artifact's files and records.
fn discard(folder: &Path, artifact: &Artifact) -> io::Result<()> {
    let records = folder.join(RECORDS);
    remove(fs::remove_file(records.join(artifact.record("json"))))?;
    remove(fs::remove_file(records.join(artifact.record("blob"))))?;
    if artifact.unpacked {
        remove(fs::remove_dir_all(folder.join(&artifact.name)))?;
    }
    Ok(())
}

fn write_record(records: &Path, artifact: &Artifact) -> io::Result<()> {
    let mut record = tempfile::NamedTempFile::new_in(records)?;
    serde_json::to_writer(&mut record, artifact).map_err(io::Error::other)?;
    record.as_file().sync_all()?;
    record.persist(records.join(artifact.record("json"))).map_err(|error| error.error)?;
    Ok(())
}

/// Removes the artifact of that name which an earlier run or attempt has left in the same folder. Anything else
/// that lies there is not Hearth's to remove.
fn make_room(folder: &Path, artifact: &Artifact) -> io::Result<()> {
    let place = folder.join(&artifact.name);
    if !place.try_exists()? {
        return Ok(());
    }
    let earlier = load(&folder.join(RECORDS));
    let is_it = |one: &&Artifact| {
        one.unpacked && (one.run, one.id) != (artifact.run, artifact.id) && one.name == artifact.name
    };
    let mut earlier = earlier.iter().filter(is_it).peekable();
    if earlier.peek().is_none() {
        return Err(io::Error::other(format!("{} is there already, and is no artifact", place.display())));
    }
    earlier.try_for_each(|one| discard(folder, one))
}

/// What an earlier service has left of the run.
pub(super) fn of_run(records: &Path, run: RunId) -> Vec<Artifact> {
    let mut artifacts: Vec<Artifact> = load(records).into_iter().filter(|one| one.run == run).collect();
    artifacts.sort_by_key(|artifact| artifact.id);
    artifacts.iter_mut().for_each(|artifact| artifact.earlier = true);
    artifacts
}

fn load(records: &Path) -> Vec<Artifact> {
    let Ok(listing) = fs::read_dir(records) else { return Vec::new() };
    let record = |entry: io::Result<fs::DirEntry>| -> Option<Artifact> {
        let path = entry.ok()?.path();
        path.extension().is_some_and(|extension| extension == "json").then_some(())?;
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    };
    listing.filter_map(record).collect()
}

fn check_name(name: &str) -> Result<(), ArtifactError> {
    let refuse = |reason: &str| Err(ArtifactError::Name(format!("the artifact name {name:?} {reason}")));
    if name.is_empty() || name.len() > NAME_BYTES {
        return refuse("must have 1 to 255 bytes");
    }
    if name.contains(|c: char| FORBIDDEN.contains(&c) || c.is_control()) {
        return refuse("holds one of the characters \" : < > | * ? \\ / or a control character");
    }
    if name == "." || name == ".." || name.eq_ignore_ascii_case(RECORDS) {
        return refuse("is not allowed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> ArtifactStore {
        let folder = folder.to_owned();
        ArtifactStore::new(std::sync::Arc::new(move |_run| folder.clone()))
    }

    fn out(mime: &str) -> NewArtifact {
        NewArtifact { name: "out".to_owned(), mime: mime.to_owned(), expires: None }
    }

    /// Hands over one raw file and unpacks it.
    fn add(store: &ArtifactStore, run: u64, text: &str) -> io::Result<()> {
        let (run, job) = (RunId(run), JobId(1));
        store.create(run, job, out("text/plain")).unwrap();
        let content = store.records(run).join("content");
        fs::create_dir_all(store.records(run)).unwrap();
        fs::write(&content, text).unwrap();
        let pending = store.pending(run, job, "out").unwrap_or_else(|| unreachable!());
        let done = store.keep(run, &pending, &content, None, None).unwrap();
        assert!(store.publish(run, &done));
        store.unpack(run, &done)
    }

    #[test]
    fn a_later_run_in_the_same_folder_replaces_the_files_of_the_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        add(&store(folder.path()), 1, "first").unwrap();
        let later = store(folder.path());
        assert_eq!(later.list(RunId(2)).len(), 0);
        add(&later, 2, "second").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("out/out")).unwrap(), "second");
        assert_eq!(store(folder.path()).list(RunId(2)).len(), 1);
    }

    #[test]
    fn a_further_attempt_of_a_run_sees_its_artifacts_and_may_take_their_names_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = store(folder.path());
        add(&first, 1, "first").unwrap();
        assert!(matches!(first.create(RunId(1), JobId(2), out("")), Err(ArtifactError::Exists)));
        let again = store(folder.path());
        assert_eq!(again.list(RunId(1)).len(), 1);
        add(&again, 1, "second").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("out/out")).unwrap(), "second");
        assert_eq!((again.list(RunId(1)).len(), store(folder.path()).list(RunId(1)).len()), (1, 1));
        assert!(matches!(again.create(RunId(1), JobId(2), out("")), Err(ArtifactError::Exists)));
    }

    #[test]
    fn what_a_run_has_left_is_found_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        add(&store(folder.path()), 1, "first").unwrap();
        let kept = super::super::kept_artifacts(folder.path(), RunId(1));
        let [artifact] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!((artifact.name.as_str(), artifact.file_name.as_str(), artifact.size), ("out", "out", 5));
        assert_eq!(fs::read_to_string(&artifact.path).unwrap(), "first");
        assert_eq!(super::super::kept_artifacts(folder.path(), RunId(2)), []);
        assert_eq!(super::super::kept_artifacts(Path::new("/nowhere"), RunId(1)), []);
    }

    #[test]
    fn a_folder_that_is_no_artifact_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        fs::write(folder.path().join("out/mine"), "mine").unwrap();
        let error = add(&store(folder.path()), 1, "first").unwrap_err();
        assert!(error.to_string().contains("is no artifact"), "{error}");
        let again = store(folder.path());
        again.delete(RunId(1), |one| one.name == "out").unwrap();
        assert_eq!(again.list(RunId(1)).len(), 0);
        assert!(folder.path().join("out/mine").exists());
    }
}
