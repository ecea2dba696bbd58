//! How the server stands, on one screen.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Job, Waiting};

/// The server, what runs, what waits, and what there is to run it on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// Its clock, for whoever shows how long something takes.
    pub now: Timestamp,
    /// Jobs that have a machine or are getting one, the longest first.
    pub working: Vec<Working>,
    /// Runs and jobs that wait.
    pub waiting: usize,
    /// Who has waited longest.
    pub oldest: Option<Waiting>,
    /// Kinds of machines, the preferred first.
    pub profiles: Vec<Profile>,
    /// Machines that are kept ready.
    pub pool: Vec<Pool>,
    /// The disk of the data folder, if it can be told.
    pub disk: Option<Disk>,
}

/// A job that has a machine or is getting one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Working {
    /// The job.
    pub job: Job,
    /// `owner/name`.
    pub repository: String,
    /// Its workflow.
    pub workflow_name: String,
    /// What people know its run by.
    pub title: String,
    /// The step that runs.
    pub step: Option<String>,
    /// When that began.
    pub step_started_at: Option<Timestamp>,
}

/// A kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// `runs-on` that it is for.
    pub labels: Vec<String>,
    /// How many run at once; none is no bound.
    pub machines: Option<u32>,
}

/// Machines of a kind that are kept ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The kind.
    pub name: String,
    /// Ready ones.
    pub ready: usize,
    /// Those that are being made ready.
    pub starting: usize,
    /// How many shall be ready.
    pub wanted: usize,
    /// Why the last one that failed did.
    pub last_failure: Option<String>,
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// What is left for us.
    pub free_bytes: u64,
    /// All of it.
    pub size_bytes: u64,
}
