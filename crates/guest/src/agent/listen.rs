//! The guest's end of tunnels: ports that are listened on, and connections that wait to be carried.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tonic::Status;

use super::refusal::Refusal;
use crate::bounds::TUNNEL_CONNECTIONS;
use crate::wire::ListenResponse;
use crate::wire::listen_response::Event;

/// Accepted connections that nobody has picked up yet.
#[derive(Default)]
pub(super) struct Waiting {
    sockets: Mutex<HashMap<u64, TcpStream>>,
    last: AtomicU64,
}

impl Waiting {
    /// The connection of this number, for whoever asks first.
    pub(super) fn take(&self, connection: u64) -> Option<TcpStream> {
        self.sockets().remove(&connection)
    }

    fn put(&self, socket: TcpStream) -> u64 {
        let connection = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.sockets().insert(connection, socket);
        connection
    }

    fn len(&self) -> usize {
        self.sockets().len()
    }

    fn sockets(&self) -> std::sync::MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) type Events = mpsc::Sender<Result<ListenResponse, Status>>;

/// Opens a port on the machine's loopback.
pub(super) async fn open(port: u32) -> Result<(TcpListener, u16), Refusal> {
    let name = format!("port {port}");
    let port = u16::try_from(port).map_err(|_| Refusal::invalid(&name, "not a port"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |error| Refusal::io(&name, &error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

/// Accepts until the caller is gone.
pub(super) async fn accept(listener: TcpListener, port: u16, waiting: Arc<Waiting>, events: Events) {
    let gone = events.clone();
    let mut announced = Vec::new();
    tokio::select! {
        () = announce(listener, port, &waiting, &events, &mut announced) => {}
        () = gone.closed() => {}
    }
    for connection in announced {
        drop(waiting.take(connection));
    }
}

async fn announce(
    listener: TcpListener,
    port: u16,
    waiting: &Waiting,
    events: &Events,
    announced: &mut Vec<u64>,
) {
    let mut event = Event::Listening(port.into());
    while events.send(Ok(ListenResponse { event: Some(event) })).await.is_ok() {
        announced.retain(|connection| waiting.sockets().contains_key(connection));
        let socket = loop {
            match listener.accept().await {
                Ok((socket, _)) if waiting.len() < TUNNEL_CONNECTIONS => break socket,
                Ok(_) => {}
                // Out of descriptors, or the peer has hung up already: others may fare better.
                Err(_) => tokio::time::sleep(RETRY_ACCEPT).await,
            }
        };
        let connection = waiting.put(socket);
        announced.push(connection);
        event = Event::Connection(connection);
    }
}

/// How long to wait when a connection can't be accepted: descriptors take a moment to become free.
const RETRY_ACCEPT: std::time::Duration = std::time::Duration::from_millis(20);
