//! Sets up network interfaces, over a netlink socket (rtnetlink(7)).

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use super::refusal::Refusal;
use crate::wire::Interface;

/// The loopback is the first interface of every kernel.
const LOOPBACK: u32 = 1;

/// Brings the loopback up.
pub(super) fn loopback_up() -> io::Result<()> {
    Netlink::open()?.set_link(LOOPBACK, true, None)
}

/// Gives the machine's interface its hardware address, address, and route. What it had before is gone.
pub(super) fn set_up(wanted: &Interface) -> Result<(), Refusal> {
    let (name, index) = only_interface()?;
    let failed = |error: io::Error| Refusal::io(name.as_str(), &error);
    let wrong = || Refusal::invalid(name.as_str(), "its settings are not of IPv4");
    let mac = match wanted.mac.len() {
        0 => None,
        6 => Some(&wanted.mac[..]),
        _ => return Err(wrong()),
    };
    let prefix_length = u8::try_from(wanted.prefix_length).ok().filter(|length| *length <= 32);
    let (4, Some(prefix_length), 0 | 4) = (wanted.address.len(), prefix_length, wanted.gateway.len()) else {
        return Err(wrong());
    };
    let netlink = Netlink::open().map_err(failed)?;
    // Down, an interface loses its routes and takes another hardware address.
    netlink.set_link(index, false, mac).map_err(failed)?;
    netlink.flush_addresses(index).map_err(failed)?;
    netlink.add_address(index, &wanted.address, prefix_length).map_err(failed)?;
    without_ipv6(&name).map_err(failed)?;
    netlink.set_link(index, true, None).map_err(failed)?;
    if wanted.gateway.is_empty() {
        Ok(())
    } else {
        netlink.add_default_route(&wanted.gateway).map_err(failed)
    }
}

/// Switches IPv6 off: nobody on the wire speaks it, so whoever tried would wait for an answer. Now the kernel refuses
/// at once. Loopback keeps it; a kernel without it has nothing to switch.
fn without_ipv6(name: &str) -> io::Result<()> {
    match fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written,
    }
}

/// The one that is not the loopback.
fn only_interface() -> Result<(String, u32), Refusal> {
    let folder = "/sys/class/net";
    let entries = fs::read_dir(folder).map_err(|error| Refusal::io(folder, &error))?;
    for entry in entries.filter_map(Result::ok) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let index = fs::read_to_string(entry.path().join("ifindex")).ok();
        let index = index.and_then(|index| index.trim().parse().ok());
        // Without a device behind it, it is the loopback or a tunnel.
        if let Some(index) = index
            && entry.path().join("device").exists()
        {
            return Ok((name, index));
        }
    }
    Err(Refusal::new(crate::wire::RefusalKind::NotFound, folder, "the machine has no network interface"))
}

/// A netlink socket to the kernel's routing.
struct Netlink(OwnedFd);

impl Netlink {
    fn open() -> io::Result<Self> {
        let kind = (SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        Ok(Self(socket(AddressFamily::Netlink, kind.0, kind.1, kind.2)?))
    }

    fn set_link(&self, index: u32, up: bool, mac: Option<&[u8]>) -> io::Result<()> {
        let flag = libc::IFF_UP.cast_unsigned();
        // struct ifinfomsg
        let mut body = vec![0_u8; 4];
        body.extend(index.to_ne_bytes());
        body.extend(if up { flag } else { 0 }.to_ne_bytes());
        body.extend(flag.to_ne_bytes());
        if let Some(mac) = mac {
            attribute(&mut body, libc::IFLA_ADDRESS, mac);
        }
        self.ask(libc::RTM_NEWLINK, 0, &body)
    }

    /// Removes one address after the other: the kernel takes the first when none is named.
    fn flush_addresses(&self, index: u32) -> io::Result<()> {
        /// More than anybody gives an interface.
        const MOST: usize = 64;
        for _ in 0..MOST {
            match self.ask(libc::RTM_DELADDR, 0, &address_message(index, 0)) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add_address(&self, index: u32, address: &[u8], prefix_length: u8) -> io::Result<()> {
        let mut body = address_message(index, prefix_length);
        attribute(&mut body, libc::IFA_LOCAL, address);
        attribute(&mut body, libc::IFA_ADDRESS, address);
        self.ask(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &body)
    }

    fn add_default_route(&self, gateway: &[u8]) -> io::Result<()> {
        // struct rtmsg: family, lengths of destination and source, service, table, who made it, scope, kind, flags
        let mut body = vec![
            libc::AF_INET as u8,
            0,
            0,
            0,
            libc::RT_TABLE_MAIN,
            libc::RTPROT_BOOT,
            libc::RT_SCOPE_UNIVERSE,
            libc::RTN_UNICAST,
        ];
        body.extend(0_u32.to_ne_bytes());
        attribute(&mut body, libc::RTA_GATEWAY, gateway);
        self.ask(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &body)
    }

    /// Sends a request, and waits for what the kernel says to it.
    fn ask(&self, kind: u16, flags: i32, body: &[u8]) -> io::Result<()> {
        const HEADER: usize = 16;
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(1_u32.to_ne_bytes()); // sequence
        message.extend(0_u32.to_ne_bytes()); // port: the kernel's
        message.extend(body);
        sendto(self.0.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0_u8; 1024];
        let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        // An acknowledgement is an `nlmsgerr` whose error, after the header, is zero.
        let error = answer[..length].get(HEADER..HEADER + 4).and_then(|error| error.try_into().ok());
        match error.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(-error)),
            None => Err(io::Error::other("the kernel's answer is cut")),
        }
    }
}

/// `struct ifaddrmsg`.
fn address_message(index: u32, prefix_length: u8) -> Vec<u8> {
    let mut body = vec![libc::AF_INET as u8, prefix_length, 0, libc::RT_SCOPE_UNIVERSE];
    body.extend(index.to_ne_bytes());
    body
}

/// Adds a `struct rtattr` with its value, padded to the next.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}
