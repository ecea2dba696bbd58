//! A guest made of the same stack, against servers on this host's loopback.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram};

use super::super::Refusal;
use super::*;
use crate::network::names::tests::{answered, question};

const GUEST_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);
const BOUND: Duration = Duration::from_secs(20);

struct Guest {
    network: UserNetwork,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

fn open(allow: &[&str], servers: Vec<SocketAddr>) -> (UserNetwork, UnixDatagram) {
    let policy = NetworkPolicy::parse(allow.iter().copied()).unwrap();
    let (network, theirs) = UserNetwork::open(policy, servers).unwrap();
    let link = std::os::unix::net::UnixDatagram::from(theirs);
    link.set_nonblocking(true).unwrap();
    (network, UnixDatagram::from_std(link).unwrap())
}

impl Guest {
    fn on_a_network(allow: &[&str]) -> Guest {
        let (network, link) = open(allow, Vec::new());
        let stack = Stack::new(GUEST_MAC, GUEST, PREFIX, GATEWAY);
        let shared = Arc::new(Shared::new(NetworkPolicy::default(), Vec::new(), stack));
        let task = tokio::spawn(carry(shared.clone(), link));
        Guest { network, shared, _task: AbortOnDropHandle::new(task) }
    }

    fn connect(&self, to: SocketAddr, port: u16) -> GuestStream {
        let SocketAddr::V4(to) = to else { panic!("{to}") };
        let handle = self.shared.stack().connect(to, port);
        self.shared.changed.notify_one();
        GuestStream::new(self.shared.clone(), handle)
    }

    fn contacts(&self) -> Vec<String> {
        self.network.contacts().all().iter().map(|(contact, _)| contact.to_string()).collect()
    }
}

async fn carry(shared: Arc<Shared>, link: UnixDatagram) {
    let mut buffer = vec![0; FRAME_BYTES];
    loop {
        let (frames, delay) = shared.stack().poll();
        for frame in frames {
            link.send(&frame).await.unwrap();
        }
        tokio::select! {
            length = link.recv(&mut buffer) => shared.stack().take(buffer[..length.unwrap()].to_vec()),
            () = shared.changed.notified() => {}
            () = tokio::time::sleep(delay.unwrap_or(LONG)) => {}
        }
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, work).await.expect("done in time")
}

#[tokio::test]
async fn a_connection_to_what_is_allowed_carries_everything_both_ways_and_each_side_ends_for_itself() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let guest = Guest::on_a_network(&["127.0.0.1"]);
    let much: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let echo = tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
    });
    let mut stream = guest.connect(address, 4000);
    soon(stream.write_all(&much)).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    soon(stream.read_to_end(&mut back)).await.unwrap();
    assert!(back == much, "{} bytes of {}", back.len(), much.len());
    soon(echo).await.unwrap();
    assert_eq!(guest.contacts(), [format!("tcp {address}")]);
}

#[tokio::test]
async fn a_connection_to_what_is_closed_is_reset_and_nobody_here_hears_of_it() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    for allow in [&[][..], &["*"], &["localhost", "10.0.0.0/8"]] {
        let guest = Guest::on_a_network(allow);
        let mut stream = guest.connect(address, 4000);
        let error = soon(stream.read(&mut [0; 8])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(guest.contacts(), [format!("tcp {address}: refused, closed: this host")]);
    }
    let nobody = tokio::time::timeout(Duration::from_millis(1), server.accept()).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn flows_that_never_open_are_bounded_and_those_beyond_are_refused_and_noted() {
    const TOO_MANY: usize = 40;
    // Its queue is soon full: nobody takes connections, and later ones are never answered.
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let guest = Guest::on_a_network(&["127.0.0.1"]);
    let ports = (0..CONNECTIONS + TOO_MANY).map(|number| 10_000 + u16::try_from(number).unwrap());
    let streams: Vec<GuestStream> = ports.map(|port| guest.connect(address, port)).collect();
    for mut stream in streams.into_iter().skip(CONNECTIONS) {
        let error = soon(stream.read(&mut [0; 8])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    let noted = guest.network.contacts().all();
    let times =
        |refused: bool| noted.iter().find(|(contact, _)| contact.refused.is_some() == refused).unwrap().1;
    assert_eq!((times(false), times(true)), (CONNECTIONS as u64, TOO_MANY as u64));
}

#[tokio::test]
async fn where_nobody_listens_the_guest_is_told_so() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    drop(server);
    let guest = Guest::on_a_network(&["127.0.0.1"]);
    let error = soon(guest.connect(address, 4000).read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// Sends a datagram, and gives what comes back: a datagram, or something else.
async fn exchange(link: &UnixDatagram, to: SocketAddr, payload: &[u8]) -> Packet {
    let SocketAddr::V4(to) = to else { panic!("{to}") };
    let from = SocketAddrV4::new(GUEST, 5000);
    link.send(&frames::datagram(OUR_MAC, from, to, payload).unwrap()).await.unwrap();
    let mut buffer = vec![0; FRAME_BYTES];
    let length = soon(link.recv(&mut buffer)).await.unwrap();
    Packet::read(&buffer[..length])
}

#[tokio::test]
async fn datagrams_go_to_what_is_allowed_and_come_back_and_others_do_not() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let (network, link) = open(&["127.0.0.1"], Vec::new());
    let echo = async {
        let mut buffer = [0; 100];
        let (length, from) = server.recv_from(&mut buffer).await.unwrap();
        server.send_to(&buffer[..length], from).await.unwrap();
    };
    let (back, ()) = tokio::join!(exchange(&link, address, b"time?"), echo);
    assert!(matches!(back, Packet::Datagram { payload, .. } if payload == b"time?"));
    assert_eq!(network.contacts().all()[0].0.to_string(), format!("udp {address}"));
    let (closed, link) = open(&[], Vec::new());
    assert_eq!(exchange(&link, address, b"time?").await, Packet::Other);
    assert!(closed.contacts().all()[0].0.refused.is_some());
    assert!(server.try_recv(&mut [0; 100]).is_err());
}

#[tokio::test]
async fn a_name_on_the_list_is_answered_and_opens_its_addresses_and_another_is_never_asked_for() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let names = SocketAddr::from((GATEWAY, 53));
    let (network, link) = open(&["example.org"], vec![server.local_addr().unwrap()]);
    let Packet::Datagram { payload, .. } = exchange(&link, names, &question("evil.example")).await else {
        panic!("no answer")
    };
    assert_eq!(payload[3] & 15, 3);
    assert!(server.try_recv(&mut [0; 100]).is_err());
    let asked = question("example.org");
    let answer = async {
        let mut buffer = [0; 500];
        let (length, from) = server.recv_from(&mut buffer).await.unwrap();
        server.send_to(&answered(&buffer[..length], [203, 0, 113, 9]), from).await.unwrap();
    };
    let (back, ()) = tokio::join!(exchange(&link, names, &asked), answer);
    let Packet::Datagram { payload, .. } = back else { panic!("no answer") };
    assert_eq!(payload, answered(&asked, [203, 0, 113, 9]));
    let noted: Vec<String> =
        network.contacts().all().iter().map(|(contact, _)| contact.to_string()).collect();
    assert_eq!(noted, ["name evil.example: refused, not on the list of what is allowed", "name example.org"]);
}

#[tokio::test]
async fn only_an_answer_opens_an_address() {
    let policy = NetworkPolicy::parse(["example.org"]).unwrap();
    let shared = Shared::new(policy, Vec::new(), Stack::new(OUR_MAC, GATEWAY, PREFIX, GATEWAY));
    let to: SocketAddrV4 = "203.0.113.9:443".parse().unwrap();
    assert_eq!(shared.judge(Protocol::Tcp, to), Verdict::Refused(Refusal::NotListed));
    let metadata: SocketAddrV4 = "169.254.169.254:80".parse().unwrap();
    let hour = Duration::from_secs(3600);
    shared.remember("example.org", vec![(IpAddr::V4(*to.ip()), hour), (IpAddr::V4(*metadata.ip()), hour)]);
    assert_eq!(shared.judge(Protocol::Tcp, to), Verdict::Allowed);
    assert!(matches!(shared.judge(Protocol::Tcp, metadata), Verdict::Refused(_)));
    shared.remember("example.org", vec![(IpAddr::V4(*to.ip()), Duration::ZERO)]);
    assert!(matches!(shared.judge(Protocol::Tcp, to), Verdict::Refused(_)));
}
