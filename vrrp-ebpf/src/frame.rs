//! Telling an Ethernet frame that is ours to judge from the rest, in as few loads as possible.

use network_types::arp::ArpHdr;
use network_types::eth::{EthHdr, EtherType};
use network_types::ip::Ipv4Hdr;

use crate::advert::{Address, Family, PROTOCOL};

/// A type that any bytes are a value of, with alignment that a packet offers.
///
/// # Safety
/// Every bit pattern is valid and there is no padding.
pub unsafe trait Header: Copy {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for EthHdr {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for Ipv4Hdr {}
// SAFETY: byte arrays and integers only.
unsafe impl Header for ArpHdr {}

/// A received Ethernet frame: packet memory in the kernel, a slice on the host.
pub trait Frame {
    /// Reads a header at an offset; `None` if the frame ends before it does.
    fn load<T: Header>(&self, offset: usize) -> Option<T>;
}

impl Frame for [u8] {
    fn load<T: Header>(&self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..)?.get(..size_of::<T>())?;
        // SAFETY: the slice has the size of T, and T is valid for any bytes.
        Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }
}

/// What a frame is to us.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// Not VRRP and not ARP: the stack's.
    Other,
    /// A datagram of protocol 112, not yet judged.
    Vrrp(Carrier),
    /// An ARP packet for Ethernet and IPv4.
    Arp(ArpHdr),
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
    /// Its length as the IP header says, which leaves Ethernet padding out.
    pub length: usize,
}

const ETHERTYPE_IPV4: u16 = EtherType::Ipv4 as u16;
const ETHERTYPE_ARP: u16 = EtherType::Arp as u16;
/// Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4 (RFC 826).
const ARP_ETHERNET_IPV4: (u16, u16, u8, u8) = (1, 0x0800, 6, 4);
/// More-fragments flag and fragment offset.
const FRAGMENT: u16 = 0x3fff;

/// Classifies a frame. Fragments and whatever is malformed below VRRP are the stack's.
#[inline(always)]
pub fn classify<F: Frame + ?Sized>(frame: &F) -> Class {
    let Some(ethernet) = frame.load::<EthHdr>(0) else { return Class::Other };
    match ethernet.ether_type {
        ETHERTYPE_IPV4 => classify_ipv4(frame),
        ETHERTYPE_ARP => match frame.load::<ArpHdr>(EthHdr::LEN) {
            Some(arp) if (arp.htype(), arp.ptype(), arp.hlen(), arp.plen()) == ARP_ETHERNET_IPV4 => {
                Class::Arp(arp)
            }
            _ => Class::Other,
        },
        _ => Class::Other,
    }
}

#[inline(always)]
fn classify_ipv4<F: Frame + ?Sized>(frame: &F) -> Class {
    let Some(ip) = frame.load::<Ipv4Hdr>(EthHdr::LEN) else { return Class::Other };
    if ip.proto != PROTOCOL || u16::from_be_bytes(ip.frags) & FRAGMENT != 0 || ip.vihl >> 4 != 4 {
        return Class::Other;
    }
    let header = ((ip.vihl & 0x0f) as usize) * 4;
    let total = u16::from_be_bytes(ip.tot_len) as usize;
    if header < Ipv4Hdr::LEN || total < header {
        return Class::Other;
    }
    Class::Vrrp(Carrier {
        family: Family::V4,
        source: Address::v4(ip.src_addr),
        destination: Address::v4(ip.dst_addr),
        ttl: ip.ttl,
        offset: EthHdr::LEN + header,
        length: total - header,
    })
}
