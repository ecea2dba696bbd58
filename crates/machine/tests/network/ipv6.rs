//! IPv6: no way out, whatever a guest makes of it.

use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use crate::guest::Guest;
use crate::network_world::in_a_world;

/// An address of the world's.
const THERE: &str = "2001:db8::80";
/// What a guest does that wants IPv6 at all costs: it knows where frames for others go.
const INSIST: &str = "ip -6 address add fd00::2/64 dev eth0 nodad && \
                      ip -6 neighbour replace fe80::1 lladdr 02:00:00:00:00:01 dev eth0 && \
                      ip -6 route replace default via fe80::1 dev eth0";

#[test]
fn a_guest_that_gives_itself_ipv6_reaches_nobody_even_with_leave() {
    in_a_world(async || {
        let made = Command::new("ip").args(["-6", "address", "add", THERE, "dev", "lo"]).status();
        assert!(made.unwrap().success());
        let server = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let datagrams = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
        drop(TcpStream::connect((THERE, port)).expect("the world has it"));
        server.accept().unwrap();
        for silent in [server.set_nonblocking(true), datagrams.set_nonblocking(true)] {
            silent.unwrap();
        }
        let guest = Guest::on(&["*", "::/0"], Vec::new());
        let insisted = guest.run(&["sh", "-c", INSIST]).await;
        assert!(insisted.status.success(), "{}", String::from_utf8_lossy(&insisted.stderr));
        let tries = format!(
            "import socket\n\
             datagram = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); datagram.settimeout(3)\n\
             datagram.sendto(b'word', ('{THERE}', {port}))\n\
             try: datagram.recv(100); print('answered')\n\
             except OSError: print('silence')"
        );
        assert_eq!(guest.python(&tries).await, "silence");
        assert_ne!(guest.hears(THERE, port).await, "");
        assert!(server.accept().is_err() && datagrams.recv(&mut [0; 4]).is_err(), "something came through");
        assert_eq!(guest.contacts(), Vec::<String>::new());
    });
}

#[test]
fn nobody_on_a_guests_wire_has_an_address_of_ipv6() {
    in_a_world(async || {
        let guest = Guest::on(&["*"], Vec::new());
        // All that are on the wire would answer this, with addresses of theirs; the guest itself does.
        let ask = "import socket, struct, time\n\
                   ping = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)\n\
                   index = socket.if_nametoindex('eth0')\n\
                   ping.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)\n\
                   ping.settimeout(3); answered = set()\n\
                   end = time.monotonic() + 3\n\
                   while True:\n  \
                     try: ping.sendto(struct.pack('!BBHHH', 128, 0, 0, 7, 7), ('ff02::1', 0, 0, index)); break\n  \
                     except OSError: assert time.monotonic() < end, 'its own address is not there'\n\
                   end = time.monotonic() + 3\n\
                   while time.monotonic() < end:\n  \
                     try: message, sender = ping.recvfrom(1000)\n  \
                     except OSError: break\n  \
                     if message[0] == 129: answered.add(sender[0].split('%')[0])\n\
                   own = {line.split()[0] for line in open('/proc/net/if_inet6') if line.split()[-1] == 'eth0'}\n\
                   print(sorted(a for a in answered if socket.inet_pton(socket.AF_INET6, a).hex() not in own))";
        assert_eq!(guest.python(ask).await, "[]");
    });
}
