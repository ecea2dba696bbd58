//! Brings up interfaces of this thread's network namespace, over a netlink socket (rtnetlink(7)).

use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// The loopback is the first interface of every network namespace.
pub(crate) const LOOPBACK: i32 = 1;
/// `nlmsghdr` (16 bytes) and `ifinfomsg` (16 bytes).
const LENGTH: u32 = 32;

/// Sets the interface with this index up (`RTM_NEWLINK` with `IFF_UP`).
pub(crate) fn bring_up(index: i32) -> io::Result<()> {
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    sendto(netlink.as_raw_fd(), &request(index), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0_u8; 128];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // An acknowledgement is an `nlmsgerr` whose error, after the header, is zero.
    match answer.get(16..20).and_then(|error| <[u8; 4]>::try_from(error).ok()).map(i32::from_ne_bytes) {
        Some(0) if length >= 20 => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::Error::other("no answer")),
    }
}

fn request(index: i32) -> Vec<u8> {
    let up = libc::IFF_UP.cast_unsigned();
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut bytes = Vec::with_capacity(LENGTH as usize);
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(libc::RTM_NEWLINK.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(1_u32.to_ne_bytes()); // sequence
    bytes.extend(0_u32.to_ne_bytes()); // port: the kernel's
    bytes.extend([0_u8, 0, 0, 0]); // any family, any type
    bytes.extend(index.to_ne_bytes());
    bytes.extend(up.to_ne_bytes()); // flags
    bytes.extend(up.to_ne_bytes()); // which of them change
    bytes
}
