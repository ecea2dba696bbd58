//! Rules for nftables around a machine's device on the host: text, which is the same for the same input.
//!
//! Everything of a machine stands in one table, which is removed with it. What the machine sends to
//! others passes `forward`, what it sends to the host passes `input`; both lead to what the
//! [`NetworkPolicy`] says. Nobody opens a connection to the machine.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{CLOSED, Cidr, NetworkPolicy};

/// Addresses of allowed names that are known at once: what a job's tools ask for is some dozens.
const NAMED_ADDRESSES: usize = 4096;

/// Most contacts a second that the kernel notes of one machine; more would fill the host's log.
const NOTED_A_SECOND: u32 = 20;

/// Longest name of a network device.
const DEVICE_BYTES: usize = 15;

/// A machine's place in the host's network.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The device of the host, at whose other end the machine is.
    pub device: String,
    /// The machine's address.
    pub guest: Ipv4Addr,
    /// The host's address on the device, where names are answered.
    pub gateway: Ipv4Addr,
    /// The networks that the host is part of.
    pub own: Vec<Cidr>,
}

impl Attachment {
    /// The name of the table: of the device, so that no two are the same.
    #[must_use]
    pub fn table(&self) -> String {
        format!("hearth-{}", self.device)
    }

    fn check(&self) -> Result<(), String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if self.device.is_empty() || self.device.len() > DEVICE_BYTES || !self.device.bytes().all(plain) {
            return Err(format!("{:?} is no name of a device", self.device));
        }
        Ok(())
    }
}

/// The table of a machine. Loading it twice leaves one.
pub fn table(policy: &NetworkPolicy, at: &Attachment) -> Result<String, String> {
    at.check()?;
    let (name, device) = (at.table(), &at.device);
    let mut text = format!("table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n");
    let closed = CLOSED.iter().map(|closed| closed.range).chain(at.own.iter().copied());
    set(&mut text, "opened", policy.ranges().filter(Cidr::is_ipv4));
    set(&mut text, "closed", closed.filter(Cidr::is_ipv4));
    let _ = write!(
        text,
        "  set named {{ type ipv4_addr; flags timeout; size {NAMED_ADDRESSES}; }}\n\
         \x20 chain decide {{\n\
         \x20   ip daddr @opened goto allow\n\
         \x20   ip daddr @closed goto refuse\n\
         \x20   fib daddr type != unicast goto refuse\n"
    );
    text.push_str(if policy.is_list() {
        "    ip daddr @named goto allow\n    goto refuse\n  }\n"
    } else {
        "    goto allow\n  }\n"
    });
    let note = |word: &str| {
        format!("limit rate {NOTED_A_SECOND}/second log prefix \"hearth {device} {word}: \" level info")
    };
    let _ = write!(
        text,
        "  chain allow {{ {}; accept; }}\n  chain refuse {{ {}; reject; }}\n",
        note("allowed").replace(';', ","),
        note("refused").replace(';', ","),
    );
    let (guest, gateway) = (at.guest, at.gateway);
    let _ = write!(
        text,
        "  chain from_machine {{\n\
         \x20   ip saddr != {guest} drop\n\
         \x20   meta nfproto != ipv4 drop\n\
         \x20   ct state established,related accept\n\
         \x20   goto decide\n\
         \x20 }}\n\
         \x20 chain forward {{\n\
         \x20   type filter hook forward priority filter - 10; policy accept;\n\
         \x20   iifname \"{device}\" goto from_machine\n\
         \x20   oifname \"{device}\" ct state established,related accept\n\
         \x20   oifname \"{device}\" drop\n\
         \x20 }}\n\
         \x20 chain input {{\n\
         \x20   type filter hook input priority filter - 10; policy accept;\n\
         \x20   iifname \"{device}\" ip saddr {guest} ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport 53 accept\n\
         \x20   iifname \"{device}\" goto from_machine\n\
         \x20 }}\n\
         \x20 chain postrouting {{\n\
         \x20   type nat hook postrouting priority srcnat; policy accept;\n\
         \x20   ip saddr {guest} oifname != \"{device}\" masquerade\n\
         \x20 }}\n}}\n"
    );
    Ok(text)
}

/// Opens what an allowed name has been answered with, for as long as the answer holds. Addresses
/// that are closed stay so: `closed` comes before `named`.
#[must_use]
pub fn open_named(at: &Attachment, addresses: &[(IpAddr, Duration)]) -> String {
    let mut text = String::new();
    for (address, holds) in addresses {
        let IpAddr::V4(address) = address else { continue };
        let (table, seconds) = (at.table(), holds.as_secs().max(1));
        // An element that is there keeps its time: it is taken out first, and must be there for that.
        let _ = writeln!(text, "add element inet {table} named {{ {address} timeout {seconds}s }}");
        let _ = writeln!(text, "delete element inet {table} named {{ {address} }}");
        let _ = writeln!(text, "add element inet {table} named {{ {address} timeout {seconds}s }}");
    }
    text
}

/// Removes a machine's table.
#[must_use]
pub fn remove(at: &Attachment) -> String {
    let table = at.table();
    format!("table inet {table}\ndelete table inet {table}\n")
}

fn set(text: &mut String, name: &str, ranges: impl Iterator<Item = Cidr>) {
    let mut ranges: Vec<Cidr> = ranges.collect();
    ranges.sort();
    ranges.dedup();
    let _ = write!(text, "  set {name} {{ type ipv4_addr; flags interval; auto-merge;");
    if !ranges.is_empty() {
        let elements: Vec<String> = ranges.iter().map(Cidr::to_string).collect();
        let _ = write!(text, " elements = {{ {} }};", elements.join(", "));
    }
    text.push_str(" }\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment() -> Attachment {
        Attachment {
            device: "hth0".to_owned(),
            guest: Ipv4Addr::new(198, 19, 0, 2),
            gateway: Ipv4Addr::new(198, 19, 0, 1),
            own: vec!["203.0.113.0/24".parse().unwrap()],
        }
    }

    #[test]
    fn a_list_opens_its_ranges_and_the_addresses_of_its_names_and_nothing_else() {
        let policy = NetworkPolicy::parse(["example.org", "192.168.1.5", "10.0.0.0/8", "fd00::/8"]).unwrap();
        let text = table(&policy, &attachment()).unwrap();
        assert!(text.starts_with("table inet hearth-hth0\ndelete table inet hearth-hth0\n"), "{text}");
        assert!(text.contains("elements = { 10.0.0.0/8, 192.168.1.5/32 };"), "{text}");
        assert!(text.contains("203.0.113.0/24") && text.contains("169.254.0.0/16"), "{text}");
        assert!(text.contains("@named goto allow\n    goto refuse\n"), "{text}");
        assert_eq!(text, table(&policy, &attachment()).unwrap());
    }

    #[test]
    fn without_a_list_what_is_not_closed_is_open() {
        let text = table(&NetworkPolicy::default(), &attachment()).unwrap();
        assert!(text.contains("@closed goto refuse") && !text.contains("@named"), "{text}");
        assert!(text.contains("set opened { type ipv4_addr; flags interval; auto-merge; }"), "{text}");
    }

    #[test]
    fn a_device_cannot_add_to_the_rules() {
        for device in ["", "a b", "a\"", "x;", "longer-than-a-name-may-be"] {
            let at = Attachment { device: device.to_owned(), ..attachment() };
            assert!(table(&NetworkPolicy::default(), &at).is_err(), "{device}");
        }
    }
}
