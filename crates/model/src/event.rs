//! What a job tells while it runs: one closed enum.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Conclusion, Contact, JobResult};

/// Takes the events of one job, in order. Never blocks for long; never fails the job.
pub trait EventSink: Send + Sync {
    /// Takes one event. Secrets in it have been masked.
    fn emit(&self, event: JobEvent);
}

/// Which part of a step's life a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// Work of Hearth before the first step ("Set up job").
    SetUp,
    /// An action's `pre`.
    Pre,
    /// The step itself.
    Main,
    /// An action's `post`.
    Post,
    /// Work of Hearth after the last step ("Complete job").
    Complete,
}

/// A step as events name it: position in the job and phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepRef {
    /// Position in [`crate::Job::steps`]; 0 for set-up and completion.
    pub index: usize,
    /// Which part of its life.
    pub phase: StepPhase,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// Hearth itself (the command that it runs, its environment, notes).
    Hearth,
}

/// One line of a log, without its newline, masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Which step.
    pub step: StepRef,
    /// Counts the lines of the job from 0, without gaps.
    pub sequence: u64,
    /// Where it came from.
    pub stream: Stream,
    /// When Hearth read it.
    pub at: SystemTime,
    /// The text; ANSI colours are kept.
    pub text: String,
}

/// How grave an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationLevel {
    /// `::notice::`
    Notice,
    /// `::warning::`
    Warning,
    /// `::error::`
    Error,
}

/// A remark on the run or on a place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// How grave.
    pub level: AnnotationLevel,
    /// The text, masked.
    pub message: String,
    /// A heading.
    pub title: Option<String>,
    /// Path relative to the workspace where it lies inside of it.
    pub file: Option<String>,
    /// First line, from 1.
    pub line: Option<u32>,
    /// Last line.
    pub end_line: Option<u32>,
    /// First column, from 1.
    pub column: Option<u32>,
    /// Last column.
    pub end_column: Option<u32>,
    /// The code that a problem matcher found (`E0308`).
    pub code: Option<String>,
}

/// Everything that a job tells. Every text has been masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEvent {
    /// The machine is ready and the job begins.
    JobStarted {
        /// When.
        at: SystemTime,
        /// Id of the machine.
        machine: String,
        /// Name of the driver.
        driver: String,
    },
    /// A step, or an action's pre or post, begins.
    StepStarted {
        /// Which.
        step: StepRef,
        /// What to call it.
        name: String,
        /// When.
        at: SystemTime,
    },
    /// A line of output.
    Log(LogLine),
    /// A foldable group begins (`::group::`).
    GroupStarted {
        /// In which step.
        step: StepRef,
        /// Its heading.
        title: String,
    },
    /// The open group ends.
    GroupEnded {
        /// In which step.
        step: StepRef,
    },
    /// `::debug::`, shown only when debugging is on.
    Debug {
        /// In which step.
        step: StepRef,
        /// The text.
        message: String,
    },
    /// An annotation.
    Annotation {
        /// In which step.
        step: StepRef,
        /// The annotation.
        annotation: Annotation,
    },
    /// An output was set.
    Output {
        /// By which step.
        step: StepRef,
        /// Name.
        name: String,
        /// Value, masked.
        value: String,
    },
    /// A step's summary (Markdown).
    Summary {
        /// Of which step.
        step: StepRef,
        /// The text.
        markdown: String,
    },
    /// A step, or an action's pre or post, ended.
    StepFinished {
        /// Which.
        step: StepRef,
        /// Before `continue-on-error`.
        outcome: Conclusion,
        /// After it.
        conclusion: Conclusion,
        /// How long it took.
        duration: Duration,
    },
    /// Something that the job tried on its machine's own network. All of it is told at the end, once.
    Contacted {
        /// What, its name masked.
        contact: Contact,
        /// How often.
        times: u64,
    },
    /// The job is over; nothing follows.
    JobFinished {
        /// How it ended.
        result: JobResult,
        /// How long it took, from `JobStarted`.
        duration: Duration,
    },
}
