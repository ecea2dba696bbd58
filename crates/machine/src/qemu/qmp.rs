//! QEMU's control channel: one JSON object a line, commands one after the other, events in between
//! (<https://www.qemu.org/docs/master/interop/qmp-spec.html>).

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_util::task::AbortOnDropHandle;

/// Longest line that is read: answers to what we ask are below one KiB.
const LINE_BYTES: usize = 256 * 1024;
/// Events that are kept for who waits for them, as those of one migration; older ones are forgotten.
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

/// The channel to one QEMU. What QEMU says is read as it comes, also while nobody asks.
#[derive(Debug)]
pub(crate) struct Qmp {
    to: OwnedWriteHalf,
    answers: mpsc::Receiver<io::Result<Value>>,
    events: broadcast::Receiver<Value>,
    _reader: AbortOnDropHandle<()>,
}

impl Qmp {
    /// Takes part in QEMU's greeting. Each event is shown to `watch` before anybody else.
    pub(crate) async fn open(
        stream: UnixStream,
        watch: impl Fn(&Value) + Send + 'static,
    ) -> Result<Self, QmpError> {
        let (from, to) = stream.into_split();
        // One command is under way at a time.
        let (answer, answers) = mpsc::channel(1);
        let (tell, events) = broadcast::channel(KEPT_EVENTS);
        let reader = tokio::spawn(async move {
            let mut from = BufReader::new(from);
            loop {
                let message = read(&mut from).await;
                let over = message.is_err();
                match message {
                    Ok(event) if event.get("event").is_some() => {
                        watch(&event);
                        // Nobody has to listen.
                        let _ = tell.send(event);
                    }
                    message => {
                        if answer.send(message).await.is_err() {
                            return;
                        }
                    }
                }
                if over {
                    return;
                }
            }
        });
        let mut qmp = Self { to, answers, events, _reader: AbortOnDropHandle::new(reader) };
        let greeting = bounded("greeting", qmp.answer()).await?;
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

    /// Waits for an event, also one that was told since the last was asked for, that `wanted` makes
    /// something of. The bound of the time is the caller's.
    pub(crate) async fn event<T>(
        &mut self,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T, QmpError> {
        loop {
            match self.events.recv().await {
                Ok(event) => {
                    if let Some(found) = wanted(&event) {
                        return Ok(found);
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(lost("waiting for an event", ended())),
            }
        }
    }

    async fn answer(&mut self) -> io::Result<Value> {
        self.answers.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

/// The next message.
async fn read(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Value> {
    let mut line = Vec::new();
    loop {
        let available = from.fill_buf().await?;
        if available.is_empty() {
            return Err(ended());
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(available.len(), |end| end + 1);
        line.extend_from_slice(&available[..taken]);
        from.consume(taken);
        if line.len() > LINE_BYTES {
            return Err(io::Error::other(format!("a line of more than {LINE_BYTES} bytes")));
        }
        if end.is_some() {
            return serde_json::from_slice(&line).map_err(io::Error::other);
        }
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the channel has ended")
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
        (Qmp::open(ours, |_| {}).await.unwrap(), theirs)
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
            assert!(Qmp::open(ours, |_| {}).await.is_err());
            drop(writing);
        }
    }
}
