//! Reports of processes that begin, end and change, from the kernel's process connector. It works in the initial network
//! namespace only, for processes that are in the initial process namespace and have `CAP_NET_ADMIN`.

use std::io;
use std::time::Duration;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_CONNECTOR};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::NetError;
use crate::readiness::watch;

/// The connector's group and number (linux/connector.h).
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
/// linux/cn_proc.h.
const PROC_CN_MCAST_LISTEN: u32 = 1;

/// Headers of netlink and of the connector.
const NETLINK_HEADER: usize = 16;
const CONNECTOR_HEADER: usize = 20;
/// The kind of event, the processor, and the time.
const EVENT_HEADER: usize = 16;

/// The receive buffer in bytes: more than a burst of forks needs.
const BUFFER: usize = 1 << 20;

/// The time to wait for the kernel's first answer: it comes at once, or never.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// An event of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process is new, runs another program, or has another name.
    Changed(u32),
    /// A process has ended.
    Ended(u32),
    /// So much happened that the kernel has not reported all of it.
    Missed,
}

/// A connection to the process connector.
#[derive(Debug)]
pub struct Events {
    socket: AsyncFd<Socket>,
}

impl Events {
    /// Asks for all events from now on; must be called in a tokio runtime.
    ///
    /// # Errors
    /// If the kernel does not give events here.
    pub async fn open() -> Result<Self, NetError> {
        let refused = |error: io::Error| NetError::system("get events of processes from the kernel", error);
        let mut socket = Socket::new(NETLINK_CONNECTOR).map_err(refused)?;
        socket.bind(&SocketAddr::new(0, CN_IDX_PROC)).map_err(refused)?;
        socket.set_non_blocking(true).map_err(refused)?;
        socket.set_rx_buf_sz(i32::try_from(BUFFER).expect("a megabyte")).map_err(refused)?;
        socket.send_to(&listen(), &SocketAddr::new(0, 0), 0).map_err(refused)?;
        let mut events = Self { socket: watch(socket, Interest::READABLE).map_err(refused)? };
        // Where the kernel gives no events it does not say so: the answer is missing.
        let silent = |_elapsed| refused(io::ErrorKind::TimedOut.into());
        tokio::time::timeout(FIRST_ANSWER_TIMEOUT, events.receive())
            .await
            .map_err(silent)?
            .map_err(refused)?;
        Ok(events)
    }

    /// The next event.
    ///
    /// # Errors
    /// If the socket fails.
    pub async fn next(&mut self) -> Result<Event, NetError> {
        loop {
            match self.receive().await {
                Ok(message) => {
                    if let Some(event) = decode(&message) {
                        return Ok(event);
                    }
                }
                Err(error) if error.raw_os_error() == Some(nix::Error::ENOBUFS as i32) => {
                    return Ok(Event::Missed);
                }
                Err(error) => return Err(NetError::system("receive events of processes", error)),
            }
        }
    }

    /// Receives the next message from the kernel.
    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut guard = self.socket.readable().await?;
            let Ok(received) = guard.try_io(|socket| socket.get_ref().recv_from_full()) else { continue };
            let (message, sender) = received?;
            // Any process can write to a netlink socket.
            if sender.port_number() == 0 {
                return Ok(message);
            }
        }
    }
}

/// The message that asks for events.
fn listen() -> Vec<u8> {
    let length = NETLINK_HEADER + CONNECTOR_HEADER + size_of::<u32>();
    let mut message = Vec::with_capacity(length);
    let mut word = |word: u32| message.extend(word.to_ne_bytes());
    word(u32::try_from(length).expect("a few bytes"));
    // NLMSG_DONE, no flags; then the sequence number and the sender.
    word(u32::from_ne_bytes([3_u16.to_ne_bytes(), [0; 2]].concat().try_into().expect("four bytes")));
    word(0);
    word(0);
    // The connector's address, the number and the answer's number; the length of what follows, and no flags.
    word(CN_IDX_PROC);
    word(CN_VAL_PROC);
    word(0);
    word(0);
    word(u32::from_ne_bytes([4_u16.to_ne_bytes(), [0; 2]].concat().try_into().expect("four bytes")));
    word(PROC_CN_MCAST_LISTEN);
    message
}

/// Decodes a message, if it is about a process rather than a thread.
fn decode(message: &[u8]) -> Option<Event> {
    let event = message.get(NETLINK_HEADER + CONNECTOR_HEADER..)?;
    let word = |at: usize| Some(u32::from_ne_bytes(event.get(at..at + 4)?.try_into().ok()?));
    let process = |at: usize| {
        let (pid, tgid) = (word(at)?, word(at + 4)?);
        (pid == tgid).then_some(tgid)
    };
    match word(0)? {
        // Fork: the parent, then the child.
        0x0000_0001 => process(EVENT_HEADER + 8).map(Event::Changed),
        // Exec, and a new name; a new name of a thread that is not the first does not count.
        0x0000_0002 | 0x0000_0200 => process(EVENT_HEADER).map(Event::Changed),
        0x8000_0000 => process(EVENT_HEADER).map(Event::Ended),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(what: u32, words: &[u32]) -> Vec<u8> {
        let mut message = vec![0; NETLINK_HEADER + CONNECTOR_HEADER];
        message.extend(what.to_ne_bytes());
        message.extend([0; EVENT_HEADER - 4]);
        message.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        message
    }

    /// Expectations by hand, from linux/cn_proc.h.
    #[test]
    fn events_of_processes_and_not_of_threads() {
        for (what, words, expected) in [
            (0x1, &[10, 10, 11, 11][..], Some(Event::Changed(11))),
            (0x1, &[10, 10, 12, 10], None),
            (0x2, &[11, 11], Some(Event::Changed(11))),
            (0x200, &[11, 11, 0, 0, 0, 0], Some(Event::Changed(11))),
            (0x8000_0000, &[11, 11, 0, 17], Some(Event::Ended(11))),
            (0x8000_0000, &[12, 11, 0, 17], None),
            (0x0, &[0], None),
            (0x1, &[10, 10], None),
        ] {
            assert_eq!(decode(&message(what, words)), expected, "{what:#x} {words:?}");
        }
        assert_eq!(decode(&[0; 20]), None);
    }

    /// By hand: 40 bytes, as `struct nlmsghdr`, `struct cn_msg` and an `enum` are laid out.
    #[test]
    fn the_question() {
        let message = listen();
        assert_eq!(message.len(), 40);
        let half = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
        let word = |at: usize| u32::from_ne_bytes(message[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((word(0), half(4), half(6)), (40, 3, 0));
        assert_eq!((word(16), word(20), half(32), half(34), word(36)), (1, 1, 4, 0, 1));
    }
}
