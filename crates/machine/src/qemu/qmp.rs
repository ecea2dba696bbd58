//! QEMU's control channel: one JSON object a line, commands one after the other, events in between
//! (<https://www.qemu.org/docs/master/interop/qmp-spec.html>).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Longest line that is read: answers to what we ask are below one KiB.
const LINE_BYTES: usize = 256 * 1024;
/// Events that are kept for who waits for them; older ones are forgotten.
const KEPT_EVENTS: usize = 64;
/// How long a command may take: QEMU answers between two of the guest's instructions, a host that swaps later.
const DEADLINE: Duration = Duration::from_secs(30);

/// What went wrong between us and QEMU.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QmpError {
    /// QEMU is gone, or never spoke.
    #[error("QEMU can't be reached ({command}): {source}")]
    Lost {
        /// What it was told.
        command: String,
        /// What the channel said.
        source: io::Error,
    },
    /// QEMU says no.
    #[error("QEMU refuses {command}: {reason}")]
    Refused {
        /// What it was told.
        command: String,
        /// Why not.
        reason: String,
    },
}

/// The channel to one QEMU.
#[derive(Debug)]
pub(crate) struct Qmp {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    events: VecDeque<Value>,
}

impl Qmp {
    /// Takes part in QEMU's greeting.
    pub(crate) async fn open(stream: UnixStream) -> Result<Self, QmpError> {
        let (from, to) = stream.into_split();
        let mut qmp = Self { from: BufReader::new(from), to, events: VecDeque::new() };
        let greeting = bounded("greeting", qmp.read()).await?;
        if greeting.get("QMP").is_none() {
            return Err(lost("greeting", io::Error::other(format!("it says {greeting}"))));
        }
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Has a command carried out. What it returns.
    pub(crate) async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let line = request(command, &arguments);
        let told = async {
            self.to.write_all(&line).await?;
            self.answer().await
        };
        let answer = bounded(command, told).await?;
        returned(command, answer)
    }

    /// Gives QEMU a descriptor, to be used by this name.
    pub(crate) async fn give(&mut self, name: &str, descriptor: BorrowedFd<'_>) -> Result<(), QmpError> {
        let line = request("getfd", &json!({ "fdname": name }));
        let told = async {
            let descriptors = [descriptor.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&descriptors)];
            let sent = self.to.as_ref().async_io(Interest::WRITABLE, || {
                let stream = self.to.as_ref().as_raw_fd();
                Ok(sendmsg::<()>(stream, &[IoSlice::new(&line)], &rights, MsgFlags::MSG_NOSIGNAL, None)?)
            });
            let sent = sent.await?;
            self.to.write_all(&line[sent..]).await?;
            self.answer().await
        };
        returned("getfd", bounded("getfd", told).await?).map(drop)
    }

    /// Waits for an event that `wanted` makes something of. The bound of the time is the caller's.
    pub(crate) async fn event<T>(
        &mut self,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T, QmpError> {
        while let Some(event) = self.events.pop_front() {
            if let Some(found) = wanted(&event) {
                return Ok(found);
            }
        }
        loop {
            let message = self.read().await.map_err(|source| lost("waiting for an event", source))?;
            if let Some(found) = wanted(&message) {
                return Ok(found);
            }
        }
    }

    /// The next message that is no event.
    async fn answer(&mut self) -> io::Result<Value> {
        loop {
            let message = self.read().await?;
            if message.get("event").is_none() {
                return Ok(message);
            }
            if self.events.len() == KEPT_EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(message);
        }
    }

    async fn read(&mut self) -> io::Result<Value> {
        let mut line = Vec::new();
        loop {
            let available = self.from.fill_buf().await?;
            if available.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the channel has ended"));
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            line.extend_from_slice(&available[..taken]);
            self.from.consume(taken);
            if line.len() > LINE_BYTES {
                return Err(io::Error::other(format!("a line of more than {LINE_BYTES} bytes")));
            }
            if end.is_some() {
                return serde_json::from_slice(&line).map_err(io::Error::other);
            }
        }
    }
}

async fn bounded<T>(command: &str, work: impl Future<Output = io::Result<T>>) -> Result<T, QmpError> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer after {DEADLINE:?}"));
    let done = tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(late()));
    done.map_err(|source| lost(command, source))
}

fn request(command: &str, arguments: &Value) -> Vec<u8> {
    let mut line = json!({ "execute": command, "arguments": arguments }).to_string().into_bytes();
    line.push(b'\n');
    line
}

fn returned(command: &str, mut answer: Value) -> Result<Value, QmpError> {
    if let Some(value) = answer.get_mut("return") {
        return Ok(value.take());
    }
    let reason = answer.pointer("/error/desc").and_then(Value::as_str).unwrap_or("it does not say why");
    Err(QmpError::Refused { command: command.to_owned(), reason: reason.to_owned() })
}

fn lost(command: &str, source: io::Error) -> QmpError {
    QmpError::Lost { command: command.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use tokio::io::AsyncReadExt;

    use super::*;

    const GREETING: &str = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n{\"return\": {}}\r\n";

    async fn opened(answers: &str) -> (Qmp, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(format!("{GREETING}{answers}").as_bytes()).await.unwrap();
        (Qmp::open(ours).await.unwrap(), theirs)
    }

    #[tokio::test]
    async fn events_between_a_command_and_its_answer_are_kept() {
        let answers = "{\"event\": \"STOP\", \"n\": 1}\n{\"event\": \"STOP\", \"n\": 2}\n{\"return\": 7}\n";
        let (mut qmp, mut theirs) = opened(answers).await;
        assert_eq!(qmp.execute("stop", json!({"x": 1})).await.unwrap(), 7);
        let number = |event: &Value| event["n"].as_u64().filter(|number| *number > 1);
        assert_eq!(qmp.event(number).await.unwrap(), 2);
        drop(qmp);
        let mut said = String::new();
        theirs.read_to_string(&mut said).await.unwrap();
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(last, json!({"execute": "stop", "arguments": {"x": 1}}));
    }

    #[tokio::test]
    async fn a_refusal_names_the_command_and_a_dead_qemu_is_told() {
        let (mut qmp, theirs) = opened("{\"error\": {\"class\": \"x\", \"desc\": \"no such fd\"}}\n").await;
        let file = tempfile::tempfile().unwrap();
        let error = qmp.give("state", file.as_fd()).await.unwrap_err();
        assert_eq!(error.to_string(), "QEMU refuses getfd: no such fd");
        drop(theirs);
        let error = qmp.execute("cont", json!({})).await.unwrap_err();
        assert!(matches!(error, QmpError::Lost { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_qemu_is_refused() {
        for nonsense in ["hello\n", "{\"return\": {}}\n", &"x".repeat(LINE_BYTES + 2)] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let text = nonsense.to_owned();
            let writing = tokio::spawn(async move { theirs.write_all(text.as_bytes()).await });
            assert!(Qmp::open(ours).await.is_err());
            drop(writing);
        }
    }
}
