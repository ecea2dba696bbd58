//! A run as a commit status.
//!
//! <https://docs.github.com/en/rest/commits/statuses#create-a-commit-status>

use model::Conclusion;
use serde_json::{Value as Json, json};

use super::text::cut;
use super::{Mark, Planned, Print, RunView, State};
use crate::github::client::Call;

/// Bytes of a description, of which GitHub takes 140 characters.
const MAX_DESCRIPTION: usize = 140;

/// Bytes of a context; GitHub takes 255 characters.
const MAX_CONTEXT: usize = 255;

/// What it takes to bring a run's status up to date. GitHub takes a thousand of a commit and a context, so what
/// ticks, such as the number of jobs that are done, is not in it.
pub(super) fn plan(view: &RunView, sent: Option<&Print>) -> Option<Planned> {
    let body = body(view);
    let print = Print::of(&body);
    if sent == Some(&print) {
        return None;
    }
    let path = format!("/repos/{}/statuses/{}", view.repository, view.sha);
    let what = format!("report run {} to {}", view.run, view.repository);
    // A second status of the same words changes nothing that anybody sees.
    Some(Planned { call: Call::post(path, what, body).repeatable(), mark: Mark::Status(print) })
}

fn body(view: &RunView) -> Json {
    let state = match view.state {
        State::Queued | State::Waiting(_) | State::Running => "pending",
        State::Ended(Conclusion::Success | Conclusion::Skipped) => "success",
        State::Ended(Conclusion::Failure) => "failure",
        State::Ended(Conclusion::Cancelled) => "error",
    };
    let words = view.state.words(view.times);
    let description = match (&view.state, view.first_error()) {
        (State::Ended(Conclusion::Failure), Some((job, error))) => {
            format!("{words}: {}: {}", job.name, error.message)
        }
        _ => words,
    };
    json!({
        "state": state,
        "context": cut(&format!("hearth / {}", view.context(None)), MAX_CONTEXT, "…"),
        "description": cut(&description, MAX_DESCRIPTION, "…"),
        "target_url": view.url,
    })
}
