//! The host's end of a tunnel.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;

use super::error::{broken, failure};
use super::{Guest, GuestError, Tunnel};
use crate::bounds::{QUEUED_MESSAGES, TUNNEL_CONNECTIONS};
use crate::carry::{carry, opening};
use crate::wire::listen_response::Event;
use crate::wire::{ListenRequest, ListenResponse};

impl Guest {
    /// Listens on `guest_port` of 127.0.0.1 in the guest (0: any) and carries each connection to
    /// `target` on the host.
    ///
    /// # Errors
    /// When the port is taken, or may not be opened.
    pub async fn tunnel(&self, guest_port: u16, target: SocketAddr) -> Result<Tunnel, GuestError> {
        const OPEN: &str = "opening a tunnel from";
        let object = format!("port {guest_port}");
        let failed = |status| failure(OPEN, &object, &status);
        let request = ListenRequest { port: guest_port.into() };
        let mut events = self.rpc().listen(request).await.map_err(failed)?.into_inner();
        let first = events.message().await.map_err(failed)?;
        let Some(ListenResponse { event: Some(Event::Listening(port)) }) = first else {
            return Err(broken(OPEN, "a tunnel without a port"));
        };
        let guest_port = u16::try_from(port).map_err(|_| broken(OPEN, "not a port"))?;
        let task = tokio::spawn(accept(self.clone(), events, target));
        Ok(Tunnel { guest_port, _task: AbortOnDropHandle::new(task) })
    }
}

/// Carries connections until the agent is gone. Dropping this drops them all.
async fn accept(guest: Guest, mut events: Streaming<ListenResponse>, target: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            event = events.message(), if connections.len() < TUNNEL_CONNECTIONS => {
                let Ok(Some(event)) = event else { return };
                if let Some(Event::Connection(connection)) = event.event {
                    connections.spawn(connect(guest.clone(), connection, target));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries one connection. A target that does not answer looks like one that hangs up.
async fn connect(guest: Guest, connection: u64, target: SocketAddr) {
    let (frames, stream) = mpsc::channel(QUEUED_MESSAGES);
    if frames.send(opening(connection)).await.is_err() {
        return;
    }
    let open = frames.clone();
    let answer = guest.rpc().carry(ReceiverStream::new(stream)).await;
    if let (Ok(incoming), Ok(socket)) = (answer, TcpStream::connect(target).await) {
        let mut rest = carry(socket, incoming.into_inner(), frames, |frame| frame).await;
        drop(open);
        while let Ok(Some(_)) = rest.message().await {}
    }
}
