//! A device for a machine whose VMM takes nothing else, in a network that holds nothing else.
//!
//! ```text
//! VMM ──/dev/net/tun──▶ tap0 ──frames──▶ packet socket of this process
//!       └── a network namespace without a name, an address, or a way out ──┘
//! ```
//!
//! The kernel carries frames between the device and the socket, and nothing further: in the
//! namespace is nobody with an address. It has no name either, so that it ends, with the device,
//! when the VMM and this process have ended, however they do: there is nothing to be removed.

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

use super::interface::bring_up;

/// What the VMM calls the device. Each is alone in its namespace: one name will do for all.
pub(crate) const DEVICE: &str = "tap0";
/// The number by which we know the device: the kernel gives others to what it makes by itself.
const INDEX: libc::c_uint = 1000;
/// What waits for us to read it: some windows of a guest's, whose frames have up to 64 KiB.
const RECEIVE_BYTES: usize = 4 * 1024 * 1024;

/// What a device is told (linux/if_tun.h).
mod request {
    use std::mem::size_of;

    use nix::libc::{c_int, c_uint, ifreq};
    use nix::{ioctl_write_int_bad, ioctl_write_ptr_bad, request_code_write};

    ioctl_write_ptr_bad!(set_index, request_code_write!(b'T', 218, size_of::<c_uint>()), c_uint);
    ioctl_write_ptr_bad!(set_device, request_code_write!(b'T', 202, size_of::<c_int>()), ifreq);
    ioctl_write_int_bad!(set_persistent, request_code_write!(b'T', 203, size_of::<c_int>()));
    ioctl_write_int_bad!(set_owner, request_code_write!(b'T', 204, size_of::<c_int>()));
}

/// A device in a namespace of its own.
#[derive(Debug)]
pub(super) struct Tap {
    /// The namespace, for the VMM to be started in.
    pub(super) namespace: OwnedFd,
    /// Our end: a socket on which each message is a frame.
    pub(super) frames: OwnedFd,
}

impl Tap {
    /// Makes one that this user may open. Only root may make one.
    pub(super) fn make(owner: u32) -> io::Result<Tap> {
        // A namespace is of a thread; this one's ends with it.
        let maker =
            std::thread::Builder::new().name("hearth-tap".to_owned()).spawn(move || make_here(owner))?;
        maker.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes it has panicked")))
    }
}

/// Takes this thread to a new namespace, and makes everything there.
fn make_here(owner: u32) -> io::Result<Tap> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| {
        io::Error::new(
            io::Error::from(error).kind(),
            format!("{error}: only root may make a device for a machine; run Hearth as root, use the qemu driver, or --network none"),
        )
    })?;
    for of in ["all", "default"] {
        // A kernel without IPv6 needs none of it. One that keeps it answers for its own link, where nobody is.
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{of}/disable_ipv6"), "1");
    }
    let _device = device(owner)?;
    bring_up(INDEX.cast_signed())?;
    let frames = packets()?;
    Ok(Tap { namespace: File::open("/proc/thread-self/ns/net")?.into(), frames })
}

/// Makes the device, which stays when the descriptor is closed.
fn device(owner: u32) -> io::Result<File> {
    let tun = File::options().read(true).write(true).open("/dev/net/tun").map_err(|error| {
        io::Error::new(error.kind(), format!("/dev/net/tun: {error}; load the kernel's module tun"))
    })?;
    let mut name: [libc::c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    for (place, byte) in name.iter_mut().zip(DEVICE.bytes()) {
        *place = byte.cast_signed();
    }
    let flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    let request =
        libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags } };
    #[expect(unsafe_code, reason = "nix and rustix have no safe way to make a tap")]
    // SAFETY: the descriptor is open, and each call reads what it is given and nothing else.
    unsafe {
        request::set_index(tun.as_raw_fd(), &INDEX)?;
        request::set_device(tun.as_raw_fd(), &request)?;
        request::set_owner(tun.as_raw_fd(), owner.cast_signed())?;
        request::set_persistent(tun.as_raw_fd(), 1)?;
    }
    Ok(tun)
}

/// A socket for the frames of the device.
fn packets() -> io::Result<OwnedFd> {
    // Without a protocol it hears nothing before it is bound.
    let packets = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&packets, sockopt::RcvBufForce, &RECEIVE_BYTES)?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: (libc::ETH_P_ALL as libc::c_ushort).to_be(),
        sll_ifindex: INDEX.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    #[expect(unsafe_code, reason = "nix can't make such an address from its parts")]
    // SAFETY: the address is one of this family, and as long as it is said to be.
    let bound = unsafe { libc::bind(packets.as_raw_fd(), (&raw const address).cast(), length) };
    nix::errno::Errno::result(bound)?;
    Ok(packets)
}
