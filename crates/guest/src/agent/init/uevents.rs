//! Waits for devices, by what the kernel tells of them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// How long a device may take to appear: under emulation it takes a second at the worst.
const DEADLINE: Duration = Duration::from_secs(30);

/// The kernel's own events; other groups are udev's.
const KERNEL_GROUP: u32 = 1;

/// Hears of devices from when it was made.
pub(super) struct Uevents(OwnedFd);

impl Uevents {
    pub(super) fn listen() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let events =
            socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkKObjectUEvent)?;
        bind(events.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Self(events))
    }

    /// Looks for something, again after each event, until it is there.
    pub(super) fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> io::Result<T> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the device does not appear"));
            }
            let mut waits = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waits, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => self.discard(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn discard(&self) {
        let mut event = [0; 4096];
        while recv(self.0.as_raw_fd(), &mut event, MsgFlags::empty()).is_ok() {}
    }
}
