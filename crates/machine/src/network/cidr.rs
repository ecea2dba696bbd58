//! Ranges of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses: those that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

impl Cidr {
    /// The range around this address; bits past the length don't matter. `None`: there are not so many bits.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if length <= 32 => Ipv4Addr::from_bits(v4.to_bits() & mask4(length)).into(),
            IpAddr::V6(v6) if length <= 128 => Ipv6Addr::from_bits(v6.to_bits() & mask6(length)).into(),
            _ => return None,
        };
        Some(Self { address, length })
    }

    /// The range of one address.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    pub(super) const fn v4(address: [u8; 4], length: u8) -> Self {
        let [a, b, c, d] = address;
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
    }

    pub(super) const fn v6(first: [u16; 3], length: u8) -> Self {
        let [a, b, c] = first;
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), length }
    }

    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Cidr::new(address, self.length).is_some_and(|range| range.address == self.address)
    }

    /// Whether it is of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }
}

fn mask4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn mask6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Cidr {
    type Err = ();

    /// `192.0.2.0/24`, `2001:db8::/32`, or one address.
    fn from_str(text: &str) -> Result<Self, ()> {
        let Some((address, length)) = text.split_once('/') else {
            return text.parse().map(Cidr::one).map_err(drop);
        };
        let address = address.parse().map_err(drop)?;
        length.parse().ok().and_then(|length| Cidr::new(address, length)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_what_begins_like_it() {
        let range: Cidr = "10.1.2.3/9".parse().unwrap();
        assert_eq!(range.to_string(), "10.0.0.0/9");
        assert!(range.contains("10.127.255.255".parse().unwrap()));
        assert!(!range.contains("10.128.0.0".parse().unwrap()));
        assert!(!range.contains("::a01:203".parse().unwrap()));
        for whole in ["0.0.0.0/0", "::/0"] {
            let whole: Cidr = whole.parse().unwrap();
            assert!(whole.contains(whole.address));
        }
        let six: Cidr = "2001:db8::/33".parse().unwrap();
        assert!(six.contains("2001:db8:7fff::1".parse().unwrap()));
        assert!(!six.contains("2001:db8:8000::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "a/8"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
