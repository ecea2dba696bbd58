//! Frames on the wire between a guest and us.

use std::net::SocketAddrV4;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket, UdpPacket,
    UdpRepr,
};

use super::OUR_MAC;

const ETHERNET_BYTES: usize = 14;
/// Longest payload of a datagram that needs no fragments.
pub(super) const PAYLOAD_BYTES: usize = 1472;
const HOP_LIMIT: u8 = 64;

/// What a frame of the guest's is to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// It opens a connection.
    Opens { from: SocketAddrV4, to: SocketAddrV4 },
    /// A datagram.
    Datagram { from: SocketAddrV4, to: SocketAddrV4, payload: Vec<u8> },
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
            _ => None,
        }
    }
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
    let mut frame = vec![0; ETHERNET_BYTES + ip.buffer_len() + ip.payload_len];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    ethernet.set_dst_addr(mac);
    ethernet.set_src_addr(OUR_MAC);
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    ip.emit(&mut packet, &checksums);
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
