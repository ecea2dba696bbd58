//! Who carries jobs out.

pub mod fake;

use std::sync::Arc;

use async_trait::async_trait;
use model::{EventSink, Job, JobResult};
use runner::Cancellation;
use store::record::Run;

use crate::facts::RunFacts;
use crate::queue::Placement;

/// A job to carry out.
pub struct Order {
    /// The job, its secrets included.
    pub job: Job,
    /// Its run.
    pub run: Arc<Run>,
    /// What else is known of the run.
    pub facts: Arc<RunFacts>,
    /// `owner/name` of the repository.
    pub repository: String,
    /// Under what name things are kept for it.
    pub place: String,
    /// What machine it gets.
    pub machine: Placement,
}

/// Carries jobs out, each on a machine of its own.
///
/// Many jobs at once. A job whose machine can't be had or fails has ended with an `infrastructure_error`. When
/// the call returns, the machine is gone or dying, and the sink is told nothing any more. A call whose future is
/// dropped ends the machine and all in it.
#[async_trait]
pub trait Worker: Send + Sync {
    /// Carries one out. The sink hears all that it tells, the end included.
    async fn work(&self, order: Order, sink: Arc<dyn EventSink>, cancellation: Cancellation) -> JobResult;

    /// Why it will never run a job on such a machine, in a sentence that says what to do; asked before the job waits for
    /// one. No further try would help, so that it is not a failure of the machine.
    fn refuses(&self, _job: &Job, _machine: &Placement) -> Option<String> {
        None
    }
}
