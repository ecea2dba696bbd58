//! What makes this machine another than those that came from the same snapshot.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use super::interface;
use super::refusal::Refusal;
use crate::bounds::{ENTROPY_BYTES, NAME_SERVERS};
use crate::wire::RenewRequest;

/// What the kernel shows as the id of this boot; it can't be written, but covered.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// What covers it.
const OWN_BOOT_ID: &str = "/run/hearth-boot-id";

/// Linux's bound of a host name.
const HOSTNAME_BYTES: usize = 64;

/// Sets everything that the request names.
pub(super) fn renew(request: &RenewRequest) -> Result<(), Refusal> {
    if request.entropy.len() > ENTROPY_BYTES {
        return Err(Refusal::invalid("entropy", format!("more than {ENTROPY_BYTES} bytes")));
    }
    add_entropy(&request.entropy).map_err(|error| Refusal::io("/dev/urandom", &error))?;
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from(Duration::from_micros(request.unix_micros)))
        .map_err(|error| Refusal::io("the clock", &error.into()))?;
    set_hostname(&request.hostname)?;
    set_ids(request)?;
    if let Some(wanted) = &request.interface {
        interface::set_up(wanted)?;
        name_servers(&wanted.name_servers)?;
    }
    Ok(())
}

/// `struct rand_pool_info` with room for what we are sent.
#[repr(C)]
struct RandPoolInfo {
    entropy_count: i32,
    buf_size: i32,
    buf: [u8; ENTROPY_BYTES],
}

nix::ioctl_write_ptr_bad!(rnd_add_entropy, nix::request_code_write!(b'R', 3, 8), RandPoolInfo);
nix::ioctl_none_bad!(rnd_reseed, nix::request_code_none!(b'R', 7));

fn add_entropy(entropy: &[u8]) -> io::Result<()> {
    let length = i32::try_from(entropy.len()).unwrap_or(0);
    let mut pool = RandPoolInfo { entropy_count: length * 8, buf_size: length, buf: [0; ENTROPY_BYTES] };
    pool.buf[..entropy.len()].copy_from_slice(entropy);
    let device = fs::File::options().write(true).open("/dev/urandom")?;
    #[expect(unsafe_code, reason = "nix has no safe call for RNDADDENTROPY")]
    // SAFETY: the descriptor is open, and the kernel reads no more than `buf_size` of the buffer.
    unsafe { rnd_add_entropy(device.as_raw_fd(), &raw const pool) }?;
    #[expect(unsafe_code, reason = "nix has no safe call for RNDRESEEDCRNG")]
    // SAFETY: the descriptor is open; the call has no argument.
    unsafe { rnd_reseed(device.as_raw_fd()) }?;
    Ok(())
}

fn set_hostname(hostname: &str) -> Result<(), Refusal> {
    let letters = hostname.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if hostname.is_empty() || hostname.len() > HOSTNAME_BYTES || !letters {
        return Err(Refusal::invalid(hostname, "not a host name"));
    }
    nix::unistd::sethostname(hostname).map_err(|error| Refusal::io(hostname, &error.into()))?;
    write("/etc/hostname", &format!("{hostname}\n"))?;
    write("/etc/hosts", &format!("127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost\n"))
}

fn set_ids(request: &RenewRequest) -> Result<(), Refusal> {
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    for id in [&request.machine_id, &request.boot_id] {
        if id.is_empty() || !hexadecimal(id) {
            return Err(Refusal::invalid(id, "not an id"));
        }
    }
    write("/etc/machine-id", &format!("{}\n", request.machine_id))?;
    let covered = fs::exists(OWN_BOOT_ID).unwrap_or(false);
    write(OWN_BOOT_ID, &format!("{}\n", request.boot_id))?;
    if covered {
        return Ok(());
    }
    mount(Some(OWN_BOOT_ID), BOOT_ID, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|error| Refusal::io(BOOT_ID, &error.into()))
}

fn name_servers(servers: &[String]) -> Result<(), Refusal> {
    let mut text = String::new();
    for server in servers.iter().take(NAME_SERVERS) {
        let address: std::net::IpAddr =
            server.parse().map_err(|_| Refusal::invalid(server, "not an address"))?;
        text += &format!("nameserver {address}\n");
    }
    // Often a link to where a resolver would put its own.
    let _ = fs::remove_file("/etc/resolv.conf");
    write("/etc/resolv.conf", &text)
}

/// Writes in place: what covers another file must stay the same file.
fn write(path: &str, text: &str) -> Result<(), Refusal> {
    fs::write(path, text).map_err(|error| Refusal::io(path, &error))
}
