//! Where a request comes from: the other end of its connection, or what a proxy before the server says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;
use machine::network::Cidr;

use crate::http::Peer;

/// What proxies say of who asked them: each adds the address that it saw.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>
const FORWARDED: &str = "x-forwarded-for";

/// The proxies that are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxies(Vec<Cidr>);

impl Default for Proxies {
    /// Those on this host.
    fn default() -> Self {
        let local = [Cidr::new(Ipv4Addr::LOCALHOST.into(), 8), Some(Cidr::one(Ipv6Addr::LOCALHOST.into()))];
        Proxies(local.into_iter().flatten().collect())
    }
}

impl Proxies {
    /// Those with these addresses.
    #[must_use]
    pub fn new(ranges: Vec<Cidr>) -> Proxies {
        Proxies(ranges)
    }

    /// Who asks: the last address on the way here that no believed proxy has. What comes before it, anybody may have
    /// made up.
    #[must_use]
    pub fn client(&self, peer: Option<Peer>, headers: &HeaderMap) -> IpAddr {
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip().to_canonical());
        let lines = headers.get_all(FORWARDED).iter().filter_map(|line| line.to_str().ok());
        let way: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let mut client = peer;
        for hop in way.into_iter().rev() {
            if !self.has(client) {
                break;
            }
            let Ok(before) = hop.parse::<IpAddr>() else { break };
            client = before.to_canonical();
        }
        client
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED, line.parse().unwrap());
        }
        let peer = Peer((peer.parse::<IpAddr>().unwrap(), 9).into());
        Proxies::default().client(Some(peer), &headers).to_string()
    }

    #[test]
    fn a_proxy_of_this_host_is_believed_and_nobody_else() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(client("::ffff:127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_a_client_makes_up_is_not_believed() {
        assert_eq!(client("127.0.0.1", &["10.0.0.1, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["10.0.0.1", "198.51.100.7, 127.0.0.1"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["10.0.0.1, nonsense"]), "127.0.0.1");
    }
}
