//! The agent inside of the machine.
//!
//! It is one process with one thread that does the work: in a machine it is all that runs
//! beside the job, so it is small, and starting a process stays cheap. When its stream ends,
//! it ends everything that it started, and itself.

mod blocking;
mod children;
mod exec;
mod files;
pub mod init;
mod interface;
mod listen;
mod memory;
mod processes;
mod refusal;
mod renew;
mod script;
mod service;
mod spawn;
mod standalone;
mod users;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::bounds::{
    CONCURRENT_CALLS, CONNECTION_WINDOW_BYTES, FLUSH_DEADLINE, MESSAGE_BYTES, STREAM_WINDOW_BYTES,
};
use crate::client::{ExecEvent, ExecSpec};
use crate::wire::agent_server::AgentServer;
use children::Children;
pub use children::Scope;
use service::Service;
pub use spawn::MACHINE_VARIABLE;
pub use standalone::{AGENT_ARGUMENT, main_from_fd, run_if_asked};

/// How an agent behaves.
#[derive(Clone)]
pub struct Options {
    /// Which processes are its own.
    pub scope: Scope,
    /// For tests: while set, everything that writes files is refused as on a full disk.
    pub full_disk: Option<Arc<AtomicBool>>,
    /// For tests: plays processes instead of starting them.
    pub script: Option<Arc<dyn Script>>,
    /// For tests: takes renewals for done, where there is no kernel of its own to renew.
    pub play_renewals: bool,
    /// Where the agent is the init of a kernel of its own: how long that took.
    pub(crate) init: Option<Duration>,
}

impl Options {
    /// An agent that lives in a process of its own, or shares one with others.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self { scope, full_disk: None, script: None, play_renewals: false, init: None }
    }
}

/// Plays processes, for tests of those who run them.
pub trait Script: Send + Sync {
    /// What the process would tell. Without a last [`ExecEvent::Exited`] it runs until it is
    /// killed. `None`: start it really.
    fn play(&self, spec: &ExecSpec) -> Option<Vec<ExecEvent>>;
}

/// Serves one stream until it ends or a shutdown is asked for; then ends all processes of its scope.
///
/// For use inside of another process ([`Scope::Library`]); a machine's own agent starts
/// with [`main_from_fd`].
///
/// # Errors
/// When the system does not let it listen for the end of children, or the transport breaks.
pub async fn serve<S>(stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    serve_with(stream, Options::new(Scope::Library)).await
}

/// As [`serve`], with options.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with<S>(stream: S, options: Options) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    serve_until(stream, options, std::future::pending()).await
}

/// As [`serve_with`], and ends when `told_to_end` does.
async fn serve_until<S>(stream: S, options: Options, told_to_end: impl Future<Output = ()>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let agent = Agent::new(options)?;
    let served = tokio::select! {
        served = agent.serve(stream) => served,
        () = agent.reap() => Ok(()),
        () = told_to_end => Ok(()),
    };
    agent.children.end_all(Duration::ZERO).await;
    served
}

/// What lives as long as the agent, however many streams it serves.
struct Agent {
    children: Arc<Children>,
    service: Service,
    child_ended: tokio::sync::Mutex<Signal>,
    _kills_on_drop: KillOnDrop,
}

impl Agent {
    fn new(options: Options) -> io::Result<Self> {
        let children = Arc::new(Children::new(options.scope));
        Ok(Self {
            service: Service::new(Arc::clone(&children), options),
            child_ended: tokio::sync::Mutex::new(signal(SignalKind::child())?),
            _kills_on_drop: KillOnDrop(Arc::clone(&children)),
            children,
        })
    }

    /// Collects children as they end, for ever.
    async fn reap(&self) {
        let mut child_ended = self.child_ended.lock().await;
        while child_ended.recv().await.is_some() {
            self.children.reap();
        }
    }

    /// Serves one stream. What it started and nobody waits for lives on.
    async fn serve<S>(&self, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        transport(stream, self.service.clone()).await
    }
}

/// Kills everyone when an agent is dropped instead of coming to its end.
struct KillOnDrop(Arc<Children>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill_all();
    }
}

/// Speaks HTTP/2 on the stream until it ends or the service was told to shut down.
async fn transport<S>(stream: S, service: Service) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let ending = service.ending();
    let service = AgentServer::new(service).max_decoding_message_size(MESSAGE_BYTES);
    // Not tonic's own server: it gives connections away to tasks of their own, and what we
    // drop must be closed.
    let connection = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CONCURRENT_CALLS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = &mut connection => return served.map_err(io::Error::other),
        () = ending.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // What the host has not taken by then it does not want.
    let _ = tokio::time::timeout(FLUSH_DEADLINE, connection).await;
    Ok(())
}
