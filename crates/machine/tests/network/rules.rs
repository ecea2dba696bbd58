//! Each test first sees that everything answers where there are no rules.

use std::time::Duration;

use machine::network::nftables::{self, Attachment};
use machine::network::{Cidr, NetworkPolicy};

use crate::houses::{GATEWAY, GUEST, HOST, Houses, METADATA, NEIGHBOUR, OTHER, PRIVATE, PUBLIC};

fn attachment() -> Attachment {
    Attachment {
        device: "hth0".to_owned(),
        guest: GUEST.parse().unwrap(),
        gateway: GATEWAY.parse().unwrap(),
        own: vec![Cidr::new(HOST.parse().unwrap(), 24).unwrap()],
    }
}

/// What of all there is the guest reaches.
fn reached(houses: &Houses) -> Vec<&'static str> {
    let all = [PUBLIC, OTHER, PRIVATE, METADATA, NEIGHBOUR, HOST, GATEWAY];
    all.into_iter().filter(|address| houses.reaches(address)).collect()
}

#[test]
fn a_machine_reaches_what_is_public_and_nothing_of_the_host_its_networks_or_a_clouds_metadata() {
    let Some(mut houses) = Houses::build() else { return };
    houses.listen();
    houses.host(&format!("ip route add {GUEST} dev hth0 2>/dev/null || true"));
    houses.load(
        "table ip t { chain p { type nat hook postrouting priority 0; ip saddr 198.19.0.2 masquerade; }; }",
    );
    assert_eq!(reached(&houses), [PUBLIC, OTHER, PRIVATE, METADATA, NEIGHBOUR, HOST, GATEWAY]);
    houses.load(&nftables::table(&NetworkPolicy::default(), &attachment()).unwrap());
    assert_eq!(reached(&houses), [PUBLIC, OTHER]);
    // An address that is not the machine's own gets no answer.
    houses.guest(
        "ip address add 198.51.100.99/32 dev eth0; ip route replace default via 198.19.0.1 src 198.51.100.99",
    );
    assert_eq!(reached(&houses), Vec::<&str>::new());
}

#[test]
fn a_list_opens_its_addresses_and_those_of_its_names_until_they_are_too_old() {
    let Some(mut houses) = Houses::build() else { return };
    houses.listen();
    let policy = NetworkPolicy::parse(["example.org", PRIVATE, HOST]).unwrap();
    let at = attachment();
    houses.load(&nftables::table(&policy, &at).unwrap());
    assert_eq!(reached(&houses), [PRIVATE, HOST]);
    let hour = Duration::from_secs(3600);
    let answers = [(PUBLIC.parse().unwrap(), hour), (METADATA.parse().unwrap(), hour)];
    for _ in 0..2 {
        houses.load(&nftables::open_named(&at, &answers));
        assert_eq!(reached(&houses), [PUBLIC, PRIVATE, HOST]);
    }
    assert!(houses.host("nft list set inet hearth-hth0 named").contains("timeout 1h"));
    houses.load(&nftables::remove(&at));
    assert_eq!(houses.host("nft list tables"), "");
}

#[test]
fn nobody_opens_a_connection_to_a_machine() {
    let Some(mut houses) = Houses::build() else { return };
    houses.guest_listens();
    assert!(houses.is_reached(GUEST));
    houses.load(&nftables::table(&NetworkPolicy::default(), &attachment()).unwrap());
    assert!(!houses.is_reached(GUEST));
}
