//! Artifacts that runs have left, for whoever shows them.

use std::path::{Path, PathBuf};

use model::{JobId, RunId, Timestamp};

use super::artifact_store::{RECORDS, of_run};

/// An artifact that a run has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptArtifact {
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
    /// Where the file is.
    pub path: PathBuf,
}

/// The artifacts of a run in the folder that it was given for them, in the order in which they were made. Blocks.
#[must_use]
pub fn kept_artifacts(folder: &Path, run: RunId) -> Vec<KeptArtifact> {
    let records = folder.join(RECORDS);
    let kept = |artifact: super::artifact_store::Artifact| KeptArtifact {
        id: artifact.id,
        job: artifact.job,
        file_name: artifact.file_name(),
        path: records.join(artifact.record("blob")),
        size: artifact.size,
        digest: artifact.digest,
        created_at: Timestamp(artifact.created),
        name: artifact.name,
    };
    of_run(&records, run).into_iter().map(kept).collect()
}
