//! Names: who is answered what.

use crate::guest::Guest;
use crate::network_world::{self as world, ALLOWED, in_a_world};

#[test]
fn a_name_on_the_list_is_answered_and_another_does_not_exist() {
    in_a_world(async || {
        let port = world::greet_all();
        let guest = Guest::on(&["good.example", ALLOWED], vec![world::name_server()]);
        assert_eq!(guest.asks("evil.example", "A", "udp").await, "3");
        assert_eq!(guest.asks("good.example", "A", "udp").await, format!("0 {ALLOWED}"));
        assert_eq!(guest.hears(ALLOWED, port).await, "reached");
        let contacts = guest.contacts();
        assert!(contacts.contains(&format!("tcp {ALLOWED}:{port} (good.example)")), "{contacts:#?}");
    });
}

#[test]
fn an_answer_too_long_for_a_datagram_is_cut_there_and_whole_on_a_stream() {
    in_a_world(async || {
        let guest = Guest::on(&["large.example"], vec![world::name_server()]);
        assert_eq!(guest.asks("large.example", "A", "udp").await, "0 cut");
        let whole = guest.asks("large.example", "A", "tcp").await;
        assert_eq!(whole, format!("0{}", format!(" {ALLOWED}").repeat(world::MANY)));
        assert_eq!(guest.asks("evil.example", "A", "tcp").await, "3");
    });
}

#[test]
fn nobody_waits_for_an_address_of_ipv6() {
    in_a_world(async || {
        let guest = Guest::on(&["*"], vec![world::name_server()]);
        assert_eq!(guest.asks("good.example", "AAAA", "udp").await, "0");
        assert_eq!(guest.asks("good.example", "A", "udp").await, format!("0 {ALLOWED}"));
        let begin = std::time::Instant::now();
        assert_eq!(guest.hears("2001:db8::1", 80).await, "OSError");
        assert!(begin.elapsed() < std::time::Duration::from_secs(4), "it failed by its deadline of 5 s");
    });
}
