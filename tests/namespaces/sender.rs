//! Frames of our own making, sent from a host of the lab: once, or as many as a core can.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use vrrp_agent::net::transmit::{Outgoing, Transmitter};
use vrrp_agent::wire::advert::{Body, Repr, V2Auth, V3Checksum};
use vrrp_agent::wire::ethernet::{advert_ipv4, ipv4_packet, to_group_v4};
use vrrp_ebpf::advert::{GROUP_V4, offset};
use vrrp_tests::lab::Host;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x66];

/// Sends frames of our own making from a host's `eth0`.
#[derive(Debug)]
pub(crate) struct Sender {
    namespace: PathBuf,
    ifindex: u32,
}

impl Sender {
    pub(crate) fn of(host: &Host) -> Result<Self> {
        let ifindex = host.run("cat", &["/sys/class/net/eth0/ifindex"])?.trim().parse()?;
        Ok(Self { namespace: Path::new("/run/netns").join(host.namespace()), ifindex })
    }

    /// Takes the calling thread, and no other, into the host's network.
    pub(crate) fn enter(&self) -> Result<(Transmitter, u32)> {
        setns(File::open(&self.namespace)?, CloneFlags::CLONE_NEWNET)?;
        Ok((Transmitter::open()?, self.ifindex))
    }

    /// Sends a frame, once.
    pub(crate) fn send(self, frame: &[u8]) -> Result<()> {
        let send = || {
            let (mut transmitter, ifindex) = self.enter()?;
            let mut failed = None;
            transmitter.send(&[Outgoing::Frame { ifindex, bytes: frame }], |_, error| failed = Some(error));
            failed.map_or(Ok(()), |error| Err(error.into()))
        };
        std::thread::scope(|scope| scope.spawn(send).join().ok().context("the sender panicked")?)
    }
}

/// Sends from a host's network until it is stopped, and then returns the number of frames.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Flood {
    pub(crate) fn start(host: &Host, frames: Vec<Vec<u8>>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, host) = (Arc::clone(&stop), Sender::of(host)?);
        let thread = std::thread::spawn(move || {
            let (mut transmitter, ifindex) = host.enter()?;
            let all: Vec<Outgoing<'_>> =
                frames.iter().cycle().take(256).map(|bytes| Outgoing::Frame { ifindex, bytes }).collect();
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                let mut failed = 0;
                transmitter.send(&all, |_, _| failed += 1);
                sent += all.len() as u64 - failed;
            }
            Ok(sent)
        });
        Ok(Self { stop, thread })
    }

    pub(crate) fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the flood panicked")?
    }
}

/// An advert of version 3 with an interval of 100 ms; `spoil` changes its message.
fn advert(
    source: Ipv4Addr,
    (vrid, vip): (u8, Ipv4Addr),
    priority: u8,
    spoil: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let body = Body::V3 { centiseconds: 10, checksum: V3Checksum::PseudoHeader };
    let repr = Repr { vrid, priority, addresses: vec![vip.into()], body };
    let mut message = repr.encode(source.into(), GROUP_V4.into());
    spoil(&mut message);
    advert_ipv4(MAC, source, &message)
}

/// One advert of each kind that must not be believed, or that must be believed and change nothing. `nobodys` is a VRID that no
/// virtual router here has.
pub(crate) fn bad_adverts(vrid: u8, vip: Ipv4Addr, master: Ipv4Addr, nobodys: Option<u8>) -> Vec<Vec<u8>> {
    let router = (vrid, vip);
    let stranger = Ipv4Addr::new(192, 168, 1, 66);
    let with_password = {
        let body = Body::V2 { seconds: 1, auth: V2Auth::Pass(*b"wrong\0\0\0") };
        let repr = Repr { vrid, priority: 250, addresses: vec![stranger.into()], body };
        advert_ipv4(MAC, stranger, &repr.encode(stranger.into(), GROUP_V4.into()))
    };
    let crossed_a_router = {
        let message = advert(stranger, router, 250, |_| {}).split_off(34);
        to_group_v4(MAC, GROUP_V4.into(), &ipv4_packet(stranger, GROUP_V4.into(), 254, &message))
    };
    let mut adverts = vec![
        advert(stranger, router, 250, |message| message[offset::CHECKSUM] ^= 1),
        advert(stranger, router, 0, |message| message[offset::CHECKSUM] ^= 1),
        // A resignation as if from the master itself.
        advert(master, router, 0, |message| message[offset::CHECKSUM] ^= 1),
        crossed_a_router,
        with_password,
        // A valid advert that loses the election.
        advert(stranger, router, 1, |_| {}),
        advert(stranger, router, 250, |message| message.truncate(9)),
    ];
    adverts.extend(nobodys.map(|vrid| advert(stranger, (vrid, vip), 250, |_| {})));
    adverts
}

/// An advert of the virtual router of the tests' usual configuration by a stranger.
pub(crate) fn forged_advert(priority: u8) -> Vec<u8> {
    advert_from(Ipv4Addr::new(192, 168, 1, 66), priority)
}

/// The same advert with a given source address.
pub(crate) fn advert_from(source: Ipv4Addr, priority: u8) -> Vec<u8> {
    let vip = Ipv4Addr::new(192, 168, 1, 10);
    let body = Body::V2 { seconds: 1, auth: V2Auth::Pass(*b"1111\0\0\0\0") };
    let repr = Repr { vrid: 51, priority, addresses: vec![vip.into()], body };
    advert_ipv4(MAC, source, &repr.encode(source.into(), GROUP_V4.into()))
}
