use super::*;

fn announcement(pacing_key: PacingKey, kind: Kind, millis: u64, byte: u8) -> Announcement {
    Announcement {
        ifindex: 1,
        pacing_key,
        kind,
        spacing: Duration::from_millis(millis),
        bytes: vec![byte].into(),
    }
}

fn at(millis: u64) -> Time {
    Time::since_start(Duration::from_millis(millis))
}

fn bytes(leaving: &[Leaving]) -> Vec<u8> {
    leaving.iter().map(|leaving| leaving.announcement.bytes[0]).collect()
}

const ONE: PacingKey = PacingKey::Interface(1);
const TWO: PacingKey = PacingKey::Interface(2);

/// `count` addresses on one lane.
fn addresses(pacing_key: PacingKey, millis: u64, count: u8) -> Vec<Announcement> {
    (0..count).map(|byte| announcement(pacing_key, Kind::Arp, millis, byte)).collect()
}

#[test]
fn without_spacing_a_round_is_bounded_and_the_order_kept() {
    let mut waiting = Announcements::default();
    waiting.add(0, &addresses(ONE, 0, 5), 1);
    assert_eq!(bytes(&waiting.take(at(0), 3)), [0, 1, 2]);
    assert_eq!(waiting.next(), Some(Time::default()));
    assert_eq!(bytes(&waiting.take(at(0), 3)), [3, 4]);
    assert_eq!(waiting.next(), None);
}

#[test]
fn with_spacing_each_lane_waits_for_itself() {
    let mut waiting = Announcements::default();
    for (pacing_key, kind, millis, byte) in [
        (ONE, Kind::Arp, 10, 0),
        (ONE, Kind::Arp, 10, 1),
        (TWO, Kind::Arp, 10, 2),
        (ONE, Kind::Neighbour, 0, 3),
        (PacingKey::Group(1), Kind::Arp, 50, 4),
        (PacingKey::Group(1), Kind::Arp, 50, 5),
    ] {
        waiting.add(usize::from(byte), &[announcement(pacing_key, kind, millis, byte)], 1);
    }
    assert_eq!(bytes(&waiting.take(at(5), 256)), [0, 2, 3, 4]);
    assert_eq!(waiting.next(), Some(at(15)));
    assert!(waiting.take(at(14), 256).is_empty());
    assert_eq!(bytes(&waiting.take(at(15), 256)), [1]);
    assert_eq!(waiting.next(), Some(at(55)));
    assert_eq!(bytes(&waiting.take(at(55), 256)), [5]);
}

#[test]
fn what_is_withdrawn_is_not_announced() {
    let mut waiting = Announcements::default();
    waiting.add(0, &[announcement(ONE, Kind::Arp, 0, 0)], 1);
    waiting.add(1, &[announcement(ONE, Kind::Arp, 0, 1)], 2);
    waiting.forget(0);
    assert_eq!(bytes(&waiting.take(at(0), 256)), [1, 1]);
    waiting.add(1, &[announcement(ONE, Kind::Arp, 0, 1)], 2);
    waiting.forget(1);
    assert_eq!(waiting.next(), None);
    assert!(waiting.take(at(0), 256).is_empty());
}

#[test]
fn each_address_once_and_then_each_again() {
    let mut waiting = Announcements::default();
    waiting.add(0, &addresses(ONE, 0, 3), 2);
    waiting.add(1, &[announcement(TWO, Kind::Arp, 0, 9)], 2);
    // The lanes take turns: a long one does not hold up a short one.
    assert_eq!(bytes(&waiting.take(at(0), 256)), [0, 9, 1, 9, 2, 0, 1, 2]);
}

/// While a lower router goes on advertising, a burst is asked for in each interval, and takes longer than the interval.
#[test]
fn c2_bursts_that_are_asked_for_faster_than_they_leave_do_not_pile_up() {
    let mut waiting = Announcements::default();
    let addresses = addresses(ONE, 100, 200);
    let mut left = vec![0; 200];
    for round in 0..36_000_u64 {
        waiting.add(0, &addresses, 5);
        for leaving in waiting.take(at(100 * round), 256) {
            left[usize::from(leaving.announcement.bytes[0])] += 1;
        }
        assert!(waiting.pending.len() <= 200);
        assert!(waiting.lanes.values().map(|pacing_key| pacing_key.turns.len()).sum::<usize>() <= 200);
        assert!(waiting.pending.values().all(|pending| pending.left <= 5));
        assert_eq!(waiting.turns.len(), 1);
    }
    // One announcement each 100 ms, and every address as often as any other.
    assert_eq!(left.iter().sum::<u64>(), 36_000);
    assert!(left.iter().all(|&count| count == 180), "{left:?}");
}

#[test]
fn c2_a_look_costs_as_much_as_there_are_lanes_not_as_there_are_addresses() {
    let mut waiting = Announcements::default();
    for slot in 0..1000 {
        waiting.add(slot, &addresses(ONE, 1000, 200), 5);
    }
    assert_eq!(waiting.take(at(0), 256).len(), 1);
    let start = std::time::Instant::now();
    for _ in 0..100_000 {
        assert!(waiting.take(at(1), 256).is_empty());
        assert_eq!(waiting.next(), Some(at(1000)));
    }
    // Walking 200,000 entries that often would take minutes.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_second_request_replaces_what_is_announced_and_keeps_its_turn() {
    let mut waiting = Announcements::default();
    waiting.add(0, &addresses(ONE, 0, 2), 1);
    // The interface has another hardware address.
    let other: Vec<_> = (10..12).map(|byte| announcement(ONE, Kind::Arp, 0, byte)).collect();
    waiting.add(0, &other, 2);
    assert_eq!(bytes(&waiting.take(at(0), 256)), [10, 11, 10, 11]);
    // Or the address is on another interface.
    waiting.add(0, &addresses(ONE, 0, 2), 1);
    waiting.add(0, &addresses(TWO, 0, 1), 1);
    assert_eq!(bytes(&waiting.take(at(0), 256)), [1, 0]);
    assert_eq!(waiting.next(), None);
}

#[test]
fn what_the_kernel_has_no_room_for_is_tried_again_before_the_others() {
    let mut waiting = Announcements::default();
    waiting.add(0, &addresses(ONE, 0, 3), 1);
    waiting.add(1, &[announcement(TWO, Kind::Arp, 0, 9)], 1);
    let mut leaving = waiting.take(at(0), 2);
    assert_eq!(bytes(&leaving), [0, 9]);
    waiting.put_back(at(0), leaving.remove(0));
    assert_eq!(waiting.next(), Some(at(10)), "not at once: it would be refused again");
    assert!(waiting.take(at(9), 256).is_empty());
    assert_eq!(bytes(&waiting.take(at(10), 256)), [0, 1, 2]);
    assert_eq!(waiting.next(), None);
    // An announcement that is to leave once more anyway.
    waiting.add(0, &addresses(ONE, 0, 1), 2);
    let leaving = waiting.take(at(20), 1);
    waiting.put_back(at(20), leaving[0].clone());
    assert_eq!(bytes(&waiting.take(at(30), 256)), [0, 0]);
}

#[test]
fn a_reload_renumbers_and_drops_what_is_not_held_any_more() {
    let mut waiting = Announcements::default();
    waiting.add(0, &addresses(ONE, 0, 1), 3);
    waiting.add(1, &addresses(ONE, 0, 3), 2);
    waiting.renumber(|slot| slot.checked_sub(1));
    let held = addresses(ONE, 0, 2);
    waiting.keep(|_| &held);
    let leaving = waiting.take(at(0), 256);
    assert_eq!(bytes(&leaving), [0, 1, 0, 1]);
    assert!(leaving.iter().all(|leaving| leaving.slot == 0));
}
