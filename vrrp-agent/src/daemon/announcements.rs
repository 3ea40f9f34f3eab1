//! Announcements that wait to be sent: after all adverts, a bounded number at a time, and spaced out on each interface, or on
//! several together, if the operator says so (`vrrp_garp_interval`, `vrrp_gna_interval`, `garp_group`: switches that limit ARP
//! would drop the rest).

use std::collections::{HashMap, VecDeque};

use crate::dataplane::Slot;
use crate::vrrp::Time;

use super::frames::{Announcement, Kind, Lane};

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    queue: VecDeque<(Slot, Announcement)>,
    /// When a lane may announce again.
    free: HashMap<(Lane, Kind), Time>,
}

impl Announcements {
    pub(super) fn push(&mut self, slot: Slot, announcement: Announcement) {
        self.queue.push_back((slot, announcement));
    }

    /// Where the addresses of an instance were is not said any more.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.queue.retain(|&(of, _)| of != slot);
    }

    /// Another configuration has other slots; what was of one that it has not is not said any more.
    pub(super) fn renumber(&mut self, number: impl Fn(Slot) -> Option<Slot>) {
        let queue = std::mem::take(&mut self.queue).into_iter();
        self.queue = queue.filter_map(|(slot, announcement)| Some((number(slot)?, announcement))).collect();
    }

    /// What may leave now, in order, `most` at once.
    pub(super) fn take(&mut self, now: Time, most: usize) -> Vec<(Slot, Announcement)> {
        let mut leaving = Vec::new();
        let mut waiting = VecDeque::new();
        while let Some((slot, announcement)) = self.queue.pop_front() {
            let place = (announcement.lane, announcement.kind);
            if leaving.len() == most {
                waiting.push_back((slot, announcement));
                break;
            }
            if announcement.spacing.is_zero() {
                leaving.push((slot, announcement));
            } else if self.free.get(&place).is_none_or(|&at| at <= now) {
                self.free.insert(place, now + announcement.spacing);
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
            if announcement.spacing.is_zero() {
                return Time::default();
            }
            self.free.get(&(announcement.lane, announcement.kind)).copied().unwrap_or_default()
        };
        self.queue.iter().map(when).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn announcement(lane: Lane, kind: Kind, millis: u64, byte: u8) -> Announcement {
        Announcement {
            ifindex: 1,
            lane,
            kind,
            spacing: Duration::from_millis(millis),
            bytes: vec![byte].into(),
        }
    }

    fn at(millis: u64) -> Time {
        Time::since_start(Duration::from_millis(millis))
    }

    fn bytes(leaving: Vec<(Slot, Announcement)>) -> Vec<u8> {
        leaving.into_iter().map(|(_, announcement)| announcement.bytes[0]).collect()
    }

    const ONE: Lane = Lane::Interface(1);
    const TWO: Lane = Lane::Interface(2);

    #[test]
    fn without_spacing_a_round_is_bounded_and_the_order_kept() {
        let mut queue = Announcements::default();
        for byte in 0..5 {
            queue.push(0, announcement(ONE, Kind::Arp, 0, byte));
        }
        assert_eq!(bytes(queue.take(at(0), 3)), [0, 1, 2]);
        assert_eq!(queue.next(), Some(Time::default()));
        assert_eq!(bytes(queue.take(at(0), 3)), [3, 4]);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn with_spacing_each_lane_waits_for_itself() {
        let mut queue = Announcements::default();
        for (lane, kind, millis, byte) in [
            (ONE, Kind::Arp, 10, 0),
            (ONE, Kind::Arp, 10, 1),
            (TWO, Kind::Arp, 10, 2),
            (ONE, Kind::Neighbour, 0, 3),
            (Lane::Group(1), Kind::Arp, 50, 4),
            (Lane::Group(1), Kind::Arp, 50, 5),
        ] {
            queue.push(usize::from(byte), announcement(lane, kind, millis, byte));
        }
        assert_eq!(bytes(queue.take(at(5), 256)), [0, 2, 3, 4]);
        assert_eq!(queue.next(), Some(at(15)));
        assert!(queue.take(at(14), 256).is_empty());
        assert_eq!(bytes(queue.take(at(15), 256)), [1]);
        assert_eq!(queue.next(), Some(at(55)));
        assert_eq!(bytes(queue.take(at(55), 256)), [5]);
    }

    #[test]
    fn what_is_withdrawn_is_not_announced() {
        let mut queue = Announcements::default();
        queue.push(0, announcement(ONE, Kind::Arp, 0, 0));
        queue.push(1, announcement(ONE, Kind::Arp, 0, 1));
        queue.forget(0);
        assert_eq!(bytes(queue.take(at(0), 256)), [1]);
    }
}
