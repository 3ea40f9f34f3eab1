//! Sending prebuilt messages, many in one system call. Each interface has sockets of its own, so that a card whose queue stands
//! still fills no buffer that other interfaces need.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn6, sendmsg, socket,
};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_ebpf::advert::PROTOCOL;

use super::NetError;
use super::sockets::{bind_to_interface, host_address, link_address, send_batch, set_option};
use crate::wire::ethernet::TOS_INTERNETWORK_CONTROL;

/// Most messages that one system call takes; the kernel's own limit is 1024.
const BATCH_MAX: usize = 256;

/// Send buffer of a raw socket, in bytes. A message to a peer that does not answer ARP waits for the answer in the kernel, up
/// to some 208 KiB for each peer: several such peers must not fill the buffer for the peers that live.
const RAW_BUFFER: libc::c_int = 1 << 20;

/// A packet to send, and the interface that it leaves by.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// A whole Ethernet frame.
    Frame {
        /// The interface that it leaves by.
        ifindex: u32,
        /// The frame.
        bytes: &'a [u8],
    },
    /// A whole IPv4 packet: the kernel finds the neighbour.
    Ipv4 {
        /// The peer, or a multicast group.
        peer: Ipv4Addr,
        /// The interface that it leaves by, even if the routing table names another.
        ifindex: u32,
        /// The packet.
        bytes: &'a [u8],
    },
    /// A VRRP message over IPv6: the kernel finds the neighbour, and makes the header.
    Ipv6 {
        /// Our address.
        source: Ipv6Addr,
        /// The peer, or a multicast group.
        peer: Ipv6Addr,
        /// Hop limit.
        ttl: u8,
        /// The interface that it leaves by, even if the routing table names another.
        ifindex: u32,
        /// The VRRP message.
        bytes: &'a [u8],
    },
}

impl Outgoing<'_> {
    fn way(&self) -> (u32, Carrier) {
        match *self {
            Self::Frame { ifindex, .. } => (ifindex, Carrier::Frame),
            Self::Ipv4 { ifindex, .. } => (ifindex, Carrier::Ipv4),
            Self::Ipv6 { ifindex, .. } => (ifindex, Carrier::Ipv6),
        }
    }
}

/// The kind of socket that a message leaves through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Carrier {
    /// A packet socket.
    Frame,
    /// A raw socket that takes whole packets.
    Ipv4,
    /// A raw socket that makes the header.
    Ipv6,
}

/// Sockets that only send, one for each interface and kind, opened when they are first used.
#[derive(Debug)]
pub struct Transmitter {
    sockets: HashMap<(u32, Carrier), OwnedFd>,
}

impl Transmitter {
    /// A transmitter without sockets, once it is certain that this process may open them.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> Result<Self, NetError> {
        let refused = |e: io::Error| NetError::system("open a packet socket (needs CAP_NET_RAW)", e);
        drop(open_frames().map_err(refused)?);
        Ok(Self { sockets: HashMap::new() })
    }

    /// Gives up and returns the sockets of all interfaces that are not used. Closing a packet socket takes the kernel
    /// milliseconds, and the caller decides where to spend them.
    #[must_use]
    pub fn keep(&mut self, is_used: impl Fn(u32) -> bool) -> Vec<OwnedFd> {
        self.sockets.extract_if(|&(ifindex, _), _| !is_used(ifindex)).map(|(_, socket)| socket).collect()
    }

    /// Sends the messages, through each socket in the order given. `failed` is told the index of each message that did not
    /// leave, and why; the other messages are not held up.
    pub fn send(&mut self, outgoing: &[Outgoing<'_>], mut failed: impl FnMut(usize, io::Error)) {
        let mut ways: BTreeMap<(u32, Carrier), Vec<usize>> = BTreeMap::new();
        for (index, message) in outgoing.iter().enumerate() {
            ways.entry(message.way()).or_default().push(index);
        }
        for (way, indexes) in ways {
            match self.socket(way) {
                Ok(socket) => send_all(socket, outgoing, &indexes, &mut failed),
                Err(error) => {
                    for index in indexes {
                        failed(index, copy(&error));
                    }
                }
            }
        }
    }

    fn socket(&mut self, way: (u32, Carrier)) -> io::Result<&OwnedFd> {
        use std::collections::hash_map::Entry;
        match self.sockets.entry(way) {
            Entry::Occupied(there) => Ok(there.into_mut()),
            Entry::Vacant(vacant) => {
                let (ifindex, carrier) = way;
                let socket = match carrier {
                    Carrier::Frame => open_frames(),
                    Carrier::Ipv4 => open_ipv4(ifindex),
                    Carrier::Ipv6 => open_ipv6(ifindex),
                };
                Ok(vacant.insert(socket?))
            }
        }
    }
}

/// Opens a packet socket of protocol 0, which receives nothing.
fn open_frames() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Packet, SockType::Raw, flags, None)?)
}

fn open_ipv4(ifindex: u32) -> io::Result<OwnedFd> {
    let socket = open_raw(Domain::IPV4, ifindex)?;
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    Ok(socket.into())
}

fn open_ipv6(ifindex: u32) -> io::Result<OwnedFd> {
    let socket = open_raw(Domain::IPV6, ifindex)?;
    socket.set_tclass_v6(TOS_INTERNETWORK_CONTROL.into())?;
    socket.set_multicast_loop_v6(false)?;
    Ok(socket.into())
}

/// A raw socket that sends by one interface. It is bound as keepalived binds it: in a VRF that makes the kernel look for the
/// route in the VRF's table, and on a host in several networks adverts leave where the peers listen.
fn open_raw(domain: Domain, ifindex: u32) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
    // Its receive buffer must not fill with what other hosts send.
    socket.attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)])?;
    socket.set_nonblocking(true)?;
    bind_to_interface(&socket, ifindex)?;
    // Without CAP_NET_ADMIN the buffer stays as it is, which is enough for intervals above 50 ms.
    let _smaller = set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &RAW_BUFFER);
    Ok(socket)
}

/// Sends those messages by one socket. When its buffer is full, the rest is not tried, since it would be refused too.
fn send_all(
    socket: &OwnedFd,
    outgoing: &[Outgoing<'_>],
    indexes: &[usize],
    failed: &mut impl FnMut(usize, io::Error),
) {
    let mut left = indexes;
    while let [first, rest @ ..] = left {
        match send_some(socket, outgoing, left) {
            Ok(sent) => left = &left[sent..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                for &index in left {
                    failed(index, copy(&error));
                }
                return;
            }
            Err(error) => {
                failed(*first, error);
                left = rest;
            }
        }
    }
}

/// Sends the first of those messages, and as many more as one call takes; returns how many left.
fn send_some(socket: &OwnedFd, outgoing: &[Outgoing<'_>], indexes: &[usize]) -> io::Result<usize> {
    let messages = indexes.iter().take(BATCH_MAX).map(|&index| outgoing[index]);
    let (mut links, mut hosts, mut bytes_of) = (Vec::new(), Vec::new(), Vec::new());
    for message in messages {
        match message {
            Outgoing::Frame { ifindex, bytes } => {
                links.push(link_address(ifindex));
                bytes_of.push(bytes);
            }
            Outgoing::Ipv4 { peer, bytes, .. } => {
                hosts.push(host_address(peer));
                bytes_of.push(bytes);
            }
            Outgoing::Ipv6 { source, peer, ttl, ifindex, bytes } => {
                return send_ipv6(socket, source, (peer, ifindex), ttl, bytes).map(|()| 1);
            }
        }
    }
    if links.is_empty() {
        send_batch(socket, &mut hosts, &bytes_of)
    } else {
        send_batch(socket, &mut links, &bytes_of)
    }
}

/// Sends from an address of ours, which need not be the one that the kernel would choose.
fn send_ipv6(
    socket: &OwnedFd,
    source: Ipv6Addr,
    (peer, ifindex): (Ipv6Addr, u32),
    ttl: u8,
    message: &[u8],
) -> io::Result<()> {
    // A link-local address means nothing without its interface.
    let scope = if peer.is_unicast_link_local() || peer.is_multicast() { ifindex } else { 0 };
    let info =
        libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: scope };
    let hops = libc::c_int::from(ttl);
    let control = [ControlMessage::Ipv6PacketInfo(&info), ControlMessage::Ipv6HopLimit(&hops)];
    let address = SockaddrIn6::from(SocketAddrV6::new(peer, 0, 0, scope));
    let message = [io::IoSlice::new(message)];
    sendmsg(socket.as_raw_fd(), &message, &control, MsgFlags::empty(), Some(&address))?;
    Ok(())
}

/// Returns a copy of an error.
fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
