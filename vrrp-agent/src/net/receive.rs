//! Receiving adverts without the kernel half: a packet socket for each interface, which sees the frames that the XDP
//! program would, and has them classified by the same code.

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::libc;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use vrrp_ebpf::advert::{Datagram, Family, MESSAGE_MAX, PROTOCOL};
use vrrp_ebpf::frame::{Class, classify};

use super::NetError;
use super::links::Link;
use super::sockets::{hear, set_option};
use crate::wire::ah::{self, AH_PROTOCOL};
use crate::wire::ethernet::Mac;

/// Bytes of an Ethernet header.
const ETHERNET_HEADER: usize = 14;
/// The type of the payload in it.
const ETHERTYPE: std::ops::Range<usize> = 12..14;
/// Ethernet, the longest IPv4 header, the longest advert.
const BUFFER: usize = ETHERNET_HEADER + 60 + MESSAGE_MAX;

/// Membership of the VRRP groups on an interface, as long as this lives, so that network cards and snooping switches let
/// adverts through. Its sockets hear nothing.
#[derive(Debug)]
pub struct Membership(#[expect(dead_code, reason = "held for their effect")] Vec<Socket>);

impl Membership {
    /// Joins groups on an interface. A host without IPv6 is a member of the IPv4 groups only.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn join(link: &Link, groups: &[IpAddr]) -> Result<Self, NetError> {
        let member = |group: &IpAddr| -> io::Result<Socket> {
            match group {
                IpAddr::V4(group) => {
                    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
                    socket.join_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(link.index))?;
                    Ok(socket)
                }
                IpAddr::V6(group) => {
                    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
                    socket.join_multicast_v6(group, link.index)?;
                    Ok(socket)
                }
            }
        };
        let has_v6 = link.has_v6();
        let joined = groups.iter().filter(|group| group.is_ipv4() || has_v6).map(member);
        let refused =
            |e: io::Error| NetError::system(format!("join the VRRP multicast group on {}", link.name), e);
        joined.collect::<io::Result<_>>().map(Self).map_err(refused)
    }
}

impl Membership {
    /// Makes an interface receive for another hardware address than its own, as long as this lives.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn receive_for(link: &Link, mac: Mac) -> Result<Self, NetError> {
        let receive = || {
            // Protocol 0: the socket hears nothing itself.
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
            let mut address = [0; 8];
            address[..mac.len()].copy_from_slice(&mac);
            let request = libc::packet_mreq {
                mr_ifindex: link.index.cast_signed(),
                mr_type: libc::PACKET_MR_UNICAST as u16,
                mr_alen: mac.len() as u16,
                mr_address: address,
            };
            set_option(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)?;
            Ok(Self(vec![socket]))
        };
        let doing =
            || format!("make {} receive frames to the hardware address of a virtual router", link.name);
        receive().map_err(|e: io::Error| NetError::system(doing(), e))
    }
}

/// A packet socket that hears the adverts of one interface.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
    ifindex: u32,
    /// Bytes of the Ethernet header that the kernel does not hand over, because the interface has none.
    missing: usize,
    buffer: Box<[u8; BUFFER]>,
}

impl Receiver {
    /// Opens the socket on an interface.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or if the kernel refuses.
    pub fn open(link: &Link) -> Result<Self, NetError> {
        let open = || {
            // Nothing is received before the socket is bound, and the filter is there by then. A datagram socket begins at the
            // IP header, whatever header the interface has before it.
            let kind = if link.is_ethernet() { Type::RAW } else { Type::DGRAM };
            let missing = if link.is_ethernet() { 0 } else { ETHERNET_HEADER };
            let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0)))?;
            socket.set_nonblocking(true)?;
            match missing {
                0 => socket.attach_filter(&only_adverts())?,
                _ => socket.attach_filter(&only_adverts_without_ethernet())?,
            }
            set_option::<libc::c_int>(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)?;
            hear(&socket, link.index, libc::ETH_P_ALL)?;
            Ok(Self { socket, ifindex: link.index, missing, buffer: Box::new([0; BUFFER]) })
        };
        let doing = || format!("open a packet socket on {} (needs CAP_NET_RAW)", link.name);
        open().map_err(|e: io::Error| NetError::system(doing(), e))
    }

    /// Opens a canary on an interface: a socket that hears an advert of these VRIDs only if no program has dropped it, in XDP
    /// or in tc. It is bound to one protocol, so the kernel asks it last, behind tc; a socket for all protocols is asked before
    /// tc.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or if the kernel refuses.
    pub fn open_canary(link: &Link, family: Family, vrids: &[u8]) -> Result<Self, NetError> {
        let open = || {
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
            socket.set_nonblocking(true)?;
            socket.attach_filter(&only_adverts_of(link.index, family, vrids))?;
            let protocol = match family {
                Family::V4 => libc::ETH_P_IP,
                Family::V6 => libc::ETH_P_IPV6,
            };
            hear(&socket, link.index, protocol)?;
            Ok(Self { socket, ifindex: link.index, missing: 0, buffer: Box::new([0; BUFFER]) })
        };
        let doing = || format!("open a packet socket on {} (needs CAP_NET_RAW)", link.name);
        open().map_err(|e: io::Error| NetError::system(doing(), e))
    }

    /// Returns the number of the interface.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The next advert that waits; `None` when there is none.
    pub fn next_advert(&mut self) -> Option<Heard<'_>> {
        loop {
            match self.socket.read(&mut self.buffer[self.missing..]) {
                Ok(length) => {
                    let length = self.missing + length;
                    if self.missing > 0 {
                        let ethertype = ethertype_of(self.buffer[self.missing]);
                        self.buffer[ETHERTYPE].copy_from_slice(&ethertype);
                    }
                    if advert_in(&self.buffer[..length]).is_some() {
                        return advert_in(&self.buffer[..length]);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Nothing is there, or ENETDOWN, which is reported once and is not about a frame.
                Err(_) => return None,
            }
        }
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A VRRP message as it arrived.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'p> {
    /// Right behind the IP header, where XDP judges it too.
    Plain(Datagram<'p>),
    /// Under an authentication header.
    Sealed(ah::Sealed<'p>),
}

impl<'p> Heard<'p> {
    /// Returns the message with its addresses, before anything in it is believed.
    #[must_use]
    pub fn datagram(&self) -> Datagram<'p> {
        match self {
            Self::Plain(datagram) => *datagram,
            Self::Sealed(sealed) => sealed.datagram(),
        }
    }
}

/// Returns the VRRP message in an Ethernet frame, if the frame holds all of it.
#[must_use]
pub fn advert_in(frame: &[u8]) -> Option<Heard<'_>> {
    match classify(frame) {
        Class::Vrrp(carrier) => {
            let payload = frame.get(carrier.offset..carrier.offset + carrier.length)?;
            Some(Heard::Plain(carrier.datagram(payload)))
        }
        Class::Other if frame.get(12..14) == Some(&[0x08, 0x00]) => {
            ah::Sealed::parse(&frame[14..]).map(Heard::Sealed)
        }
        Class::Other | Class::Arp(_) | Class::Nd(_) => None,
    }
}

/// The type that an Ethernet header would name, by the first byte of an IP packet.
fn ethertype_of(first: u8) -> [u8; 2] {
    match first >> 4 {
        6 => [0x86, 0xdd],
        _ => [0x08, 0x00],
    }
}

/// A classic BPF program that lets through IPv4 or IPv6 with protocol 112, or IPv4 with 51, and no frame of a VLAN, whose tag
/// the kernel keeps beside the frame. A tag of VLAN 0 says a priority and no VLAN. The filter keeps the agent from asking
/// [`classify`] about all traffic of the host.
fn only_adverts() -> [SockFilter; 12] {
    /// `SKF_AD_OFF + SKF_AD_VLAN_TAG`: zero without a tag.
    const VLAN_TAG: u32 = (-0x1000_i32 + 44).cast_unsigned();
    const VLAN_ID: u32 = 0xfff;
    let load_word = |at| SockFilter::new(0x20, 0, 0, at);
    let load_half = |at| SockFilter::new(0x28, 0, 0, at);
    let load_byte = |at| SockFilter::new(0x30, 0, 0, at);
    let and = |mask| SockFilter::new(0x54, 0, 0, mask);
    let jump_equal = |value, yes, no| SockFilter::new(0x15, yes, no, value);
    let accept = |bytes| SockFilter::new(0x06, 0, 0, bytes);
    [
        load_word(VLAN_TAG),
        and(VLAN_ID),
        jump_equal(0, 0, 8),
        load_half(12),
        jump_equal(0x0800, 0, 2),
        load_byte(23),
        jump_equal(u32::from(AH_PROTOCOL), 3, 0),
        jump_equal(0x86dd, 0, 1), // an IPv4 protocol is a byte and never equal to this
        load_byte(20),
        jump_equal(u32::from(PROTOCOL), 0, 1),
        accept(u32::MAX),
        accept(0),
    ]
}

/// A classic BPF program that lets through adverts of a family and of these VRIDs that are for this host and arrived on the
/// interface itself. The kernel marks a frame of a VLAN that has no interface here as another host's, and forgets its tag. A
/// frame of a VLAN that has an interface here also goes to sockets of the interface below it, without its tag, and under the
/// number of the VLAN's interface.
fn only_adverts_of(ifindex: u32, family: Family, vrids: &[u8]) -> Vec<SockFilter> {
    /// `SKF_AD_OFF + SKF_AD_IFINDEX`.
    const INTERFACE: u32 = (-0x1000_i32 + 8).cast_unsigned();
    /// `SKF_AD_OFF + SKF_AD_PKTTYPE`.
    const PACKET_TYPE: u32 = (-0x1000_i32 + 4).cast_unsigned();
    const OTHER_HOST: u32 = 3;
    const FRAGMENT_OFFSET: u32 = 0x1fff;
    let load_word = |at| SockFilter::new(0x20, 0, 0, at);
    let load_half = |at| SockFilter::new(0x28, 0, 0, at);
    let load_byte = |at| SockFilter::new(0x30, 0, 0, at);
    let load_byte_behind_header = |at| SockFilter::new(0x50, 0, 0, at);
    let load_header_length = SockFilter::new(0xb1, 0, 0, 14);
    let jump_equal = |value, yes, no| SockFilter::new(0x15, yes, no, value);
    let jump_any_bit = |mask, yes, no| SockFilter::new(0x45, yes, no, mask);
    let accept = || SockFilter::new(0x06, 0, 0, u32::MAX);
    let reject = || SockFilter::new(0x06, 0, 0, 0);
    let protocol = u32::from(PROTOCOL);
    let mut filter = vec![
        load_word(PACKET_TYPE),
        jump_equal(OTHER_HOST, 0, 1),
        reject(),
        load_word(INTERFACE),
        jump_equal(ifindex, 1, 0),
        reject(),
    ];
    match family {
        Family::V4 => filter.extend([
            load_byte(23),
            jump_equal(protocol, 1, 0),
            reject(),
            load_half(20),
            jump_any_bit(FRAGMENT_OFFSET, 0, 1),
            reject(),
            load_header_length,
            load_byte_behind_header(14 + 1),
        ]),
        Family::V6 => {
            filter.extend([load_byte(20), jump_equal(protocol, 1, 0), reject(), load_byte(14 + 40 + 1)]);
        }
    }
    for vrid in vrids {
        filter.extend([jump_equal(u32::from(*vrid), 0, 1), accept()]);
    }
    filter.push(reject());
    filter
}

/// The same as [`only_adverts`], for packets that begin with their IP header.
fn only_adverts_without_ethernet() -> [SockFilter; 9] {
    /// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the type of the payload.
    const PROTOCOL_TYPE: u32 = (-0x1000_i32).cast_unsigned();
    let load_word = |at| SockFilter::new(0x20, 0, 0, at);
    let load_byte = |at| SockFilter::new(0x30, 0, 0, at);
    let jump_equal = |value, yes, no| SockFilter::new(0x15, yes, no, value);
    let accept = |bytes| SockFilter::new(0x06, 0, 0, bytes);
    [
        load_word(PROTOCOL_TYPE),
        jump_equal(0x0800, 0, 2),
        load_byte(9),
        jump_equal(u32::from(AH_PROTOCOL), 3, 2),
        jump_equal(0x86dd, 0, 3),
        load_byte(6),
        jump_equal(u32::from(PROTOCOL), 0, 1),
        accept(u32::MAX),
        accept(0),
    ]
}
