//! A machine on a tap: what it reaches, what it does not, and what is left of it.

use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use machine::network::NetworkPolicy;
use machine::network::user::UserNetwork;

use crate::guest::{Guest, USER, vmm};
use crate::network_world::{self as world, ALLOWED, OTHERS, in_a_world};

#[test]
fn a_guest_on_a_tap_reaches_what_is_allowed_and_nothing_else() {
    in_a_world(async || {
        let port = world::greet_all();
        let guest = Guest::on(&[ALLOWED], Vec::new());
        assert_eq!(guest.hears(ALLOWED, port).await, "reached");
        for host in OTHERS.into_iter().chain(["198.19.0.1", "127.0.0.1"]) {
            assert_eq!(guest.hears(host, port).await, "ConnectionRefusedError", "{host}");
        }
        assert!(guest.contacts().contains(&format!("tcp {ALLOWED}:{port}")));
        let refused = format!("tcp 169.254.169.254:{port}: refused");
        assert!(guest.contacts().iter().any(|contact| contact.starts_with(&refused)));
    });
}

#[test]
fn what_a_guests_card_leaves_to_the_device_arrives_whole() {
    in_a_world(async || {
        let server = std::net::TcpListener::bind((ALLOWED, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
        });
        let guest = Guest::on(&[ALLOWED], Vec::new());
        let script = format!(
            "import socket, threading, hashlib, random\n\
             data = random.Random(7).randbytes(8 << 20)\n\
             stream = socket.create_connection(('{ALLOWED}', {port}), 20)\n\
             def send(): stream.sendall(data); stream.shutdown(socket.SHUT_WR)\n\
             threading.Thread(target=send).start()\n\
             back = b''.join(iter(lambda: stream.recv(1 << 16), b''))\n\
             print(len(back), back == data)"
        );
        assert_eq!(guest.python(&script).await, format!("{} True", 8 << 20));
    });
}

#[test]
fn machines_do_not_reach_each_other() {
    in_a_world(async || {
        let (one, other) = (Guest::on(&[], Vec::new()), Guest::on(&[], Vec::new()));
        let serve = "import socket\ns = socket.create_server(('', 7000)); s.settimeout(20)\n\
                     print('up', flush=True)\ntry:\n  s.accept(); print('reached')\nexcept TimeoutError: pass";
        // It is reached by itself, so it listens; the address is the other's own, too.
        let knock = async {
            for last in [1, 5, 6, 9, 10] {
                let heard = one.hears(&format!("198.19.0.{last}"), 7000).await;
                assert_eq!(heard, "ConnectionRefusedError", "{last}");
            }
            other.hears("198.19.0.2", 7000).await
        };
        let (served, own) = tokio::join!(other.python(serve), knock);
        assert_eq!((served.as_str(), own.as_str()), ("up\nreached", ""));
    });
}

/// Tells this program to make a network, start a VMM in it, and wait to be killed.
const LEAVE: &str = "HEARTH_TEST_LEAVE";

#[test]
fn nothing_is_left_of_a_tap_when_hearth_and_the_vmm_are_killed() {
    if std::env::var_os(LEAVE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let (_network, namespace) =
            UserNetwork::open_tap(NetworkPolicy::default(), Vec::new(), USER).unwrap();
        let mut vmm = vmm(&namespace, std::process::id());
        let name = std::fs::read_link(format!("/proc/self/fd/{}", namespace.as_raw_fd())).unwrap();
        eprintln!("LEFT {} {}", vmm.id(), name.display());
        vmm.wait().unwrap();
    }
    if !world::enter() {
        return;
    }
    let devices = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap().lines().count();
    let test = "tap::nothing_is_left_of_a_tap_when_hearth_and_the_vmm_are_killed";
    let mut own = Command::new(std::env::current_exe().unwrap());
    own.args(["--exact", test, "--nocapture"]).env(LEAVE, "1").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut hearth = own.spawn().unwrap();
    let mut said = std::io::BufReader::new(hearth.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("LEFT") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "it ended");
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let namespace = words[2];
    // The VMM's end of its card is in the world; the tap is not.
    let seen = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    assert_eq!(seen.lines().count(), devices + 1, "{seen}");
    assert!(!seen.contains("tap0") && held(namespace));
    hearth.kill().unwrap();
    hearth.wait().unwrap();
    assert!(held(namespace), "by the VMM alone");
    Command::new("kill").args(["-9", words[1]]).status().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while held(namespace) {
        assert!(std::time::Instant::now() < deadline, "{namespace} is still held");
        std::thread::yield_now();
    }
}

/// Whether any process is in this namespace, or holds it.
fn held(namespace: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit()).any(|process| {
        let is = |link: std::path::PathBuf| {
            std::fs::read_link(link).is_ok_and(|target| target.as_os_str() == namespace)
        };
        let open = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        is(process.path().join("ns/net")) || open.map(|entry| entry.path()).any(is)
    })
}
