//! Which events start a workflow: `on`, its filters, and the inputs of a manual start.
//!
//! The rules are GitHub's, of
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
//! and
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#on>.

mod decide;
mod filter;
mod inputs;
mod pattern;
mod skip;

use std::fmt;
use std::sync::Arc;

#[cfg(test)]
mod tests;

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;

pub use decide::decide;
pub use filter::check_filters;
pub use inputs::{event_inputs, resolve_inputs};
pub use pattern::{Pattern, PatternError};

/// Something that happened in a repository.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Its name (`push`).
    pub name: String,
    /// What the forge sends with it: GitHub's webhook payload. For `schedule`, `schedule` in it is
    /// the cron expression that is due, and `timezone` its zone, or null; without it, any zone is meant.
    pub payload: Arc<Json>,
    /// Paths changed since the last push, or in the pull request, in their order; `None` when they are
    /// not known: then path filters let everything pass.
    pub changed_files: Option<Vec<String>>,
    /// Message of the head commit. A push has it in its payload too; a pull request has not.
    pub head_commit_message: Option<String>,
}

/// Whether an event starts a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It does.
    Run,
    /// It does not, for this reason (`branch main matches no pattern of branches`).
    Skip(String),
    /// A filter of the workflow can't be read, so nobody can say.
    Invalid(Vec<Diagnostic>),
}

impl Decision {
    /// Whether the workflow runs.
    pub fn runs(&self) -> bool {
        *self == Decision::Run
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Run => f.write_str("it runs"),
            Decision::Skip(reason) => f.write_str(reason),
            Decision::Invalid(problems) => {
                for (place, problem) in problems.iter().enumerate() {
                    if place > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{problem}")?;
                }
                Ok(())
            }
        }
    }
}
