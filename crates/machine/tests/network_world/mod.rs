//! A world of this test's own: a network namespace with addresses that are like others' there.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

/// What the tests allow.
pub(crate) const ALLOWED: &str = "203.0.113.80";
/// What is open to nobody, or not on their lists.
pub(crate) const OTHERS: [&str; 4] = ["203.0.113.81", "10.9.9.9", "192.168.9.9", "169.254.169.254"];

/// Takes this thread, and all that it starts, to a network with these addresses and nobody else.
/// `false`: that may only root, and the test can't be done. In CI it has to be.
pub(crate) fn enter() -> bool {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        assert!(std::env::var_os("CI").is_none(), "making a network namespace: {error}; run as root");
        println!("SKIPPED: only root may make network namespaces");
        return false;
    }
    let addresses: String = std::iter::once(ALLOWED)
        .chain(OTHERS)
        .map(|address| format!("ip address add {address}/32 dev lo; "))
        .collect();
    let script = format!("set -e; ip link set lo up; {addresses}");
    let made = Command::new("sh").args(["-c", &script]).status();
    assert!(made.is_ok_and(|status| status.success()), "{script}: install iproute2");
    true
}

/// Runs a test in a world of its own. On one thread: others would still be in the host's network.
pub(crate) fn in_a_world(test: impl AsyncFnOnce()) {
    if enter() {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    }
}

/// Says a word to whoever connects; on every address.
pub(crate) fn greet_all() -> u16 {
    let server = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let _ = stream.unwrap().write_all(b"reached\n");
        }
    });
    port
}

/// Addresses of names that begin with `large`: too many for a datagram.
pub(crate) const MANY: usize = 150;

/// Answers every question with the allowed address, in datagrams and on streams.
pub(crate) fn name_server() -> SocketAddr {
    let streams = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = streams.local_addr().unwrap();
    let datagrams = UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in streams.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut message).unwrap();
            let answer = answer(&message);
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, answer.as_slice()].concat()).unwrap();
        }
    });
    std::thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, from)) = datagrams.recv_from(&mut message) {
            datagrams.send_to(&answer(&message[..length]), from).unwrap();
        }
    });
    address
}

fn answer(message: &[u8]) -> Vec<u8> {
    // The question alone, whatever came after it; and the answers.
    let end = 12 + message[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let count = if message[13..].starts_with(b"large") { MANY } else { 1 };
    let mut answer = message[..end].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::try_from(count).unwrap(), 0, 0, 0, 0]);
    for _ in 0..count {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 80]);
    }
    answer
}
