//! Both ends of a tunnelled connection: a socket here, frames of the protocol there.

use bytes::{Bytes, BytesMut};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::bounds::CHUNK_BYTES;
use crate::wire::CarryFrame;

/// Carries bytes both ways until both directions have ended, or one is broken.
///
/// Being dropped, or returning early, resets the socket. The caller keeps a sender of `outgoing`
/// until then: one direction of the call may not end before the other. The incoming frames come
/// back, for the host to wait for the call's end: it cancels the call otherwise, and what is still
/// on its way with it.
pub(crate) async fn carry<T>(
    mut socket: TcpStream,
    mut incoming: Streaming<CarryFrame>,
    outgoing: mpsc::Sender<T>,
    wrap: fn(CarryFrame) -> T,
) -> Streaming<CarryFrame> {
    let _ = socket.set_nodelay(true);
    reset_on_close(&socket, true);
    let (from_socket, to_socket) = socket.split();
    let ended = tokio::try_join!(send(from_socket, outgoing, wrap), receive(&mut incoming, to_socket));
    if ended.is_ok() {
        reset_on_close(&socket, false);
    }
    incoming
}

/// Whether closing the socket resets the connection: half an answer must not look like a whole one.
fn reset_on_close(socket: &TcpStream, reset: bool) {
    let linger = linger { l_onoff: reset.into(), l_linger: 0 };
    let _ = setsockopt(socket, Linger, &linger);
}

/// The connection is broken; nobody is left to be told why.
struct Broken;

async fn send<T>(
    mut socket: ReadHalf<'_>,
    outgoing: mpsc::Sender<T>,
    wrap: fn(CarryFrame) -> T,
) -> Result<(), Broken> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        let length = socket.read_buf(&mut buffer).await.map_err(|_| Broken)?;
        let frame = CarryFrame { connection: 0, data: buffer.split().freeze(), end: length == 0 };
        outgoing.send(wrap(frame)).await.map_err(|_| Broken)?;
        if length == 0 {
            return Ok(());
        }
    }
}

async fn receive(incoming: &mut Streaming<CarryFrame>, mut socket: WriteHalf<'_>) -> Result<(), Broken> {
    loop {
        let frame = incoming.message().await.map_err(|_| Broken)?.ok_or(Broken)?;
        socket.write_all(&frame.data).await.map_err(|_| Broken)?;
        if frame.end {
            return socket.shutdown().await.map_err(|_| Broken);
        }
    }
}

/// The frame that names the connection.
pub(crate) fn opening(connection: u64) -> CarryFrame {
    CarryFrame { connection, data: Bytes::new(), end: false }
}
