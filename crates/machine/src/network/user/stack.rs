//! The end of the guest's connections: a stack that answers for every address, as plain data
//! behind a lock, polled by one task.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint};

/// Frames that wait for the guest to read; past it, the stack makes no more.
const WAITING_FRAMES: usize = 256;
/// What of a connection is on its way in each direction.
const WINDOW_BYTES: usize = 64 * 1024;
/// How long a guest may leave what it was sent unanswered.
const SILENCE: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Longest frame, with its header: what QEMU offers its guests.
const FRAME_BYTES: usize = 1514;

/// A stack on one wire.
pub(super) struct Stack {
    interface: Interface,
    wire: Wire,
    pub(super) sockets: SocketSet<'static>,
    /// Connections that nobody here holds any more, and that the guest has not seen the end of.
    ending: Vec<SocketHandle>,
    begin: Instant,
}

#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Stack {
    /// A stack with this address, which takes what is for others too, if it is to be the `gateway`.
    pub(super) fn new(mac: EthernetAddress, address: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) -> Self {
        let mut wire = Wire::default();
        let begin = Instant::now();
        let mut interface = Interface::new(Config::new(mac.into()), &mut wire, at(begin, begin));
        // Neither can be full: there is one of each.
        interface.update_ip_addrs(|all| {
            let _ = all.push(IpCidr::new(address.into(), prefix));
        });
        let _ = interface.routes_mut().add_default_ipv4_route(gateway);
        interface.set_any_ip(address == gateway);
        Self { interface, wire, sockets: SocketSet::new(Vec::new()), ending: Vec::new(), begin }
    }

    /// Puts in a frame.
    pub(super) fn take(&mut self, frame: Vec<u8>) {
        self.wire.incoming.push_back(frame);
    }

    /// Sends a frame of our own making, unless the guest does not read.
    pub(super) fn send(&mut self, frame: Vec<u8>) {
        if self.wire.outgoing.len() < WAITING_FRAMES {
            self.wire.outgoing.push_back(frame);
        }
    }

    /// Works until nothing is left to do; gives the frames to send, and when to come again.
    pub(super) fn poll(&mut self) -> (VecDeque<Vec<u8>>, Option<Duration>) {
        let now = at(self.begin, Instant::now());
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        let sockets = &mut self.sockets;
        self.ending.retain(|handle| {
            let state = sockets.get::<tcp::Socket<'_>>(*handle).state();
            let ended = matches!(state, State::Closed | State::TimeWait);
            if ended {
                sockets.remove(*handle);
            }
            !ended
        });
        let delay = self.interface.poll_delay(now, &self.sockets);
        let delay = delay.map(|delay| Duration::from_micros(delay.total_micros()));
        (std::mem::take(&mut self.wire.outgoing), delay)
    }

    /// A connection that the next frame opens.
    pub(super) fn accept(&mut self, to: SocketAddrV4) -> SocketHandle {
        let mut socket = socket();
        // It can't fail: the socket is new, and no port is 0 where a guest has connected to it.
        let _ = socket.listen(IpEndpoint::from(to));
        self.sockets.add(socket)
    }

    /// Leaves a connection: what was sent and closed arrives, what was not closed is reset.
    pub(super) fn leave(&mut self, handle: SocketHandle) {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        if matches!(
            socket.state(),
            State::Listen | State::SynReceived | State::Established | State::CloseWait
        ) {
            socket.abort();
        }
        self.ending.push(handle);
    }

    /// Connections that there are.
    pub(super) fn connections(&self) -> usize {
        self.sockets.iter().count()
    }

    #[cfg(test)]
    pub(super) fn connect(&mut self, to: SocketAddrV4, port: u16) -> SocketHandle {
        let mut socket = socket();
        let to = IpEndpoint::from(to);
        socket.connect(self.interface.context(), to, port).unwrap();
        self.sockets.add(socket)
    }
}

fn socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; WINDOW_BYTES]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    let micros = |duration: Duration| smoltcp::time::Duration::from_millis(duration.as_millis() as u64);
    socket.set_timeout(Some(micros(SILENCE)));
    socket.set_keep_alive(Some(micros(KEEP_ALIVE)));
    socket.set_nagle_enabled(false);
    socket
}

fn at(begin: Instant, now: Instant) -> smoltcp::time::Instant {
    let passed = now.saturating_duration_since(begin);
    smoltcp::time::Instant::from_micros(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX))
}

struct Received(Vec<u8>);
struct Sent<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Sent<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Received(frame), Sent(&mut self.outgoing)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Sent<'_>> {
        (self.outgoing.len() < WAITING_FRAMES).then_some(Sent(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES;
        // Nothing is damaged on a wire in memory, and guests leave sums to a device that need not make them.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities.checksum.udp = Checksum::Tx;
        capabilities.checksum.icmpv4 = Checksum::Tx;
        capabilities
    }
}
