//! Sending prebuilt frames, many in one system call.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::NetError;

/// Most frames that one system call takes; the kernel's own limit is 1024.
const BATCH_MAX: usize = 256;

/// A frame and the interface that it leaves by.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Interface index.
    pub ifindex: u32,
    /// The whole Ethernet frame.
    pub frame: &'a [u8],
}

/// A packet socket that only sends.
#[derive(Debug)]
pub struct Transmitter {
    socket: OwnedFd,
}

impl Transmitter {
    /// Opens the socket.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> Result<Self, NetError> {
        // Protocol 0: nothing is received.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socket(AddressFamily::Packet, SockType::Raw, flags, None)
            .map(|socket| Self { socket })
            .map_err(|e| NetError::system("open a packet socket (needs CAP_NET_RAW)", e))
    }

    /// Sends frames in order. `failed` is told the index of each that did not leave, and why; the others are not held up.
    pub fn send(&self, frames: &[Outgoing<'_>], mut failed: impl FnMut(usize, io::Error)) {
        let mut done = 0;
        while done < frames.len() {
            let batch = &frames[done..frames.len().min(done + BATCH_MAX)];
            match send_batch(&self.socket, batch) {
                Ok(sent) => done += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed(done, error);
                    done += 1;
                }
            }
        }
    }
}

/// `sendmmsg`; how many left, at least one. By hand: nix's wrapper reads addresses that it has not written.
fn send_batch(socket: &OwnedFd, frames: &[Outgoing<'_>]) -> io::Result<usize> {
    let mut links: Vec<libc::sockaddr_ll> =
        frames.iter().map(|outgoing| link_address(outgoing.ifindex)).collect();
    let mut slices: Vec<libc::iovec> = frames
        .iter()
        .map(|Outgoing { frame, .. }| libc::iovec {
            iov_base: frame.as_ptr().cast_mut().cast(),
            iov_len: frame.len(),
        })
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

fn link_address(ifindex: u32) -> libc::sockaddr_ll {
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
