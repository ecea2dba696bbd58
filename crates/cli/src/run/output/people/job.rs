//! What has been seen of one job.

use std::time::{Duration, Instant};

use model::{Annotation, Conclusion, StepPhase, StepRef};

use super::tail::Tail;

/// Annotations of a job that are shown; GitHub shows ten of each kind.
const ANNOTATIONS: usize = 20;

/// One job as people see it.
pub(super) struct JobView {
    /// Its name, in one line.
    pub(super) name: String,
    /// How many jobs were seen before it: the place decides its colour.
    pub(super) place: usize,
    /// Where it is.
    pub(super) state: JobState,
    /// The first step that failed.
    pub(super) failure: Option<FailedStep>,
    /// The first of its annotations.
    pub(super) annotations: Vec<Annotation>,
    /// Annotations beyond those.
    pub(super) more_annotations: usize,
    /// How much of the network it was not let reach.
    pub(super) refusals: usize,
}

/// State of a job.
///
/// ```text
/// starting --its machine is ready--> running --> ended
///     |                                            ^
///     +--no machine, or decided without one--------+
/// ```
pub(super) enum JobState {
    /// It is being given a machine.
    Starting {
        /// Since when.
        since: Instant,
    },
    /// It runs.
    Running {
        /// The steps that run, as they were started: none between two steps, several where some are background steps.
        steps: Vec<RunningStep>,
    },
    /// It is over.
    Ended {
        /// How it ended.
        conclusion: Conclusion,
        /// How long it took, if it had a machine.
        took: Option<Duration>,
        /// Why, where its steps don't say.
        reason: Option<String>,
    },
}

/// A step that runs.
pub(super) struct RunningStep {
    /// Which it is.
    pub(super) at: StepRef,
    /// Its name, in one line.
    pub(super) name: String,
    /// Since when.
    pub(super) since: Instant,
    /// The end of its log.
    pub(super) tail: Tail,
    /// Where in its log it is.
    pub(super) section: Section,
}

/// Where in its log a step is. A head (a group `Run ...`) repeats what the user wrote; the first one says nothing
/// that the step's name does not, those after it are the steps inside of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Nothing but perhaps the head has been said.
    Beginning,
    /// In a head.
    Head,
    /// In a group of the user's.
    Group,
    /// Behind a head or a group.
    Body,
}

/// A step that failed, with the end of its log.
pub(super) struct FailedStep {
    /// Its name.
    pub(super) name: String,
    /// The end of its log.
    pub(super) tail: Tail,
}

impl JobView {
    /// A job that is being given a machine.
    pub(super) fn new(name: String, place: usize, now: Instant) -> JobView {
        JobView {
            name,
            place,
            state: JobState::Starting { since: now },
            failure: None,
            annotations: Vec::new(),
            more_annotations: 0,
            refusals: 0,
        }
    }

    /// The steps that run, as they were started.
    pub(super) fn steps(&self) -> &[RunningStep] {
        match &self.state {
            JobState::Running { steps } => steps,
            JobState::Starting { .. } | JobState::Ended { .. } => &[],
        }
    }

    /// A step that runs.
    pub(super) fn step(&mut self, at: StepRef) -> Option<&mut RunningStep> {
        match &mut self.state {
            JobState::Running { steps } => steps.iter_mut().find(|step| step.at == at),
            JobState::Starting { .. } | JobState::Ended { .. } => None,
        }
    }

    /// A step begins; `tail` lines of its log are kept.
    pub(super) fn step_started(&mut self, at: StepRef, name: String, tail: usize, now: Instant) {
        let step = RunningStep { at, name, since: now, tail: Tail::new(tail), section: Section::Beginning };
        match &mut self.state {
            JobState::Running { steps } => steps.push(step),
            JobState::Starting { .. } | JobState::Ended { .. } => {
                self.state = JobState::Running { steps: vec![step] };
            }
        }
    }

    /// A step has ended. Gives back its name; of the first that failed, the end of the log is remembered.
    pub(super) fn step_finished(&mut self, at: StepRef, conclusion: Conclusion) -> String {
        let JobState::Running { steps } = &mut self.state else { return String::new() };
        let Some(place) = steps.iter().position(|step| step.at == at) else { return String::new() };
        let step = steps.remove(place);
        if conclusion == Conclusion::Failure && self.failure.is_none() {
            self.failure = Some(FailedStep { name: step.name.clone(), tail: step.tail });
        }
        step.name
    }

    /// The job is over.
    pub(super) fn ended(&mut self, conclusion: Conclusion, took: Option<Duration>, reason: Option<&str>) {
        self.state = JobState::Ended { conclusion, took, reason: reason.map(str::to_owned) };
    }

    /// An annotation was made.
    pub(super) fn annotate(&mut self, annotation: &Annotation) {
        if self.annotations.len() < ANNOTATIONS {
            self.annotations.push(annotation.clone());
        } else {
            self.more_annotations += 1;
        }
    }

    /// How it ended, if it has.
    pub(super) fn conclusion(&self) -> Option<Conclusion> {
        match self.state {
            JobState::Ended { conclusion, .. } => Some(conclusion),
            JobState::Starting { .. } | JobState::Running { .. } => None,
        }
    }
}

/// Whether a step is Hearth's own work around the steps of the job.
pub(super) fn is_frame(step: StepRef) -> bool {
    matches!(step.phase, StepPhase::SetUp | StepPhase::Complete)
}
