//! What people see of a run at GitHub: check runs or commit statuses, and one comment on the pull request.
//!
//! Whoever runs jobs says how things stand ([`RunView`], [`PullView`]) and keeps what was sent ([`Sent`],
//! [`SentComment`]) from one time to the next. [`plan`] compares the two, purely: the same view twice is no call.
//! [`send()`] carries the calls out.
//!
//! ```text
//!   view ──► plan ──► calls ──► send ──► GitHub
//!   sent ──►  ▲                  │
//!             └──── sent ◄───────┘   noted after each call, so that nothing is lost in the middle
//! ```

mod annotation;
mod check;
mod comment;
mod send;
mod status;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use model::{Annotation, Conclusion, JobId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::client::Call;
use crate::repository::RepositoryName;
pub use check::RERUN;
pub use comment::{PullView, SentComment, body as comment_body};
pub use send::{send, send_comment};

/// A run, as people should see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Where.
    pub repository: RepositoryName,
    /// The commit to show it at: of a pull request its head, not the trial merge.
    pub sha: String,
    /// Its id.
    pub run: RunId,
    /// Name of its workflow.
    pub workflow: String,
    /// The event that started it.
    pub event: String,
    /// Its page.
    pub url: String,
    /// How it stands.
    pub state: State,
    /// When it began and ended.
    pub times: Times,
    /// Its jobs, in order; of a run that was tried again those of the last attempt.
    pub jobs: Vec<JobView>,
}

/// A job, as people should see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id; comes back as `external_id` when somebody wants the check again.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its page.
    pub url: String,
    /// How it stands.
    pub state: State,
    /// When it began and ended.
    pub times: Times,
    /// Its summary (Markdown), masked.
    pub summary: String,
    /// Its annotations, masked.
    pub annotations: Vec<Annotation>,
    /// Its first error.
    pub error: Option<FirstError>,
}

/// When something began and ended, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When it began.
    pub started: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
}

/// How a run or a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It will run.
    Queued,
    /// It waits for something other than its turn (`an approval`).
    Waiting(String),
    /// It runs.
    Running,
    /// It is over.
    Ended(Conclusion),
}

/// What went wrong first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstError {
    /// The step, or what else failed (`machine`).
    pub what: String,
    /// In a line, masked.
    pub message: String,
    /// The lines of the log around it, masked.
    pub lines: Vec<String>,
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// As a check run for each job: what an App may.
    Checks,
    /// As a commit status for the workflow: what any token may.
    Statuses,
}

/// What GitHub has been told of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Check runs by the job's id.
    checks: BTreeMap<JobId, SentCheck>,
    /// What the commit status said.
    status: Option<Print>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SentCheck {
    id: u64,
    print: Print,
    annotations: usize,
}

/// What was sent, as short as can be: enough to know it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Print(String);

impl Print {
    fn of(body: &Json) -> Print {
        let digest = Sha256::digest(body.to_string());
        Print(digest.iter().take(12).fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
    }
}

/// A call, and what is remembered once it has been made.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The call.
    pub call: Call,
    mark: Mark,
}

#[derive(Clone, Debug, PartialEq)]
enum Mark {
    /// A check run was made; the answer has its id.
    Made { job: JobId, print: Print, annotations: usize },
    /// A check run was changed.
    Changed { job: JobId, print: Print, annotations: usize },
    /// A status was set.
    Status(Print),
}

/// The calls that bring GitHub from what it has been told to how a run stands. A check run's id is known only once it
/// has been made: call this again after what it answers has been carried out, until it answers nothing.
pub fn plan(view: &RunView, means: Means, sent: &Sent) -> Vec<Planned> {
    match means {
        Means::Checks => {
            view.jobs.iter().filter_map(|job| check::plan(view, job, sent.checks.get(&job.id))).collect()
        }
        Means::Statuses => status::plan(view, sent.status.as_ref()).into_iter().collect(),
    }
}

impl Sent {
    /// Remembers a call that was carried out. An answer that should have an id and has none is told.
    pub fn note(&mut self, planned: &Planned, answer: &Json) -> Result<(), String> {
        match planned.mark.clone() {
            Mark::Made { job, print, annotations } => {
                let id = answer["id"].as_u64().ok_or("the check run that was made has no id")?;
                self.checks.insert(job, SentCheck { id, print, annotations });
            }
            Mark::Changed { job, print, annotations } => {
                if let Some(check) = self.checks.get_mut(&job) {
                    check.print = print;
                    check.annotations = annotations;
                }
            }
            Mark::Status(print) => self.status = Some(print),
        }
        Ok(())
    }

    /// Takes a change for half done, of which nobody knows whether it was: what can be said twice is said again, and
    /// its annotations, which would add up, are not. Whether it was a change.
    fn forget(&mut self, planned: &Planned) -> bool {
        let Mark::Changed { job, annotations, .. } = &planned.mark else { return false };
        if let Some(check) = self.checks.get_mut(job) {
            check.print = Print(String::new());
            check.annotations = *annotations;
        }
        true
    }

    /// Ids of the check runs, by the job's id.
    pub fn check_runs(&self) -> impl Iterator<Item = (JobId, u64)> {
        self.checks.iter().map(|(job, check)| (*job, check.id))
    }
}

impl RunView {
    /// The name that a required check or status is known by, of a job or of the whole.
    fn context(&self, job: Option<&str>) -> String {
        let whole = job.map_or_else(|| self.workflow.clone(), |job| format!("{} / {job}", self.workflow));
        format!("{whole} ({})", self.event)
    }

    /// The first job that failed, with its error.
    fn first_error(&self) -> Option<(&JobView, &FirstError)> {
        self.jobs.iter().find_map(|job| job.error.as_ref().map(|error| (job, error)))
    }
}

impl State {
    /// In some words, with how long it took.
    fn words(&self, times: Times) -> String {
        let took = |before: &str| match times.duration() {
            Some(duration) => format!(" {before} {}", text::duration(duration)),
            None => String::new(),
        };
        match self {
            State::Queued => "Queued".to_owned(),
            State::Waiting(what) => format!("Waiting for {what}"),
            State::Running => "Running".to_owned(),
            State::Ended(Conclusion::Success) => format!("Succeeded{}", took("in")),
            State::Ended(Conclusion::Failure) => format!("Failed{}", took("after")),
            State::Ended(Conclusion::Cancelled) => format!("Cancelled{}", took("after")),
            State::Ended(Conclusion::Skipped) => "Skipped".to_owned(),
        }
    }

    fn symbol(&self) -> &'static str {
        match self {
            State::Queued => "⏳",
            State::Waiting(_) => "✋",
            State::Running => "🔵",
            State::Ended(Conclusion::Success) => "✅",
            State::Ended(Conclusion::Failure) => "❌",
            State::Ended(Conclusion::Cancelled) => "🚫",
            State::Ended(Conclusion::Skipped) => "⚪",
        }
    }
}

impl Times {
    fn duration(self) -> Option<u64> {
        Some(self.ended?.saturating_sub(self.started?))
    }
}
