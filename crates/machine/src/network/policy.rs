//! What a machine may reach: decisions, and nothing that carries them out.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{CLOSED, Cidr};

/// Longest name of a host (RFC 1035).
const NAME_BYTES: usize = 253;

/// What a machine may reach. By default all that is public, and nothing else: not this host, not
/// its networks, not other machines, not a cloud's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPolicy {
    /// With any of them, only they are reachable.
    pub allow: Vec<Destination>,
}

/// Something that may be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Destination {
    /// `*`: all that is public.
    Public,
    /// `crates.io`: the public addresses that this name has.
    Name(String),
    /// `*.crates.io`: those of names below it, not of itself.
    Below(String),
    /// `192.168.1.5`, `10.0.0.0/8`: these addresses, even where they are closed to everybody.
    Range(Cidr),
}

/// Whether something may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not.
    Refused(Refusal),
}

/// Why something may not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is closed for every machine.
    Closed(&'static str),
    /// It is not on the list.
    NotListed,
}

impl NetworkPolicy {
    /// A policy of what people write.
    pub fn parse<'a>(allow: impl IntoIterator<Item = &'a str>) -> Result<Self, DestinationError> {
        Ok(Self { allow: allow.into_iter().map(str::parse).collect::<Result<_, _>>()? })
    }

    /// Whether a name may be asked for. A trailing dot and upper case don't matter.
    #[must_use]
    pub fn of_name(&self, name: &str) -> Verdict {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let listed = self.allow.iter().any(|allowed| match allowed {
            Destination::Public => true,
            Destination::Name(exact) => name == *exact,
            Destination::Below(parent) => {
                name.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            Destination::Range(_) => false,
        });
        if listed || self.allow.is_empty() { Verdict::Allowed } else { Verdict::Refused(Refusal::NotListed) }
    }

    /// Whether an address may be reached. `own`: this host's networks. `named`: whether a name that
    /// is allowed has this address. A name never opens what is closed: who runs it decides what
    /// addresses it has.
    #[must_use]
    pub fn of_address(&self, address: IpAddr, own: &[Cidr], named: bool) -> Verdict {
        let address = address.to_canonical();
        if self.ranges().any(|range| range.contains(address)) {
            return Verdict::Allowed;
        }
        if let Some(closed) = CLOSED.iter().find(|closed| closed.range.contains(address)) {
            return Verdict::Refused(Refusal::Closed(closed.what));
        }
        if own.iter().any(|network| network.contains(address)) {
            return Verdict::Refused(Refusal::Closed("this host, or a network that it is part of"));
        }
        if named || !self.is_list() {
            return Verdict::Allowed;
        }
        Verdict::Refused(Refusal::NotListed)
    }

    /// Whether not all that is public may be reached.
    #[must_use]
    pub fn is_list(&self) -> bool {
        !self.allow.is_empty() && !self.allow.contains(&Destination::Public)
    }

    /// The ranges that are allowed by themselves.
    pub fn ranges(&self) -> impl Iterator<Item = Cidr> {
        self.allow.iter().filter_map(|allowed| match allowed {
            Destination::Range(range) => Some(*range),
            _ => None,
        })
    }
}

/// A text that is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} can't be allowed: {reason}; write a name (example.org), the names below it (*.example.org), an address, a range (10.0.0.0/8), or * for all that is public"
)]
pub struct DestinationError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let refused = |reason| Err(DestinationError { text: text.to_owned(), reason });
        if text == "*" {
            return Ok(Self::Public);
        }
        if let Ok(range) = text.parse() {
            return Ok(Self::Range(range));
        }
        if text.contains("://") {
            return refused("it is a URL");
        }
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |parent| (parent, true));
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let plain = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-' || letter == b'_';
        let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
        if name.len() > NAME_BYTES || !name.split('.').all(label) {
            return refused("it is no name of a host");
        }
        // `10.1` or `256.1.1.1`: an address that somebody got wrong, and no top-level domain is a number.
        if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|letter| letter.is_ascii_digit())) {
            return refused("it is no address");
        }
        Ok(if below { Self::Below(name) } else { Self::Name(name) })
    }
}

impl TryFrom<String> for Destination {
    type Error = DestinationError;

    fn try_from(text: String) -> Result<Self, DestinationError> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> String {
        destination.to_string()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => write!(f, "*"),
            Self::Name(name) => write!(f, "{name}"),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Range(range) => write!(f, "{range}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(what) => write!(f, "closed: {what}"),
            Self::NotListed => write!(f, "not on the list of what is allowed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED_ADDRESSES: [&str; 28] = [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.0.1",
        "198.19.0.1",
        "224.0.0.251",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_not_public_is_closed_even_where_all_is_allowed_or_a_name_has_it() {
        for policy in [NetworkPolicy::default(), NetworkPolicy::parse(["*", "example.org"]).unwrap()] {
            for closed in CLOSED_ADDRESSES {
                for named in [false, true] {
                    let verdict = policy.of_address(address(closed), &[], named);
                    assert!(matches!(verdict, Verdict::Refused(Refusal::Closed(_))), "{closed}");
                }
            }
            for open in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111"] {
                assert_eq!(policy.of_address(address(open), &[], false), Verdict::Allowed, "{open}");
            }
        }
    }

    #[test]
    fn the_hosts_own_networks_are_closed_though_their_addresses_are_public() {
        let own = [Cidr::new(address("203.0.113.7"), 24).unwrap()];
        let verdict = NetworkPolicy::default().of_address(address("203.0.113.80"), &own, true);
        assert!(matches!(verdict, Verdict::Refused(Refusal::Closed(_))));
    }

    #[test]
    fn an_address_that_is_written_down_is_open_and_with_a_list_only_what_is_on_it() {
        let policy = NetworkPolicy::parse(["192.168.1.5", "203.0.113.0/24", "example.org"]).unwrap();
        let of = |text, named| policy.of_address(address(text), &[], named);
        assert_eq!(of("192.168.1.5", false), Verdict::Allowed);
        assert_eq!(of("::ffff:192.168.1.5", false), Verdict::Allowed);
        assert_eq!(of("203.0.113.9", false), Verdict::Allowed);
        assert!(matches!(of("192.168.1.6", false), Verdict::Refused(Refusal::Closed(_))));
        assert_eq!(of("1.1.1.1", false), Verdict::Refused(Refusal::NotListed));
        assert_eq!(of("1.1.1.1", true), Verdict::Allowed);
    }

    #[test]
    fn names_are_allowed_one_by_one_or_below_another() {
        let policy = NetworkPolicy::parse(["Example.org.", "*.crates.io"]).unwrap();
        for name in ["example.org", "EXAMPLE.ORG.", "static.crates.io", "a.b.crates.io"] {
            assert_eq!(policy.of_name(name), Verdict::Allowed, "{name}");
        }
        for name in
            ["www.example.org", "crates.io", ".crates.io", "evilcrates.io", "example.org.evil.net", ""]
        {
            assert_eq!(policy.of_name(name), Verdict::Refused(Refusal::NotListed), "{name}");
        }
        assert_eq!(NetworkPolicy::default().of_name("any.thing"), Verdict::Allowed);
    }

    #[test]
    fn what_cannot_be_allowed_says_why_and_what_can() {
        for (text, reason) in [
            ("https://example.org", "a URL"),
            ("example.org/path", "no name"),
            ("a b", "no name"),
            ("", "no name"),
            ("*.", "no name"),
            ("a.*.b", "no name"),
            ("10.1", "no address"),
            ("256.1.1.1", "no address"),
            ("10.0.0.0/33", "no name"),
        ] {
            let error = text.parse::<Destination>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("*.example.org"), "{error}");
        }
        for text in ["*", "*.example.org", "example.org", "10.0.0.0/8", "fd00::/8"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
    }
}
