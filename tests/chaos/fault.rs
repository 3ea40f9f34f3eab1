//! The faults that a round does to its routers, and the choice of the next one by the seed.

use std::time::Duration;

use vrrp_tests::lab::BadLine;
use vrrp_tests::random::Random;

use crate::plan::{INTERFACES, Plan, ROUTERS};
use crate::router::{Agent, Router};

/// Something that happens to a router, or to all.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    Kill,
    Terminate,
    Start,
    Stop,
    Continue,
    Cut(usize),
    Join(usize),
    /// The link of an interface goes down and up so many times.
    Flap(usize, u32),
    Spoil(usize, BadLine),
    Repair(usize),
    /// The file gives a virtual router another priority; the agent reloads.
    Priority(usize, u8),
    /// The file gives its addresses another prefix; the agent reloads.
    Prefix(usize),
    /// An operator deletes a virtual address: the number of the virtual router, and the number of the address in it.
    Delete(usize, usize),
    /// An operator flushes an interface and, after this time, puts the interface's own addresses back.
    Flush(usize, Duration),
    /// An interface gets another hardware address, with this last byte.
    Mac(usize, u8),
    /// An interface is deleted, and made again after a while.
    Remake(usize, Duration),
    /// This number of programs keep the processor busy.
    Hogs(u32, Duration),
    /// The name service of all hosts is slow, or quick again.
    Names(bool),
}

impl Fault {
    /// The interface on which a question may have two answers while the fault lasts: no router can prevent that while its
    /// adverts are lost.
    pub(crate) fn divides(&self) -> Option<usize> {
        match *self {
            Self::Spoil(interface, _) => Some(interface),
            Self::Kill
            | Self::Terminate
            | Self::Start
            | Self::Stop
            | Self::Continue
            | Self::Cut(_)
            | Self::Join(_)
            | Self::Flap(..)
            | Self::Repair(_)
            | Self::Priority(..)
            | Self::Prefix(_)
            | Self::Delete(..)
            | Self::Flush(..)
            | Self::Mac(..)
            | Self::Remake(..)
            | Self::Hogs(..)
            | Self::Names(_) => None,
        }
    }
}

/// The next fault, of the router with the number that is given.
pub(crate) fn next(random: &mut Random, plan: &Plan, routers: &[Router], names_slow: bool) -> (usize, Fault) {
    let number = random.index(ROUTERS);
    let router = &routers[number];
    let interface = random.index(INTERFACES.len());
    let index = random.index(plan.virtuals.len());
    let short = Duration::from_millis(random.below(500));
    let mut possible = vec![
        Fault::Priority(index, priority(random, routers, index)),
        Fault::Prefix(index),
        Fault::Delete(index, random.index(plan.virtuals[index].vips.len())),
        Fault::Flush(interface, short),
        Fault::Mac(interface, random.byte()),
        Fault::Remake(interface, short),
        Fault::Hogs(1 + random.below(4) as u32, Duration::from_millis(300 + random.below(1000))),
    ];
    match router.agent {
        Agent::Runs => possible.extend([Fault::Kill, Fault::Kill, Fault::Terminate, Fault::Stop]),
        Agent::Stopped => possible.extend([Fault::Kill, Fault::Continue, Fault::Continue, Fault::Continue]),
        Agent::Killed | Agent::Ended => possible.extend([Fault::Start, Fault::Start, Fault::Start]),
    }
    if router.cut[interface] {
        possible.extend([Fault::Join(interface), Fault::Join(interface)]);
    } else {
        possible.extend([Fault::Cut(interface), Fault::Flap(interface, 1 + random.below(3) as u32)]);
    }
    if router.bad[interface] {
        possible.push(Fault::Repair(interface));
    } else {
        let drip = Some(15 + random.below(40) as u32).filter(|_| random.chance(30));
        let line = BadLine { lost: random.below(70) as u32, doubled: random.below(50) as u32, drip };
        possible.push(Fault::Spoil(interface, line));
    }
    if plan.script {
        possible.push(Fault::Names(!names_slow));
    }
    (number, random.pick(&possible).clone())
}

/// A priority that no router has.
fn priority(random: &mut Random, routers: &[Router], index: usize) -> u8 {
    loop {
        let priority = 1 + random.below(254) as u8;
        if routers.iter().all(|router| router.file.priorities[index] != priority) {
            return priority;
        }
    }
}
