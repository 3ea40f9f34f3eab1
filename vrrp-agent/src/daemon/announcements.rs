//! Announcements that wait to be sent: after all adverts, a bounded number at a time, and spaced out on each interface, or on
//! several together, if the operator says so (`vrrp_garp_interval`, `vrrp_gna_interval`, `garp_group`: switches that limit ARP
//! would drop the rest).
//!
//! What waits is not a queue of frames but, for each address, how often it is still to be announced. Asked for again before that
//! is done, it is announced as often as was asked for last, not as often as both together: whoever asks faster than the wire
//! takes it has the same addresses announced without end, and no more memory or time is spent on them than the configuration
//! has addresses.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::dataplane::Slot;
use crate::vrrp::Time;

use super::frames::{Announcement, Kind, Lane};

/// How long a lane waits after the kernel had no room for one of its frames.
const PAUSE_WHEN_FULL: Duration = Duration::from_millis(10);

/// An address of an instance: the place of its announcement among those of the instance.
type Address = (Slot, usize);

/// An announcement that leaves now.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    pub(super) slot: Slot,
    number: usize,
    pub(super) announcement: Announcement,
}

/// What is still to be done for an address.
#[derive(Debug)]
struct Pending {
    announcement: Announcement,
    /// How often it is still to leave; never 0.
    left: u32,
}

/// The addresses that wait for each other.
#[derive(Debug, Default)]
struct Queue {
    /// Each once, in the order of their turns.
    turns: VecDeque<Address>,
    /// When the next may leave.
    free: Time,
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    pending: HashMap<Address, Pending>,
    lanes: HashMap<(Lane, Kind), Queue>,
    /// The lanes in which something waits, each once, in the order of their turns.
    turns: VecDeque<(Lane, Kind)>,
}

impl Announcements {
    /// Has the addresses of an instance announced so many times: each once, then each a second time.
    pub(super) fn add(&mut self, slot: Slot, announcements: &[Announcement], repeat: u32) {
        if repeat == 0 {
            return;
        }
        for (number, announcement) in announcements.iter().enumerate() {
            match self.pending.get_mut(&(slot, number)) {
                Some(pending) if lane(&pending.announcement) == lane(announcement) => {
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
        let place = lane(&announcement);
        let queue = self.lanes.entry(place).or_default();
        if queue.turns.is_empty() {
            self.turns.push_back(place);
        }
        queue.turns.push_back(address);
        self.pending.insert(address, Pending { announcement, left });
    }

    /// Where the addresses of an instance were is not said any more.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.drop_if(|(of, _), _| of == slot);
    }

    fn drop_if(&mut self, goes: impl Fn(Address, &Announcement) -> bool) {
        self.pending.retain(|&address, pending| !goes(address, &pending.announcement));
        let Self { pending, lanes, turns } = self;
        for queue in lanes.values_mut() {
            queue.turns.retain(|address| pending.contains_key(address));
        }
        turns.retain(|lane| !lanes[lane].turns.is_empty());
    }

    /// Another configuration has other slots; what was of one that it has not is not said any more.
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

    /// Of each instance no more than these addresses are announced: it may hold others by now.
    pub(super) fn keep<'a>(&mut self, of: impl Fn(Slot) -> &'a [Announcement]) {
        self.drop_if(|(slot, number), pending| of(slot).get(number) != Some(pending));
    }

    /// What may leave now, at most this many: each lane in turn, and the addresses of a lane in turn.
    pub(super) fn take(&mut self, now: Time, most: usize) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        // So many lanes in a row had to wait, or have nothing more to say.
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

    /// One that the kernel had no room for leaves later, before the others of its lane.
    pub(super) fn put_back(&mut self, now: Time, refused: Leaving) {
        let Leaving { slot, number, announcement } = refused;
        let (address, place) = ((slot, number), lane(&announcement));
        match self.pending.get_mut(&address) {
            // It waits for its next turn already.
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

    /// When the next may leave.
    pub(super) fn next(&self) -> Option<Time> {
        self.turns.iter().map(|place| self.lanes[place].free).min()
    }
}

fn lane(announcement: &Announcement) -> (Lane, Kind) {
    (announcement.lane, announcement.kind)
}

#[cfg(test)]
mod tests;
