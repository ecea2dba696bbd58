//! What is kept, as plain data.

use std::time::Duration;

use model::{
    Annotation, ArtifactId, CacheId, Conclusion, DeliveryId, DeliveryState, JobId, JobResult, JobState,
    RepositoryId, RunId, RunState, StepRef, StepState, Timestamp, Trust,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What a forge says of a repository. The forge's number for it is what it is known by: a name may be another's tomorrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryFacts {
    /// `github`.
    pub forge: String,
    /// `owner/name`, as the forge spells it; compared without case.
    pub full_name: String,
    /// The forge's number for it.
    pub forge_id: Option<u64>,
    /// The branch that is checked out by default; empty when it is not known.
    pub default_branch: String,
    /// Whether only some may see it.
    pub is_private: bool,
    /// Where git finds it.
    pub clone_url: String,
    /// Installation of the App, where there is one.
    pub installation: Option<u64>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its id here.
    pub id: RepositoryId,
    /// What was last heard of it. The name of one that another one has taken the place of ends with `~` and its id.
    #[serde(flatten)]
    pub facts: RepositoryFacts,
    /// Under what name its secrets, variables, and caches are kept: the one that it had first, however it is called now;
    /// with `~` and a number behind it, where that had been another's.
    pub place: String,
    /// When it was first heard of.
    pub first_seen: Timestamp,
}

/// A delivery that has just arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// The forge's name for it (`X-GitHub-Delivery`): the same when it is sent again.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// `action` of the payload.
    pub action: Option<String>,
    /// `owner/name`.
    pub repository: Option<String>,
    /// The body as it came, JSON.
    pub payload: Vec<u8>,
    /// When.
    pub received_at: Timestamp,
}

/// What became of a delivery that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is durable now.
    New(DeliveryId),
    /// It had failed, and is tried anew.
    Again(DeliveryId),
    /// It was there already, and is still worked on or done.
    Known(DeliveryId, DeliveryState),
}

/// Longest wait between two tries of a delivery. One that is due later was put off before the clock was set back.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// A delivery.
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
    /// Not before then, while it is received and was tried; within [`LONGEST_WAIT`] of the last try.
    pub next_try: Timestamp,
    /// When it left `received`.
    pub done_at: Option<Timestamp>,
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Expansion {
    /// These runs.
    Runs(Vec<NewRun>),
    /// None, for this reason.
    Ignored(String),
    /// None yet, for this reason; once more not before then.
    Later {
        /// Why.
        reason: String,
        /// When.
        next_try: Timestamp,
    },
    /// None, for this reason, and it is not tried again.
    Failed(String),
}

/// A run that shall be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// Of which repository.
    pub repository: RepositoryId,
    /// The workflow file in the repository. Runs are numbered by it.
    pub workflow_path: String,
    /// Its name, or its path.
    pub workflow_name: String,
    /// `run-name` evaluated, or the headline of the commit, or of the pull request.
    pub title: String,
    /// The event's name.
    pub event: String,
    /// `refs/heads/main`.
    pub reference: String,
    /// The commit that is checked out: `github.sha`.
    pub sha: String,
    /// The commit that results are reported for: for a pull request, its head.
    pub head_sha: String,
    /// The branch that people know it by.
    pub head_branch: String,
    /// The pull request.
    pub pull_request: Option<u64>,
    /// Who caused it.
    pub actor: String,
    /// How far its code is trusted.
    pub trust: Trust,
    /// More is sooner.
    pub priority: i32,
    /// Concurrency group of the workflow, evaluated.
    pub group: Option<String>,
    /// Whether it ends what runs in its group.
    pub cancels_group: bool,
    /// Whether all that wait in its group come to their turn.
    pub queues_all: bool,
    /// How it begins: waiting, queued, or ended (a workflow file that can't be read: it has failed).
    pub state: RunState,
    /// Why it waits, or what is wrong with its file.
    pub reason: Option<String>,
    /// All else that the caller needs to carry it out. Nothing secret.
    pub facts: Json,
}

/// A run, as its latest attempt stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Counts the runs of its workflow file from 1.
    pub number: u64,
    /// What caused it; `None`: a person, or the clock.
    pub delivery: Option<DeliveryId>,
    /// What it is. `state` and `reason` in it are those of the latest attempt.
    #[serde(flatten)]
    pub what: NewRun,
    /// The latest attempt, from 1.
    pub attempt: u32,
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

/// One attempt of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// From 1.
    pub attempt: u32,
    /// Who asked for it.
    pub actor: String,
    /// Which jobs run again: all, those that failed, or one with those that need it; the caller's own words.
    pub again: Option<Json>,
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
    /// All that its plan was made of, once it was made: text of workflows, contexts. Nothing secret.
    pub plan: Option<Json>,
}

impl Run {
    /// Whether somebody must approve it before it begins. One that waits in its midst does so for its jobs.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        self.what.state == RunState::Waiting && self.started_at.is_none()
    }
}

impl Attempt {
    /// The state for workflows that follow this one: while it waits in its midst, it goes on running for them.
    #[must_use]
    pub fn progress(&self) -> RunState {
        match (self.state, self.started_at) {
            (RunState::Waiting, Some(_)) => RunState::Running,
            (state, _) => state,
        }
    }
}

/// A job of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: u32,
    /// Its key in its workflow file.
    pub key: String,
    /// Its place in the plan, the same in every attempt.
    pub path: String,
    /// Where it stands among the jobs of its attempt: they come in the order of this, then of their ids.
    #[serde(default)]
    pub rank: String,
    /// What people see.
    pub name: String,
    /// `runs-on`, evaluated: labels, with the group as `group:name` first.
    pub labels: Vec<String>,
    /// Where it stands.
    pub state: JobState,
    /// Why it waits, was skipped, or failed without a step.
    pub reason: Option<String>,
    /// While it waits: when time lets it into its environment; somebody must, if there is none.
    pub waits_until: Option<Timestamp>,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Why its machine failed, the last time that one did. The job was tried again, or ended for it.
    pub infrastructure_error: Option<String>,
    /// The job of an earlier attempt that ran in its place, and whose steps and log are its own.
    pub taken_from: Option<JobId>,
    /// How often it was given a machine, and has not given it back.
    pub tries: u32,
    /// How often the server stopped while it ran.
    pub interruptions: u32,
    /// The machine that it has or had.
    pub machine: Option<String>,
    /// Its moments.
    pub clock: JobClock,
    /// Its outputs.
    pub outputs: Vec<(String, String)>,
    /// `environment.name`.
    pub environment: Option<String>,
    /// `environment.url`, evaluated.
    pub environment_url: Option<String>,
}

impl Job {
    /// A job of the first attempt that waits for a machine from now on; the rest is for its maker to say.
    #[must_use]
    pub fn queued(id: JobId, run: RunId, key: &str, now: Timestamp) -> Self {
        Self {
            id,
            run,
            attempt: 1,
            key: key.to_owned(),
            path: key.to_owned(),
            rank: String::new(),
            name: key.to_owned(),
            labels: Vec::new(),
            state: JobState::Queued,
            reason: None,
            waits_until: None,
            conclusion: None,
            infrastructure_error: None,
            taken_from: None,
            tries: 0,
            interruptions: 0,
            machine: None,
            clock: JobClock { queued_at: now, ..JobClock::default() },
            outputs: Vec::new(),
            environment: None,
            environment_url: None,
        }
    }

    /// The job whose steps and log tell of this one: itself, or one of an earlier attempt.
    #[must_use]
    pub fn ran_as(&self) -> JobId {
        self.taken_from.unwrap_or(self.id)
    }
}

/// The honest clock of a job: what it waited for, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobClock {
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
}

impl JobClock {
    /// Since when it waits for a machine, or did before its last one.
    #[must_use]
    pub fn waits_since(&self) -> Timestamp {
        self.retried_at.unwrap_or(self.queued_at)
    }
}

/// A step of a job, or the pre or post of its action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The job.
    pub job: JobId,
    /// Which.
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

/// An annotation of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnnotationOf {
    /// The job.
    pub job: JobId,
    /// What it says.
    #[serde(flatten)]
    pub annotation: Annotation,
}

/// Something that a plan was told, in order. The same plan told the same commands the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanInput {
    /// A job has ended.
    Ended {
        /// Which.
        job: JobId,
        /// How.
        result: JobResult,
    },
    /// The run was cancelled.
    Cancelled,
}

/// What a secret or a variable is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All repositories of an owner.
    Organisation(String),
    /// One repository, `owner/name`.
    Repository(String),
    /// One environment of a repository.
    Environment(String, String),
}

/// A secret, sealed. Nothing here can open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// What it is for.
    pub scope: Scope,
    /// Its name, in capitals.
    pub name: String,
    /// Its sealed value.
    pub sealed: Vec<u8>,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// What it is for.
    pub scope: Scope,
    /// Its name, in capitals.
    pub name: String,
    /// Its value.
    pub value: String,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// A token that lets somebody in. The token itself is known to its holder only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What people call it.
    pub name: String,
    /// SHA-256 of the token.
    #[serde(skip)]
    pub digest: [u8; 32],
    /// What it allows: `read`, `operate`, or `admin`.
    pub role: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Option<Timestamp>,
}

/// A file that a job has left, as it is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewArtifact {
    /// The run.
    pub run: RunId,
    /// Its number in the run.
    pub number: u64,
    /// The job.
    pub job: JobId,
    /// Its name, unique in the run: one of the same name gives way. Of the job's making: hostile.
    pub name: String,
    /// What its file is called for whoever downloads it.
    pub file_name: String,
    /// Where its bytes are, from the data folder on.
    pub file: String,
    /// Their number.
    pub size: u64,
    /// `sha256:` and 64 digits.
    pub digest: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not kept any more, once its run has ended.
    pub expires_at: Timestamp,
}

/// A file that a job has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Which. Later ones are higher.
    pub id: ArtifactId,
    /// The attempt of the run whose job it was.
    pub attempt: u32,
    /// What was handed over.
    pub what: NewArtifact,
}

/// A cache, as it is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCache {
    /// `owner/name`.
    pub repository: String,
    /// The ref whose job has saved it: `refs/heads/main`.
    pub reference: String,
    /// Its key. Of the job's making: hostile.
    pub key: String,
    /// What the client makes of the paths and the compression.
    pub version: String,
    /// Where its bytes are, from the data folder on. Each cache has its own.
    pub file: String,
    /// Their number.
    pub size: u64,
    /// `sha256:` and 64 digits, as far as it is known.
    pub digest: Option<String>,
    /// When it was saved.
    pub created_at: Timestamp,
}

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Which. Later ones are higher.
    pub id: CacheId,
    /// What was handed over.
    pub what: NewCache,
    /// When it was last restored, or else saved.
    pub used_at: Timestamp,
}

/// What a file belongs to, for whoever looks whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptFile {
    /// Where it should be, from the data folder on.
    pub file: String,
    /// The run and the number of an artifact; none of a cache.
    pub artifact: Option<(RunId, u64)>,
}
