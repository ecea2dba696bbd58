//! From what the wire says to what callers are told.

use prost::Message;
use tonic::Status;

use super::{GuestError, RefusalKind};
use crate::bounds::REASON_CHARS;
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
        let object = if refusal.object.is_empty() { object.to_owned() } else { harmless(&refusal.object) };
        return GuestError::Refused { operation, object, reason: harmless(&refusal.reason), kind };
    }
    GuestError::Lost { operation, reason: harmless(&transport_reason(status)) }
}

/// An agent's words as a terminal may show them: it could be anybody's.
fn harmless(words: &str) -> String {
    words.chars().take(REASON_CHARS).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_words_cannot_move_the_cursor_or_go_on_for_ever() {
        let long = "x".repeat(2 * REASON_CHARS);
        let details = wire::Refusal {
            kind: wire::RefusalKind::Other.into(),
            object: "a\x1b[2Jb".to_owned(),
            reason: format!("a\u{9b}1A{long}"),
        };
        let status = Status::with_details(tonic::Code::Unknown, "", details.encode_to_vec().into());
        for status in [status, Status::unknown(format!("\x1b]52;c;ZXZpbA==\x07{long}"))] {
            let said = failure("reading", "", &status).to_string();
            assert!(!said.contains(char::is_control), "{said:?}");
            assert!(said.chars().count() < REASON_CHARS + 100);
        }
    }
}
