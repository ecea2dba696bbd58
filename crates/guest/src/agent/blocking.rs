//! Bridges between calls that stream and work that blocks, which has a thread of its own.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::refusal::Refusal;
use crate::bounds::{CHUNK_BYTES, QUEUED_MESSAGES};
use crate::wire::{ArchiveInRequest, Chunk, WriteFileRequest};

/// Does blocking work on another thread.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Status::from),
        Err(error) => Err(Status::internal(format!("the agent failed: {error}"))),
    }
}

/// A message of a call that streams data in.
pub(super) trait Piece: Send + 'static {
    /// Its data, and whether it is the last.
    fn take(self) -> (Bytes, bool);
}

impl Piece for WriteFileRequest {
    fn take(self) -> (Bytes, bool) {
        (self.data, self.end)
    }
}

impl Piece for ArchiveInRequest {
    fn take(self) -> (Bytes, bool) {
        (self.data, self.end)
    }
}

/// Feeds blocking work with what a call streams in, `first` of all.
pub(super) async fn run_reading<M: Piece>(
    first: M,
    mut messages: Streaming<M>,
    work: impl FnOnce(&mut Incoming) -> Result<(), Refusal> + Send + 'static,
) -> Result<(), Status> {
    let (sender, receiver) = mpsc::channel(QUEUED_MESSAGES);
    let (chunk, ended) = first.take();
    let mut incoming = Incoming { chunk, chunks: receiver, ended };
    let pass_on = async move {
        let mut ended = ended;
        while !ended && let Some(message) = messages.message().await? {
            let piece = message.take();
            ended = piece.1;
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let (passed_on, done) = tokio::join!(pass_on, run(move || work(&mut incoming)));
    done.and(passed_on)
}

/// What a call streams in, to be read by blocking work. A call that broke off is an error,
/// not an end: half a file must not pass for a whole one.
pub(super) struct Incoming {
    chunk: Bytes,
    chunks: mpsc::Receiver<(Bytes, bool)>,
    ended: bool,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some((chunk, ended)) => (self.chunk, self.ended) = (chunk, ended),
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the caller is gone")),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Where blocking work that makes chunks sends them.
pub(super) type Chunks = mpsc::Sender<Result<Chunk, Status>>;

/// Writes into a call's stream from blocking work.
pub(super) struct Outgoing {
    buffer: BytesMut,
    chunks: Chunks,
}

impl Outgoing {
    pub(super) fn new(chunks: Chunks) -> Self {
        Self { buffer: BytesMut::with_capacity(CHUNK_BYTES), chunks }
    }

    fn send(&mut self) -> io::Result<()> {
        let data = self.buffer.split().freeze();
        let gone = |_| io::Error::new(io::ErrorKind::ConnectionAborted, "the caller is gone");
        self.chunks.blocking_send(Ok(Chunk { data })).map_err(gone)
    }
}

impl Write for Outgoing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + data.len() > CHUNK_BYTES && !self.buffer.is_empty() {
            self.send()?;
        }
        let length = data.len().min(CHUNK_BYTES);
        self.buffer.reserve(CHUNK_BYTES);
        self.buffer.extend_from_slice(&data[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}
