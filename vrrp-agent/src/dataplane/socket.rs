//! Adverts by packet sockets: the data plane where there is no kernel half, and the kernel half's helper for adverts that the
//! kernel cannot judge. The same rule decides, and the state machine's own timer watches the master. Slower, never wrong.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use vrrp_ebpf::abi::{Counters, InstanceKey, Role};
use vrrp_ebpf::advert::{self, Datagram, List, Reject};

use super::verifier::AdvertVerifier;
use super::{Desired, PlaneEvent, Slot};
use crate::host;
use crate::net::NetError;
use crate::net::links::Link;
use crate::net::receive::{Heard, Receiver};
use crate::vrrp::{Time, Watch};
use crate::wire::advert::ip;

/// The judges of instances, by slot. An instance that has none here is judged by the shared rule alone.
pub type AdvertVerifiers = HashMap<Slot, AdvertVerifier>;

/// A packet socket for each interface.
#[derive(Debug)]
pub struct SocketPlane {
    receivers: Vec<Receiver>,
    /// The receiver whose turn it is.
    turn: usize,
    court: Court,
}

/// All that it takes to judge an advert.
#[derive(Debug)]
struct Court {
    verifiers: AdvertVerifiers,
    /// The instances by key, mostly one for each key. Where there are several, the destination of an advert, or else its
    /// sender, decides.
    instances: HashMap<InstanceKey, Vec<Desired>>,
    counters: Counters,
    /// For each instance, the time at which a refused advert was last reported.
    refusals: HashMap<Slot, Time>,
}

/// Refused adverts of an instance are reported at most once in this time, as by the program.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(1);

/// The number of frames of one socket that are judged in a row, whatever they contain: a flood of frames to refuse must not
/// keep the agent from sending. A socket's buffer has no room for so many, so that an advert in it is heard before the deadline
/// that it moves.
const FRAMES_IN_A_ROW: usize = 1024;

impl SocketPlane {
    /// Opens the sockets.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or if the kernel refuses.
    pub fn open<'l>(
        links: impl IntoIterator<Item = &'l Link>,
        verifiers: AdvertVerifiers,
    ) -> Result<Self, NetError> {
        let receivers = links.into_iter().map(Receiver::open).collect::<Result<_, _>>()?;
        let (instances, refusals) = (HashMap::new(), HashMap::new());
        let court = Court { verifiers, instances, counters: Counters::default(), refusals };
        Ok(Self { receivers, turn: 0, court })
    }

    /// Hears an interface by a new receiver, instead of the interface that had the number `gone`.
    pub(super) fn listen(&mut self, gone: u32, receiver: Receiver) {
        self.receivers.retain(|there| there.ifindex() != gone && there.ifindex() != receiver.ifindex());
        self.receivers.push(receiver);
    }

    /// Removes an instance from under `key`: its interface is another now, or the program hears it from here on.
    pub(super) fn forget(&mut self, slot: Slot, key: &InstanceKey) {
        if let Some(instances) = self.court.instances.get_mut(key) {
            instances.retain(|there| there.slot != slot);
        }
    }

    /// Closes the sockets that hear an interface.
    pub(super) fn stop_listening(&mut self, ifindex: u32) {
        self.receivers.retain(|receiver| receiver.ifindex() != ifindex);
    }

    pub(super) fn apply(&mut self, desired: &Desired) {
        self.forget(desired.slot, &desired.key);
        self.court.instances.entry(desired.key).or_default().push(*desired);
    }

    /// Returns the next signal from the sockets; `None` if there is none, or if more was refused than is judged in a row: the
    /// descriptors of sockets that have more frames stay readable.
    pub(super) fn next_event(&mut self) -> Option<PlaneEvent> {
        let Self { receivers, turn, court } = self;
        for _ in 0..receivers.len() {
            // There may be fewer receivers than before.
            *turn %= receivers.len();
            let receiver = &mut receivers[*turn];
            let ifindex = receiver.ifindex();
            for _ in 0..FRAMES_IN_A_ROW {
                let Some(heard) = receiver.next_advert() else { break };
                let plane_event = court.verify(ifindex, &heard);
                if plane_event.is_some() {
                    return plane_event;
                }
            }
            *turn += 1;
        }
        None
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.receivers.iter().map(|receiver| receiver.as_fd()).collect()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.court.counters
    }
}

impl Court {
    /// Judges an advert on an interface. Returns a signal if it is for an instance and is either believed, or refused for a
    /// reason to report.
    fn verify(&mut self, ifindex: u32, heard: &Heard) -> Option<PlaneEvent> {
        let Self { verifiers, instances, counters, refusals } = self;
        let datagram = heard.datagram();
        let key = advert::vrid(datagram.payload).map(|vrid| InstanceKey {
            ifindex,
            family: datagram.family,
            vrid: vrid.into(),
        });
        let sharing = key.and_then(|key| instances.get(&key)).map_or(&[][..], Vec::as_slice);
        let Some(desired) = addressee(sharing, verifiers, &datagram) else {
            counters.advert_not_ours += 1;
            return None;
        };
        let verifier = verifiers.entry(desired.slot).or_default();
        match verifier.verify(heard, &desired.rules, host::utc()) {
            Err(reject) => {
                *counters.rejected(reject) += 1;
                let now = host::now();
                let told = refusals.get(&desired.slot);
                let due = told.is_none_or(|&told| now - told >= REFUSAL_INTERVAL);
                if !due || reject == Reject::Destination {
                    return None;
                }
                refusals.insert(desired.slot, now);
                let source = ip(datagram.family, &datagram.source);
                Some(PlaneEvent::Refused { slot: desired.slot, source, reject })
            }
            Ok(_) if desired.role == Role::Idle => {
                counters.advert_idle += 1;
                None
            }
            Ok(advert) => {
                counters.advert_accepted += 1;
                counters.other_addresses += u64::from(advert.list == List::Other);
                counters.own_address += u64::from(advert.source == desired.candidate.address);
                Some(PlaneEvent::Advert { slot: desired.slot, advert, watch: Watch::Here })
            }
        }
    }
}

/// Returns the instance that an advert is for, among those that share its key. Most often there is one, whose own rule then
/// says what is wrong with the destination. Of several, it is the instance at the destination; of several there, the instance
/// that has the sender as a peer.
fn addressee<'d>(
    sharing: &'d [Desired],
    verifiers: &AdvertVerifiers,
    datagram: &Datagram<'_>,
) -> Option<&'d Desired> {
    if let [only] = sharing {
        return Some(only);
    }
    let mut there = sharing.iter().filter(|desired| desired.rules.destination == datagram.destination);
    match (there.next(), there.next()) {
        (Some(only), None) => Some(only),
        (first, second) => {
            let of_peer = |desired: &&Desired| {
                verifiers.get(&desired.slot).is_some_and(|verifier| verifier.has_peer(datagram))
            };
            first.into_iter().chain(second).chain(there).find(of_peer)
        }
    }
}
