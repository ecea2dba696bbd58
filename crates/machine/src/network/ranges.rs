//! Addresses that no machine reaches unless somebody opened them by name.

use super::Cidr;

/// A range that is closed, and what is behind it.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// The range.
    pub range: Cidr,
    /// What it is (`a private network`).
    pub what: &'static str,
}

/// Ranges that are closed for every machine: what is not the public internet
/// ([IANA, IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry),
/// [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry)), what carries such
/// addresses inside, and where clouds answer to whoever asks from a machine of theirs.
pub const CLOSED: [Closed; 23] = [
    closed(Cidr::v4([0, 0, 0, 0], 8), "this host"),
    closed(Cidr::v4([10, 0, 0, 0], 8), "a private network"),
    closed(Cidr::v4([100, 64, 0, 0], 10), "a provider's own network"),
    closed(Cidr::v4([127, 0, 0, 0], 8), "this host"),
    closed(Cidr::v4([168, 63, 129, 16], 32), "a cloud's metadata"),
    closed(Cidr::v4([169, 254, 0, 0], 16), "the link, and a cloud's metadata"),
    closed(Cidr::v4([172, 16, 0, 0], 12), "a private network"),
    closed(Cidr::v4([192, 0, 0, 0], 24), "the link, and a cloud's metadata"),
    closed(Cidr::v4([192, 88, 99, 0], 24), "a relay to other networks"),
    closed(Cidr::v4([192, 168, 0, 0], 16), "a private network"),
    closed(Cidr::v4([198, 18, 0, 0], 15), "the machine's own network"),
    closed(Cidr::v4([224, 0, 0, 0], 4), "a group of hosts"),
    closed(Cidr::v4([240, 0, 0, 0], 4), "nobody"),
    closed(Cidr::v6([0, 0, 0], 32), "this host"),
    closed(Cidr::v6([0x64, 0xff9b, 0], 96), "a network of IPv4 behind a translator"),
    closed(Cidr::v6([0x64, 0xff9b, 1], 48), "a network of IPv4 behind a translator"),
    closed(Cidr::v6([0x100, 0, 0], 64), "nobody"),
    closed(Cidr::v6([0x2001, 0, 0], 32), "a network of IPv4 behind a tunnel"),
    closed(Cidr::v6([0x2002, 0, 0], 16), "a network of IPv4 behind a tunnel"),
    closed(Cidr::v6([0xfc00, 0, 0], 7), "a private network, and a cloud's metadata"),
    closed(Cidr::v6([0xfe80, 0, 0], 10), "the link"),
    closed(Cidr::v6([0xfec0, 0, 0], 10), "a private network"),
    closed(Cidr::v6([0xff00, 0, 0], 8), "a group of hosts"),
];

const fn closed(range: Cidr, what: &'static str) -> Closed {
    Closed { range, what }
}
