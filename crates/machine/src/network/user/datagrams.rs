//! Datagrams between a guest and one other: a socket of ours for each pair.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use smoltcp::wire::EthernetAddress;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::{Shared, frames};

/// Datagrams of a guest that wait to be sent.
const WAITING: usize = 64;
/// After what silence a pair is forgotten (RFC 4787 asks for two minutes).
const IDLE: Duration = Duration::from_secs(120);

/// The way back to the guest.
pub(super) struct Back {
    pub(super) shared: Arc<Shared>,
    pub(super) mac: EthernetAddress,
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
}

impl Back {
    /// Sends a datagram; one that does not fit into a frame is lost.
    pub(super) fn send(&self, payload: &[u8]) {
        if let Some(frame) = frames::datagram(self.mac, self.from, self.to, payload) {
            self.shared.stack().send(frame);
            self.shared.changed.notify_one();
        }
    }
}

/// The way of a new pair, with its first datagram.
pub(super) fn way(first: Vec<u8>) -> (mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>) {
    let (way, incoming) = mpsc::channel(WAITING);
    // It is empty: there is room.
    let _ = way.try_send(first);
    (way, incoming)
}

/// Carries datagrams both ways until there are none for a while. A datagram that is lost is lost.
pub(super) async fn carry(back: Back, mut incoming: mpsc::Receiver<Vec<u8>>) {
    let Ok(socket) = UdpSocket::bind("0.0.0.0:0").await else { return };
    // Connected: nobody else's datagrams come in.
    if socket.connect(back.from).await.is_err() {
        return;
    }
    let mut buffer = vec![0; frames::PAYLOAD_BYTES + 1];
    loop {
        tokio::select! {
            payload = incoming.recv() => match payload {
                Some(payload) => drop(socket.send(&payload).await),
                None => return,
            },
            received = socket.recv(&mut buffer) => match received {
                Ok(length) => back.send(&buffer[..length]),
                Err(_) => return,
            },
            () = tokio::time::sleep(IDLE) => return,
        }
    }
}
