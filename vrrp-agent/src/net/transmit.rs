//! Sending prebuilt frames, many in one system call.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn6, sendmsg, socket,
};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_ebpf::advert::PROTOCOL;

use super::NetError;
use crate::wire::ethernet::TOS_INTERNETWORK_CONTROL;

/// Most frames that one system call takes; the kernel's own limit is 1024.
const BATCH_MAX: usize = 256;

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// A whole Ethernet frame.
    Frame {
        /// The interface that it leaves by.
        ifindex: u32,
        /// The frame.
        bytes: &'a [u8],
    },
    /// A whole IPv4 packet to one peer: the kernel finds the way and the neighbour.
    Ipv4 {
        /// The peer.
        peer: Ipv4Addr,
        /// The packet.
        bytes: &'a [u8],
    },
    /// A VRRP message to one peer over IPv6: the kernel finds the way and the neighbour, and makes the header.
    Ipv6 {
        /// Our address.
        source: Ipv6Addr,
        /// The peer.
        peer: Ipv6Addr,
        /// Hop limit.
        ttl: u8,
        /// The interface of the instance, for link-local peers.
        ifindex: u32,
        /// The VRRP message.
        bytes: &'a [u8],
    },
}

/// Sockets that only send.
#[derive(Debug)]
pub struct Transmitter {
    frames: OwnedFd,
    v4: Socket,
    /// None on a host without IPv6.
    v6: Option<Socket>,
}

impl Transmitter {
    /// Opens the socket.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> Result<Self, NetError> {
        // Protocol 0: nothing is received.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let frames = socket(AddressFamily::Packet, SockType::Raw, flags, None)
            .map_err(|e| NetError::system("open a packet socket (needs CAP_NET_RAW)", e))?;
        let raw = |domain| {
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
            socket.set_nonblocking(true)?;
            // It must not fill with what others send.
            socket.attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)])?;
            Ok(socket)
        };
        let refused = |e: io::Error| NetError::system("open a raw socket (needs CAP_NET_RAW)", e);
        let v4 = raw(Domain::IPV4).map_err(refused)?;
        v4.set_header_included_v4(true).map_err(refused)?;
        Ok(Self { frames, v4, v6: raw(Domain::IPV6).ok() })
    }

    /// Sends in order. `failed` is told the index of each that did not leave, and why; the others are not held up.
    pub fn send(&self, outgoing: &[Outgoing<'_>], mut failed: impl FnMut(usize, io::Error)) {
        let mut done = 0;
        while done < outgoing.len() {
            let sent = match outgoing[done] {
                Outgoing::Frame { .. } => self.send_frames(&outgoing[done..]),
                Outgoing::Ipv4 { peer, bytes } => {
                    self.v4.send_to(bytes, &SocketAddrV4::new(peer, 0).into()).map(|_all| 1)
                }
                Outgoing::Ipv6 { source, peer, ttl, ifindex, bytes } => {
                    self.send_ipv6(source, peer, ttl, ifindex, bytes).map(|()| 1)
                }
            };
            match sent {
                Ok(sent) => done += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed(done, error);
                    done += 1;
                }
            }
        }
    }

    /// The frames that stand first, as many as one call takes; how many left.
    fn send_frames(&self, outgoing: &[Outgoing<'_>]) -> io::Result<usize> {
        let frame = |outgoing: &Outgoing<'_>| match *outgoing {
            Outgoing::Frame { ifindex, bytes } => Some((ifindex, bytes.as_ptr(), bytes.len())),
            Outgoing::Ipv4 { .. } | Outgoing::Ipv6 { .. } => None,
        };
        let frames: Vec<_> = outgoing.iter().map_while(frame).take(BATCH_MAX).collect();
        send_batch(&self.frames, &frames)
    }

    fn send_ipv6(
        &self,
        source: Ipv6Addr,
        peer: Ipv6Addr,
        ttl: u8,
        ifindex: u32,
        message: &[u8],
    ) -> io::Result<()> {
        let socket = self.v6.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        // One socket for all: its source and hop limit are set for each message, which only this thread sends.
        let scope = if peer.is_unicast_link_local() { ifindex } else { 0 };
        socket.set_unicast_hops_v6(ttl.into())?;
        socket.set_tclass_v6(TOS_INTERNETWORK_CONTROL.into())?;
        send_from(socket, source, SocketAddrV6::new(peer, 0, 0, scope), message)
    }
}

/// Sends from an address of ours that need not be the one the kernel would choose.
fn send_from(socket: &Socket, source: Ipv6Addr, peer: SocketAddrV6, message: &[u8]) -> io::Result<()> {
    let info = libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
        ipi6_ifindex: peer.scope_id(),
    };
    let control = [ControlMessage::Ipv6PacketInfo(&info)];
    let address = SockaddrIn6::from(peer);
    let message = [io::IoSlice::new(message)];
    sendmsg(socket.as_raw_fd(), &message, &control, MsgFlags::empty(), Some(&address))?;
    Ok(())
}

/// `sendmmsg`; how many left, at least one. By hand: nix's wrapper reads addresses that it has not written.
fn send_batch(socket: &OwnedFd, frames: &[(u32, *const u8, usize)]) -> io::Result<usize> {
    let mut links: Vec<libc::sockaddr_ll> =
        frames.iter().map(|&(ifindex, ..)| link_address(ifindex)).collect();
    let mut slices: Vec<libc::iovec> = frames
        .iter()
        .map(|&(_, bytes, length)| libc::iovec { iov_base: bytes.cast_mut().cast(), iov_len: length })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = links
        .iter_mut()
        .zip(&mut slices)
        .map(|(link, slice)| libc::mmsghdr {
            msg_hdr: libc::msghdr {
                msg_name: (&raw mut *link).cast(),
                msg_namelen: size_of::<libc::sockaddr_ll>() as u32,
                msg_iov: slice,
                msg_iovlen: 1,
                msg_control: std::ptr::null_mut(),
                msg_controllen: 0,
                msg_flags: 0,
            },
            msg_len: 0,
        })
        .collect();
    // SAFETY: as many headers as said, whose pointers lead into `links`, `slices` and `frames`, which outlive the call; the
    // kernel only reads the frames.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as u32, 0) };
    usize::try_from(sent).map_err(|_negative| io::Error::last_os_error())
}

/// The address of an interface, for a packet socket.
pub(super) fn link_address(ifindex: u32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: ifindex.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}
