//! Announcements that wait to be sent: after all adverts, a bounded number at a time, and spaced out on each interface, or on
//! several together, if the operator says so (`vrrp_garp_interval`, `vrrp_gna_interval`, `garp_group`: switches that limit ARP
//! would drop the rest).
//!
//! The state is not a queue of frames but, for each address, how often it is still to be announced. If an address is asked for
//! again before that is done, the larger of the rest and the new number counts, not their sum. So requests that come faster
//! than the wire takes the frames have the same addresses announced without end, and take no more memory or time than the
//! configuration has addresses.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::dataplane::Slot;
use crate::vrrp::Time;

use super::frames::{Announcement, Kind, PacingKey};

/// How long a lane waits after the kernel had no room for one of its frames.
const PAUSE_WHEN_FULL: Duration = Duration::from_millis(10);

/// An address of an instance: the slot, and the index of the address's announcement among those of the instance.
type Address = (Slot, usize);

/// An announcement that leaves now.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    pub(super) slot: Slot,
    number: usize,
    pub(super) announcement: Announcement,
}

/// The announcements that are still to be made for an address.
#[derive(Debug)]
struct Pending {
    announcement: Announcement,
    /// How often the announcement is still to leave; never 0.
    left: u32,
}

/// The addresses of a lane, which wait for each other.
#[derive(Debug, Default)]
struct Queue {
    /// Each address once, in the order of their turns.
    turns: VecDeque<Address>,
    /// The earliest time at which the next announcement may leave.
    free: Time,
}

/// All announcements that wait.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    pending: HashMap<Address, Pending>,
    lanes: HashMap<(PacingKey, Kind), Queue>,
    /// The lanes in which something waits, each once, in the order of their turns.
    turns: VecDeque<(PacingKey, Kind)>,
}

impl Announcements {
    /// Has the addresses of an instance announced `repeat` times: each address once, then each a second time, and so on.
    pub(super) fn add(&mut self, slot: Slot, announcements: &[Announcement], repeat: u32) {
        if repeat == 0 {
            return;
        }
        for (number, announcement) in announcements.iter().enumerate() {
            match self.pending.get_mut(&(slot, number)) {
                Some(pending) if pacing_key(&pending.announcement) == pacing_key(announcement) => {
                    pending.announcement = announcement.clone();
                    pending.left = pending.left.max(repeat);
                }
                Some(_) => {
                    self.drop_if(|address, _| address == (slot, number));
                    self.enter((slot, number), announcement.clone(), repeat);
                }
                None => self.enter((slot, number), announcement.clone(), repeat),
            }
        }
    }

    fn enter(&mut self, address: Address, announcement: Announcement, left: u32) {
        let place = pacing_key(&announcement);
        let queue = self.lanes.entry(place).or_default();
        if queue.turns.is_empty() {
            self.turns.push_back(place);
        }
        queue.turns.push_back(address);
        self.pending.insert(address, Pending { announcement, left });
    }

    /// Drops the waiting announcements of an instance: what they say is not true any more.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.drop_if(|(of, _), _| of == slot);
    }

    fn drop_if(&mut self, goes: impl Fn(Address, &Announcement) -> bool) {
        self.pending.retain(|&address, pending| !goes(address, &pending.announcement));
        let Self { pending, lanes, turns } = self;
        for queue in lanes.values_mut() {
            queue.turns.retain(|address| pending.contains_key(address));
        }
        turns.retain(|pacing_key| !lanes[pacing_key].turns.is_empty());
    }

    /// Renumbers the slots for another configuration. Announcements of an instance that is not in it are dropped.
    pub(super) fn renumber(&mut self, number: impl Fn(Slot) -> Option<Slot>) {
        self.drop_if(|(slot, _), _| number(slot).is_none());
        let renumbered = |(slot, of): Address| number(slot).map(|slot| (slot, of));
        let pending = std::mem::take(&mut self.pending).into_iter();
        self.pending =
            pending.filter_map(|(address, pending)| Some((renumbered(address)?, pending))).collect();
        for queue in self.lanes.values_mut() {
            queue.turns = queue.turns.iter().filter_map(|&address| renumbered(address)).collect();
        }
    }

    /// Keeps only the announcements that are among those given by `of`: an instance may hold other addresses by now.
    pub(super) fn keep<'a>(&mut self, of: impl Fn(Slot) -> &'a [Announcement]) {
        self.drop_if(|(slot, number), pending| of(slot).get(number) != Some(pending));
    }

    /// Takes the announcements that may leave now, at most `most`: each lane in turn, and the addresses of a lane in turn.
    pub(super) fn take(&mut self, now: Time, most: usize) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        // The number of lanes in a row that had to wait.
        let mut passed = 0;
        while leaving.len() < most && passed < self.turns.len() {
            let Some(place) = self.turns.pop_front() else { break };
            let queue = self.lanes.entry(place).or_default();
            if queue.free > now {
                self.turns.push_back(place);
                passed += 1;
                continue;
            }
            passed = 0;
            let next = queue.turns.pop_front();
            if let Some((address, pending)) =
                next.and_then(|address| Some((address, self.pending.get_mut(&address)?)))
            {
                let announcement = pending.announcement.clone();
                if !announcement.spacing.is_zero() {
                    queue.free = now + announcement.spacing;
                }
                pending.left -= 1;
                if pending.left == 0 {
                    self.pending.remove(&address);
                } else {
                    queue.turns.push_back(address);
                }
                let (slot, number) = address;
                leaving.push(Leaving { slot, number, announcement });
            }
            if !queue.turns.is_empty() {
                self.turns.push_back(place);
            }
        }
        leaving
    }

    /// Puts back an announcement that the kernel had no room for. It leaves later, before the others of its lane.
    pub(super) fn put_back(&mut self, now: Time, refused: Leaving) {
        let Leaving { slot, number, announcement } = refused;
        let (address, place) = ((slot, number), pacing_key(&announcement));
        match self.pending.get_mut(&address) {
            // The address waits for its next turn already.
            Some(pending) => pending.left = pending.left.saturating_add(1),
            None => {
                self.enter(address, announcement, 1);
                if let Some(queue) = self.lanes.get_mut(&place) {
                    queue.turns.rotate_right(1);
                }
            }
        }
        if let Some(queue) = self.lanes.get_mut(&place) {
            queue.free = queue.free.max(now + PAUSE_WHEN_FULL);
        }
    }

    /// Returns the earliest time at which an announcement may leave.
    pub(super) fn next(&self) -> Option<Time> {
        self.turns.iter().map(|place| self.lanes[place].free).min()
    }
}

fn pacing_key(announcement: &Announcement) -> (PacingKey, Kind) {
    (announcement.pacing_key, announcement.kind)
}

#[cfg(test)]
mod tests;
