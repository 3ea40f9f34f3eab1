//! Announcements that wait to be sent: after all adverts, a bounded number at a time, and spaced out on each interface if the
//! operator says so (`vrrp_garp_interval`, `vrrp_gna_interval`: switches that limit ARP would drop the rest).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::config::Spacing;
use crate::dataplane::Slot;
use crate::vrrp::Time;

use super::frames::{Announcement, Kind};

/// The queue.
#[derive(Debug)]
pub(super) struct Announcements {
    spacing: Spacing,
    queue: VecDeque<(Slot, Announcement)>,
    /// When an interface may announce again.
    free: HashMap<(u32, Kind), Time>,
}

impl Announcements {
    pub(super) fn new(spacing: Spacing) -> Self {
        Self { spacing, queue: VecDeque::new(), free: HashMap::new() }
    }

    pub(super) fn push(&mut self, slot: Slot, announcement: Announcement) {
        self.queue.push_back((slot, announcement));
    }

    /// Where the addresses of an instance were is not said any more.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.queue.retain(|&(of, _)| of != slot);
    }

    /// Another configuration has other slots; what was of one that it has not is not said any more.
    pub(super) fn renumber(&mut self, spacing: Spacing, number: impl Fn(Slot) -> Option<Slot>) {
        self.spacing = spacing;
        let queue = std::mem::take(&mut self.queue).into_iter();
        self.queue = queue.filter_map(|(slot, announcement)| Some((number(slot)?, announcement))).collect();
    }

    /// What may leave now, in order, `most` at once.
    pub(super) fn take(&mut self, now: Time, most: usize) -> Vec<(Slot, Announcement)> {
        let mut leaving = Vec::new();
        let mut waiting = VecDeque::new();
        while let Some((slot, announcement)) = self.queue.pop_front() {
            let place = (announcement.ifindex, announcement.kind);
            let spacing = self.spacing(announcement.kind);
            if leaving.len() == most {
                waiting.push_back((slot, announcement));
                break;
            }
            if spacing.is_zero() {
                leaving.push((slot, announcement));
            } else if self.free.get(&place).is_none_or(|&at| at <= now) {
                self.free.insert(place, now + spacing);
                leaving.push((slot, announcement));
            } else {
                waiting.push_back((slot, announcement));
            }
        }
        // Those that were passed over come first again.
        waiting.append(&mut self.queue);
        self.queue = waiting;
        leaving
    }

    /// When the next may leave.
    pub(super) fn next(&self) -> Option<Time> {
        let when = |(_, announcement): &(Slot, Announcement)| {
            let place = (announcement.ifindex, announcement.kind);
            match self.spacing(announcement.kind) {
                Duration::ZERO => Time::default(),
                _ => self.free.get(&place).copied().unwrap_or_default(),
            }
        };
        self.queue.iter().map(when).min()
    }

    fn spacing(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Arp => self.spacing.arp,
            Kind::Neighbour => self.spacing.na,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(ifindex: u32, kind: Kind, byte: u8) -> Announcement {
        Announcement { ifindex, kind, bytes: vec![byte].into() }
    }

    fn at(millis: u64) -> Time {
        Time::since_start(Duration::from_millis(millis))
    }

    fn bytes(leaving: Vec<(Slot, Announcement)>) -> Vec<u8> {
        leaving.into_iter().map(|(_, announcement)| announcement.bytes[0]).collect()
    }

    #[test]
    fn without_spacing_a_round_is_bounded_and_the_order_kept() {
        let mut queue = Announcements::new(Spacing::default());
        for byte in 0..5 {
            queue.push(0, announcement(1, Kind::Arp, byte));
        }
        assert_eq!(bytes(queue.take(at(0), 3)), [0, 1, 2]);
        assert_eq!(queue.next(), Some(Time::default()));
        assert_eq!(bytes(queue.take(at(0), 3)), [3, 4]);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn with_spacing_each_interface_waits_for_itself() {
        let spacing = Spacing { arp: Duration::from_millis(10), na: Duration::ZERO };
        let mut queue = Announcements::new(spacing);
        for (ifindex, kind, byte) in
            [(1, Kind::Arp, 0), (1, Kind::Arp, 1), (2, Kind::Arp, 2), (1, Kind::Neighbour, 3)]
        {
            queue.push(usize::from(byte), announcement(ifindex, kind, byte));
        }
        assert_eq!(bytes(queue.take(at(5), 256)), [0, 2, 3]);
        assert_eq!(queue.next(), Some(at(15)));
        assert!(queue.take(at(14), 256).is_empty());
        assert_eq!(bytes(queue.take(at(15), 256)), [1]);
    }

    #[test]
    fn what_is_withdrawn_is_not_announced() {
        let mut queue = Announcements::new(Spacing::default());
        queue.push(0, announcement(1, Kind::Arp, 0));
        queue.push(1, announcement(1, Kind::Arp, 1));
        queue.forget(0);
        assert_eq!(bytes(queue.take(at(0), 256)), [1]);
    }
}
