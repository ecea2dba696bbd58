//! How both ends of a stream that outlives its users begin anew.
//!
//! A serial port has no connections: what an earlier user left half-said is still in it. So
//! the host first says a hello with a word of its own, and the agent repeats it; what stands
//! before is nobody's. The host may say hello again, each time with another word, and goes on
//! once the last is repeated. Then it speaks HTTP/2, whose first line ends the greeting.
//!
//! ```text
//! host:  \n hello 1 \n            \n hello 2 \n                PRI * HTTP/2.0 ...
//! agent:                ready 1 \n               ready 2 \n
//! ```

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

const HELLO: &str = "hearth-hello ";
const READY: &str = "hearth-ready ";

/// The first line of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &str = "PRI * HTTP/2.0\r";

/// Longest line of a greeting; a longer one is something else, and not kept.
const LINE_BYTES: usize = 128;

/// Bytes that end any frame of HTTP/2 that an earlier user began: its largest, and its header.
const PADDING_BYTES: usize = 16 * 1024 + 9;

/// How long the host waits before it says hello again; doubled each time. An agent under
/// emulation answers in less, and one that is still busy with the last user hears the second.
const FIRST_PATIENCE: Duration = Duration::from_millis(500);

/// Says hello until it is answered. `word` must not have been used on this stream before.
/// The bound of the time is the caller's.
///
/// # Errors
/// When the stream ends or breaks.
pub async fn greet<S>(stream: &mut S, word: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut lines = Lines::default();
    let mut patience = FIRST_PATIENCE;
    for count in 0_u32.. {
        if count > 0 {
            stream.write_all(&[b'\n'; PADDING_BYTES]).await?;
        }
        stream.write_all(format!("\n{HELLO}{word}-{count}\n").as_bytes()).await?;
        stream.flush().await?;
        let answer = format!("{READY}{word}-{count}");
        let answered = async {
            while lines.next(stream).await? != answer {}
            io::Result::Ok(())
        };
        match tokio::time::timeout(patience, answered).await {
            Ok(answered) => return answered,
            Err(_) => patience *= 2,
        }
    }
    Ok(())
}

/// Answers hellos until the host begins to speak HTTP/2, which the returned stream does.
pub(crate) async fn answer<S>(mut stream: S) -> io::Result<Greeted<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut lines = Lines::default();
    loop {
        let line = lines.next(&mut stream).await?;
        if line == PREFACE {
            return Ok(Greeted { begin: format!("{PREFACE}\n").into_bytes(), stream });
        }
        if let Some(word) = line.strip_prefix(HELLO) {
            stream.write_all(format!("{READY}{word}\n").as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

/// Reads lines, and nothing beyond them. What was read of a line stays when a read is dropped.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
}

impl Lines {
    async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
        loop {
            // One at a time: what follows the line is not ours. There are few of them.
            let byte = stream.read_u8().await?;
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.line.len() < LINE_BYTES {
                self.line.push(byte);
            }
        }
    }
}

/// A stream whose first bytes were read already.
pub(crate) struct Greeted<S> {
    begin: Vec<u8>,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begin.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = buffer.remaining().min(self.begin.len());
        let begin: Vec<u8> = self.begin.drain(..length).collect();
        buffer.put_slice(&begin);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_an_earlier_user_left_is_nobodys() {
        let (mut host, mut guest) = tokio::io::duplex(64 * 1024);
        host.write_all(b"PRI * half a frame").await.unwrap();
        guest.write_all(b"\x00\x01 half an answer\nhearth-ready old-0\n").await.unwrap();
        let agent = tokio::spawn(answer(guest));
        greet(&mut host, "new").await.unwrap();
        host.write_all(b"PRI * HTTP/2.0\r\n\r\nSM").await.unwrap();
        drop(host);
        let mut said = String::new();
        agent.await.unwrap().unwrap().read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "PRI * HTTP/2.0\r\n\r\nSM");
    }

    #[tokio::test]
    async fn a_hello_that_the_last_user_swallowed_is_said_again() {
        let (mut host, mut guest) = tokio::io::duplex(64 * 1024);
        let agent = tokio::spawn(async move {
            let mut swallowed = [0; 20];
            guest.read_exact(&mut swallowed).await.unwrap();
            answer(guest).await
        });
        greet(&mut host, "x").await.unwrap();
        host.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        assert!(agent.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_an_error_at_both_ends() {
        let (mut host, guest) = tokio::io::duplex(1024);
        drop(guest);
        assert!(greet(&mut host, "x").await.is_err());
        let (host, guest) = tokio::io::duplex(1024);
        drop(host);
        assert!(answer(guest).await.is_err());
    }
}
