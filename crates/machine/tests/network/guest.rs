//! A guest with a kernel's own network: a namespace, behind a tap as VMMs use it.

use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Output, Stdio};

use machine::network::NetworkPolicy;
use machine::network::user::{GATEWAY, GUEST, PREFIX, UserNetwork};

/// Any user but root: a jailed VMM's.
pub(crate) const USER: u32 = 65_533;

pub(crate) struct Guest {
    pub(crate) network: UserNetwork,
    house: Child,
    vmm: Child,
}

impl Guest {
    /// A guest that may reach these.
    pub(crate) fn on(allow: &[&str], servers: Vec<SocketAddr>) -> Guest {
        let policy = NetworkPolicy::parse(allow.iter().copied()).unwrap();
        let (network, namespace) = UserNetwork::open_tap(policy, servers, USER).unwrap();
        let house = up(Command::new("unshare").args(["--net", "sh", "-c", "echo up; exec sleep infinity"]));
        let vmm = vmm(&namespace, house.id());
        let setup = format!(
            "ip link set lo up; ip address add {GUEST}/{PREFIX} dev eth0; ip link set eth0 up; \
             ip route add default via {GATEWAY}"
        );
        let done = inside(&house, &["sh", "-ec", &setup]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Guest { network, house, vmm }
    }

    /// Runs a program in the guest.
    pub(crate) async fn run(&self, argv: &[&str]) -> Output {
        tokio::process::Command::from(inside(&self.house, argv)).output().await.unwrap()
    }

    /// Starts a program in the guest, which gets no input.
    pub(crate) fn begin(&self, argv: &[&str]) -> tokio::process::Child {
        let mut command = tokio::process::Command::from(inside(&self.house, argv));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
    }

    /// What a Python script in the guest prints, which must not fail.
    pub(crate) async fn python(&self, script: &str) -> String {
        let output = self.run(&["python3", "-c", script]).await;
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What whoever answers at this address says first; an error's name where nobody does.
    pub(crate) async fn hears(&self, host: &str, port: u16) -> String {
        self.python(&format!(
            "import socket\n\
             try:\n  stream = socket.create_connection(('{host}', {port}), 5); print(stream.recv(100).decode())\n\
             except OSError as error: print(type(error).__name__)"
        ))
        .await
    }

    /// What the gateway answers for a name: the code, and addresses.
    pub(crate) async fn asks(&self, name: &str, kind: &str, how: &str) -> String {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/ask.py");
        let output = self.run(&["python3", program, name, kind, how]).await;
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn contacts(&self) -> Vec<String> {
        self.network.contacts().all().iter().map(|(contact, _)| contact.to_string()).collect()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        for process in [&mut self.vmm, &mut self.house] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A VMM in this namespace, with the guest that this process holds.
pub(crate) fn vmm(namespace: &OwnedFd, guest: u32) -> Child {
    let namespace = format!("--net=/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/vmm.py");
    let (guest, user) = (guest.to_string(), USER.to_string());
    up(Command::new("nsenter").args([&namespace, "python3", program, &guest, &user]))
}

/// Starts a process that says when it is up.
fn up(command: &mut Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut word = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    child
}

fn inside(house: &Child, argv: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &house.id().to_string()]).args(argv);
    command
}
