//! The typed workflow: every key of GitHub's language, each with its place.

mod workflow;

pub use workflow::*;
