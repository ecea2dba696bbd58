//! The JSON of the API, for the server and whoever calls it. The records of the store may change; this may not.
//!
//! Times are milliseconds since 1970, UTC.

mod kept;
mod log;
mod settings;
mod status;

use model::{
    Annotation, Conclusion, DeliveryId, DeliveryState, JobId, JobState, RepositoryId, RunId, RunState,
    StepRef, StepState, Timestamp, Trust,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::record;

use crate::auth::Role;

pub use kept::{Artifact, Artifacts, Cache, Caches};
pub use log::{Found, Happened, Line, Lines, What};
pub use settings::{Environments, NewToken, Rules, Secret, Secrets, Token, Tokens, Variable, Variables};
pub use status::{Disk, Pool, Profile, Status, Working};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Name of the token; `anybody` without one.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// In a browser's session: what to send as `X-CSRF-Token` with every change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
}

/// A run, as its latest attempt stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Counts the runs of its workflow file from 1.
    pub number: u64,
    /// Its repository.
    pub repository_id: RepositoryId,
    /// The workflow file in the repository.
    pub workflow_path: String,
    /// Its name, or its path.
    pub workflow_name: String,
    /// What people know it by.
    pub title: String,
    /// The event's name.
    pub event: String,
    /// `refs/heads/main`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit that is checked out.
    pub sha: String,
    /// The commit that results are reported for.
    pub head_sha: String,
    /// The branch that people know it by.
    pub head_branch: String,
    /// The pull request.
    pub pull_request: Option<u64>,
    /// Who caused it.
    pub actor: String,
    /// How far its code is trusted.
    pub trust: Trust,
    /// Concurrency group of the workflow.
    pub group: Option<String>,
    /// The delivery that caused it.
    pub delivery_id: Option<DeliveryId>,
    /// The latest attempt, from 1.
    pub attempt: u32,
    /// Where the latest attempt stands.
    pub state: RunState,
    /// Why it waits, or what is wrong.
    pub reason: Option<String>,
    /// How the latest attempt ended.
    pub conclusion: Option<Conclusion>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the latest attempt was asked for.
    pub queued_at: Timestamp,
    /// When the latest attempt left the queue.
    pub started_at: Option<Timestamp>,
    /// When the latest attempt ended.
    pub ended_at: Option<Timestamp>,
}

impl From<record::Run> for Run {
    fn from(run: record::Run) -> Run {
        let what = run.what;
        Run {
            id: run.id,
            number: run.number,
            repository_id: what.repository,
            workflow_path: what.workflow_path,
            workflow_name: what.workflow_name,
            title: what.title,
            event: what.event,
            reference: what.reference,
            sha: what.sha,
            head_sha: what.head_sha,
            head_branch: what.head_branch,
            pull_request: what.pull_request,
            actor: what.actor,
            trust: what.trust,
            group: what.group,
            delivery_id: run.delivery,
            attempt: run.attempt,
            state: what.state,
            reason: what.reason,
            conclusion: run.conclusion,
            created_at: run.created_at,
            queued_at: run.queued_at,
            started_at: run.started_at,
            ended_at: run.ended_at,
        }
    }
}

/// Runs, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    /// They.
    pub runs: Vec<Run>,
    /// `before` of the next page; none on the last one.
    pub next: Option<RunId>,
}

/// One attempt of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// Who asked for it.
    pub actor: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it waits, or what is wrong.
    pub reason: Option<String>,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it left the queue.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl From<record::Attempt> for Attempt {
    fn from(attempt: record::Attempt) -> Attempt {
        Attempt {
            attempt: attempt.attempt,
            actor: attempt.actor,
            state: attempt.state,
            reason: attempt.reason,
            conclusion: attempt.conclusion,
            queued_at: attempt.queued_at,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
        }
    }
}

/// The attempts of a run, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempts {
    /// They.
    pub attempts: Vec<Attempt>,
}

/// A job of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The run.
    pub run_id: RunId,
    /// The attempt.
    pub attempt: u32,
    /// Its key in its workflow file.
    pub key: String,
    /// Its place in the plan, the same in every attempt.
    pub path: String,
    /// What people see.
    pub name: String,
    /// `runs-on`, evaluated.
    pub labels: Vec<String>,
    /// Where it stands.
    pub state: JobState,
    /// Why it waits, was skipped, or failed without a step.
    pub reason: Option<String>,
    /// While it waits: when time lets it into its environment; somebody must, if there is none.
    pub waits_until: Option<Timestamp>,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Why its machine failed, the last time that one did.
    pub infrastructure_error: Option<String>,
    /// The job of an earlier attempt that ran in its place, and whose steps and log are its own.
    pub taken_from: Option<JobId>,
    /// How often it was given a machine.
    pub tries: u32,
    /// The machine that it has or had.
    pub machine: Option<String>,
    /// It could have begun, had there been a machine; the first time.
    pub queued_at: Timestamp,
    /// It could have begun once more: its machine had failed, or the server had stopped or died.
    pub retried_at: Option<Timestamp>,
    /// A machine was asked for.
    pub leased_at: Option<Timestamp>,
    /// The machine was there.
    pub started_at: Option<Timestamp>,
    /// The first line of its first step.
    pub first_line_at: Option<Timestamp>,
    /// It ended.
    pub ended_at: Option<Timestamp>,
    /// `environment.name`.
    pub environment: Option<String>,
    /// `environment.url`, evaluated. Of the job's making: hostile.
    pub environment_url: Option<String>,
}

impl From<record::Job> for Job {
    fn from(job: record::Job) -> Job {
        Job {
            id: job.id,
            run_id: job.run,
            attempt: job.attempt,
            key: job.key,
            path: job.path,
            name: job.name,
            labels: job.labels,
            state: job.state,
            reason: job.reason,
            waits_until: job.waits_until,
            conclusion: job.conclusion,
            infrastructure_error: job.infrastructure_error,
            taken_from: job.taken_from,
            tries: job.tries,
            machine: job.machine,
            queued_at: job.clock.queued_at,
            retried_at: job.clock.retried_at,
            leased_at: job.clock.leased_at,
            started_at: job.clock.started_at,
            first_line_at: job.clock.first_line_at,
            ended_at: job.clock.ended_at,
            environment: job.environment,
            environment_url: job.environment_url,
        }
    }
}

/// The jobs of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Jobs {
    /// They.
    pub jobs: Vec<Job>,
}

/// A step of a job, or the pre or post of its action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    #[serde(flatten)]
    pub step: StepRef,
    /// What people see.
    pub name: String,
    /// Where it stands.
    pub state: StepState,
    /// Before `continue-on-error`.
    pub outcome: Option<Conclusion>,
    /// After it.
    pub conclusion: Option<Conclusion>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Number of its first line in the job's log.
    pub first_line: u64,
    /// Its summary, Markdown as the job wrote it: hostile.
    pub summary: Option<String>,
}

impl From<record::Step> for Step {
    fn from(step: record::Step) -> Step {
        Step {
            step: step.step,
            name: step.name,
            state: step.state,
            outcome: step.outcome,
            conclusion: step.conclusion,
            started_at: step.started_at,
            ended_at: step.ended_at,
            first_line: step.first_line,
            summary: step.summary,
        }
    }
}

/// The steps of a job, in the order in which they began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// They.
    pub steps: Vec<Step>,
}

/// An annotation of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnnotationOf {
    /// The job.
    pub job_id: JobId,
    /// What it says.
    #[serde(flatten)]
    pub annotation: Annotation,
}

/// The annotations of an attempt, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Annotations {
    /// They.
    pub annotations: Vec<AnnotationOf>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its id here.
    pub id: RepositoryId,
    /// `github`.
    pub forge: String,
    /// `owner/name`.
    pub full_name: String,
    /// The branch that is checked out by default; empty when it is not known.
    pub default_branch: String,
    /// Whether only some may see it.
    pub is_private: bool,
    /// When it was first heard of.
    pub first_seen: Timestamp,
}

impl From<record::Repository> for Repository {
    fn from(repository: record::Repository) -> Repository {
        Repository {
            id: repository.id,
            forge: repository.facts.forge,
            full_name: repository.facts.full_name,
            default_branch: repository.facts.default_branch,
            is_private: repository.facts.is_private,
            first_seen: repository.first_seen,
        }
    }
}

/// All repositories, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repositories {
    /// They.
    pub repositories: Vec<Repository>,
}

/// What a forge has told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id here.
    pub id: DeliveryId,
    /// The forge's name for it.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// `action` of the payload.
    pub action: Option<String>,
    /// `owner/name`.
    pub repository: Option<String>,
    /// When it arrived first.
    pub received_at: Timestamp,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it was ignored or failed; while it is received, why the last try failed.
    pub reason: Option<String>,
    /// How often it was tried.
    pub tries: u32,
    /// When it left `received`.
    pub done_at: Option<Timestamp>,
}

impl From<record::Delivery> for Delivery {
    fn from(delivery: record::Delivery) -> Delivery {
        Delivery {
            id: delivery.id,
            guid: delivery.guid,
            event: delivery.event,
            action: delivery.action,
            repository: delivery.repository,
            received_at: delivery.received_at,
            state: delivery.state,
            reason: delivery.reason,
            tries: delivery.tries,
            done_at: delivery.done_at,
        }
    }
}

/// Deliveries, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliveries {
    /// They.
    pub deliveries: Vec<Delivery>,
    /// `before` of the next page; none on the last one.
    pub next: Option<DeliveryId>,
}

/// A delivery with its payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WholeDelivery {
    /// What is known of it.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// What the forge sent.
    pub payload: Json,
}

/// What became of a delivery that was sent once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redelivered {
    /// The delivery that is worked on.
    pub delivery_id: DeliveryId,
}

/// A run or a job that waits, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The run.
    pub run_id: RunId,
    /// The job, where it is one.
    pub job_id: Option<JobId>,
    /// `owner/name`.
    pub repository: String,
    /// The name of the job, or the title of the run.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
    /// Why, in a clause that goes on from the name.
    pub reason: String,
    /// Whether it waits for somebody's word.
    pub needs_approval: bool,
    /// Its place among the runs, or among the jobs, that start as soon as there is room, from 1.
    pub place: Option<usize>,
}

/// Who waits: those with a place first, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// They, as many as were asked for.
    pub waiting: Vec<Waiting>,
    /// How many there are.
    pub total: usize,
}

/// A new attempt of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAttempt {
    /// The run.
    pub run_id: RunId,
    /// Its number.
    pub attempt: u32,
}

/// What was started by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispatched {
    /// The runs; none where nothing listens.
    pub runs: Vec<Run>,
}
