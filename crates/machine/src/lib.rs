//! Machines: where a job runs.
//!
//! A [`Driver`] starts machines and hands back, for each, one byte stream on which the
//! guest agent speaks. Drivers differ in how strong the wall is and how the stream comes
//! up, and in nothing else that their users can see. This crate knows no workflows and no jobs.

pub mod fake;
pub mod firecracker;
pub mod host;
pub mod image;
pub mod network;
pub mod pool;
pub mod qemu;
pub mod sandbox;
pub mod templates;

mod agent_binary;
mod agent_program;
mod canary;
mod driver;
mod lock_file;
mod own_name;
mod processes;
mod programs;
mod snapshot;
mod vm;

pub use agent_binary::agent_binary;
pub use agent_program::AgentProgram;
pub use driver::*;
pub use snapshot::{FileFacts, Snapshot, SnapshotError, SnapshotId, SnapshotPlace, Staging};
