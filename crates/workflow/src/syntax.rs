//! The typed workflow and action: every key of GitHub's language, each with its place.

mod access;
mod action;
mod lower;
mod workflow;

pub use action::*;
pub use workflow::*;

/// Said where `queue: max` and `cancel-in-progress: true` stand together, which GitHub refuses.
/// <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency>
pub(crate) const QUEUE_CONFLICT: &str = "'queue: max' and 'cancel-in-progress: true' can't stand together";
