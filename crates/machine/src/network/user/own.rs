//! The networks that this host is part of, as the kernel's tables of this moment say.

use std::net::Ipv4Addr;

use crate::network::Cidr;

/// Tables of the network that this thread is in.
const ROUTES: &str = "/proc/thread-self/net/route";
const ADDRESSES: &str = "/proc/thread-self/net/fib_trie";

/// The host's addresses, and the networks that it reaches without another's help; everything,
/// where they can't be known.
pub(super) fn own_networks() -> Vec<Cidr> {
    match (std::fs::read_to_string(ROUTES), std::fs::read_to_string(ADDRESSES)) {
        (Ok(routes), Ok(addresses)) => links(&routes).chain(locals(&addresses)).collect(),
        _ => vec![Cidr::v4([0; 4], 0)],
    }
}

/// Routes without a gateway: device, target, gateway, and in the eighth column the mask, each number
/// in hexadecimal as it lies in memory.
fn links(routes: &str) -> impl Iterator<Item = Cidr> {
    routes.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| columns.get(at).and_then(|text| u32::from_str_radix(text, 16).ok());
        let (target, gateway, mask) = (number(1)?, number(2)?, number(7)?);
        let length = u8::try_from(mask.count_ones()).ok()?;
        // A default route over a line with two ends leads to everybody.
        (gateway == 0 && length > 0)
            .then(|| Cidr::new(Ipv4Addr::from(target.to_ne_bytes()).into(), length))?
    })
}

/// Addresses that are the host's: each stands on the line before it is said so.
fn locals(trie: &str) -> impl Iterator<Item = Cidr> {
    trie.lines().zip(trie.lines().skip(1)).filter_map(|(line, next)| {
        let address: Ipv4Addr = line.trim().strip_prefix("|-- ")?.parse().ok()?;
        next.contains("host LOCAL").then(|| Cidr::one(address.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_networks_are_those_on_its_links_and_its_addresses() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n\
                      eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
        let found: Vec<String> = links(routes).map(|range| range.to_string()).collect();
        assert_eq!(found, ["192.0.2.0/24"]);
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n        |-- 127.0.0.0\n           /8 host LOCAL\n\
                    \x20       |-- 192.0.2.2\n           /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\n";
        let found: Vec<String> = locals(trie).map(|range| range.to_string()).collect();
        assert_eq!(found, ["127.0.0.0/32", "192.0.2.2/32"]);
    }

    #[test]
    fn this_host_knows_its_loopback() {
        assert!(own_networks().contains(&Cidr::one(Ipv4Addr::LOCALHOST.into())));
    }
}
