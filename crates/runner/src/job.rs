//! A job from its set-up to its end.

mod complete;
mod set_up;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guest::client::{Guest, GuestError};
use machine::Machine;
use model::{Conclusion, EventSink, Job, JobResult, StepPhase, StepRef, StepResult};
use serde_json::Value as Json;
use workflow::expr::Value;

use crate::action::{ActionInstance, Actions};
use crate::cancel::Cancellation;
use crate::checkpoint::{Halted, Watch};
use crate::environment::Variables;
use crate::evaluate::{EvaluationError, Evaluator};
use crate::log::JobLog;
use crate::matcher::Matchers;
use crate::place::{Place, Programs, UniqueNames};
use crate::{RunnerOptions, Services};

/// Set-up of a job, as events name it.
pub(crate) const SET_UP: StepRef = StepRef { index: 0, phase: StepPhase::SetUp };

/// Completion of a job, as events name it.
pub(crate) const COMPLETE: StepRef = StepRef { index: 0, phase: StepPhase::Complete };

/// The machine or Hearth failed, not a step: the job may be tried again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct MachineFailure(pub(crate) String);

impl From<GuestError> for MachineFailure {
    fn from(error: GuestError) -> MachineFailure {
        MachineFailure(error.to_string())
    }
}

/// Why a piece of work did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// The step's own fault: it fails with this message.
    #[error("{0}")]
    Step(String),
    /// The machine's.
    #[error(transparent)]
    Machine(#[from] MachineFailure),
}

impl From<EvaluationError> for WorkError {
    fn from(error: EvaluationError) -> WorkError {
        match error {
            EvaluationError::Expression(message) => WorkError::Step(message),
            EvaluationError::Machine(error) => WorkError::Machine(error.into()),
        }
    }
}

impl From<GuestError> for WorkError {
    /// A refusal is the step's fault, unless the machine can't go on at all.
    fn from(error: GuestError) -> WorkError {
        use guest::client::RefusalKind::DiskFull;
        match error {
            GuestError::Lost { .. } | GuestError::Refused { kind: DiskFull, .. } => {
                WorkError::Machine(error.into())
            }
            refused => WorkError::Step(refused.to_string()),
        }
    }
}

/// What does not change while a job runs.
pub(crate) struct Fixed {
    /// `github` without `event` and without what belongs to a step.
    pub(crate) github: serde_json::Map<String, Json>,
    /// `github.event`.
    pub(crate) event: Value,
    /// `vars`, `needs`, `strategy`, `matrix`, `inputs`, `secrets`.
    pub(crate) contexts: Vec<(&'static str, Value)>,
    /// `runner`.
    pub(crate) runner: Json,
    /// What every process of the machine has.
    pub(crate) machine_variables: Variables,
    /// `ACTIONS_*` variables, for JavaScript actions.
    pub(crate) service_variables: Variables,
}

/// What steps leave behind for later ones.
#[derive(Clone)]
pub(crate) struct Progress {
    /// How the job stands.
    pub(crate) status: Conclusion,
    /// Whether a step has failed, whatever its status became then.
    pub(crate) has_failed: bool,
    /// The job's environment: its own layers and what steps added.
    pub(crate) env: Variables,
    /// Folders for `PATH`, in the order in which they were added.
    pub(crate) paths: Vec<String>,
    /// Problem matchers.
    pub(crate) matchers: Matchers,
    /// Uses of actions, by step.
    pub(crate) instances: Vec<ActionInstance>,
    /// Steps with a post, in the order in which they registered it.
    pub(crate) posts: Vec<usize>,
    /// How each step of the file ended.
    pub(crate) results: Vec<StepResult>,
    /// What a background step asks for, which counts for the job only from the step on that waits for it;
    /// `None` in the job itself.
    pub(crate) deferred: Option<Deferred>,
}

/// What a background step leaves behind for the job.
#[derive(Clone, Default)]
pub(crate) struct Deferred {
    /// Variables.
    pub(crate) env: Variables,
    /// Folders for `PATH`.
    pub(crate) paths: Vec<String>,
}

/// Carries out one job.
pub(crate) struct JobRun<'a> {
    pub(crate) job: &'a Job,
    pub(crate) guest: Guest,
    pub(crate) place: Place,
    pub(crate) services: &'a Services,
    pub(crate) debug: bool,
    pub(crate) log: Arc<JobLog>,
    /// The job's own: also fires when its time is up.
    pub(crate) cancellation: Cancellation,
    pub(crate) evaluator: Evaluator,
    pub(crate) fixed: Arc<Fixed>,
    pub(crate) progress: Progress,
    pub(crate) programs: Programs,
    pub(crate) names: Arc<UniqueNames>,
    pub(crate) actions: Actions,
    /// Programs of Node.js, by the version that actions ask for.
    pub(crate) nodes: HashMap<u32, String>,
    /// What is needed to halt at a failed step and to go on there.
    pub(crate) watch: Watch,
    /// Keeps the way to the results service open.
    pub(crate) _tunnel: Option<guest::client::Tunnel>,
}

/// Carries out one job on one machine.
///
/// Every event goes to `sink`, the last is `JobFinished`. A failure of the machine ends the job with
/// `infrastructure_error`, unless it had failed before by its steps. The machine is neither started nor ended here.
pub async fn run_job(
    job: Job,
    machine: &Machine,
    services: Services,
    sink: Arc<dyn EventSink>,
    cancel: Cancellation,
    options: RunnerOptions,
) -> JobResult {
    run_job_from(job, None, machine, services, sink, cancel, options).await.result
}

/// How a job ended.
pub struct JobEnd {
    /// Its result.
    pub result: JobResult,
    /// Where it stood, if it was to halt at a failed step and did.
    pub halted: Option<Halted>,
}

/// Like [`run_job`], from the failed step on for a job that was halted: `machine` is then one restored as that step
/// left it, and `job` has its secrets again. It has the time that was left to it.
pub async fn run_job_from(
    job: Job,
    from: Option<Halted>,
    machine: &Machine,
    services: Services,
    sink: Arc<dyn EventSink>,
    cancel: Cancellation,
    options: RunnerOptions,
) -> JobEnd {
    let begun = Instant::now();
    let log = Arc::new(JobLog::new(sink));
    for secret in job.secrets.values() {
        log.masker.add(&secret.0);
    }
    log.job_started(&machine.id.0, machine.driver);
    let cancellation = cancel.child();
    let rest = from.as_ref().map_or(job.timeout, |halted| halted.checkpoint.rest_of(job.timeout));
    let watch =
        tokio::spawn(watch(cancellation.clone(), job.cancel_timeout, (rest, job.timeout), log.clone()));
    let task = Task { job: &job, from: from.as_ref(), services: &services, options: &options };
    let end = Box::pin(carry_out(task, machine, &log, cancellation)).await;
    watch.abort();
    for (contact, times) in machine.contacts.all() {
        log.contacted(contact, times);
    }
    log.job_finished(end.result.clone(), begun.elapsed());
    end
}

/// Cancels the job when its time is up, and ends everything when the time for cleaning up is.
async fn watch(
    cancellation: Cancellation,
    cancel_timeout: Duration,
    (rest, timeout): (Duration, Duration),
    log: Arc<JobLog>,
) {
    tokio::select! {
        () = cancellation.cancelled() => {}
        () = tokio::time::sleep(rest) => {
            let minutes = Value::Number(timeout.as_secs_f64() / 60.0).to_text();
            log.error(SET_UP, format!("The job has exceeded the maximum execution time of {minutes} minutes."));
            cancellation.expire();
        }
    }
    tokio::time::sleep(cancel_timeout).await;
    cancellation.kill();
}

/// What is to be done, and with what.
#[derive(Clone, Copy)]
struct Task<'a> {
    job: &'a Job,
    /// Where to go on; `None`: from the start.
    from: Option<&'a Halted>,
    services: &'a Services,
    options: &'a RunnerOptions,
}

async fn carry_out(
    task: Task<'_>,
    machine: &Machine,
    log: &Arc<JobLog>,
    cancellation: Cancellation,
) -> JobEnd {
    let begun = Instant::now();
    log.step_started(SET_UP, "Set up job");
    let cancelled = cancellation.clone();
    let set_up = Box::pin(JobRun::set_up(task, machine, log, cancellation));
    let prepared = tokio::select! {
        prepared = set_up => prepared.map_err(Some),
        () = cancelled.cancelled() => Err(None),
    };
    let (mut run, mut frame) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let conclusion = error.as_ref().map_or(Conclusion::Cancelled, |_| Conclusion::Failure);
            let message =
                error.as_ref().map_or("The operation was canceled.".to_owned(), ToString::to_string);
            log.error(SET_UP, message);
            log.step_finished(SET_UP, conclusion, conclusion, begun.elapsed());
            return JobEnd { result: not_started(task.job, conclusion, error), halted: None };
        }
    };
    log.step_finished(SET_UP, Conclusion::Success, Conclusion::Success, begun.elapsed());
    let failure = Box::pin(run.run_steps(&mut frame)).await.err();
    let halted = if failure.is_none() { run.halted() } else { None };
    let result = run.complete(&frame, failure).await;
    let halted = halted.filter(|_| result.infrastructure_error.is_none());
    JobEnd { result, halted }
}

/// The result of a job whose set-up failed or was cancelled.
fn not_started(job: &Job, conclusion: Conclusion, error: Option<WorkError>) -> JobResult {
    let skipped = |step: &model::Step| StepResult {
        id: step.id.clone(),
        outcome: Conclusion::Skipped,
        conclusion: Conclusion::Skipped,
    };
    JobResult {
        conclusion,
        infrastructure_error: match error {
            Some(WorkError::Machine(failure)) => Some(format!("job '{}', Set up job: {failure}", job.name)),
            Some(WorkError::Step(_)) | None => None,
        },
        decided: None,
        outputs: Vec::new(),
        environment_url: None,
        steps: job.steps.iter().map(skipped).collect(),
    }
}
