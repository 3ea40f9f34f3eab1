//! The sending of the protocol thread: adverts first, then a few announcements in each round.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use nix::libc;

use super::{Effect, Engine, ROUND_MAX};
use crate::daemon::frames::Packet;
use crate::dataplane::Slot;
use crate::host;
use crate::net::transmit::Outgoing;
use crate::vrrp::{State, Time};

/// When there are many adverts, at least this many leave together.
const ADVERTS_AT_ONCE: usize = 16;
/// The shortest time between two reports of a failure to send, for each instance.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// An advert to send.
pub(super) struct Queued {
    pub(super) slot: Slot,
    pub(super) packet: Packet,
    pub(super) priority: u8,
}

impl Engine {
    /// Sends what is queued: adverts, then a few announcements.
    pub(super) fn flush(&mut self) {
        self.send_adverts();
        self.send_announcements();
    }

    /// Sends adverts early when many routers are decided in one round, so that the first adverts do not wait for the last
    /// decision.
    pub(super) fn flush_early(&mut self) {
        if self.adverts.len() >= ADVERTS_AT_ONCE {
            self.send_adverts();
        }
    }

    /// Sends the adverts, then renews the leases of those that left. The clocks are read before the send, that of leases first,
    /// so that a lease is never longer than the peers' patience.
    pub(super) fn send_adverts(&mut self) {
        let adverts = std::mem::take(&mut self.adverts);
        let uptime = host::uptime();
        let heartbeat = host::now();
        let outgoing: Vec<Outgoing<'_>> = adverts.iter().map(|queued| queued.packet.outgoing()).collect();
        let mut failures = vec![None; adverts.len()];
        self.transmitter.send(&outgoing, |index, error| failures[index] = Some(error.to_string()));
        let mut failed = Vec::new();
        for (queued, failure) in adverts.iter().zip(&failures) {
            let slot = queued.slot;
            match failure {
                None if queued.priority != 0 && self.routers[slot].machine.state() == State::Master => {
                    self.routers[slot].machine.handle_sent(heartbeat);
                    let lease = self.routers[slot].machine.lease();
                    self.routers[slot].lease_until = Some(heartbeat + lease);
                    if let Err(error) = self.plane.renew(slot, heartbeat, uptime + lease) {
                        self.complain(slot, heartbeat, "renew the lease", error.to_string());
                    }
                }
                None => {}
                Some(error) => {
                    failed.push(slot);
                    self.complain(slot, heartbeat, "send an advert", error.clone());
                }
            }
        }
        // An advert may leave to some peers and not to others: the instance counts as failed only if none left.
        let left = |slot| adverts.iter().zip(&failures).any(|(queued, f)| queued.slot == slot && f.is_none());
        failed.retain(|&slot| !left(slot));
        failed.sort_unstable();
        failed.dedup();
        self.tell_of_failures(&failed, heartbeat);
    }

    /// Tells these instances that no advert of theirs could be sent. An instance that gives up its mastership because of that
    /// sends a resignation, in case it can leave.
    fn tell_of_failures(&mut self, failed: &[Slot], heartbeat: Time) {
        for &slot in failed {
            self.routers[slot].machine.handle_send_failed(heartbeat);
            self.react(slot, heartbeat, None);
        }
        if !self.adverts.is_empty() {
            self.send_adverts();
        }
    }

    /// Sends a few announcements. Announcements that a full buffer or queue refuses are offered again after a pause.
    fn send_announcements(&mut self) {
        let now = host::now();
        let announcements = self.announcements.take(now, ROUND_MAX);
        let outgoing = announcements.iter().map(|leaving| &leaving.announcement);
        let outgoing: Vec<Outgoing<'_>> =
            outgoing.map(|a| Outgoing::Frame { ifindex: a.ifindex, bytes: &a.bytes }).collect();
        let mut failed = Vec::new();
        self.announcer.send(&outgoing, |index, error| failed.push((index, error)));
        // The last announcement first, because each is put before the others of its lane.
        for (index, error) in failed.into_iter().rev() {
            let leaving = announcements[index].clone();
            if is_full(&error) {
                self.announcements.put_back(now, leaving);
            } else {
                self.complain(leaving.slot, now, "announce an address", error.to_string());
            }
        }
    }

    /// Closes the sockets of interfaces that nothing is sent by any more.
    pub(super) fn close_unused_sockets(&mut self) {
        let used: BTreeSet<u32> = self.routers.iter().flat_map(|router| router.frames.interfaces()).collect();
        let mut unused = self.transmitter.keep(|ifindex| used.contains(&ifindex));
        unused.extend(self.announcer.keep(|ifindex| used.contains(&ifindex)));
        if !unused.is_empty() {
            // Before it closes a packet socket, the kernel waits for all processors. Adverts do not wait for that, unless no
            // thread can be made.
            let _closing = std::thread::Builder::new().name("closing".to_owned()).spawn(move || drop(unused));
        }
    }

    pub(super) fn complain(&mut self, slot: Slot, now: Time, doing: &'static str, error: String) {
        let router = &mut self.routers[slot];
        if router.complained.is_none_or(|at| now - at >= COMPLAINT_INTERVAL) {
            router.complained = Some(now);
            self.tell(Effect::Failed { slot: Some(slot), doing, error });
        }
    }
}

/// True if a refused packet may be accepted a moment later, because the socket's buffer or the interface's queue was full.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS))
}
