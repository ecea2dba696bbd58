//! State changes: one closed enum from whoever decides to the store, and on to whoever watches.

use model::{Annotation, Conclusion, DeliveryId, JobId, JobResult, RunId, RunState, StepRef, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::record::{Job, NewArtifact, NewCache, Run, Scope, Step, Token, Variable};

/// Whose fault it is that a job is queued once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requeue {
    /// Its machine's, which failed.
    Machine,
    /// Perhaps its own: the server died while it ran.
    Interrupted,
    /// Nobody's: the server gave it back, as it was asked to stop, or could not read its store. That was no try.
    HandedBack,
}

/// Something that has changed. Those of one call of [`Store::apply`](crate::Store::apply) are one transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A run was made; only told, by [`Store::expand`](crate::Store::expand) and
    /// [`Store::create_run`](crate::Store::create_run).
    RunCreated(Box<Run>),
    /// What a run is called, and its concurrency group: both may depend on its id.
    RunNamed {
        /// Which.
        run: RunId,
        /// What people see.
        title: String,
        /// Concurrency group of the workflow.
        group: Option<String>,
        /// Whether it ends what runs in its group.
        cancels_group: bool,
        /// Whether all that wait in its group come to their turn.
        queues_all: bool,
    },
    /// A waiting run was approved, or its wait is over.
    RunQueued {
        /// Which.
        run: RunId,
    },
    /// A queued run left the queue. What its plan is made of is kept from now on.
    RunStarted {
        /// Which.
        run: RunId,
        /// All that the plan is made of.
        plan: Json,
        /// When.
        at: Timestamp,
    },
    /// A run that runs waits: each of its jobs that are left must be let into an environment. Said again when the reason
    /// is another.
    RunHeld {
        /// Which.
        run: RunId,
        /// Who waits for what. Who has cancelled the run stays said.
        reason: String,
    },
    /// A [held](Change::RunHeld) run goes on: one of its jobs was let in, or others are there.
    RunResumed {
        /// Which.
        run: RunId,
    },
    /// A run is to be cancelled. If it has begun, its plan is told so in the same change; its jobs are told, and it ends
    /// when they have. If it has not begun, its [end](Change::RunEnded) stands beside this.
    RunCancelled {
        /// Which.
        run: RunId,
        /// Why, or by whom.
        reason: String,
    },
    /// The latest attempt of a run has ended.
    RunEnded {
        /// Which.
        run: RunId,
        /// How.
        conclusion: Conclusion,
        /// Why, where no job says it. Without it, what was said when it was cancelled stays.
        reason: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// An ended run is to be run again, as a new attempt; the old one stays.
    AttemptQueued {
        /// Which run.
        run: RunId,
        /// The number of the new attempt.
        attempt: u32,
        /// Who asked.
        actor: String,
        /// Which jobs run again, in the caller's own words.
        again: Json,
        /// When.
        at: Timestamp,
    },
    /// What a received delivery wished was done, and is written beside this; it makes no runs of its own.
    Fulfilled {
        /// Which delivery.
        delivery: DeliveryId,
        /// What was done.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Workflows that follow this one were told of an attempt, as it stands in this state.
    Announced {
        /// Which run.
        run: RunId,
        /// Which attempt.
        attempt: u32,
        /// The state that they were told of.
        state: RunState,
    },
    /// A job is there: queued, waiting, or ended at once (skipped, cancelled, taken over from an earlier attempt).
    JobCreated(Box<Job>),
    /// A waiting job waits for something else before its environment.
    JobDelayed {
        /// Which.
        job: JobId,
        /// Nothing but time keeps it out any more, until then. Without it, somebody must let it in.
        until: Option<Timestamp>,
        /// In words.
        reason: String,
    },
    /// A waiting job was let in.
    JobQueued {
        /// Which.
        job: JobId,
        /// When: from now on it waits for a machine only.
        at: Timestamp,
    },
    /// A machine is being made for a job. Counts as a try.
    JobLeasing {
        /// Which.
        job: JobId,
        /// When.
        at: Timestamp,
    },
    /// A job has its machine.
    JobStarted {
        /// Which.
        job: JobId,
        /// The machine.
        machine: String,
        /// When.
        at: Timestamp,
    },
    /// The first line of a step of a job.
    JobSpoke {
        /// Which.
        job: JobId,
        /// When.
        at: Timestamp,
    },
    /// A job has lost its machine, and is queued once more. Its steps and annotations so far are
    /// those of the failed try, and go; its log stays.
    JobRequeued {
        /// Which.
        job: JobId,
        /// Why.
        reason: String,
        /// Whose fault that is.
        requeue: Requeue,
        /// When.
        at: Timestamp,
    },
    /// A job has ended. Its plan is told the same, and both are one change. Steps that still ran end with it: as
    /// cancelled if it was, and as failed otherwise.
    JobEnded {
        /// Which.
        job: JobId,
        /// How.
        result: JobResult,
        /// Why, where no step says it.
        reason: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// A step has begun.
    StepStarted(Box<Step>),
    /// A step has ended.
    StepEnded {
        /// Of which job.
        job: JobId,
        /// Which.
        step: StepRef,
        /// Before `continue-on-error`.
        outcome: Conclusion,
        /// After it.
        conclusion: Conclusion,
        /// When.
        at: Timestamp,
    },
    /// A step has a summary.
    Summary {
        /// Of which job.
        job: JobId,
        /// Which.
        step: StepRef,
        /// Markdown, hostile. Added to what is there.
        markdown: String,
    },
    /// A job has an annotation.
    Annotated {
        /// Which.
        job: JobId,
        /// What.
        annotation: Annotation,
    },
    /// What was reported of a run to its forge; the forge's part only understands it.
    Reported {
        /// Which.
        run: RunId,
        /// What was sent.
        sent: Json,
    },
    /// A variable was set.
    VariableSet(Variable),
    /// A variable is gone.
    VariableRemoved {
        /// What it was for.
        scope: Scope,
        /// Its name.
        name: String,
    },
    /// A secret was set; its value is not told.
    SecretSet {
        /// What it is for.
        scope: Scope,
        /// Its name.
        name: String,
        /// Its sealed value.
        #[serde(skip)]
        sealed: Vec<u8>,
        /// When.
        at: Timestamp,
    },
    /// A secret is gone.
    SecretRemoved {
        /// What it was for.
        scope: Scope,
        /// Its name.
        name: String,
    },
    /// A token was made.
    TokenMade(Token),
    /// A token is void.
    TokenRevoked {
        /// Its name.
        name: String,
    },
    /// A job has left an artifact. One of the same name that the run had gives way.
    ArtifactKept(NewArtifact),
    /// The files of an artifact are gone. Nothing, where there is none of that number.
    ArtifactGone {
        /// Of which run.
        run: RunId,
        /// Its number there.
        number: u64,
    },
    /// A job has saved a cache. What stood for the same file gives way.
    CacheKept(NewCache),
    /// A job restores a cache. Nothing, where there is none with that file.
    CacheUsed {
        /// Which.
        file: String,
        /// When.
        at: Timestamp,
    },
    /// The file of a cache is gone. Nothing, where there is none with it.
    CacheGone {
        /// Which file.
        file: String,
    },
    /// A setting of the operator: limits, approvals, when a schedule last fired.
    Setting {
        /// Its name.
        key: String,
        /// Its value; `null` removes it.
        value: Json,
    },
}
