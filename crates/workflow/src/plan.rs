//! From a workflow to jobs: a pure state machine.
//!
//! The caller feeds in what happened and carries out what comes back; the plan knows no
//! clock, no process, and no file. `hearth run` and, later, the scheduler drive it alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Conclusion, Job, JobId, JobResult, RunId, Secrets, Trust};
use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::syntax::Workflow;

/// What is known of a run before it starts.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// The run.
    pub run: RunId,
    /// Attempt, from 1.
    pub attempt: u32,
    /// `github`, with `event`, without what belongs to one job.
    pub github: Json,
    /// `vars`.
    pub vars: Json,
    /// `inputs` of a `workflow_dispatch`, already checked and typed (see [`crate::trigger`]).
    pub inputs: Json,
    /// All secrets of the run. They reach jobs by the rules of the language.
    pub secrets: Secrets,
    /// Whether the run's code is trusted.
    pub trust: Trust,
    /// Jobs at once (`--jobs`).
    pub parallel: usize,
    /// Only these jobs and what they need; empty for all.
    pub only: Vec<String>,
    /// Only configurations of matrices that have these values (`--matrix os=linux`);
    /// a matrix without the key is left whole.
    pub matrix: Vec<(String, String)>,
    /// Id of the run's first job. The plan counts up from here and uses at most
    /// [`model::limits::RUN_JOBS`] ids, so that a caller can keep two runs apart.
    pub first_job: JobId,
}

/// The files of reusable workflows, by the text of `uses`, already parsed.
/// Local calls inside of a remote workflow are keyed by their full, resolved reference.
pub type CalledWorkflows = BTreeMap<String, Arc<Workflow>>;

/// What the caller shall do next.
#[derive(Clone, Debug)]
pub enum PlanCommand {
    /// Start this job on a machine with one of these labels; answer with [`RunPlan::job_finished`].
    Start {
        /// The job.
        job: Box<Job>,
        /// `runs-on`: group (if any) and labels, evaluated.
        runs_on: RunsOn,
    },
    /// Cancel this running job (fail-fast, concurrency, cancellation); it still answers `job_finished`.
    Cancel(JobId),
    /// A job that never starts is decided: skipped, cancelled, or failed in evaluation.
    Decided {
        /// Its id.
        id: JobId,
        /// What to show.
        name: String,
        /// How it ended.
        conclusion: Conclusion,
        /// Why, in a sentence: the error, the false condition, the concurrency group.
        reason: Option<String>,
    },
    /// Everything has ended.
    Finished(Conclusion),
}

/// `runs-on`, evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunsOn {
    /// `group`.
    pub group: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
}

/// The state of a run: which jobs are blocked, running, done.
pub struct RunPlan {
    _private: (),
}

impl RunPlan {
    /// Checks the graph and makes the plan.
    pub fn new(
        _workflow: Arc<Workflow>,
        _called: CalledWorkflows,
        _context: RunContext,
    ) -> Result<RunPlan, Vec<Diagnostic>> {
        unimplemented!()
    }
    /// What to do now. Call it after `new` and after every change until it gives nothing.
    pub fn poll(&mut self) -> Vec<PlanCommand> {
        unimplemented!()
    }
    /// A started job has ended.
    pub fn job_finished(&mut self, _id: JobId, _result: &JobResult) {
        unimplemented!()
    }
    /// The user cancels the run.
    pub fn cancel(&mut self) {
        unimplemented!()
    }
}
