//! The frames that we send: adverts over IPv4 and IPv6, gratuitous ARP and unsolicited neighbour advertisements. They are built
//! in advance, so that sending is one call.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_ebpf::advert::{GROUP_V4, GROUP_V6, PROTOCOL};
use vrrp_ebpf::{arp, checksum, nd};

/// An Ethernet hardware address.
pub type Mac = [u8; 6];

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
/// Bytes of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;
/// Internetwork control (RFC 791), which is what keepalived sends: networks that prioritise by it forward adverts first.
pub(crate) const TOS_INTERNETWORK_CONTROL: u8 = 0xc0;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0x00];
/// TTL of an advert (RFC 9568 section 5.1.1.3).
pub const TTL: u8 = 255;

/// An IPv4 header without options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipv4 {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) ttl: u8,
    pub(crate) protocol: u8,
    pub(crate) tos: u8,
    /// Flags and fragment offset.
    pub(crate) flags: [u8; 2],
    pub(crate) identification: u16,
}

impl Ipv4 {
    /// Returns the header of a packet with `length` bytes behind it.
    pub(crate) fn encode(&self, length: usize) -> Vec<u8> {
        let total = u16::try_from(IPV4_HEADER + length).expect("255 addresses fit");
        let mut header = Vec::with_capacity(usize::from(total));
        header.extend([0x45, self.tos]);
        header.extend(total.to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(self.flags);
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        let sum = !checksum::fold(checksum::sum(&header));
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }
}

/// The IPv4 packet of a VRRP message.
#[must_use]
pub fn ipv4_packet(source: Ipv4Addr, destination: Ipv4Addr, ttl: u8, message: &[u8]) -> Vec<u8> {
    let header = Ipv4 {
        source,
        destination,
        ttl,
        protocol: PROTOCOL,
        tos: TOS_INTERNETWORK_CONTROL,
        flags: DONT_FRAGMENT,
        // A datagram that is never fragmented needs no identification (RFC 6864).
        identification: 0,
    };
    [&header.encode(message.len())[..], message].concat()
}

/// The hardware address of a multicast group (RFC 1112 section 6.4, RFC 2464 section 7).
#[must_use]
pub fn group_mac(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// The frame that carries an IPv4 packet to a group.
#[must_use]
pub fn to_group_v4(mac: Mac, group: Ipv4Addr, packet: &[u8]) -> Vec<u8> {
    [&group_mac(group.into()), &mac, &ETHERTYPE_IPV4[..], packet].concat()
}

/// The frame that carries a VRRP message to the IPv4 group.
#[must_use]
pub fn advert_ipv4(mac: Mac, source: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    to_group_v4(mac, GROUP_V4.into(), &ipv4_packet(source, GROUP_V4.into(), TTL, message))
}

/// The frame that carries a VRRP message to the IPv6 group.
#[must_use]
pub fn advert_ipv6(mac: Mac, source: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    to_group_v6(mac, source, GROUP_V6.into(), message)
}

/// The frame that carries a VRRP message to some IPv6 group.
#[must_use]
pub fn to_group_v6(mac: Mac, source: Ipv6Addr, group: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let header = ipv6_header(PROTOCOL, source.octets(), group.octets(), message.len());
    [&group_mac(group.into()), &mac, &ETHERTYPE_IPV6[..], &header, message].concat()
}

fn ipv6_header(next: u8, source: [u8; 16], destination: [u8; 16], length: usize) -> Vec<u8> {
    let length = u16::try_from(length).expect("the configuration keeps an advert in one packet");
    // The traffic class is in the second half of the first byte and the first half of the second.
    let mut header = vec![0x60 | TOS_INTERNETWORK_CONTROL >> 4, TOS_INTERNETWORK_CONTROL << 4, 0, 0];
    header.extend(length.to_be_bytes());
    header.extend([next, TTL]);
    header.extend(source);
    header.extend(destination);
    header
}

/// The frame of an unsolicited neighbour advertisement to all nodes, with the router and override flags (RFC 9568
/// section 6.4.1).
#[must_use]
pub fn unsolicited_advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    let (advertisement, destination) = nd::advertisement(address.octets(), mac, nd::Reply::Unsolicited);
    let header = ipv6_header(nd::ICMPV6, address.octets(), destination, nd::ADVERTISEMENT_BYTES);
    let nd::Advertisement { message, option, mac: target_mac } = advertisement;
    let mut frame = [&nd::ALL_NODES_MAC, &mac, &ETHERTYPE_IPV6[..], &header].concat();
    frame.extend([message.kind, message.code]);
    frame.extend(message.checksum);
    frame.extend(message.flags);
    frame.extend(message.target);
    frame.extend(option);
    frame.extend(target_mac);
    frame
}

/// The frame of a gratuitous ARP request, keepalived's form: sender and target are the address, the target hardware
/// address is broadcast.
#[must_use]
pub fn gratuitous_arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let packet = arp::gratuitous(address.octets(), mac);
    let mut frame = [&arp::BROADCAST, &mac, &ETHERTYPE_ARP[..], &packet.htype, &packet.ptype].concat();
    frame.extend([packet.hlen, packet.plen]);
    frame.extend(packet.oper);
    frame.extend(packet.sha);
    frame.extend(packet.spa);
    frame.extend(packet.tha);
    frame.extend(packet.tpa);
    frame
}

#[cfg(test)]
mod tests {
    use vrrp_ebpf::frame::{Class, NeighbourKind, classify};

    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    #[test]
    fn the_kernel_half_recognises_our_advert() {
        let frame = advert_ipv4(MAC, Ipv4Addr::new(10, 0, 0, 1), &[0x31; 12]);
        let Class::Vrrp(carrier) = classify(&frame[..]) else { panic!("not recognised: {frame:?}") };
        assert_eq!((carrier.ttl, carrier.offset, carrier.length), (255, 34, 12));
        assert_eq!(checksum::fold(checksum::sum(&frame[14..34])), 0xffff);
    }

    #[test]
    fn the_kernel_half_recognises_our_ipv6_frames() {
        let source = Ipv6Addr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]);
        let frame = advert_ipv6(MAC, source, &[0x31; 24]);
        let Class::Vrrp(carrier) = classify(&frame[..]) else { panic!("not recognised: {frame:?}") };
        assert_eq!((carrier.ttl, carrier.offset, carrier.length), (255, 54, 24));
        let frame = unsolicited_advertisement(MAC, source);
        assert_eq!(frame.len(), 86);
        let Class::Nd(message) = classify(&frame[..]) else { panic!("not recognised: {frame:?}") };
        assert_eq!((message.kind, message.mac), (NeighbourKind::Advertisement, MAC));
        assert_eq!(message.target, source.octets());
    }

    #[test]
    fn the_kernel_half_recognises_our_gratuitous_arp() {
        let frame = gratuitous_arp(MAC, Ipv4Addr::new(10, 0, 0, 100));
        assert_eq!(frame.len(), 42);
        let Class::Arp(packet) = classify(&frame[..]) else { panic!("not recognised: {frame:?}") };
        assert_eq!(arp::claimed(&packet), Some([10, 0, 0, 100]));
        assert_eq!(packet.sha, MAC);
    }
}
