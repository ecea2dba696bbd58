//! Meets the host on a virtio serial port.
//!
//! Such a port has no connections, but it tells whether somebody holds its other end:
//!
//! ```text
//! away ──host opens──▶ greeting ──HTTP/2──▶ serving ──told to end──▶ over
//!  ▲                      │                    │
//!  └──────host closes─────┴────────────────────┘
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::uevents::Uevents;
use super::{Agent, BootError, Doing};
use crate::greeting::answer;

/// Where the kernel lists ports.
const PORTS: &str = "/sys/class/virtio-ports";

/// Serves whoever holds the port's other end, one after the other, until one asks for the machine's end.
pub(super) async fn serve(agent: &Agent, name: &str) -> Result<(), BootError> {
    let doing = || format!("opening the port {name}");
    let uevents = Uevents::listen().doing(doing)?;
    let device = uevents.wait_for(|| find(name)).doing(doing)?;
    let port = File::options().read(true).write(true).open(device).doing(doing)?;
    let ending = agent.service.ending();
    while !ending.is_cancelled() {
        wait_for_host(&port).await.doing(|| format!("waiting for the host at the port {name}"))?;
        let (stream, closed) = Stream::new(&port).doing(doing)?;
        let session = async {
            let stream = answer(stream).await?;
            agent.serve(stream).await
        };
        // A session that breaks is the host's business: it begins another.
        tokio::select! {
            _ = session => {}
            () = closed.cancelled() => {}
        }
    }
    Ok(())
}

/// The device of the port with this name.
fn find(name: &str) -> Option<std::path::PathBuf> {
    fs::read_dir(PORTS).ok()?.filter_map(Result::ok).find_map(|entry| {
        let called = fs::read_to_string(entry.path().join("name")).ok()?;
        (called.trim_end() == name).then(|| std::path::Path::new("/dev").join(entry.file_name()))
    })
}

/// Waits until somebody holds the other end. There is no event for that, but a write waits for
/// it; an empty line means nothing to the host.
async fn wait_for_host(port: &File) -> io::Result<()> {
    block(port, true)?;
    let mut port = port.try_clone()?;
    tokio::task::spawn_blocking(move || port.write_all(b"\n")).await.map_err(io::Error::other)?
}

fn block(port: &File, wait: bool) -> io::Result<()> {
    let flags = if wait { OFlag::empty() } else { OFlag::O_NONBLOCK };
    fcntl(port, FcntlArg::F_SETFL(OFlag::O_RDWR | flags))?;
    Ok(())
}

/// The port, while the host holds its other end.
struct Stream {
    port: AsyncFd<File>,
    closed: CancellationToken,
}

impl Stream {
    /// The stream, and what is cancelled when the host has let go.
    fn new(port: &File) -> io::Result<(Self, CancellationToken)> {
        block(port, false)?;
        let closed = CancellationToken::new();
        #[expect(unsafe_code, reason = "tokio can't check that a type keeps its descriptor")]
        // SAFETY: a `File` owns one open descriptor for its life.
        let port = unsafe { AsyncFd::register(port.try_clone()?) }?;
        Ok((Self { port, closed: closed.clone() }, closed))
    }

    /// Whether the host has let go. The kernel says so once, and this stream for ever: its
    /// registration does not see when the host is back.
    fn is_closed(closed: &CancellationToken, guard: &AsyncFdReadyGuard<'_, File>) -> bool {
        let over = guard.ready().is_read_closed() || guard.ready().is_write_closed();
        if over {
            closed.cancel();
        }
        over
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.port.poll_read_ready(context))?;
            if Self::is_closed(&self.closed, &guard) {
                return Poll::Ready(Ok(()));
            }
            match guard.try_io(|port| port.get_ref().read(buffer.initialize_unfilled())) {
                Ok(Ok(length)) => {
                    if length == 0 {
                        self.closed.cancel();
                    }
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.port.poll_write_ready(context))?;
            if Self::is_closed(&self.closed, &guard) {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            match guard.try_io(|port| port.get_ref().write(data)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
