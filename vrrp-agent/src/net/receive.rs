//! Receiving adverts without the kernel half: a raw socket for each interface. With it, the same socket only holds the
//! membership of the group, so that network cards and snooping switches let adverts through.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use network_types::ip::Ipv4Hdr;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use vrrp_ebpf::advert::{Address, Datagram, Family, GROUP_V4, MESSAGE_MAX, PROTOCOL};
use vrrp_ebpf::frame::Frame as _;

use super::NetError;
use super::links::Link;

const HEADER_MAX: usize = 60;
const BUFFER: usize = HEADER_MAX + MESSAGE_MAX;

/// A member of the VRRP group on an interface, as long as it lives; it hears nothing.
#[derive(Debug)]
pub struct Membership(#[expect(dead_code, reason = "held for its effect")] Socket);

impl Membership {
    /// Joins the group on an interface.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn join(link: &Link) -> Result<Self, NetError> {
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            join(&socket, link)?;
            Ok(Self(socket))
        };
        open().map_err(|e: io::Error| NetError::system(format!("join 224.0.0.18 on {}", link.name), e))
    }
}

/// A raw socket that hears the adverts of one interface.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
    ifindex: u32,
    buffer: Box<[u8; BUFFER]>,
}

impl Receiver {
    /// Opens the socket on an interface and joins the group there.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or if the kernel refuses.
    pub fn open(link: &Link) -> Result<Self, NetError> {
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
            socket.set_nonblocking(true)?;
            socket.bind_device(Some(link.name.as_bytes()))?;
            join(&socket, link)?;
            Ok(Self { socket, ifindex: link.index, buffer: Box::new([0; BUFFER]) })
        };
        let doing = || format!("open a raw socket on {} (needs CAP_NET_RAW)", link.name);
        open().map_err(|e: io::Error| NetError::system(doing(), e))
    }

    /// The interface.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The next datagram that waits; `None` when there is none. What is not an IPv4 packet is skipped.
    pub fn next_datagram(&mut self) -> Option<Datagram<'_>> {
        let length = loop {
            match self.socket.read(&mut self.buffer[..]) {
                Ok(length) if parse(&self.buffer[..length]).is_some() => break length,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Nothing there, or ENETDOWN and the like, which is told once and is not about a datagram.
                Err(_) => return None,
            }
        };
        parse(&self.buffer[..length])
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn join(socket: &Socket, link: &Link) -> io::Result<()> {
    socket.join_multicast_v4_n(&GROUP_V4.into(), &InterfaceIndexOrAddress::Index(link.index))
}

/// The packet as a raw socket gives it: with its IP header, reassembled.
fn parse(packet: &[u8]) -> Option<Datagram<'_>> {
    let ip = packet.load::<Ipv4Hdr>(0)?;
    let header = usize::from(ip.vihl & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes(ip.tot_len));
    Some(Datagram {
        family: Family::V4,
        source: Address::v4(ip.src_addr),
        destination: Address::v4(ip.dst_addr),
        ttl: ip.ttl,
        payload: packet.get(header..total)?,
    })
}
