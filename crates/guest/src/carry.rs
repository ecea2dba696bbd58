//! Both ends of a tunnelled connection: a socket here, frames of the protocol there.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::bounds::CHUNK_BYTES;
use crate::wire::CarryFrame;

/// Carries bytes both ways until both directions have ended, or one is broken.
///
/// Returning drops the socket and the sender: a peer that is not through sees a broken connection.
pub(crate) async fn carry<T>(
    socket: TcpStream,
    incoming: Streaming<CarryFrame>,
    outgoing: mpsc::Sender<T>,
    wrap: fn(CarryFrame) -> T,
) {
    let _ = socket.set_nodelay(true);
    let (from_socket, to_socket) = socket.into_split();
    let gone = outgoing.clone();
    tokio::select! {
        _ = async { tokio::try_join!(send(from_socket, outgoing, wrap), receive(incoming, to_socket)) } => {}
        () = gone.closed() => {}
    }
}

/// The connection is broken; nobody is left to be told why.
struct Broken;

async fn send<T>(
    mut socket: OwnedReadHalf,
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

async fn receive(mut incoming: Streaming<CarryFrame>, mut socket: OwnedWriteHalf) -> Result<(), Broken> {
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
