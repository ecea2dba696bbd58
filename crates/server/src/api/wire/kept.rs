//! What jobs have left: artifacts and caches.

use model::{ArtifactId, CacheId, JobId, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use store::record;

/// A file that a job has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Unique in its run.
    pub id: u64,
    /// Its run.
    pub run_id: RunId,
    /// The attempt of the run whose job it was.
    pub attempt: u32,
    /// The job that uploaded it.
    pub job_id: JobId,
    /// Its name. Of the job's making: hostile.
    pub name: String,
    /// What its file is called.
    pub file_name: String,
    /// Bytes of the file.
    pub size: u64,
    /// `sha256:` and 64 digits.
    pub digest: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not kept any more, once its run has ended.
    pub expires_at: Timestamp,
}

/// Artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// They.
    pub artifacts: Vec<Artifact>,
    /// `before` of the next page; none on the last one, and of one run.
    pub next: Option<ArtifactId>,
}

impl From<record::Artifact> for Artifact {
    fn from(artifact: record::Artifact) -> Artifact {
        let what = artifact.what;
        Artifact {
            id: what.number,
            run_id: what.run,
            attempt: artifact.attempt,
            job_id: what.job,
            name: what.name,
            file_name: what.file_name,
            size: what.size,
            digest: what.digest,
            created_at: what.created_at,
            expires_at: what.expires_at,
        }
    }
}

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Its id.
    pub id: CacheId,
    /// `owner/name`.
    pub repository: String,
    /// The ref whose job has saved it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its key. Of the job's making: hostile.
    pub key: String,
    /// What the client makes of the paths and the compression.
    pub version: String,
    /// Bytes of its file.
    pub size: u64,
    /// `sha256:` and 64 digits, as far as it is known.
    pub digest: Option<String>,
    /// When it was saved.
    pub created_at: Timestamp,
    /// When a job last restored it, or else saved it.
    pub used_at: Timestamp,
}

/// Caches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caches {
    /// They.
    pub caches: Vec<Cache>,
    /// `before` of the next page; none on the last one.
    pub next: Option<CacheId>,
}

impl From<record::Cache> for Cache {
    fn from(cache: record::Cache) -> Cache {
        let what = cache.what;
        Cache {
            id: cache.id,
            repository: what.repository,
            reference: what.reference,
            key: what.key,
            version: what.version,
            size: what.size,
            digest: what.digest,
            created_at: what.created_at,
            used_at: cache.used_at,
        }
    }
}
