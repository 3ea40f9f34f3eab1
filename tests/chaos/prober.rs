//! A client that asks for every virtual address again and again, by ARP and neighbour solicitation, and records the hardware
//! addresses in the answers. Each question has a sender address of its own, so that each answer can be matched to its question.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, recv, sendto,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use vrrp_tests::lab::Host;

/// The time between two questions for an address.
pub(crate) const EVERY: Duration = Duration::from_millis(40);

/// The number of questions after which the sender addresses are used again.
const SENDERS: usize = 100;

const ARP: [u8; 2] = [8, 6];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// An address that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The prober's interface.
    pub(crate) interface: &'static str,
    pub(crate) vip: IpAddr,
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) at: Instant,
    /// The hardware address that each answer tells.
    pub(crate) answers: Vec<[u8; 6]>,
}

type Seen = Arc<Mutex<Vec<Vec<Question>>>>;

/// The running client.
pub(crate) struct Prober {
    seen: Seen,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// A target as the thread knows it.
struct Line {
    vip: IpAddr,
    ifindex: u32,
    mac: [u8; 6],
}

impl Prober {
    pub(crate) fn start(host: &Host, targets: &[Target]) -> Result<Self> {
        let seen: Seen = Arc::new(Mutex::new(vec![Vec::new(); targets.len()]));
        let stop = Arc::new(AtomicBool::new(false));
        let namespace = Path::new("/run/netns").join(host.namespace());
        let mut lines = Vec::new();
        for target in targets {
            let of = |what| host.run("cat", &[&format!("/sys/class/net/{}/{what}", target.interface)]);
            let mac = parse_mac(&of("address")?).context("a hardware address")?;
            lines.push(Line { vip: target.vip, ifindex: of("ifindex")?.trim().parse()?, mac });
        }
        let (into, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            setns(File::open(namespace)?, CloneFlags::CLONE_NEWNET)?;
            ask(&lines, &into, &stopped)
        });
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    /// The questions for a target since a moment, without the last one, whose answer may still be on its way.
    pub(crate) fn since(&self, target: usize, time: Instant) -> Vec<Question> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of = &seen[target];
        of[..of.len().saturating_sub(1)].iter().filter(|question| question.at >= time).cloned().collect()
    }

    /// True while the thread sends questions; it ends early only if a socket fails.
    pub(crate) fn asks(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the prober ended: {error:#}");
        }
    }
}

fn ask(lines: &[Line], seen: &Seen, stop: &AtomicBool) -> Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(5))?;
    let mut next = Instant::now();
    let mut buffer = [0; 256];
    while !stop.load(Ordering::Relaxed) {
        if Instant::now() >= next {
            next = Instant::now() + EVERY;
            for (number, line) in lines.iter().enumerate() {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let frame = line.question(seen[number].len() % SENDERS);
                seen[number].push(Question { at: Instant::now(), answers: Vec::new() });
                drop(seen);
                send(&socket, line.ifindex, &frame)?;
            }
        }
        let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { continue };
        let Some((vip, sender, mac)) = answer(&buffer[..length]) else { continue };
        let Some(target) = lines.iter().position(|line| line.vip == vip) else { continue };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The latest question with that sender.
        let asked = (0..seen[target].len()).rev().take(SENDERS).find(|number| number % SENDERS == sender);
        if let Some(asked) = asked {
            seen[target][asked].answers.push(mac);
        }
    }
    Ok(())
}

fn send(socket: &OwnedFd, ifindex: u32, frame: &[u8]) -> Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: i32::try_from(ifindex)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address is a sockaddr_ll of this family and length.
    let address = unsafe {
        LinkAddr::from_raw((&raw const address).cast(), Some(size_of::<libc::sockaddr_ll>() as u32))
    };
    sendto(socket.as_raw_fd(), frame, &address.context("an address")?, MsgFlags::empty())?;
    Ok(())
}

/// The sender's address of a question with a number.
fn sender_v4(vip: Ipv4Addr, number: usize) -> Ipv4Addr {
    let [a, b, c, _] = vip.octets();
    Ipv4Addr::new(a, b, c, 150 + number as u8)
}

const fn sender_v6(number: usize) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 8, number as u16)
}

impl Line {
    fn question(&self, number: usize) -> Vec<u8> {
        match self.vip {
            IpAddr::V4(vip) => {
                let sender = sender_v4(vip, number).octets();
                let request = [0, 1, 8, 0, 6, 4, 0, 1];
                let mut frame = [&[0xff; 6][..], &self.mac, &ARP, &request, &self.mac, &sender].concat();
                frame.extend([0; 6]);
                frame.extend(vip.octets());
                frame
            }
            IpAddr::V6(vip) => {
                let [.., x, y, z] = vip.octets();
                let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z];
                let source = sender_v6(number).octets();
                let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
                message.extend(vip.octets());
                message.extend([1, 1]);
                message.extend(self.mac);
                let length = u8::try_from(message.len()).expect("short");
                let pseudo = [&source[..], &group, &[0, 0, 0, length, 0, 0, 0, ICMPV6]].concat();
                let sum = checksum(&[&pseudo[..], &message].concat());
                message[2..4].copy_from_slice(&sum.to_be_bytes());
                let header = [0x60, 0, 0, 0, 0, length, ICMPV6, 255];
                [&[0x33, 0x33, 0xff, x, y, z], &self.mac[..], &IPV6, &header, &source, &group, &message]
                    .concat()
            }
        }
    }
}

/// The address that a frame answers for, the number of the question, and the hardware address told.
fn answer(frame: &[u8]) -> Option<(IpAddr, usize, [u8; 6])> {
    let ethertype: [u8; 2] = frame.get(12..14)?.try_into().ok()?;
    if ethertype == ARP {
        let reply = frame.get(20..22)? == [0, 2];
        let vip = Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(28..32)?).ok()?);
        let to = Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(38..42)?).ok()?);
        let number = (0..SENDERS).find(|&number| sender_v4(vip, number) == to)?;
        return Some((vip.into(), number, frame.get(22..28)?.try_into().ok()?)).filter(|_| reply);
    }
    let advertisement = ethertype == IPV6 && *frame.get(20)? == ICMPV6 && *frame.get(54)? == ADVERTISEMENT;
    let to = Ipv6Addr::from(<[u8; 16]>::try_from(frame.get(38..54)?).ok()?);
    let number = (0..SENDERS).find(|&number| sender_v6(number) == to)?;
    let vip = Ipv6Addr::from(<[u8; 16]>::try_from(frame.get(62..78)?).ok()?);
    // The target link-layer address option: clients learn the hardware address in it.
    let mac = frame.get(80..86)?.try_into().ok()?;
    Some((vip.into(), number, mac)).filter(|_| advertisement)
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A hardware address as the kernel writes it.
pub(crate) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// The usual notation of a hardware address.
pub(crate) fn show_mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
