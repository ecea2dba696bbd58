//! What people may ask of whoever runs the workflows.
//!
//! The server knows no engine: it asks [`Control`], behind which `hearth serve` puts it, and tests a fake.

use async_trait::async_trait;
use model::{JobId, RepositoryId, RunId};
use scheduler::decide::Wait;
use scheduler::queue::Subject;
use serde_json::Value as Json;
use store::record::Run;

pub use scheduler::engine::{Decision, Review};
pub use scheduler::recipe::Again;

/// A start by hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Where.
    pub repository: RepositoryId,
    /// Who asks.
    pub actor: String,
    /// What is to start.
    pub what: Dispatched,
}

/// What is started by hand.
#[derive(Clone, Debug, PartialEq)]
pub enum Dispatched {
    /// `workflow_dispatch`: one workflow.
    Workflow {
        /// Its file, by its whole path or its name in the folder of workflows.
        workflow: String,
        /// Branch or tag, with or without `refs/...` before it; the default branch when absent.
        reference: Option<String>,
        /// Inputs by name.
        inputs: serde_json::Map<String, Json>,
    },
    /// `repository_dispatch`: all workflows that listen to the type.
    Repository {
        /// The type.
        event_type: String,
        /// What they get as `github.event.client_payload`.
        client_payload: Json,
    },
}

/// Why a wish is not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It is not in a state for that.
    #[error("{0}")]
    Unfit(String),
    /// Not by whoever asks.
    #[error("{0}")]
    Forbidden(String),
    /// What is asked can't be meant: no such workflow, a wrong input.
    #[error("{0}")]
    Invalid(String),
    /// Not now: the server is being stopped, or what it needs can't be reached.
    #[error("{0}")]
    Unavailable(String),
}

/// Carries wishes out.
///
/// All calls may be made at once. One that returns `Ok` has written down what was wished, or does so even when the
/// future is dropped; its effects follow, and the store tells of them.
#[async_trait]
pub trait Control: Send + Sync {
    /// Cancels a run or a job.
    async fn cancel(&self, subject: Subject, reason: String) -> Result<(), ControlError>;

    /// Runs an ended run again, as a new attempt. Gives its number.
    async fn again(&self, run: RunId, again: Again, actor: String) -> Result<u32, ControlError>;

    /// Lets a waiting run go on.
    async fn approve(&self, run: RunId, actor: String) -> Result<(), ControlError>;

    /// Lets a job that waits for it into its environment, or ends it.
    async fn review(&self, job: JobId, review: Review) -> Result<(), ControlError>;

    /// Starts workflows by hand. Gives their runs.
    async fn dispatch(&self, wish: Dispatch) -> Result<Vec<Run>, ControlError>;

    /// Why each waiting run and job waits: those with a place first, in their order.
    async fn waits(&self) -> Result<Vec<Wait>, ControlError>;

    /// Removes an artifact: its files, and what stands for them.
    async fn remove_artifact(&self, run: RunId, number: u64) -> Result<(), ControlError>;

    /// Removes the caches with these files, named as the store has them, and what stands for them.
    async fn remove_caches(&self, files: Vec<String>) -> Result<(), ControlError>;

    /// Deliveries are there to be worked on. Returns at once.
    fn nudge(&self);
}
