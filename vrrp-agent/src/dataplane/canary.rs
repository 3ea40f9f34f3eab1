//! How each interface is heard: by the program, with a canary beside it, or by sockets.
//!
//! The program drops every advert of our own virtual routers once it has judged it. A canary, which is a packet socket behind
//! the program, therefore hears such an advert only if the program does not do its work: the program is gone, or frames reach
//! it under another interface's number. The advert then goes to the state machine all the same, and the rest of the daemon is
//! told.

use std::collections::BTreeSet;
use std::time::Duration;

use vrrp_ebpf::advert::{self, Advert, Reject, VerifiedBy};

use super::Desired;
use crate::net::receive::Receiver;
use crate::vrrp::Time;

/// How the adverts of an interface are heard.
#[derive(Debug)]
pub struct Hearing {
    /// The interface's number.
    pub ifindex: u32,
    /// By the program, or by sockets alone.
    pub by: HeardBy,
    /// The socket that hears all adverts: for an interface without a program, and for instances whose adverts the agent judges.
    pub receiver: Option<Receiver>,
}

/// The side that hears the adverts of an interface.
#[derive(Debug)]
pub enum HeardBy {
    /// The program. These sockets hear what it should have dropped.
    Program {
        /// One for each family in use.
        canaries: Vec<Receiver>,
    },
    /// Sockets.
    Sockets,
}

/// An interface on which the program does not do its work is reported at most once in this time.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// All canaries.
#[derive(Debug, Default)]
pub(super) struct Canaries {
    receivers: Vec<Receiver>,
    by_sockets: BTreeSet<u32>,
    told: Option<Time>,
}

/// An advert that the program should have dropped.
pub(super) struct Unseen {
    pub(super) ifindex: u32,
    pub(super) slot: super::Slot,
    /// None if the shared rule rejects it, or if the instance is in no state to hear it.
    pub(super) advert: Option<Advert>,
}

impl Canaries {
    /// Changes how an interface is heard. It may be another interface now than `gone`, which it was before.
    pub(super) fn set(&mut self, gone: u32, ifindex: u32, by: HeardBy) {
        self.receivers.retain(|receiver| ![gone, ifindex].contains(&receiver.ifindex()));
        self.by_sockets.remove(&gone);
        match by {
            HeardBy::Program { canaries } => {
                self.by_sockets.remove(&ifindex);
                self.receivers.extend(canaries);
            }
            HeardBy::Sockets => {
                self.by_sockets.insert(ifindex);
            }
        }
    }

    /// True if an interface has no program.
    pub(super) fn is_by_sockets(&self, ifindex: u32) -> bool {
        self.by_sockets.contains(&ifindex)
    }

    pub(super) fn receivers(&self) -> &[Receiver] {
        &self.receivers
    }

    /// The next advert that the program should have dropped.
    pub(super) fn next(&mut self, desired: &[Option<Desired>]) -> Option<Unseen> {
        for receiver in &mut self.receivers {
            let ifindex = receiver.ifindex();
            while let Some(heard) = receiver.next_advert() {
                let datagram = heard.datagram();
                let of_it = |desired: &&Desired| {
                    desired.key.ifindex == ifindex
                        && desired.key.family == datagram.family
                        && advert::vrid(datagram.payload).map(u32::from) == Some(desired.key.vrid)
                };
                let Some(desired) = desired.iter().flatten().find(of_it) else { continue };
                let advert = match (desired.rules.verified_by, advert::accept(&datagram, &desired.rules)) {
                    // The program does not drop these adverts.
                    (VerifiedBy::Agent, _) | (VerifiedBy::Kernel, Err(Reject::Destination)) => continue,
                    (VerifiedBy::Kernel, Ok(advert)) => Some(advert),
                    (VerifiedBy::Kernel, Err(_rejected)) => None,
                };
                return Some(Unseen { ifindex, slot: desired.slot, advert });
            }
        }
        None
    }

    /// True if the rest of the daemon is to be told now.
    pub(super) fn is_to_be_told(&mut self, now: Time) -> bool {
        let due = self.told.is_none_or(|told| now - told >= TELL_INTERVAL);
        if due {
            self.told = Some(now);
        }
        due
    }
}
