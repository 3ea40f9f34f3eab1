//! Calls of libc for packet and raw sockets that no crate wraps.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use socket2::Socket;

/// Sets an option of a socket, which takes a `T`.
pub(super) fn set_option<T>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as said, of a value that lives through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes a socket send and receive by one interface only, by its number: the name may be another interface's by now.
pub(super) fn bind_to_interface(socket: &Socket, ifindex: u32) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, &ifindex.cast_signed())
}

/// Binds a packet socket to an interface and to packets of one protocol, or of all (`ETH_P_ALL`).
pub(super) fn hear(socket: &Socket, ifindex: u32, protocol: libc::c_int) -> io::Result<()> {
    let mut address = link_address(ifindex);
    address.sll_protocol = (protocol as u16).to_be();
    // SAFETY: the address is a sockaddr_ll, which lives through the call.
    let result = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `sendmmsg` to one address of type `A` for each message; returns how many left, at least one. By hand: nix's wrapper reads
/// addresses that it has not written.
pub(super) fn send_batch<A>(socket: &OwnedFd, addresses: &mut [A], messages: &[&[u8]]) -> io::Result<usize> {
    let mut slices: Vec<libc::iovec> = messages
        .iter()
        .map(|bytes| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = addresses
        .iter_mut()
        .zip(&mut slices)
        .map(|(address, slice)| libc::mmsghdr {
            msg_hdr: libc::msghdr {
                msg_name: std::ptr::from_mut(address).cast(),
                msg_namelen: size_of::<A>() as u32,
                msg_iov: slice,
                msg_iovlen: 1,
                msg_control: std::ptr::null_mut(),
                msg_controllen: 0,
                msg_flags: 0,
            },
            msg_len: 0,
        })
        .collect();
    // SAFETY: as many headers as said, whose pointers lead into `addresses`, `slices` and `messages`, which outlive the call;
    // the kernel only reads the messages.
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

/// The address of a host, for a raw socket.
pub(super) fn host_address(address: std::net::Ipv4Addr) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
        sin_zero: [0; 8],
    }
}
