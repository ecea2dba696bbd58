//! What may be asked of the store.

use model::{ArtifactId, CacheId, Conclusion, DeliveryId, RepositoryId, RunId, RunState, Timestamp};

/// Which runs, newest first. What is not said matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this repository.
    pub repository: Option<RepositoryId>,
    /// Of this workflow file.
    pub workflow_path: Option<String>,
    /// On this branch.
    pub branch: Option<String>,
    /// By this event.
    pub event: Option<String>,
    /// By this person.
    pub actor: Option<String>,
    /// In this state.
    pub state: Option<RunState>,
    /// That ended so.
    pub conclusion: Option<Conclusion>,
    /// For this commit, as its head or its checkout.
    pub sha: Option<String>,
    /// For this pull request.
    pub pull_request: Option<u64>,
    /// That came of this delivery.
    pub delivery: Option<DeliveryId>,
    /// Only runs with lower ids: the page after the one that ended there.
    pub before: Option<RunId>,
}

/// Which artifacts, newest first. What is not said matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactFilter {
    /// Of runs of this repository.
    pub repository: Option<RepositoryId>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this name.
    pub name: Option<String>,
    /// Only those that may go.
    pub expired: Option<Expired>,
    /// Only those with lower ids: the page after the one that ended there.
    pub before: Option<ArtifactId>,
}

/// Artifacts of runs that have ended, kept long enough: as was said when they were made, or as is said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The present.
    pub now: Timestamp,
    /// What was made before this goes, whatever was said then.
    pub made_before: Timestamp,
}

/// Which caches, newest first. What is not said matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheFilter {
    /// This one.
    pub id: Option<CacheId>,
    /// Of this repository, `owner/name`.
    pub repository: Option<String>,
    /// Of this ref.
    pub reference: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// With a key that begins so.
    pub key_prefix: Option<String>,
    /// Of this version.
    pub version: Option<String>,
    /// Only those with lower ids: the page after the one that ended there.
    pub before: Option<CacheId>,
}

/// Most records of one answer: what a page shows is a tenth of it.
pub const PAGE: usize = 500;
