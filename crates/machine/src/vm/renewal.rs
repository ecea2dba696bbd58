//! What makes a machine unique, made anew for each start and each restore.

use std::fmt::Write;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use guest::bounds::ENTROPY_BYTES;
use guest::client::{Interface, Renewal};
use rustix::rand::{GetRandomFlags, getrandom};

/// A renewal that no machine had before.
pub(crate) fn renewal(hostname: &str, interface: Option<Interface>) -> io::Result<Renewal> {
    Ok(Renewal {
        hostname: hostname.to_owned(),
        entropy: random::<ENTROPY_BYTES>()?.to_vec(),
        now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        machine_id: hexadecimal(&random::<16>()?),
        boot_id: uuid(random::<16>()?),
        interface,
    })
}

/// A word that was not used before.
pub(crate) fn fresh_word() -> io::Result<String> {
    Ok(hexadecimal(&random::<16>()?))
}

/// A hardware address of our own making: unicast, locally administered.
pub(crate) fn fresh_mac() -> io::Result<[u8; 6]> {
    let mut mac = random::<6>()?;
    mac[0] = (mac[0] & 0b1111_1100) | 0b10;
    Ok(mac)
}

fn random<const BYTES: usize>() -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    // As short as this, it comes whole.
    getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A random UUID (RFC 9562, version 4).
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hexadecimal(&bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_machines_have_anything_in_common() {
        let (one, other) = (renewal("a", None).unwrap(), renewal("b", None).unwrap());
        assert_ne!(one.entropy, other.entropy);
        assert_ne!(one.machine_id, other.machine_id);
        assert_ne!(one.boot_id, other.boot_id);
        assert_eq!((one.machine_id.len(), one.boot_id.len()), (32, 36));
        assert_eq!(fresh_mac().unwrap()[0] & 0b11, 0b10);
    }
}
