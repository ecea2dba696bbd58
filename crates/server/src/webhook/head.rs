//! What is read of a webhook before it is kept; all else is read when it is worked on.

use std::fmt;

use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::header;
use crate::api::error::ApiError;

/// Longest name of an event; the longest of GitHub's has 37.
const EVENT_BYTES: usize = 64;

/// Longest id of a delivery: GitHub's are UUIDs of 36.
const GUID_BYTES: usize = 128;

/// Longest text that is taken out of a payload; of longer ones nothing.
const TEXT_BYTES: usize = 1024;

/// What a webhook is, and where it belongs.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) event: String,
    pub(super) guid: String,
    pub(super) action: Option<String>,
    pub(super) repository: Option<String>,
    /// As much of the payload as its answer quotes.
    pub(super) told: Json,
}

/// The part of a payload that is looked at. The rest is only held to be JSON.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    action: Text,
    #[serde(default, rename = "ref")]
    reference: Text,
    #[serde(default)]
    repository: Repository,
}

/// A text, or nothing where something else stands.
#[derive(Default)]
struct Text(Option<String>);

/// A repository's name, or nothing where something else stands.
#[derive(Default)]
struct Repository(Option<String>);

impl Head {
    /// Reads the headers and the payload of a webhook whose signature fits.
    pub(super) fn read(headers: &HeaderMap, payload: &[u8]) -> Result<Head, ApiError> {
        let event = header(headers, "x-github-event")?
            .ok_or_else(|| ApiError::bad("the webhook has no X-GitHub-Event"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if event.is_empty() || event.len() > EVENT_BYTES || !event.bytes().all(plain) {
            return Err(ApiError::bad("the webhook's X-GitHub-Event is not the name of an event"));
        }
        let guid = match header(headers, "x-github-delivery")? {
            Some(guid) if guid.is_empty() || guid.len() > GUID_BYTES || !guid.bytes().all(plain) => {
                return Err(ApiError::bad("the webhook's X-GitHub-Delivery is not an id"));
            }
            Some(guid) => guid.to_owned(),
            // Sent twice, it is the same.
            None => format!("sha256-{}", hex(&digest(event, payload))),
        };
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return Err(ApiError::bad("the webhook's payload is not a JSON object"));
        }
        let read = serde_json::from_slice(payload)
            .map_err(|error| ApiError::bad(format!("the webhook's payload is not JSON: {error}")))?;
        let Payload { action: Text(action), reference: Text(reference), repository } = read;
        let told = json!({"action": action, "ref": reference});
        Ok(Head { event: event.to_owned(), guid, action, repository: repository.0, told })
    }

    /// Whether it is one of those that the answer says run something.
    pub(super) fn runs(&self) -> bool {
        match (self.event.as_str(), self.action.as_deref()) {
            ("push", _) => true,
            ("pull_request", Some(action)) => ["opened", "synchronize"].contains(&action),
            _ => false,
        }
    }
}

fn digest(event: &str, payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(event).chain_update(b"\n").chain_update(payload).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(Lenient { member: None }).map(Text)
    }
}

impl<'de> Deserialize<'de> for Repository {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Repository, D::Error> {
        deserializer.deserialize_any(Lenient { member: Some("full_name") }).map(Repository)
    }
}

/// Takes a text, or that of a member; reads over everything else without keeping it.
struct Lenient {
    member: Option<&'static str>,
}

impl<'de> Visitor<'de> for Lenient {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok((self.member.is_none() && text.len() <= TEXT_BYTES).then(|| text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<String>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if self.member == Some(key.as_str()) {
                found = map.next_value::<Text>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> Result<Head, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-github-event", "push".parse().unwrap());
        Head::read(&headers, payload.as_bytes())
    }

    #[test]
    fn what_is_not_as_it_should_be_is_read_over() {
        for odd in ["null", "7", "-7", "7.5", "true", "[1, [2]]", r#"{"full_name": {"a": []}}"#] {
            let head = read(&format!(r#"{{"action": {odd}, "ref": {odd}, "repository": {odd}}}"#)).unwrap();
            assert_eq!((head.action, head.repository), (None, None), "{odd}");
        }
        let head = read(r#"{"repository": {"id": 1, "full_name": "a/b", "owner": {"full_name": "c"}}}"#);
        assert_eq!(head.unwrap().repository.as_deref(), Some("a/b"));
        let long = "x".repeat(TEXT_BYTES + 1);
        assert_eq!(read(&format!(r#"{{"action": "{long}"}}"#)).unwrap().action, None);
    }

    #[test]
    fn a_webhook_without_an_id_gets_one_of_its_event_and_payload() {
        let (one, same, other) = (read(r#"{"a":1}"#), read(r#"{"a":1}"#), read(r#"{"a":2}"#));
        assert_eq!(one.as_ref().unwrap().guid, same.unwrap().guid);
        assert_ne!(one.unwrap().guid, other.unwrap().guid);
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for payload in ["", "[]", "7", "{", "{}{}", r#"{"a":}"#, "\u{feff}{}", "{\"a\":\"\u{1}\"}"] {
            assert!(read(payload).is_err(), "{payload:?}");
        }
        assert!(read(&format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000))).is_ok());
    }
}
