//! Meets the host on a vsock port: it connects, and may do so again.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, VsockAddr, accept4, bind, listen, socket,
};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

use super::{Agent, BootError, Doing};
use crate::greeting::answer;

/// Connections at once: one is in use, and a new one may come before the old is seen to be dead.
const CONNECTIONS: usize = 8;

/// Serves whoever connects, until one asks for the machine's end.
pub(super) async fn serve(agent: &Arc<Agent>, port: u32) -> Result<(), BootError> {
    let listener = open(port).doing(|| format!("listening on vsock port {port}"))?;
    let ending = agent.service.ending();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            stream = accept(&listener), if sessions.len() < CONNECTIONS => {
                let stream = stream.doing(|| format!("accepting on vsock port {port}"))?;
                let agent = Arc::clone(agent);
                sessions.spawn(async move { agent.serve(answer(stream).await?).await });
            }
            Some(_) = sessions.join_next() => {}
            () = ending.cancelled() => break,
        }
    }
    // The one who asked for the end still waits for the answer.
    while !sessions.is_empty() {
        if tokio::time::timeout(crate::bounds::FLUSH_DEADLINE, sessions.join_next()).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn open(port: u32) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Vsock, SockType::Stream, flags, None)?;
    bind(listener.as_raw_fd(), &VsockAddr::new(nix::libc::VMADDR_CID_ANY, port))?;
    listen(&listener, Backlog::new(CONNECTIONS as i32)?)?;
    #[expect(unsafe_code, reason = "tokio can't check that a type keeps its descriptor")]
    // SAFETY: an `OwnedFd` owns one open descriptor for its life.
    let listener = unsafe { AsyncFd::register(listener) }?;
    Ok(listener)
}

async fn accept(listener: &AsyncFd<OwnedFd>) -> io::Result<tokio::net::UnixStream> {
    loop {
        let mut ready = listener.readable().await?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        match ready.try_io(|listener| Ok(accept4(listener.as_raw_fd(), flags)?)) {
            Ok(Ok(accepted)) => {
                #[expect(unsafe_code, reason = "a descriptor's number is all that the call returns")]
                // SAFETY: the call has just made it, for us alone.
                let stream = unsafe { OwnedFd::from_raw_fd(accepted) };
                // Reading, writing and waiting are the same for every kind of stream socket.
                return tokio::net::UnixStream::from_std(UnixStream::from(stream));
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
}
