//! Artifacts and caches that jobs have left, for whoever shows or counts them.

use std::io;
use std::path::{Path, PathBuf};

use model::{JobId, RunId, Timestamp};

use super::artifact_store::{Artifact, RECORDS, of_run};
use super::cache_store::{self, Record};

/// An artifact that a run has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptArtifact {
    /// The run.
    pub run: RunId,
    /// Unique in its run.
    pub id: u64,
    /// The job that uploaded it.
    pub job: JobId,
    /// Its name. Of the job's making, like what is in it.
    pub name: String,
    /// What its file is called: a zip archive's name ends with that.
    pub file_name: String,
    /// Bytes of the file.
    pub size: u64,
    /// `sha256:` and 64 digits.
    pub digest: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when its job wants it to be kept (`retention-days`), where it said so.
    pub expires_at: Option<Timestamp>,
    /// Where the file is.
    pub path: PathBuf,
}

impl KeptArtifact {
    /// What is kept of an artifact where these records are.
    pub(super) fn of(records: &Path, artifact: Artifact) -> KeptArtifact {
        KeptArtifact {
            run: artifact.run,
            id: artifact.id,
            job: artifact.job,
            file_name: artifact.file_name(),
            path: records.join(artifact.record("blob")),
            size: artifact.size,
            digest: artifact.digest,
            created_at: Timestamp(artifact.created),
            expires_at: artifact.expires.map(Timestamp),
            name: artifact.name,
        }
    }
}

/// The artifacts of a run in the folder that it was given for them, in the order in which they were made. Blocks.
#[must_use]
pub fn kept_artifacts(folder: &Path, run: RunId) -> Vec<KeptArtifact> {
    let records = folder.join(RECORDS);
    let kept = of_run(&records, run).into_iter().map(|artifact| KeptArtifact::of(&records, artifact));
    kept.filter(|kept| kept.path.is_file()).collect()
}

/// Removes what killed services have not finished in a folder of artifacts: uploads, and files without what describes
/// them. Nobody may be using it. How much that was. Blocks.
///
/// # Errors
/// When it can't be read, or something not be removed.
pub fn sweep_artifacts(folder: &Path) -> io::Result<usize> {
    let entries = match std::fs::read_dir(folder.join(RECORDS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut swept = 0;
    for entry in entries {
        let path = entry?.path();
        let pair = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Some(path.with_extension("blob")),
            Some("blob") => Some(path.with_extension("json")),
            _ => None,
        };
        if pair.is_some_and(|pair| pair.is_file()) {
            continue;
        }
        if path.is_dir() {
            std::fs::remove_dir_all(path)?;
        } else if path.exists() {
            std::fs::remove_file(path)?;
        }
        swept += 1;
    }
    Ok(swept)
}

/// A cache that a job has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCache {
    /// `owner/name`.
    pub repository: String,
    /// The ref of the job that saved it.
    pub reference: String,
    /// Its key. Of the job's making.
    pub key: String,
    /// What the client makes of the paths and the compression.
    pub version: String,
    /// Bytes of its file.
    pub size: u64,
    /// `sha256:` and 64 digits; not of those that an earlier version has kept.
    pub digest: Option<String>,
    /// When it was saved.
    pub created_at: Timestamp,
    /// When a job last restored it, or else saved it.
    pub used_at: Timestamp,
    /// Where the file is. Key, version, repository, and ref say it.
    pub path: PathBuf,
}

impl KeptCache {
    /// What is kept of a cache with this file.
    pub(super) fn of(path: PathBuf, record: Record, used_at: Timestamp) -> KeptCache {
        KeptCache {
            repository: record.repository,
            reference: record.reference,
            key: record.key,
            version: record.version,
            size: record.size,
            digest: record.digest,
            created_at: Timestamp(record.created),
            used_at,
            path,
        }
    }
}

/// The caches in a folder, in no order. Blocks.
///
/// # Errors
/// When it can't be read.
pub fn kept_caches(folder: &Path) -> io::Result<Vec<KeptCache>> {
    cache_store::all(folder)
}
