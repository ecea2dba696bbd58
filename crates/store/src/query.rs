//! What may be asked of the store.

use model::{Conclusion, RepositoryId, RunId, RunState};

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
    /// Only runs with lower ids: the page after the one that ended there.
    pub before: Option<RunId>,
}

/// Most records of one answer: what a page shows is a tenth of it.
pub const PAGE: usize = 500;
