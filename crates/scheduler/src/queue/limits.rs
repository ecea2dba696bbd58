//! What the operator allows to run at once.

use super::profiles::Capacity;

/// Runs at once unless something else is configured (`MAX_CONCURRENT_WORKFLOWS`).
pub const RUNNING_WORKFLOWS: usize = 5;

/// Bounds of everything together. What is not said has no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs that have started and not ended, but for those that only wait for people. One that is approved goes on at
    /// once, also beyond the bound: nothing further starts until there is room again.
    pub running_workflows: usize,
    /// Jobs that have a machine or are getting one.
    pub jobs: Option<usize>,
    /// The same, of each repository.
    pub jobs_per_repository: Option<usize>,
    /// All machines together, beside the capacity of each profile.
    pub host: Capacity,
    /// Why nothing new starts at all.
    pub closed: Option<Closed>,
}

/// Why nothing new starts. What runs goes on; what is cancelled is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The server is being stopped, or an operator has paused it.
    Draining,
    /// The disk is nearly full: how much is left, in words.
    DiskLow(String),
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            running_workflows: RUNNING_WORKFLOWS,
            jobs: None,
            jobs_per_repository: None,
            host: Capacity::default(),
            closed: None,
        }
    }
}
