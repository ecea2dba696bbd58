//! Bodies of webhooks: bounded one by one, in time, and together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::error::ApiError;

/// Bytes of a webhook: GitHub sends none that is larger.
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads>
pub const BODY_BYTES: usize = 25 * 1024 * 1024;

/// Bytes of all webhooks in memory at once: ten of the largest, or thousands of the usual 10 to 20 KiB.
const BODIES_BYTES: usize = 10 * BODY_BYTES;

/// Bytes of a body that count as usual, whoever sends it: ten times what GitHub mostly sends, hashed in a millisecond.
pub(super) const USUAL_BYTES: usize = 256 * 1024;

/// Bytes of all that is larger than usual of addresses that have sent too many wrongly signed webhooks: one of the
/// largest can be read while another is hashed, and most of the memory stays for the others.
const SUSPECT_BYTES: usize = 2 * BODY_BYTES;

/// How long a webhook may take to arrive: GitHub gives up after 10 s.
/// <https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks>
const BODY_DEADLINE: Duration = Duration::from_secs(15);

/// When it is worth sending a webhook again that there was no room for, in seconds: others are written in less.
const RETRY_SECONDS: u64 = 5;

/// The memory of all bodies.
pub(super) struct Bodies {
    all: Arc<Semaphore>,
    suspect: Arc<Semaphore>,
}

/// Who sends a webhook, before its signature is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Nothing speaks against it.
    Unknown,
    /// Its address has sent too many wrongly signed ones: what it sends must not be in the others' way.
    Suspect,
}

/// A body, and its part of the memory.
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    pub(super) room: Room,
}

/// A part of the memory, given back when it is dropped.
#[derive(Default)]
pub(super) struct Room {
    of_all: Option<OwnedSemaphorePermit>,
    of_suspects: Option<OwnedSemaphorePermit>,
}

impl Default for Bodies {
    fn default() -> Self {
        Bodies::of(BODIES_BYTES, SUSPECT_BYTES)
    }
}

impl Bodies {
    fn of(all: usize, suspect: usize) -> Bodies {
        Bodies { all: Arc::new(Semaphore::new(all)), suspect: Arc::new(Semaphore::new(suspect)) }
    }

    /// A body as a whole. Only what has arrived takes room, so that nobody holds any with promises.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        sender: Sender,
    ) -> Result<Whole, ApiError> {
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > BODY_BYTES) {
            return Err(too_large());
        }
        match tokio::time::timeout(BODY_DEADLINE, self.collect(body, sender)).await {
            Ok(whole) => whole,
            Err(_) => Err(ApiError::timeout(format!(
                "the webhook did not arrive within {} s",
                BODY_DEADLINE.as_secs()
            ))),
        }
    }

    async fn collect(&self, mut body: Body, sender: Sender) -> Result<Whole, ApiError> {
        let mut whole = Whole { bytes: Vec::new(), room: Room::default() };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ApiError::bad(format!("the webhook broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = whole.bytes.len() + data.len();
            if length > BODY_BYTES {
                return Err(too_large());
            }
            if sender == Sender::Suspect && length > USUAL_BYTES {
                take(&self.suspect, &mut whole.room.of_suspects, data.len())?;
            }
            take(&self.all, &mut whole.room.of_all, data.len())?;
            whole.bytes.extend_from_slice(&data);
        }
        Ok(whole)
    }
}

/// Takes so much more, if there is as much.
fn take(
    room: &Arc<Semaphore>,
    taken: &mut Option<OwnedSemaphorePermit>,
    bytes: usize,
) -> Result<(), ApiError> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let more = Arc::clone(room)
        .try_acquire_many_owned(bytes)
        .map_err(|_| ApiError::unavailable("too many webhooks are being received at once", RETRY_SECONDS))?;
    match taken {
        Some(taken) => taken.merge(more),
        none => *none = Some(more),
    }
    Ok(())
}

fn too_large() -> ApiError {
    ApiError::too_large(format!("the webhook has more than {BODY_BYTES} bytes"))
}

/// The JSON of a body: all of it, or its field `payload`, as the webhook's content type is.
pub(super) fn json_of(headers: &HeaderMap, body: Vec<u8>) -> Result<Vec<u8>, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        // Nothing said: it is tried.
        "" | "application/json" => Ok(body),
        "application/x-www-form-urlencoded" => payload_of_form(&body),
        other => Err(ApiError::bad(format!(
            "the webhook's content type is {other:?}; set it to application/json in the webhook's settings"
        ))),
    }
}

fn payload_of_form(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let field = body.split(|byte| *byte == b'&').find_map(|field| field.strip_prefix(b"payload="));
    let field = field.ok_or_else(|| ApiError::bad("the form has no field `payload`"))?;
    unescaped(field).ok_or_else(|| ApiError::bad("the form's field `payload` has an escape that is none"))
}

/// <https://url.spec.whatwg.org/#urlencoded-parsing>
fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (char::from(*bytes.next()?), char::from(*bytes.next()?));
                u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok()?
            }
            other => *other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_holds_the_same_json() {
        assert_eq!(unescaped(b"%7B%22a%22%3A+%22%C3%A4%22%7d").unwrap(), "{\"a\": \"ä\"}".as_bytes());
        for broken in ["%", "%2", "%zz", "%+1"] {
            assert_eq!(unescaped(broken.as_bytes()), None, "{broken}");
        }
    }

    #[tokio::test]
    async fn bodies_have_only_so_much_memory_together() {
        let bodies = Bodies::of(10, 10);
        let collect = |text: &'static str| bodies.collect(Body::from(text), Sender::Unknown);
        let first = collect("123456").await.unwrap();
        assert_eq!(collect("12345").await.err().unwrap().code(), "unavailable");
        collect("1234").await.unwrap();
        drop(first);
        collect("1234567890").await.unwrap();
    }

    #[tokio::test]
    async fn large_bodies_of_suspects_leave_the_memory_to_the_others() {
        let bodies = Bodies::default();
        let large = || Body::from(vec![b' '; BODY_BYTES]);
        let mut held = Vec::new();
        for _ in 0..SUSPECT_BYTES / BODY_BYTES {
            held.push(bodies.collect(large(), Sender::Suspect).await.unwrap());
        }
        assert_eq!(bodies.collect(large(), Sender::Suspect).await.err().unwrap().code(), "unavailable");
        bodies.collect(Body::from("{}"), Sender::Suspect).await.unwrap();
        bodies.collect(large(), Sender::Unknown).await.unwrap();
    }
}
