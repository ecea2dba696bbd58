//! The typed workflow and action: every key of GitHub's language, each with its place.

mod access;
mod action;
mod lower;
mod workflow;

pub use action::*;
pub use workflow::*;
