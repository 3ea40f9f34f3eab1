//! Finding the Ethernet frames that the program must judge, with as few loads as possible.

use network_types::arp::ArpHdr;
use network_types::eth::{EthHdr, EtherType};
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use crate::advert::{Address, Datagram, Family, PROTOCOL};
use crate::nd;

/// A header type for which any bytes are a valid value, and which can be read from a packet without alignment.
///
/// # Safety
/// Every bit pattern is valid and there is no padding.
pub unsafe trait Header: Copy {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for EthHdr {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for Ipv4Hdr {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for Ipv6Hdr {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for ArpHdr {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for nd::Message {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for nd::Advertisement {}
// SAFETY: bytes.
unsafe impl<const N: usize> Header for [u8; N] {}

/// A received Ethernet frame: packet memory in the kernel, a slice on the host.
pub trait Frame {
    /// Reads a header at an offset; `None` if the frame ends before the header does.
    fn load<T: Header>(&self, offset: usize) -> Option<T>;

    /// Reads four bytes as a word in this machine's byte order; `None` if the frame ends before. BPF reads a header byte by
    /// byte, since its alignment is not known, and this word at once.
    #[inline(always)]
    fn load_word(&self, offset: usize) -> Option<u32> {
        self.load::<[u8; 4]>(offset).map(u32::from_ne_bytes)
    }

    /// Reads an IPv4 address.
    #[inline(always)]
    fn load_v4(&self, offset: usize) -> Option<Address> {
        Some(Address::from_words([self.load_word(offset)?, 0, 0, 0]))
    }

    /// Reads an IPv6 address.
    #[inline(always)]
    fn load_v6(&self, offset: usize) -> Option<Address> {
        let word = |number: usize| self.load_word(offset + 4 * number);
        Some(Address::from_words([word(0)?, word(1)?, word(2)?, word(3)?]))
    }
}

impl Frame for [u8] {
    fn load<T: Header>(&self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..)?.get(..size_of::<T>())?;
        // SAFETY: the slice has the size of T, and T is valid for any bytes.
        Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }
}

/// The class of a frame.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// Neither VRRP nor about the address of a host: left to the stack.
    Other,
    /// A datagram of protocol 112, not yet judged.
    Vrrp(Carrier),
    /// An ARP packet for Ethernet and IPv4.
    Arp(ArpHdr),
    /// A neighbour solicitation or advertisement.
    Nd(Neighbour),
}

/// A message of neighbour discovery.
#[derive(Clone, Copy, Debug)]
pub struct Neighbour {
    /// The kind: a request or a claim.
    pub kind: NeighbourKind,
    /// The address that the message is about.
    pub target: [u8; 16],
    /// The source address; all zero if a host is about to take the target (RFC 4862 section 5.4).
    pub source: [u8; 16],
    /// The hardware address of the frame's sender. For an advertisement: the address in its target link-layer option, if that
    /// is the first option.
    pub mac: [u8; 6],
}

/// The kind of a message of neighbour discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourKind {
    /// Asks for the target.
    Solicitation,
    /// Claims the target.
    Advertisement,
}

/// The IP packet around a VRRP message.
#[derive(Clone, Copy, Debug)]
pub struct Carrier {
    /// Address family.
    pub family: Family,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Offset of the VRRP message in the frame.
    pub offset: usize,
    /// Length of the message according to the IP header, without Ethernet padding.
    pub length: usize,
}

impl Carrier {
    /// Returns the datagram, with the message at [`Self::offset`].
    #[inline(always)]
    #[must_use]
    pub const fn datagram<'p>(&self, payload: &'p [u8]) -> Datagram<'p> {
        let Self { family, source, destination, ttl, .. } = *self;
        Datagram { family, source, destination, ttl, payload, trailer: &[] }
    }
}

/// An EtherType, in the byte order of a header in memory.
pub const ETHERTYPE_IPV4: u16 = EtherType::Ipv4 as u16;
/// An EtherType, in the byte order of a header in memory.
pub const ETHERTYPE_IPV6: u16 = EtherType::Ipv6 as u16;
/// An EtherType, in the byte order of a header in memory.
pub const ETHERTYPE_ARP: u16 = EtherType::Arp as u16;
const ETHERTYPE_8021Q: u16 = EtherType::Ieee8021q as u16;
const ETHERTYPE_8021AD: u16 = EtherType::Ieee8021ad as u16;
/// Bytes of a VLAN tag.
pub const TAG: usize = 4;
/// Bytes of the two hardware addresses in front of the tag.
pub const MACS: usize = 12;
/// Mask of the VLAN identifier in a tag.
pub const VLAN_ID: u16 = 0x0fff;
/// Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4 (RFC 826).
const ARP_ETHERNET_IPV4: (u16, u16, u8, u8) = (1, 0x0800, 6, 4);
/// Mask of the more-fragments flag and the fragment offset.
pub const FRAGMENT: u16 = 0x3fff;

/// The kind of a frame, decided by as few bytes as possible, because all other traffic pays for this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Left to the stack.
    Other,
    /// With a tag of 802.1Q or 802.1ad; see [`tagged`].
    Tagged,
    /// IPv4 with protocol 112.
    VrrpV4,
    /// IPv6 with next header 112.
    VrrpV6,
    /// ARP.
    Arp,
    /// ICMPv6 right behind the IPv6 header.
    Icmpv6,
}

/// The first four bytes of the hardware addresses of virtual routers; then follow 1 for IPv4 or 2 for IPv6, and the VRID.
const VIRTUAL_ROUTER: u32 = 0x0000_5e00;
/// Offset of the source in an IPv4 frame.
const IPV4_SOURCE: usize = EthHdr::LEN + 12;
/// Offset of the source in an IPv6 frame.
const IPV6_SOURCE: usize = EthHdr::LEN + 8;
/// Offset of the destination in an IPv4 frame.
const IPV4_DESTINATION: usize = EthHdr::LEN + 16;
/// Offset of the destination in an IPv6 frame.
const IPV6_DESTINATION: usize = EthHdr::LEN + 24;
/// Offset of the protocol in an IPv4 frame.
const IPV4_PROTOCOL: usize = EthHdr::LEN + 9;
/// Offset of the next header in an IPv6 frame.
const IPV6_NEXT_HEADER: usize = EthHdr::LEN + 6;

/// Returns the kind of a frame.
#[inline(always)]
pub fn kind<F: Frame + ?Sized>(frame: &F) -> Kind {
    let Some(ethernet) = frame.load::<EthHdr>(0) else { return Kind::Other };
    payload_kind(frame, ethernet.ether_type, 0)
}

/// Returns the kind of a frame behind a tag of VLAN 0, which has a priority and no VLAN (802.1Q section 6.9.1): the same as
/// without the tag. A frame with another tag belongs to another network.
#[inline(always)]
pub fn tagged<F: Frame + ?Sized>(frame: &F) -> Kind {
    let Some(tag) = frame.load::<[u8; 4]>(MACS + 2) else { return Kind::Other };
    if u16::from_be_bytes([tag[0], tag[1]]) & VLAN_ID != 0 {
        return Kind::Other;
    }
    payload_kind(frame, u16::from_ne_bytes([tag[2], tag[3]]), TAG)
}

/// Returns the kind by the EtherType of the payload, behind `tags` bytes of tags.
#[inline(always)]
fn payload_kind<F: Frame + ?Sized>(frame: &F, ether_type: u16, tags: usize) -> Kind {
    // 0 is none of the protocols looked for. With an `Option` the verifier would see a register that was never written.
    let protocol = |at| frame.load::<[u8; 1]>(at + tags).map_or(0, |[protocol]| protocol);
    match ether_type {
        ETHERTYPE_IPV4 => match protocol(IPV4_PROTOCOL) {
            PROTOCOL => Kind::VrrpV4,
            _ => Kind::Other,
        },
        ETHERTYPE_IPV6 => match protocol(IPV6_NEXT_HEADER) {
            PROTOCOL => Kind::VrrpV6,
            nd::ICMPV6 => Kind::Icmpv6,
            _ => Kind::Other,
        },
        ETHERTYPE_ARP => Kind::Arp,
        ETHERTYPE_8021Q | ETHERTYPE_8021AD => Kind::Tagged,
        _ => Kind::Other,
    }
}

/// Returns true if a frame has the tag of a VLAN other than 0, and so belongs to another network than untagged frames.
#[inline(always)]
pub fn is_of_other_vlan<F: Frame + ?Sized>(frame: &F) -> bool {
    let Some([t, y, high, low]) = frame.load::<[u8; 4]>(MACS) else { return false };
    matches!(u16::from_ne_bytes([t, y]), ETHERTYPE_8021Q | ETHERTYPE_8021AD)
        && u16::from_be_bytes([high, low]) & VLAN_ID != 0
}

/// Classifies a frame. Fragments, and frames that are malformed below VRRP, are left to the stack.
#[inline(always)]
pub fn classify<F: Frame + ?Sized>(frame: &F) -> Class {
    match kind(frame) {
        // The stack removes a tag of VLAN 0 before any socket of the host sees the frame.
        Kind::Other | Kind::Tagged => Class::Other,
        Kind::VrrpV4 => carrier(frame, Family::V4).map_or(Class::Other, Class::Vrrp),
        Kind::VrrpV6 => carrier(frame, Family::V6).map_or(Class::Other, Class::Vrrp),
        Kind::Arp => arp(frame).map_or(Class::Other, Class::Arp),
        Kind::Icmpv6 => neighbour(frame).map_or(Class::Other, Class::Nd),
    }
}

/// Returns the destination hardware address if it is that of a virtual router (RFC 9568 section 7.3). All other frames cost one
/// comparison.
#[inline(always)]
pub fn to_virtual_router<F: Frame + ?Sized>(frame: &F) -> Option<[u8; 6]> {
    let mac = frame.load::<[u8; 6]>(0)?;
    let prefix = u32::from_be_bytes([mac[0], mac[1], mac[2], mac[3]]);
    (prefix == VIRTUAL_ROUTER && matches!(mac[4], 1 | 2)).then_some(mac)
}

/// Returns the destination of a packet that is neither VRRP nor about an address.
#[inline(always)]
pub fn destination<F: Frame + ?Sized>(frame: &F) -> Option<(Family, Address)> {
    let ethernet = frame.load::<EthHdr>(0)?;
    match ethernet.ether_type {
        ETHERTYPE_IPV4 => Some((Family::V4, frame.load_v4(IPV4_DESTINATION)?)),
        ETHERTYPE_IPV6 => Some((Family::V6, frame.load_v6(IPV6_DESTINATION)?)),
        _ => None,
    }
}

/// Returns the IP packet around a VRRP message. Packets with IPv6 extension headers and fragments are not judged.
#[inline(always)]
pub fn carrier<F: Frame + ?Sized>(frame: &F, family: Family) -> Option<Carrier> {
    match family {
        Family::V4 => {
            let ip = frame.load::<Ipv4Hdr>(EthHdr::LEN)?;
            let header = ((ip.vihl & 0x0f) as usize) * 4;
            let total = u16::from_be_bytes(ip.tot_len) as usize;
            let fragment = u16::from_be_bytes(ip.frags) & FRAGMENT != 0;
            if fragment || ip.vihl >> 4 != 4 || header < Ipv4Hdr::LEN || total < header {
                return None;
            }
            Some(Carrier {
                family,
                source: frame.load_v4(IPV4_SOURCE)?,
                destination: frame.load_v4(IPV4_DESTINATION)?,
                ttl: ip.ttl,
                offset: EthHdr::LEN + header,
                length: total - header,
            })
        }
        Family::V6 => {
            let ip = frame.load::<Ipv6Hdr>(EthHdr::LEN)?;
            Some(Carrier {
                family,
                source: frame.load_v6(IPV6_SOURCE)?,
                destination: frame.load_v6(IPV6_DESTINATION)?,
                ttl: ip.hop_limit,
                offset: EthHdr::LEN + Ipv6Hdr::LEN,
                length: u16::from_be_bytes(ip.payload_len) as usize,
            })
        }
    }
}

/// Returns an ARP packet for Ethernet and IPv4.
#[inline(always)]
pub fn arp<F: Frame + ?Sized>(frame: &F) -> Option<ArpHdr> {
    let arp = frame.load::<ArpHdr>(EthHdr::LEN)?;
    let form = (arp.htype(), arp.ptype(), arp.hlen(), arp.plen());
    (form == ARP_ETHERNET_IPV4).then_some(arp)
}

/// Returns a message of neighbour discovery that did not cross a router.
#[inline(always)]
pub fn neighbour<F: Frame + ?Sized>(frame: &F) -> Option<Neighbour> {
    let ethernet = frame.load::<EthHdr>(0)?;
    let ip = frame.load::<Ipv6Hdr>(EthHdr::LEN)?;
    let message = frame.load::<nd::Message>(EthHdr::LEN + Ipv6Hdr::LEN)?;
    let kind = match (message.kind, ip.hop_limit) {
        (nd::SOLICITATION, nd::HOP_LIMIT) => NeighbourKind::Solicitation,
        (nd::ADVERTISEMENT, nd::HOP_LIMIT) => NeighbourKind::Advertisement,
        _ => return None,
    };
    let mac = match (kind, frame.load::<[u8; 8]>(EthHdr::LEN + Ipv6Hdr::LEN + size_of::<nd::Message>())) {
        (NeighbourKind::Advertisement, Some([kind, units, mac @ ..]))
            if [kind, units] == nd::TARGET_LINK_LAYER =>
        {
            mac
        }
        (NeighbourKind::Advertisement | NeighbourKind::Solicitation, _) => ethernet.src_addr,
    };
    Some(Neighbour { kind, target: message.target, source: ip.src_addr, mac })
}
