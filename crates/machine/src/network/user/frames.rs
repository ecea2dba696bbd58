//! Frames on the wire between a guest and us.

use std::net::SocketAddrV4;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet,
    Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket, UdpPacket, UdpRepr,
};

use super::{GATEWAY, OUR_MAC};

const ETHERNET_BYTES: usize = 14;
/// Longest payload of a datagram that needs no fragments.
pub(super) const PAYLOAD_BYTES: usize = 1472;
const HOP_LIMIT: u8 = 64;
/// What of a packet's payload an answer about it has (RFC 792).
const QUOTED_BYTES: usize = 8;

/// What a frame of the guest's is to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// It opens a connection.
    Opens { from: SocketAddrV4, to: SocketAddrV4 },
    /// A datagram.
    Datagram { from: SocketAddrV4, to: SocketAddrV4, payload: Vec<u8> },
    /// An echo is asked of somebody but us, whom nothing of it will reach.
    EchoElsewhere,
    /// Whatever the stack makes of it: it only answers.
    Other,
}

impl Packet {
    pub(super) fn read(frame: &[u8]) -> Packet {
        Self::of_ipv4(frame).unwrap_or(Packet::Other)
    }

    fn of_ipv4(frame: &[u8]) -> Option<Packet> {
        let frame = EthernetFrame::new_checked(frame).ok()?;
        if frame.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
        if packet.more_frags() || packet.frag_offset() != 0 {
            return None;
        }
        let (source, target) = (packet.src_addr(), packet.dst_addr());
        match packet.next_header() {
            IpProtocol::Tcp => {
                let segment = TcpPacket::new_checked(packet.payload()).ok()?;
                (segment.syn() && !segment.ack() && !segment.rst()).then(|| Packet::Opens {
                    from: SocketAddrV4::new(source, segment.src_port()),
                    to: SocketAddrV4::new(target, segment.dst_port()),
                })
            }
            IpProtocol::Udp => {
                let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
                Some(Packet::Datagram {
                    from: SocketAddrV4::new(source, datagram.src_port()),
                    to: SocketAddrV4::new(target, datagram.dst_port()),
                    payload: datagram.payload().to_vec(),
                })
            }
            IpProtocol::Icmp if target != GATEWAY => {
                let message = Icmpv4Packet::new_checked(packet.payload()).ok()?;
                (message.msg_type() == Icmpv4Message::EchoRequest).then_some(Packet::EchoElsewhere)
            }
            _ => None,
        }
    }
}

/// The answer to a frame whose packet is not let through; `None` to one that has none.
pub(super) fn prohibited(frame: &[u8]) -> Option<Vec<u8>> {
    let checksums = ChecksumCapabilities::ignored();
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let header = Ipv4Repr::parse(&packet, &checksums).ok()?;
    let data = packet.payload().get(..QUOTED_BYTES)?;
    let message = Icmpv4Repr::DstUnreachable { reason: Icmpv4DstUnreachable::CommProhibited, header, data };
    let ip = Ipv4Repr {
        src_addr: GATEWAY,
        dst_addr: header.src_addr,
        next_header: IpProtocol::Icmp,
        payload_len: message.buffer_len(),
        hop_limit: HOP_LIMIT,
    };
    let mut answer = around(frame.src_addr(), &ip);
    let mut packet = Ipv4Packet::new_unchecked(&mut answer[ETHERNET_BYTES..]);
    let mut payload = Icmpv4Packet::new_unchecked(packet.payload_mut());
    message.emit(&mut payload, &ChecksumCapabilities::default());
    Some(answer)
}

/// A frame of ours with an empty packet.
fn around(to: EthernetAddress, ip: &Ipv4Repr) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET_BYTES + ip.buffer_len() + ip.payload_len];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    ethernet.set_dst_addr(to);
    ethernet.set_src_addr(OUR_MAC);
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    ip.emit(&mut Ipv4Packet::new_unchecked(ethernet.payload_mut()), &ChecksumCapabilities::default());
    frame
}

/// The hardware address that a frame comes from.
pub(super) fn sender(frame: &[u8]) -> Option<EthernetAddress> {
    EthernetFrame::new_checked(frame).ok().map(|frame| frame.src_addr()).filter(|mac| mac.is_unicast())
}

/// A frame with a datagram; `None` where it does not fit into one.
pub(super) fn datagram(
    mac: EthernetAddress,
    from: SocketAddrV4,
    to: SocketAddrV4,
    payload: &[u8],
) -> Option<Vec<u8>> {
    if payload.len() > PAYLOAD_BYTES {
        return None;
    }
    let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let ip = Ipv4Repr {
        src_addr: *from.ip(),
        dst_addr: *to.ip(),
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: HOP_LIMIT,
    };
    let checksums = ChecksumCapabilities::default();
    let mut frame = around(mac, &ip);
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[ETHERNET_BYTES..]);
    let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
    let (source, target) = (ip.src_addr.into(), ip.dst_addr.into());
    let fill = |space: &mut [u8]| space.copy_from_slice(payload);
    udp.emit(&mut datagram, &source, &target, payload.len(), fill, &checksums);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_read_as_it_was_made_and_broken_frames_are_nothing() {
        let (from, to) = ("1.2.3.4:5".parse().unwrap(), "6.7.8.9:10".parse().unwrap());
        let frame = datagram(OUR_MAC, from, to, b"words").unwrap();
        assert_eq!(Packet::read(&frame), Packet::Datagram { from, to, payload: b"words".to_vec() });
        assert_eq!(sender(&frame), Some(OUR_MAC));
        for length in 0..frame.len() {
            assert_eq!(Packet::read(&frame[..length]), Packet::Other, "{length}");
        }
        assert!(datagram(OUR_MAC, from, to, &[0; PAYLOAD_BYTES + 1]).is_none());
    }
}
