//! Three houses on two streets: `guest` – `host` – `world`, each a network namespace.

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

/// The namespaces, each held by a process in it.
pub(crate) struct Houses {
    host: Child,
    guest: Child,
    world: Child,
    servers: Vec<Child>,
}

/// The address of the guest, of the host towards it, of the host towards the world, and of the world.
pub(crate) const GUEST: &str = "198.19.0.2";
pub(crate) const GATEWAY: &str = "198.19.0.1";
pub(crate) const HOST: &str = "203.0.113.1";
/// Public, private, and metadata addresses of the world.
pub(crate) const PUBLIC: &str = "198.51.100.80";
pub(crate) const OTHER: &str = "198.51.100.81";
pub(crate) const PRIVATE: &str = "10.5.0.1";
pub(crate) const METADATA: &str = "169.254.169.254";
/// A neighbour on the host's public network.
pub(crate) const NEIGHBOUR: &str = "203.0.113.2";

impl Houses {
    /// `None` where nobody may make them: not root, or no `nft`.
    pub(crate) fn build() -> Option<Houses> {
        let may = Command::new("unshare").args(["--net", "nft", "list", "tables"]).output();
        if !may.is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: needs root, util-linux, iproute2, and nftables");
            return None;
        }
        let houses = Houses { host: house(), guest: house(), world: house(), servers: Vec::new() };
        houses.connect();
        Some(houses)
    }

    fn connect(&self) {
        let (guest, world) = (self.guest.id(), self.world.id());
        self.host(&format!(
            "ip link add hth0 type veth peer name eth0 netns {guest}
             ip link add up0 type veth peer name eth0 netns {world}
             ip address add {GATEWAY}/30 dev hth0; ip address add {HOST}/24 dev up0
             ip link set hth0 up; ip link set up0 up
             ip route add default via {NEIGHBOUR}
             echo 1 > /proc/sys/net/ipv4/ip_forward"
        ));
        self.guest(&format!(
            "ip address add {GUEST}/30 dev eth0; ip link set eth0 up; ip route add default via {GATEWAY}"
        ));
        self.world(&format!("ip address add {NEIGHBOUR}/24 dev eth0; ip link set eth0 up"));
        for address in [PUBLIC, OTHER, PRIVATE, METADATA] {
            self.world(&format!("ip address add {address}/32 dev lo"));
        }
    }

    /// Runs a script that must succeed, as the host.
    pub(crate) fn host(&self, script: &str) -> String {
        succeed(inside(&self.host, script), script)
    }

    /// The same, as the guest.
    pub(crate) fn guest(&self, script: &str) -> String {
        succeed(inside(&self.guest, script), script)
    }

    fn world(&self, script: &str) -> String {
        succeed(inside(&self.world, script), script)
    }

    /// Has the host and the world answer on port 7000 of all their addresses.
    pub(crate) fn listen(&mut self) {
        self.servers.extend([listen(&self.host), listen(&self.world)]);
    }

    /// The same for the guest.
    pub(crate) fn guest_listens(&mut self) {
        self.servers.push(listen(&self.guest));
    }

    /// Loads rules on the host.
    pub(crate) fn load(&self, rules: &str) {
        let mut nft = nsenter(&self.host).args(["nft", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "{rules}");
    }

    /// Whether the guest gets a connection.
    pub(crate) fn reaches(&self, address: &str) -> bool {
        connects(&self.guest, address)
    }

    /// Whether the world gets a connection to the guest's network.
    pub(crate) fn is_reached(&self, address: &str) -> bool {
        self.world(&format!("ip route replace {address} via {HOST}"));
        connects(&self.world, address)
    }
}

/// Answers on port 7000, until it is killed; it does already.
fn listen(house: &Child) -> Child {
    let server = "import socket; s = socket.create_server(('', 7000)); print('up', flush=True)\n\
                  while True: s.accept()[0].close()";
    let mut child = nsenter(house).args(["python3", "-c", server]).stdout(Stdio::piped()).spawn().unwrap();
    let mut word = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    child
}

fn connects(house: &Child, address: &str) -> bool {
    let script = format!("import socket; socket.create_connection(('{address}', 7000), 1)");
    nsenter(house).args(["python3", "-c", &script]).output().unwrap().status.success()
}

impl Drop for Houses {
    fn drop(&mut self) {
        let houses = [&mut self.host, &mut self.guest, &mut self.world];
        for process in houses.into_iter().chain(&mut self.servers) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A namespace, which lives as long as this process.
fn house() -> Child {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut word = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    child
}

fn nsenter(house: &Child) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &house.id().to_string()]);
    command
}

fn inside(house: &Child, script: &str) -> Output {
    nsenter(house).args(["sh", "-ec", script]).output().unwrap()
}

fn succeed(output: Output, script: &str) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
