//! Exit codes of `hearth`. Scripts may rely on them.

use axum::http::StatusCode;
use model::Conclusion;
use server::client::ClientError;

use crate::remote::RemoteError;
use crate::told::told;

/// Everything that was asked for succeeded.
pub(crate) const SUCCESS: u8 = 0;
/// A workflow failed, a file has errors (`lint`), or an expression has no value (`expr`).
pub(crate) const FAILURE: u8 = 1;
/// The command line, the configuration, or an input is wrong; nothing was run.
pub(crate) const USAGE: u8 = 2;
/// A workflow that was to be run is invalid; nothing was run.
pub(crate) const INVALID_WORKFLOW: u8 = 3;
/// A machine was not to be had, or failed: no verdict on the workflow.
pub(crate) const MACHINE: u8 = 4;
/// A server could not be reached, or could not answer: it may be worth asking again.
pub(crate) const UNREACHABLE: u8 = 5;
/// `vm exec`, `vm shell`, and `debug`: Hearth failed, not the command, whose own code it would be otherwise
/// (as `env` and `timeout` have it).
pub(crate) const NOT_THE_COMMAND: u8 = 125;
/// Cancelled: by the user (128 + SIGINT, as shells have it), or a run by another of its concurrency group, or a job
/// whose time was up, as GitHub calls it.
pub(crate) const CANCELLED: u8 = 130;

/// The code of a command that could not do what was asked.
pub(crate) fn of_error(error: &anyhow::Error) -> u8 {
    let error = match error.downcast_ref::<RemoteError>() {
        Some(error) => Some(error.error()),
        None => error.downcast_ref::<ClientError>(),
    };
    if error.is_some_and(may_pass) { UNREACHABLE } else { USAGE }
}

/// The code of a command in a machine. Where Hearth failed, says why: its own codes may be the command's.
pub(crate) fn of_command(ended: anyhow::Result<u8>) -> u8 {
    ended.unwrap_or_else(|error| {
        eprintln!("hearth: {}", told(&error));
        NOT_THE_COMMAND
    })
}

/// Whether a server may answer otherwise in a moment.
pub(crate) fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable(..) | ClientError::Broken(_) => true,
        ClientError::Refused { status, .. } => {
            (status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED)
                || *status == StatusCode::TOO_MANY_REQUESTS
        }
        _ => false,
    }
}

/// The code of a run that ended so.
pub(crate) fn of_run(conclusion: Conclusion, infrastructure_failed: bool) -> u8 {
    match conclusion {
        _ if infrastructure_failed => MACHINE,
        Conclusion::Success | Conclusion::Skipped => SUCCESS,
        Conclusion::Failure => FAILURE,
        Conclusion::Cancelled => CANCELLED,
    }
}

/// The graver of the codes of two runs: a failure is not hidden behind a run that was cancelled.
pub(crate) fn graver(one: u8, other: u8) -> u8 {
    let weight = |code: u8| match code {
        SUCCESS => 0,
        CANCELLED => 1,
        code => u16::from(code) + 1,
    };
    if weight(one) >= weight(other) { one } else { other }
}
