//! What a machine reaches on a network of its own. The servers are this test's, in a network
//! namespace of its own, on addresses that are like others' there.

use std::sync::Arc;

use machine::network::NetworkPolicy;
use machine::templates::Templates;
use machine::{Driver, MachineSpec, Network, Snapshot, SnapshotId};

use crate::house::{House, run, spec, start, told};
use crate::network_world::{self as world, ALLOWED, OTHERS, in_a_world};

#[test]
fn a_machine_reaches_what_is_allowed_by_name_and_nothing_else_and_all_of_it_is_noted() {
    let Some(house) = House::open() else { return };
    in_a_world(async || {
        let port = world::greet_all();
        let driver = house.driver().with_name_servers(vec![world::name_server()]);
        let policy = NetworkPolicy::parse(["good.example", ALLOWED]).unwrap();
        let machine = start(&driver, MachineSpec { network: Network::User, policy, ..spec("list") }).await;
        let hello = |host: &str| format!("bash -c 'exec 3<>/dev/tcp/{host}/{port} && cat <&3'");
        assert_eq!(told(&machine.guest, &hello("good.example")).await, "reached");
        assert_eq!(told(&machine.guest, &hello(ALLOWED)).await, "reached");
        for host in OTHERS.into_iter().chain(["evil.example", "198.19.0.1"]) {
            let (output, _) = run(&machine.guest, &hello(host)).await;
            assert!(!output.contains("reached"), "{host}: {output}");
        }
        let noted: Vec<String> =
            machine.contacts.all().iter().map(|(contact, _)| contact.to_string()).collect();
        assert!(noted.contains(&"name good.example".to_owned()), "{noted:#?}");
        assert!(noted.contains(&format!("tcp {ALLOWED}:{port} (good.example)")), "{noted:#?}");
        for refused in ["name evil.example: refused", &format!("tcp 169.254.169.254:{port}: refused")] {
            assert!(noted.iter().any(|contact| contact.starts_with(refused)), "{refused} in {noted:#?}");
        }
        // Who goes on in it reaches no more, whatever the spec says.
        let snapshot = driver.snapshot(machine, &SnapshotId("list".to_owned())).await.unwrap();
        let clone = MachineSpec { network: Network::User, ..spec("clone") };
        let clone = driver.restore(&snapshot, clone).await.unwrap();
        assert_eq!(told(&clone.guest, &hello("good.example")).await, "reached");
        let (output, _) = run(&clone.guest, &hello(OTHERS[0])).await;
        assert!(!output.contains("reached"), "{output}");
        clone.destroy().await.unwrap();
    });
}

#[test]
fn machines_from_one_template_reach_what_their_own_lists_say() {
    let Some(house) = House::open() else { return };
    in_a_world(async || {
        let port = world::greet_all();
        let driver = house.driver().with_name_servers(vec![world::name_server()]);
        let templates = Templates::new(Arc::new(driver), house.data.path());
        let hello = format!("bash -c 'exec 3<>/dev/tcp/{ALLOWED}/{port} && cat <&3'");
        for (name, list, reached) in [("one", ALLOWED, true), ("two", "other.example", false)] {
            let policy = NetworkPolicy::parse([list]).unwrap();
            let spec = MachineSpec { network: Network::User, policy, ..spec(name) };
            let machine = templates.start(spec).await.unwrap();
            assert!(machine.boot.iter().all(|(part, _)| *part != "kernel"), "{name} was booted");
            let (output, _) = run(&machine.guest, &hello).await;
            assert_eq!(output.contains("reached"), reached, "{name}: {output}");
            machine.destroy().await.unwrap();
        }
        assert_eq!(Snapshot::list(house.data.path()).unwrap().len(), 1);
    });
}
