//! The mishaps of a run, and how they are chosen.

use vrrp_agent::vrrp::Fault;
use vrrp_tests::random::Random;

/// Something that happens to the world.
#[derive(Clone, Debug)]
pub(crate) enum Mishap {
    Crash(usize),
    /// A node crashes, and is started again after so many tenths of an interval.
    Blink(usize, u32),
    Restart(usize),
    Stop(usize),
    /// A node stalls for so many intervals.
    Stall(usize, u32),
    Split(Vec<usize>),
    BreakOneWay(usize, usize),
    Heal,
    /// Loss and duplication in percent, and delay in thousandths of an interval.
    Weather {
        loss: u64,
        duplicates: u64,
        delay: u32,
    },
    /// The scripts of a virtual router contribute this number to its priority.
    Contributions(usize, usize, i32),
    Faulted(usize, usize, Fault),
    /// An operator takes the addresses of a virtual router off a node.
    Stolen(usize, usize),
    /// The file of a node is read again, with other parameters for a virtual router.
    Reload(usize, usize),
    /// The clock of a node leaps ahead by so many hundredths of an interval.
    Leap(usize, u32),
    /// For so many intervals nothing that a node sends leaves it.
    Mute(usize, u32),
    /// For so many intervals the kernel half of a node sees none of what arrives, as where its interface has another number
    /// than we think. A packet socket hears the frames.
    Blind(usize, u32),
    /// For so many intervals the host treats the addresses of a virtual router in this way.
    Host(usize, usize, HostDoes, u32),
    /// The file of a node that is dead is changed: it comes back with other parameters.
    Edit(usize, usize),
    /// In a reload a virtual router leaves its sync group and is gone, or joins it again.
    LeaveOrJoin(usize, usize),
    /// A router in a VLAN of its own advertises the same number, with the highest priority.
    Stranger(usize),
}

/// The host's treatment of addresses that are to be put on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostDoes {
    /// The addresses are put on the interface.
    Install,
    /// The addresses are refused.
    Refuse,
    /// The host never reports a result.
    Hang,
}

impl Mishap {
    /// True for a mishap of the network.
    pub(crate) fn of_network(&self) -> bool {
        matches!(self, Self::Split(_) | Self::BreakOneWay(..) | Self::Weather { .. })
    }

    /// Chooses any mishap, also one of hosts rather than of the protocol.
    pub(crate) fn wide(nodes: usize, slots: usize, random: &mut Random) -> Self {
        if random.chance(65) {
            return Self::any(nodes, slots, random);
        }
        let (node, slot) = (random.index(nodes), random.index(slots));
        let intervals = u32::try_from(random.below(15)).expect("small");
        match random.below(8) {
            0 | 1 => Self::Mute(node, intervals),
            2 => Self::Blind(node, intervals),
            3 => Self::Host(node, slot, HostDoes::Refuse, intervals),
            4 => Self::Host(node, slot, HostDoes::Hang, intervals),
            5 => Self::Edit(node, slot),
            6 => Self::LeaveOrJoin(node, slot),
            _ => Self::Stranger(slot),
        }
    }

    pub(crate) fn any(nodes: usize, slots: usize, random: &mut Random) -> Self {
        let node = random.index(nodes);
        let slot = random.index(slots);
        match random.below(19) {
            13 => Self::Stolen(node, slot),
            14 | 15 => Self::Reload(node, slot),
            16 => Self::Leap(node, u32::try_from(random.below(800)).expect("small")),
            17 | 18 => Self::Blink(node, u32::try_from(random.below(60)).expect("small")),
            0 => Self::Crash(node),
            1 | 2 => Self::Restart(node),
            3 => Self::Stop(node),
            4 | 5 => Self::Stall(node, u32::try_from(random.below(12)).expect("small")),
            6 => Self::Split((0..nodes).map(|_| random.index(3)).collect()),
            7 => Self::BreakOneWay(node, random.index(nodes)),
            8 => Self::Heal,
            9 => Self::Weather {
                loss: random.below(60),
                duplicates: random.below(30),
                delay: u32::try_from(random.below(2500)).expect("small"),
            },
            10 | 11 => {
                let contributions = [-300, -20, -5, 0, 0, 5, 20, 300];
                Self::Contributions(node, slot, *random.pick(&contributions))
            }
            _ => {
                let faults = [Fault::None, Fault::None, Fault::Undecided, Fault::Present];
                Self::Faulted(node, slot, *random.pick(&faults))
            }
        }
    }
}
