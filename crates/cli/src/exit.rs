//! Exit codes of `hearth`. Scripts may rely on them.

/// Everything that was asked for succeeded.
pub(crate) const SUCCESS: u8 = 0;
/// A job failed.
pub(crate) const FAILURE: u8 = 1;
/// The command line, the configuration, or a workflow file is wrong; nothing was run.
pub(crate) const USAGE: u8 = 2;
/// Hearth or a machine failed, not a step.
pub(crate) const INFRASTRUCTURE: u8 = 3;
/// Cancelled by the user (128 + SIGINT, as shells have it).
pub(crate) const CANCELLED: u8 = 130;
