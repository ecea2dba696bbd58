//! A guest's connection, as bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, RecvError, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Shared;

/// Our end of a connection that the guest has opened. Dropping it ends it.
pub(super) struct GuestStream {
    shared: Arc<Shared>,
    handle: SocketHandle,
}

impl GuestStream {
    pub(super) fn new(shared: Arc<Shared>, handle: SocketHandle) -> Self {
        Self { shared, handle }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut tcp::Socket<'static>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let done = work(self.shared.stack().sockets.get_mut(self.handle));
        if done.is_ready() {
            self.shared.changed.notify_one();
        }
        done
    }
}

/// Whether the guest has not yet heard that it is connected.
fn is_opening(socket: &tcp::Socket<'_>) -> bool {
    matches!(socket.state(), State::Listen | State::SynSent | State::SynReceived)
}

impl AsyncRead for GuestStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|socket| {
            if is_opening(socket) || (socket.may_recv() && !socket.can_recv()) {
                socket.register_recv_waker(context.waker());
                return Poll::Pending;
            }
            match socket.recv_slice(buffer.initialize_unfilled()) {
                Ok(length) => buffer.advance(length),
                Err(RecvError::Finished) => {}
                Err(RecvError::InvalidState) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|socket| {
            if is_opening(socket) || (socket.may_send() && !socket.can_send()) {
                socket.register_send_waker(context.waker());
                return Poll::Pending;
            }
            Poll::Ready(socket.send_slice(data).map_err(|_| io::ErrorKind::BrokenPipe.into()))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| {
            socket.close();
            Poll::Ready(Ok(()))
        })
    }
}

impl Drop for GuestStream {
    fn drop(&mut self) {
        self.shared.stack().leave(self.handle);
        self.shared.changed.notify_one();
    }
}
