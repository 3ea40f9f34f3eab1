//! Expectations by hand, from keepalived.conf(5), "VRRP track processes".

use super::*;
use crate::vrrp::Weight;

fn process(program: &str, known_by: ProcessName, arguments: Arguments) -> TrackProcess {
    TrackProcess {
        name: "p".to_owned(),
        program: program.to_owned(),
        known_by,
        arguments,
        weight: Weight::NONE,
        quorum: 1..=u32::MAX,
        fork_delay: Duration::ZERO,
        terminate_delay: Duration::ZERO,
    }
}

fn seen(name: &str, command: &[&str]) -> Seen {
    let words = command.iter().map(|word| word.as_bytes().to_vec());
    Seen { name: name.as_bytes().to_vec(), command: words.collect() }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn names_are_compared_as_a_whole() {
    let ssh = process("ssh", ProcessName::Short, Arguments::Any);
    assert!(ssh.counts(&seen("ssh", &["/usr/bin/ssh", "host"])));
    assert!(!ssh.counts(&seen("sshd", &["sshd"])) && !ssh.counts(&seen("ss", &[])));
    let long = process("a-long-program-name", ProcessName::Short, Arguments::Any);
    assert!(long.counts(&seen("a-long-program-", &[])));
    let full = process("/usr/bin/ssh", ProcessName::Full, Arguments::Any);
    assert!(full.counts(&seen("ssh", &["/usr/bin/ssh", "host"])));
    assert!(!full.counts(&seen("ssh", &["ssh"])) && !full.counts(&seen("ssh", &[])));
}

#[test]
fn arguments_are_compared_as_is_asked() {
    let given = seen("s", &["s", "10", "200"]);
    for (arguments, counts) in [
        (Arguments::Any, true),
        (Arguments::Exactly(words(&["10", "200"])), true),
        (Arguments::Exactly(words(&["10"])), false),
        (Arguments::Exactly(words(&["10", "20"])), false),
        (Arguments::Exactly(words(&[])), false),
        (Arguments::First(words(&["10"])), true),
        (Arguments::First(words(&["10", "200", "3"])), false),
        (Arguments::First(words(&["1"])), false),
        (Arguments::Initial(words(&["10", "2"])), true),
        (Arguments::Initial(words(&["1"])), true),
        (Arguments::Initial(words(&["1", "200"])), false),
        (Arguments::Initial(words(&["10", "200", ""])), false),
    ] {
        let process = process("s", ProcessName::Full, arguments);
        assert_eq!(process.counts(&given), counts, "{process:?}");
    }
}

const fn at(seconds: u64) -> Time {
    Duration::from_secs(seconds)
}

/// Counts as (second, number); returns the condition after each.
fn conditions(process: TrackProcess, counts: &[(u64, u32)]) -> String {
    let mut quorum = Quorum::new(process, Condition::Unknown);
    let mut step = |&(second, count): &(u64, u32)| {
        quorum.is_due(at(second));
        quorum.count(at(second), count);
        match quorum.condition {
            Condition::Up => 'U',
            Condition::Down => 'D',
            Condition::Unknown => '?',
        }
    };
    counts.iter().map(&mut step).collect()
}

#[test]
fn enough_and_not_too_many() {
    let with = |quorum| TrackProcess { quorum, ..process("p", ProcessName::Short, Arguments::Any) };
    let counts = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 2), (5, 0)];
    assert_eq!(conditions(with(1..=u32::MAX), &counts), "DUUUUD");
    assert_eq!(conditions(with(2..=2), &counts), "DDUDUD");
    assert_eq!(conditions(with(0..=0), &counts), "UDDDDU");
}

#[test]
fn delays() {
    let slow = TrackProcess {
        fork_delay: at(2),
        terminate_delay: at(3),
        ..process("p", ProcessName::Short, Arguments::Any)
    };
    // The first count takes no delay.
    assert_eq!(conditions(slow.clone(), &[(0, 1)]), "U");
    assert_eq!(conditions(slow.clone(), &[(0, 0), (1, 1), (2, 1), (3, 1)]), "DDDU");
    assert_eq!(conditions(slow.clone(), &[(0, 1), (1, 0), (3, 0), (4, 0)]), "UUUD");
    // The process comes back in time, and the next loss starts the delay anew.
    assert_eq!(conditions(slow.clone(), &[(0, 1), (1, 0), (3, 1), (4, 0), (6, 0), (7, 0)]), "UUUUUD");
    // A fork that makes one process too many counts after the delay of forks.
    let one = TrackProcess { quorum: 1..=1, ..slow };
    assert_eq!(conditions(one.clone(), &[(0, 1), (1, 2), (2, 1), (9, 1)]), "UUUU");
    assert_eq!(conditions(one, &[(0, 1), (1, 2), (3, 2)]), "UUD");
}

#[test]
fn a_census() {
    let tracked = [
        process("a", ProcessName::Short, Arguments::Any),
        process("/bin/a", ProcessName::Full, Arguments::Any),
    ];
    let mut census = Census::default();
    let mut put = |pid, seen: Option<Seen>| {
        census.put(pid, seen.as_ref(), tracked.iter());
        (census.count(0), census.count(1))
    };
    assert_eq!(put(1, Some(seen("a", &["/bin/a"]))), (1, 1));
    assert_eq!(put(2, Some(seen("a", &["a"]))), (2, 1));
    assert_eq!(put(2, Some(seen("b", &["/bin/a"]))), (1, 2));
    assert_eq!(put(1, None), (0, 1));
    assert_eq!(put(2, Some(seen("c", &["c"]))), (0, 0));
}
