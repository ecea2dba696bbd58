//! Serving a router: what a client may cost before anybody knows who it is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::api::events::LISTENERS;
use crate::pages::WATCHED;
use crate::tls::Tls;

/// Connections at once; more wait in the listener's backlog. Ten for each of a hundred users,
/// and below the usual limit of open files.
const CONNECTIONS: usize = 1000;

/// Connections that those who watch can't take: for webhooks, and for whoever asks something. Others keep theirs for
/// [`HEAD_DEADLINE`] at most while they ask nothing.
const ASKING: usize = 250;

const _: () = assert!(WATCHED + LISTENERS + ASKING <= CONNECTIONS, "watchers leave room for webhooks");

/// How long a client may take for the head of a request: a slow link needs a second.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(15);

/// Bytes of a request's head: a token has less than one thousand.
pub const HEAD_BYTES: usize = 32 * 1024;

/// How long requests that are under way may take to end when the server does.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait when the system has no more descriptors: somebody's connection ends meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of the connection that a request came on; an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Serves until `stop`, then lets requests that are under way end, for a while.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_all(listener, None, router, stop).await;
}

/// The same, with TLS.
pub async fn serve_tls(listener: TcpListener, tls: Tls, router: Router, stop: CancellationToken) {
    serve_all(listener, Some(tls), router, stop).await;
}

async fn serve_all(listener: TcpListener, tls: Option<Tls>, router: Router, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    let abandoned = CancellationToken::new();
    while let Some(stream) = next(&listener, &stop).await {
        let Ok((stream, peer)) = stream else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let permit = tokio::select! {
            permit = Arc::clone(&room).acquire_owned() => permit,
            () = stop.cancelled() => break,
        };
        let (router, stop, abandoned) = (router.clone(), stop.clone(), abandoned.clone());
        let tls = tls.clone();
        connections.spawn(async move {
            tokio::select! {
                () = begin(stream, tls, Peer(peer), router, stop) => {}
                () = abandoned.cancelled() => {}
            }
            drop(permit);
        });
    }
    connections.close();
    if tokio::time::timeout(DRAIN_DEADLINE, connections.wait()).await.is_err() {
        abandoned.cancel();
        connections.wait().await;
    }
}

/// The next connection; `None` when it is over.
async fn next(
    listener: &TcpListener,
    stop: &CancellationToken,
) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        accepted = listener.accept() => Some(accepted),
    }
}

async fn begin(stream: TcpStream, tls: Option<Tls>, peer: Peer, router: Router, stop: CancellationToken) {
    // Interactive shells send single keys.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return converse(stream, peer, router, stop).await };
    let greeting = tokio::time::timeout(HEAD_DEADLINE, tls.acceptor.accept(stream));
    tokio::select! {
        greeted = greeting => {
            // As with one that breaks off, there is nobody to tell.
            if let Ok(Ok(stream)) = greeted {
                converse(stream, peer, router, stop).await;
            }
        }
        () = stop.cancelled() => {}
    }
}

async fn converse<S>(stream: S, peer: Peer, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    // A client that breaks off is no concern of ours: its error says nothing that we could mend.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
