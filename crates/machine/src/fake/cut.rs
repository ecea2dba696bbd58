//! A stream that breaks off, or stands still.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bytes of one read: a test's streams carry little.
const READ_BYTES: usize = 4096;

/// Passes bytes on until it has passed on so many, or is told to stop; then it has ended. Silenced, it brings
/// nothing any more and does not end.
pub(super) struct CutStream<S> {
    stream: S,
    left: Option<u64>,
    told: Pin<Box<WaitForCancellationFutureOwned>>,
    silent: CancellationToken,
}

impl<S> CutStream<S> {
    pub(super) fn new(
        stream: S,
        left: Option<u64>,
        told: CancellationToken,
        silent: CancellationToken,
    ) -> Self {
        Self { stream, left, told: Box::pin(told.cancelled_owned()), silent }
    }

    fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        self.left == Some(0) || self.told.as_mut().poll(context).is_ready()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_cut(context) {
            return Poll::Ready(Ok(()));
        }
        if self.silent.is_cancelled() {
            return Poll::Pending;
        }
        let room = self.left.map_or(READ_BYTES, |left| usize::try_from(left).unwrap_or(READ_BYTES));
        let mut bytes = [0; READ_BYTES];
        let mut part = ReadBuf::new(&mut bytes[..room.min(READ_BYTES).min(buffer.remaining())]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        self.left = self.left.map(|left| left - part.filled().len() as u64);
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_cut(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
