//! From what the wire says to what callers are told.

use prost::Message;
use tonic::Status;

use super::{GuestError, RefusalKind};
use crate::wire;

/// Says what a failed call means. Only an agent attaches a refusal; everything else is the
/// transport's word, and means that the agent can't be reached any more.
pub(super) fn failure(operation: &'static str, object: &str, status: &Status) -> GuestError {
    if let Ok(refusal) = wire::Refusal::decode(status.details())
        && refusal.kind() != wire::RefusalKind::Unspecified
    {
        let kind = match refusal.kind() {
            wire::RefusalKind::NotFound => RefusalKind::NotFound,
            wire::RefusalKind::Denied => RefusalKind::Denied,
            wire::RefusalKind::DiskFull => RefusalKind::DiskFull,
            wire::RefusalKind::Invalid => RefusalKind::Invalid,
            wire::RefusalKind::Other | wire::RefusalKind::Unspecified => RefusalKind::Other,
        };
        let object = if refusal.object.is_empty() { object.to_owned() } else { refusal.object };
        return GuestError::Refused { operation, object, reason: refusal.reason, kind };
    }
    GuestError::Lost { operation, reason: transport_reason(status) }
}

/// The innermost cause: the outer ones say only that something failed.
fn transport_reason(status: &Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let status_itself = cause.downcast_ref::<Status>().is_some();
    if status_itself { status.message().to_owned() } else { cause.to_string() }
}

/// The answer breaks the protocol.
pub(super) fn broken(operation: &'static str, reason: &str) -> GuestError {
    GuestError::Lost { operation, reason: format!("the agent broke the protocol: {reason}") }
}
