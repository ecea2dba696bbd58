//! From a payload to its meaning.

use serde_json::Value as Json;

use super::kind::Starts;
use super::rerequest::rerequested;
use super::start::starts;
use super::{EventKind, Meaning, ReadError, Reading};
use crate::commit::is_commit;
use crate::github::refs::text;
use crate::repository::RepositoryRef;

/// Characters of a wrong value that an error quotes.
const MAX_QUOTED: usize = 100;

/// Reads the payload of an event. Pure: the same payload always means the same.
pub fn read(event: &str, payload: &Json) -> Result<Reading, ReadError> {
    let reader = Reader { event, payload };
    if !payload.is_object() {
        return Err(ReadError::NotAnObject { event: event.to_owned() });
    }
    let kind = EventKind::of(event);
    let repository = reader.repository()?;
    Ok(Reading {
        meaning: meaning(&kind, &reader, repository.as_ref())?,
        kind,
        repository,
        installation: payload.pointer("/installation/id").and_then(Json::as_u64),
        action: reader.text("/action").map(str::to_owned),
        sender: reader.text("/sender/login").map(str::to_owned),
    })
}

fn meaning(
    kind: &EventKind,
    reader: &Reader<'_>,
    repository: Option<&RepositoryRef>,
) -> Result<Meaning, ReadError> {
    if *kind == EventKind::Ping {
        return Ok(Meaning::Ping);
    }
    if let Some(again) = rerequested(kind, reader, repository)? {
        return Ok(Meaning::Rerequested(again));
    }
    if let Some(reason) = reason_for_nothing(kind, reader) {
        return Ok(Meaning::Nothing(reason));
    }
    let repository = repository.ok_or_else(|| reader.missing("repository"))?;
    starts(kind, reader, repository).map(Meaning::Start)
}

/// Why an event starts nothing, whatever workflows there are.
fn reason_for_nothing(kind: &EventKind, reader: &Reader<'_>) -> Option<String> {
    match kind.starts() {
        Starts::Nothing => return Some(format!("{kind} starts no workflows")),
        Starts::On(actions) => {
            let action = reader.text("/action").unwrap_or("none");
            if !actions.contains(&action) {
                return Some(format!("{kind} with action {action} starts no workflows"));
            }
        }
        Starts::Always => {}
    }
    let reference = reader.text("/ref").unwrap_or_default();
    match kind {
        EventKind::Push if reader.payload["deleted"] == true => Some(format!("{reference} was deleted")),
        // Other refs, such as notes, are nothing that a workflow can listen to.
        EventKind::Push if !reference.starts_with("refs/heads/") && !reference.starts_with("refs/tags/") => {
            Some(format!("'{}' is neither a branch nor a tag", quoted(reference)))
        }
        EventKind::Create if reader.text("/ref").is_none() => Some("no branch or tag was created".to_owned()),
        _ => None,
    }
}

/// A payload whose event is known, so that errors can name it.
pub(super) struct Reader<'a> {
    pub(super) event: &'a str,
    pub(super) payload: &'a Json,
}

impl<'a> Reader<'a> {
    /// A text that is there and not empty.
    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        text(self.payload, pointer)
    }

    /// A text that must be there.
    pub(super) fn needed(&self, pointer: &'static str) -> Result<&'a str, ReadError> {
        self.text(pointer).ok_or_else(|| self.missing(&pointer[1..]))
    }

    /// A number that must be there.
    pub(super) fn number(&self, pointer: &'static str) -> Result<u64, ReadError> {
        self.payload.pointer(pointer).and_then(Json::as_u64).ok_or_else(|| self.missing(&pointer[1..]))
    }

    /// The name of a commit that must be there.
    pub(super) fn commit(&self, pointer: &'static str) -> Result<String, ReadError> {
        let sha = self.needed(pointer)?;
        if is_commit(sha) { Ok(sha.to_ascii_lowercase()) } else { Err(self.wrong(&pointer[1..], sha)) }
    }

    pub(super) fn missing(&self, field: &'static str) -> ReadError {
        ReadError::Missing { event: self.event.to_owned(), field }
    }

    pub(super) fn wrong(&self, field: &'static str, found: &str) -> ReadError {
        ReadError::Wrong { event: self.event.to_owned(), field, found: quoted(found) }
    }

    fn repository(&self) -> Result<Option<RepositoryRef>, ReadError> {
        let Some(repository) = self.payload.get("repository").filter(|found| found.is_object()) else {
            return Ok(None);
        };
        let name = self.needed("/repository/full_name")?;
        let name =
            name.parse().map_err(|source| ReadError::Repository { event: self.event.to_owned(), source })?;
        let is = |field: &str| repository[field] == true;
        Ok(Some(RepositoryRef {
            id: repository["id"].as_u64().unwrap_or(0),
            name,
            default_branch: self.text("/repository/default_branch").map(str::to_owned),
            private: is("private"),
            fork: is("fork"),
        }))
    }
}

fn quoted(found: &str) -> String {
    found.chars().take(MAX_QUOTED).collect()
}
