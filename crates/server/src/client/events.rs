//! Server-sent events, read as they come.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

use std::time::Duration;

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{ANSWER_BYTES, ClientError, broken};

/// How long a server may say nothing: it sends something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// What ends an event: an empty line.
const END: &[u8] = b"\n\n";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind it is.
    pub name: String,
    /// What it says.
    pub data: String,
}

/// A stream of events.
pub struct Events {
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Events {
        Events { body, buffer: BytesMut::new() }
    }

    /// The next event; `None` when the server has ended the stream.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes for a minute.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        let mut searched = 0;
        loop {
            let end = self.buffer[searched..].windows(END.len()).position(|window| window == END);
            if let Some(end) = end {
                let block = self.buffer.split_to(searched + end);
                self.buffer.advance(END.len());
                searched = 0;
                match read(&block) {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            if self.buffer.len() > ANSWER_BYTES {
                return Err(broken("an event that is too long"));
            }
            // The end may have come in halves.
            searched = self.buffer.len().saturating_sub(END.len() - 1);
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let silent = |_| broken(format!("nothing came for {} s", SILENCE.as_secs()));
            match frame.map_err(silent)?.transpose().map_err(broken)? {
                Some(frame) => self.buffer.extend(frame.into_data().unwrap_or_default()),
                None => return Ok(None),
            }
        }
    }
}

/// The event of a block of lines; none where there are only comments.
fn read(block: &[u8]) -> Option<Event> {
    let text = String::from_utf8_lossy(block);
    let (mut name, mut data) = ("message", Vec::new());
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value,
            "data" => data.push(value),
            _ => {}
        }
    }
    (!data.is_empty()).then(|| Event { name: name.to_owned(), data: data.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_name_and_all_its_data_and_comments_are_none() {
        let event = |name: &str, data: &str| Some(Event { name: name.to_owned(), data: data.to_owned() });
        assert_eq!(read(b"event: lines\ndata: [1]"), event("lines", "[1]"));
        assert_eq!(read(b"data: a\ndata:b\nid: 7"), event("message", "a\nb"));
        assert_eq!(read(b":"), None);
    }
}
