//! What a machine reaches on a network of its own. The servers are this test's, in a network
//! namespace of its own, on addresses that are like others' there.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;

use machine::network::NetworkPolicy;
use machine::{Driver, MachineSpec, Network, SnapshotId};
use nix::sched::{CloneFlags, unshare};

use crate::house::{House, run, spec, start, told};

const ALLOWED: &str = "203.0.113.80";
const OTHERS: [&str; 4] = ["203.0.113.81", "10.9.9.9", "192.168.9.9", "169.254.169.254"];

/// Takes this thread, and all that it starts, to a network with these addresses and nobody else.
fn leave_the_hosts_network() -> bool {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        println!("SKIPPED: only root may make network namespaces");
        return false;
    }
    let addresses: String = std::iter::once(ALLOWED)
        .chain(OTHERS)
        .map(|address| format!("ip address add {address}/32 dev lo; "))
        .collect();
    let script = format!("set -e; ip link set lo up; {addresses}");
    Command::new("sh").args(["-c", &script]).status().is_ok_and(|status| status.success())
}

/// Says a word to whoever connects; on every address.
fn greet_all() -> u16 {
    let server = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let _ = stream.unwrap().write_all(b"reached\n");
        }
    });
    port
}

/// Answers every question with the allowed address.
fn name_server() -> SocketAddr {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut message) {
            // The question alone, whatever came after it; and one answer.
            let end = 12 + message[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
            let mut answer = message[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 80]);
            server.send_to(&answer, from).unwrap();
        }
    });
    address
}

#[test]
fn a_machine_reaches_what_is_allowed_by_name_and_nothing_else_and_all_of_it_is_noted() {
    let Some(house) = House::open() else { return };
    if !leave_the_hosts_network() {
        return;
    }
    let port = greet_all();
    let driver = house.driver().with_name_servers(vec![name_server()]);
    // One thread: others would still be in the host's network.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
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
