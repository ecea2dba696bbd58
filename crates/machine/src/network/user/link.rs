//! The wire between a guest and us: a socket on which each message is a frame.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use tokio::net::UnixDatagram;

/// Our end: one of a pair, or a device's. The type is of the former; how messages are sent and
/// received on a socket that has one partner is the same for every family.
pub(super) struct Link(UnixDatagram);

impl Link {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self(UnixDatagram::from_std(socket)?))
    }

    /// Waits for a frame. An error: there will be none any more.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer).await
    }

    /// A frame that is there already.
    pub(super) fn receive_now(&self, buffer: &mut [u8]) -> Option<usize> {
        self.0.try_recv(buffer).ok()
    }

    /// Sends a frame, once there is room. An error: nobody is there any more.
    pub(super) async fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self.0.send(frame).await {
            // A device that nobody reads is full; what it does not take is lost, as on any wire.
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => Ok(()),
            sent => sent.map(drop),
        }
    }
}
