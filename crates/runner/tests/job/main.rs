//! Whole jobs on an agent in this process.

mod actions;
mod bench;
mod failures;
mod files;
mod status;
