//! Checks that somebody wants again.

use serde_json::Value as Json;

use super::read::Reader;
use super::start::starts;
use super::{EventKind, ReadError, Rerequested};
use crate::repository::RepositoryRef;

/// What is wanted again, where the event is of that.
pub(super) fn rerequested(
    kind: &EventKind,
    reader: &Reader<'_>,
    repository: Option<&RepositoryRef>,
) -> Result<Option<Rerequested>, ReadError> {
    let repository = || repository.ok_or_else(|| reader.missing("repository"));
    let number = |pointer: &str| reader.payload.pointer(pointer).and_then(Json::as_u64);
    let text = |pointer: &str| reader.text(pointer).map(str::to_owned);
    Ok(match (kind, reader.text("/action")) {
        (EventKind::CheckRun, Some("rerequested" | "requested_action")) => Some(Rerequested {
            check_run: Some(reader.number("/check_run/id")?),
            check_suite: number("/check_run/check_suite/id").unwrap_or(0),
            external_id: text("/check_run/external_id"),
            app: number("/check_run/app/id"),
            head_sha: reader.commit("/check_run/head_sha")?,
            requested_action: text("/requested_action/identifier"),
            starts: starts(kind, reader, repository()?)?,
        }),
        (EventKind::CheckSuite, Some("rerequested")) => Some(Rerequested {
            check_run: None,
            check_suite: reader.number("/check_suite/id")?,
            external_id: None,
            app: number("/check_suite/app/id"),
            head_sha: reader.commit("/check_suite/head_sha")?,
            requested_action: None,
            starts: Vec::new(),
        }),
        _ => None,
    })
}
