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
