//! A network for a guest that reaches out as the user who started Hearth does.
//!
//! The guest's frames come in on a socket. Each connection of the guest ends here, and is made anew
//! from here if the [`NetworkPolicy`] allows its address; each question for a name is answered
//! here. So there is nothing between guest and host that could be reached around the policy, and
//! nothing that needs rights, a device, or a program. The guest has IPv4: questions for addresses of
//! IPv6 are answered with none, so nobody waits for one. Only we answer a ping.
//!
//! ```text
//! guest ──frames──▶ policy ──refused──▶ reset, or unreachable
//!                      └─allowed──▶ socket of this process ──▶ world
//! ```

mod datagrams;
mod frames;
mod link;
mod own;
mod resolver;
mod stack;
mod stream;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use guest::client::Interface;
use model::{Contact, Protocol};
use smoltcp::wire::EthernetAddress;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::tap::Tap;
use super::{Contacts, NetworkPolicy, Verdict};
use frames::Packet;
use link::Link;
use own::own_networks;
use stack::Stack;
use stream::GuestStream;

/// The guest's address and ours, on a network that no other host has (RFC 2544).
pub const GUEST: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 2);
/// Our address, where names are answered too.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
/// Bits of the network's address.
pub const PREFIX: u8 = 30;

const OUR_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// Connections at once: a browser's tests have some dozens.
const CONNECTIONS: usize = 512;
/// Where names are answered.
const NAMES_AT: SocketAddrV4 = SocketAddrV4::new(GATEWAY, 53);
/// Frames that are taken at once, before what they lead to is done.
const BURST: usize = 64;
/// How long the other side may take to answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// Longest frame that is read; a guest's is 1514 bytes.
const FRAME_BYTES: usize = 64 * 1024;
/// Names whose addresses are known at once.
const NAMES: usize = 4096;
/// When the stack is looked at though nothing happens.
const LONG: Duration = Duration::from_secs(3600);

/// The network of one guest. Dropping it ends it, with every connection.
#[derive(Debug)]
pub struct UserNetwork {
    contacts: Contacts,
    _task: AbortOnDropHandle<()>,
}

impl UserNetwork {
    /// Opens a network. The descriptor is the guest's end: a socket on which each datagram is a
    /// frame. `servers` are asked for names.
    pub fn open(policy: NetworkPolicy, servers: Vec<SocketAddr>) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = std::os::unix::net::UnixDatagram::pair()?;
        Ok((Self::on(ours.into(), policy, servers)?, theirs.into()))
    }

    /// Opens a network whose guest's end is the device `tap0` in a network namespace of its
    /// own, whose descriptor is given back: for a VMM of the user `owner`, started in there. Only
    /// root may. Blocks for some milliseconds; must be called in a runtime.
    pub fn open_tap(
        policy: NetworkPolicy,
        servers: Vec<SocketAddr>,
        owner: u32,
    ) -> io::Result<(Self, OwnedFd)> {
        let tap = Tap::make(owner)?;
        Ok((Self::on(tap.frames, policy, servers)?, tap.namespace))
    }

    fn on(frames: OwnedFd, policy: NetworkPolicy, servers: Vec<SocketAddr>) -> io::Result<Self> {
        let link = Link::new(frames)?;
        let stack = Stack::new(OUR_MAC, GATEWAY, PREFIX, GATEWAY);
        let shared = Arc::new(Shared::new(policy, servers, stack));
        let contacts = shared.contacts.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(serve(shared, link)));
        Ok(Self { contacts, _task: task })
    }

    /// What the guest has tried.
    #[must_use]
    pub fn contacts(&self) -> &Contacts {
        &self.contacts
    }
}

/// What a guest's interface is to be.
pub(crate) fn interface() -> Interface {
    Interface {
        mac: None,
        address: GUEST,
        prefix_length: PREFIX,
        gateway: Some(GATEWAY),
        name_servers: vec![GATEWAY.into()],
    }
}

/// The servers that this host asks for names.
#[must_use]
pub fn name_servers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers
        .filter_map(|server| server.trim().parse::<IpAddr>().ok())
        .map(|server| (server, 53).into())
        .collect()
}

/// What all tasks of one network know.
struct Shared {
    policy: NetworkPolicy,
    servers: Vec<SocketAddr>,
    contacts: Contacts,
    /// The stack has something to do.
    changed: Notify,
    stack: Mutex<Stack>,
    names: Mutex<HashMap<IpAddr, (String, Instant)>>,
}

impl Shared {
    fn new(policy: NetworkPolicy, servers: Vec<SocketAddr>, stack: Stack) -> Self {
        Self {
            policy,
            servers,
            contacts: Contacts::default(),
            changed: Notify::new(),
            stack: Mutex::new(stack),
            names: Mutex::default(),
        }
    }

    fn stack(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address may be reached; noted.
    fn judge(&self, protocol: Protocol, to: SocketAddrV4) -> Verdict {
        let address = IpAddr::V4(*to.ip());
        let name = self.name_of(address);
        let verdict = self.policy.of_address(address, &own_networks(), name.is_some());
        let (address, port) = (Some(address), Some(to.port()));
        self.contacts.note(Contact { protocol, name, address, port, refused: refusal(verdict) });
        verdict
    }

    /// Whether a name may be asked for; noted.
    fn judge_name(&self, name: &str) -> Verdict {
        let (verdict, protocol, name) = (self.policy.of_name(name), Protocol::Name, Some(name.to_owned()));
        let refused = refusal(verdict);
        self.contacts.note(Contact { protocol, name, address: None, port: None, refused });
        verdict
    }

    /// The name that was answered with this address, while the answer holds.
    fn name_of(&self, address: IpAddr) -> Option<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&address).filter(|(_, until)| Instant::now() < *until).map(|(name, _)| name.clone())
    }

    /// Remembers an answer to a question that was allowed.
    fn remember(&self, name: &str, addresses: Vec<(IpAddr, Duration)>) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if names.len() >= NAMES {
            names.retain(|_, (_, until)| now < *until);
        }
        for (address, holds) in addresses {
            if names.len() < NAMES || names.contains_key(&address) {
                names.insert(address, (name.to_owned(), now + holds));
            }
        }
    }
}

fn refusal(verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Allowed => None,
        Verdict::Refused(refusal) => Some(refusal.to_string()),
    }
}

/// Carries frames until the network is dropped, or the guest's end is gone.
async fn serve(shared: Arc<Shared>, link: Link) {
    let mut flows = Flows { shared: shared.clone(), tasks: JoinSet::new(), open: HashMap::new(), mac: None };
    let mut buffer = vec![0; FRAME_BYTES];
    loop {
        let (frames, delay) = shared.stack().poll();
        for frame in frames {
            if link.send(&frame).await.is_err() {
                return;
            }
        }
        tokio::select! {
            received = link.receive(&mut buffer) => match received {
                Ok(length) => {
                    flows.take(&buffer[..length]);
                    for _ in 1..BURST {
                        let Some(length) = link.receive_now(&mut buffer) else { break };
                        flows.take(&buffer[..length]);
                    }
                }
                Err(_) => return,
            },
            () = shared.changed.notified() => {}
            () = tokio::time::sleep(delay.unwrap_or(LONG)) => {}
            Some(ended) = flows.tasks.join_next(), if !flows.tasks.is_empty() => flows.ended(ended.ok()),
        }
    }
}

/// Which flow a task was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FlowId {
    protocol: Protocol,
    from: SocketAddrV4,
    to: SocketAddrV4,
}

/// What the guest talks to now: a task each.
struct Flows {
    shared: Arc<Shared>,
    tasks: JoinSet<FlowId>,
    open: HashMap<FlowId, Flow>,
    /// Where the guest is on the wire.
    mac: Option<EthernetAddress>,
}

/// The way to a flow's task.
enum Flow {
    Connection,
    Datagrams(tokio::sync::mpsc::Sender<Vec<u8>>),
}

impl Flows {
    fn take(&mut self, frame: &[u8]) {
        self.mac = frames::sender(frame).or(self.mac);
        match Packet::read(frame) {
            Packet::Opens { from, to } => self.open(from, to, frame),
            Packet::Datagram { from, to, payload } => self.datagram(from, to, payload, frame),
            Packet::EchoElsewhere => {
                if let Some(answer) = frames::prohibited(frame) {
                    self.shared.stack().send(answer);
                }
            }
            Packet::Other => self.shared.stack().take(frame.to_vec()),
        }
    }

    fn open(&mut self, from: SocketAddrV4, to: SocketAddrV4, frame: &[u8]) {
        let id = FlowId { protocol: Protocol::Tcp, from, to };
        // Sent again, because we take our time; or the same once more, which is for the stack to judge.
        if self.open.contains_key(&id) {
            return;
        }
        // Without a socket for it, the stack resets the connection.
        if !self.has_room(id) || (to != NAMES_AT && self.shared.judge(Protocol::Tcp, to) != Verdict::Allowed)
        {
            self.shared.stack().take(frame.to_vec());
            return;
        }
        self.open.insert(id, Flow::Connection);
        let (shared, frame) = (self.shared.clone(), frame.to_vec());
        self.tasks.spawn(async move {
            if to == NAMES_AT {
                let stream = accept(&shared, to, frame);
                // A guest that breaks off has its reasons.
                let _ = resolver::serve(&shared, stream).await;
            } else {
                connect(shared, to, frame).await;
            }
            id
        });
    }

    fn datagram(&mut self, from: SocketAddrV4, to: SocketAddrV4, payload: Vec<u8>, frame: &[u8]) {
        let Some(mac) = self.mac else { return };
        let id = FlowId { protocol: Protocol::Udp, from, to };
        if let Some(Flow::Datagrams(way)) = self.open.get(&id) {
            // What is too much at once is lost, as datagrams are.
            let _ = way.try_send(payload);
            return;
        }
        let is_name = to == NAMES_AT;
        if !self.has_room(id) || (!is_name && self.shared.judge(Protocol::Udp, to) != Verdict::Allowed) {
            self.shared.stack().take(frame.to_vec());
            return;
        }
        let shared = self.shared.clone();
        let back = datagrams::Back { shared: shared.clone(), mac, from: to, to: from };
        if is_name {
            self.tasks.spawn(async move {
                if let Some(answer) = resolver::answer_datagram(&shared, &payload).await {
                    back.send(&answer);
                }
                id
            });
            return;
        }
        let (way, incoming) = datagrams::way(payload);
        self.open.insert(id, Flow::Datagrams(way));
        self.tasks.spawn(async move {
            datagrams::carry(back, incoming).await;
            id
        });
    }

    /// Whether there is room for one more; noted where there is none.
    fn has_room(&self, id: FlowId) -> bool {
        let room = self.tasks.len().max(self.shared.stack().connections()) < CONNECTIONS;
        if !room {
            let (address, port) = (Some(IpAddr::V4(*id.to.ip())), Some(id.to.port()));
            let refused = Some(format!("more than {CONNECTIONS} at once"));
            self.shared.contacts.note(Contact { protocol: id.protocol, name: None, address, port, refused });
        }
        room
    }

    fn ended(&mut self, id: Option<FlowId>) {
        if let Some(id) = id {
            self.open.remove(&id);
        }
    }
}

/// Makes a connection of the guest's anew, and carries bytes until both sides have ended it.
async fn connect(shared: Arc<Shared>, to: SocketAddrV4, frame: Vec<u8>) {
    let made = tokio::time::timeout(CONNECT_DEADLINE, TcpStream::connect(to)).await;
    let Ok(Ok(mut world)) = made else {
        shared.stack().take(frame);
        shared.changed.notify_one();
        return;
    };
    let mut guest = accept(&shared, to, frame);
    // How a connection ends is the guest's business: it sees the same.
    let _ = tokio::io::copy_bidirectional(&mut guest, &mut world).await;
}

/// Answers the guest that opens a connection by this frame.
fn accept(shared: &Arc<Shared>, to: SocketAddrV4, frame: Vec<u8>) -> GuestStream {
    let mut stack = shared.stack();
    let handle = stack.accept(to);
    stack.take(frame);
    drop(stack);
    shared.changed.notify_one();
    GuestStream::new(shared.clone(), handle)
}

#[cfg(test)]
mod tests;
