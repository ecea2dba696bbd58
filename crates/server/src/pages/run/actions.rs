//! What can be done with a run: as forms, so that it works without a script.

use maud::{Markup, html};
use model::{Conclusion, JobState, RunState};
use scheduler::environment::{self, Decision, Environment};
use store::record::{Attempt, Job, Run};

use crate::pages::layout::csrf;
use crate::pages::viewer::{Role, Viewer};

/// Something that can be done with a run or a job: the last part of the form's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pages) enum Action {
    /// End it.
    Cancel,
    /// Let it begin.
    Approve,
    /// Keep it out of its environment.
    Reject,
    /// All of it again, as a new attempt.
    Rerun,
    /// Again what did not succeed.
    RerunFailed,
}

impl Action {
    const ALL: [Action; 5] =
        [Action::Cancel, Action::Approve, Action::Reject, Action::Rerun, Action::RerunFailed];

    /// The last part of the address.
    pub(in crate::pages) fn word(self) -> &'static str {
        match self {
            Action::Cancel => "cancel",
            Action::Approve => "approve",
            Action::Reject => "reject",
            Action::Rerun => "rerun",
            Action::RerunFailed => "rerun-failed",
        }
    }

    /// The action with this word.
    pub(in crate::pages) fn named(word: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.word() == word)
    }

    fn title(self) -> &'static str {
        match self {
            Action::Cancel => "Cancel",
            Action::Approve => "Approve and run",
            Action::Reject => "Reject",
            Action::Rerun => "Rerun all",
            Action::RerunFailed => "Rerun failed",
        }
    }

    /// What can be done with a run that stands so.
    fn of(run: &Run) -> Vec<Action> {
        match (run.what.state, run.conclusion) {
            _ if run.needs_approval() => vec![Action::Approve, Action::Cancel],
            (RunState::Waiting | RunState::Queued | RunState::Running, _) => vec![Action::Cancel],
            (RunState::Ended, Some(Conclusion::Failure | Conclusion::Cancelled)) => {
                vec![Action::RerunFailed, Action::Rerun]
            }
            (RunState::Ended, _) => vec![Action::Rerun],
        }
    }
}

/// Who decides about jobs of a run that wait for somebody's word.
#[derive(Debug, Default)]
pub(in crate::pages) struct Deciders {
    /// The rules of its repository's environments; none while nobody knows them, and then nobody decides.
    pub(in crate::pages) rules: Option<Vec<Environment>>,
    /// All attempts of the run.
    pub(in crate::pages) attempts: Vec<Attempt>,
}

impl Deciders {
    /// What a viewer may do with a job that waits for somebody's word. Who may decide nothing may end it all the same.
    fn of(&self, run: &Run, job: &Job, viewer: &Viewer) -> Vec<Action> {
        let Some(rules) = &self.rules else { return vec![Action::Cancel] };
        let rules = job.environment.as_deref().and_then(|name| environment::named(rules, name));
        let causes = environment::causes(run, &self.attempts);
        let may = |decision| environment::objection(rules, &viewer.name, decision, &causes).is_none();
        match (may(Decision::Approve), may(Decision::Reject)) {
            (true, _) => vec![Action::Approve, Action::Reject],
            (false, true) => vec![Action::Reject],
            (false, false) => vec![Action::Cancel],
        }
    }
}

/// Whether somebody must let a job into its environment.
pub(in crate::pages) fn is_asked_for(job: &Job) -> bool {
    job.state == JobState::Waiting && job.waits_until.is_none()
}

/// Buttons for a run.
pub(in crate::pages) fn of_run(run: &Run, viewer: &Viewer) -> Markup {
    html! {
        @if viewer.may(Role::Operate) {
            div.actions {
                @for action in Action::of(run) { (button(&format!("/runs/{}", run.id), action, action.title(), viewer)) }
            }
        }
    }
}

/// Buttons for a job.
pub(in crate::pages) fn of_job(run: &Run, job: &Job, deciders: &Deciders, viewer: &Viewer) -> Markup {
    let is_latest = job.attempt == run.attempt;
    let actions = match (run.what.state, job.state, job.conclusion) {
        (RunState::Ended, _, Some(_)) => vec![Action::Rerun],
        (_, _, None) if is_asked_for(job) => deciders.of(run, job, viewer),
        (_, _, None) => vec![Action::Cancel],
        _ => vec![],
    };
    html! {
        @if viewer.may(Role::Operate) && is_latest && !actions.is_empty() {
            div.actions {
                @for action in actions {
                    (button(&format!("/runs/{}/jobs/{}", run.id, job.id), action, of_a_job(action), viewer))
                }
            }
        }
    }
}

/// Jobs that somebody must let into their environments, with buttons for it.
pub(in crate::pages) fn of_waiting(run: &Run, jobs: &[Job], deciders: &Deciders, viewer: &Viewer) -> Markup {
    let waiting = || jobs.iter().filter(|job| is_asked_for(job) && viewer.may(Role::Operate));
    html! {
        @if waiting().next().is_some() {
            ul.reviews {
                @for job in waiting() {
                    li data-job=(job.id) {
                        strong { (job.name) }
                        @if let Some(environment) = &job.environment { " into " strong { (environment) } } " "
                        (of_job(run, job, deciders, viewer))
                    }
                }
            }
        }
    }
}

/// What the button of a job says: a job that runs again takes with it those that need it.
fn of_a_job(action: Action) -> &'static str {
    if action == Action::Rerun { "Rerun this job" } else { action.title() }
}

fn button(of: &str, action: Action, title: &str, viewer: &Viewer) -> Markup {
    html! {
        form method="post" action={ (of) "/" (action.word()) } {
            (csrf(viewer))
            button.(action.word()) data-action=(action.word()) { (title) }
        }
    }
}
