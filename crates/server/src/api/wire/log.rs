//! Lines of logs, and what streams of events tell.

use model::{JobId, RunId, StepRef, Stream, Timestamp};
use serde::{Deserialize, Serialize};

/// A line of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Counts the lines of the log from 0, over all tries of its job.
    pub number: u64,
    /// Of which step.
    #[serde(flatten)]
    pub step: StepRef,
    /// Where it came from.
    pub stream: Stream,
    /// When it was read.
    pub at: Timestamp,
    /// The text; ANSI colours are kept. Of the job's making: hostile.
    pub text: String,
}

/// Lines of a log, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// They.
    pub lines: Vec<Line>,
    /// `from` of the next page.
    pub next: u64,
    /// Whether nothing follows, now or later.
    pub is_last: bool,
}

/// Lines of a log that a search has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// They.
    pub lines: Vec<Line>,
    /// `from` to go on with; none when all was looked through.
    pub next: Option<u64>,
}

/// Something has changed: who wants to know how it stands now asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// In which run.
    pub run_id: RunId,
    /// In which of its jobs, where it is about one.
    pub job_id: Option<JobId>,
    /// What has changed.
    pub what: What,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The run, or its attempts.
    Run,
    /// The job.
    Job,
    /// The job's steps.
    Steps,
    /// The job's annotations.
    Annotations,
}
