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

/// Tries to reach a host in each way that there is, and prints how it went and whether it took no time.
const TRY_IPV6: &str = r#"
import socket, sys, time
def attempt(name, work):
    begin = time.monotonic()
    try: how = work() or 'sent'
    except OSError as error: how = error.__class__.__name__
    print(name, how, 'at once' if time.monotonic() - begin < 1 else 'late')
for host in sys.argv[1:]:
    to = socket.getaddrinfo(host, 8080, socket.AF_INET6, socket.SOCK_STREAM)[0][4]
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        tried = socket.socket(socket.AF_INET6, kind)
        tried.settimeout(20)
        attempt(f'{host} {kind.name}', lambda: tried.connect(to))
"#;

#[test]
fn ipv6_is_refused_at_once_and_what_a_guest_gives_itself_of_it_leads_nowhere() {
    let Some(house) = House::open() else { return };
    in_a_world(async || {
        let made = std::process::Command::new("ip")
            .args(["-6", "address", "add", "2001:db8::80", "dev", "lo"])
            .status();
        assert!(made.unwrap().success());
        let server = std::net::TcpListener::bind(("2001:db8::80", 8080)).unwrap();
        server.set_nonblocking(true).unwrap();
        let driver = house.driver();
        let policy = NetworkPolicy::parse(["*", "::/0"]).unwrap();
        let machine = start(&driver, MachineSpec { network: Network::User, policy, ..spec("six") }).await;
        // An address that is still being looked for elsewhere can't be used yet, and would be refused at once too.
        let settled =
            "while awk '$6 == \"eth0\" && $5 ~ /^[4c]0$/' /proc/net/if_inet6 | grep -q .; do :; done";
        told(&machine.guest, settled).await;
        let hosts = ["2001:db8::80", "fe80::1%eth0", "ff02::1%eth0"];
        let tries = format!("cat > /tmp/try <<'END'\n{TRY_IPV6}\nEND\npython3 /tmp/try {}", hosts.join(" "));
        let said = told(&machine.guest, &tries).await;
        assert_eq!(said.lines().count(), 2 * hosts.len(), "{said}");
        for line in said.lines() {
            assert!(line.ends_with("OSError at once"), "{said}");
        }
        let own = "python3 -c \"import socket; s = socket.create_server(('::1', 7), family=socket.AF_INET6); \
                   socket.create_connection(('::1', 7)); print('own')\"";
        assert_eq!(told(&machine.guest, own).await, "own", "the loopback is the guest's own affair");

        let insist = "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6; \
                      ip -6 address add fd00::2/64 dev eth0 nodad && \
                      ip -6 neighbour replace fe80::1 lladdr 02:00:00:00:00:01 dev eth0 && \
                      ip -6 route replace default via fe80::1 dev eth0 && \
                      ! timeout 5 bash -c 'exec 3<>/dev/tcp/2001:db8::80/8080'";
        told(&machine.guest, insist).await;
        assert!(server.accept().is_err(), "it came through");
        machine.destroy().await.unwrap();
    });
}
