//! The meaning of an accepted advert for a router, and the protocol's intervals (RFC 9568 section 6).
//!
//! Times are nanoseconds in `u64`: 255 seconds times 256 is below 2^46.

use crate::advert::{Address, Advert, PRIORITY_RESIGN, Version};

/// How long a master may be silent, as multiples of its interval, unless `vrrp_down_timer_adverts` says otherwise.
pub const DOWN_ADVERTS: u32 = 3;

/// The values of the router that hears an advert, as far as the election needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Candidate {
    /// Our primary address, which breaks ties.
    pub address: Address,
    /// The protocol version; the skew time depends on it.
    pub version: Version,
    /// Effective priority, 1 to 255.
    pub priority: u32,
    /// Says if a master of lower priority is preempted.
    pub preempt: Preempt,
    /// Adverts that may be missed before the master counts as lost.
    pub down_adverts: u32,
}

/// Says if a backup takes over from a master of lower priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Preempt {
    /// The backup takes over: adverts of lower priority do not prevent it.
    Yes = 1,
    /// The backup does not take over (`nopreempt`).
    No = 2,
}

/// The half that answers first for the addresses of a master that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Takeover {
    /// The kernel half, as soon as its timer fires; the agent confirms the takeover by becoming master.
    Kernel = 1,
    /// The agent, after it has asked a sync group or a tracker that takes part in the decision.
    Agent = 2,
}

/// The meaning of an advert for a backup (RFC 9568 section 6.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtBackup {
    /// The master is alive: it must be heard again within `master_down_ns` nanoseconds.
    Alive {
        /// The new master-down interval.
        master_down_ns: u64,
    },
    /// The master resigns: take over after the skew time.
    Resigned {
        /// The skew time.
        skew_ns: u64,
    },
    /// An advert of lower priority, which does not prevent our takeover.
    Outranked,
    /// The resignation of a router that is not the watched master. It changes nothing.
    Unrelated,
}

/// The meaning of an advert for a master (RFC 9568 section 6.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtMaster {
    /// Another router resigns: this router advertises at once.
    Resigned,
    /// The sender ranks lower: this router answers with an advert.
    Inferior,
    /// The sender ranks higher: this router steps down. The sender must be heard again within `master_down_ns` nanoseconds.
    Superior {
        /// The master-down interval under the new master.
        master_down_ns: u64,
    },
    /// The sender has our own address: an advert of ours has come back, or another router is misconfigured with our address.
    /// This is no election.
    Echo,
}

impl Candidate {
    /// Returns the meaning of an advert for a backup. `watched` is the sender of the last advert that counted, which is the
    /// master as far as we know; `None` before the first one. Only the resignation of that sender shortens the wait: if the
    /// next master's first advert overtakes the resignation of the previous master, the resignation must not make us take over
    /// from the next master.
    #[inline(always)]
    #[must_use]
    pub const fn at_backup(&self, advert: &Advert, watched: Option<&Address>) -> AtBackup {
        if advert.priority == PRIORITY_RESIGN {
            match watched {
                Some(master) if !master.same(&advert.source) => AtBackup::Unrelated,
                Some(_) | None => AtBackup::Resigned { skew_ns: self.skew_ns(advert.interval_ns) },
            }
        } else if matches!(self.preempt, Preempt::No) || advert.priority as u32 >= self.priority {
            AtBackup::Alive { master_down_ns: self.master_down_ns(advert.interval_ns) }
        } else {
            AtBackup::Outranked
        }
    }

    /// Returns true if a backup waits for the sender of this advert from now on. The half (kernel or agent) that hears such an
    /// advert watches the master, and what the other half knows of the master is out of date. Any other advert does not change
    /// which half watches.
    #[inline(always)]
    #[must_use]
    pub const fn waits_for(&self, advert: &Advert) -> bool {
        match self.at_backup(advert, None) {
            AtBackup::Alive { .. } => true,
            AtBackup::Resigned { .. } | AtBackup::Outranked | AtBackup::Unrelated => false,
        }
    }

    /// Returns the meaning of an advert for a master.
    #[inline(always)]
    #[must_use]
    pub const fn at_master(&self, advert: &Advert) -> AtMaster {
        if advert.source.same(&self.address) {
            return AtMaster::Echo;
        }
        let priority = advert.priority as u32;
        if advert.priority == PRIORITY_RESIGN {
            AtMaster::Resigned
        } else if priority > self.priority
            || (priority == self.priority && advert.source.above(&self.address))
        {
            AtMaster::Superior { master_down_ns: self.master_down_ns(advert.interval_ns) }
        } else {
            AtMaster::Inferior
        }
    }

    /// Returns the skew time in nanoseconds: in version 2 `(256 - priority) / 256` seconds whatever the interval, in version 3
    /// that share of the master's interval (RFC 9568 section 6.1).
    #[inline(always)]
    #[must_use]
    pub const fn skew_ns(&self, master_interval_ns: u64) -> u64 {
        let share = (256 - self.priority) as u64;
        match self.version {
            Version::V2 => share * 1_000_000_000 / 256,
            Version::V3 => share * master_interval_ns / 256,
        }
    }

    /// Returns the master-down interval in nanoseconds: the adverts that may be missed, and the skew time.
    #[inline(always)]
    #[must_use]
    pub const fn master_down_ns(&self, master_interval_ns: u64) -> u64 {
        self.down_adverts as u64 * master_interval_ns + self.skew_ns(master_interval_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advert::List;

    const MS: u64 = 1_000_000;

    fn candidate(version: Version, priority: u32) -> Candidate {
        Candidate {
            address: Address::v4([10, 0, 0, 2]),
            version,
            priority,
            preempt: Preempt::Yes,
            down_adverts: DOWN_ADVERTS,
        }
    }

    fn advert(priority: u8, last: u8) -> Advert {
        Advert { source: Address::v4([10, 0, 0, last]), priority, interval_ns: 1000 * MS, list: List::Same }
    }

    /// Values of RFC 9568's formulas, calculated by hand: an interval of 1 s gives 3.6094 s at priority 100.
    #[test]
    fn master_down_intervals() {
        for (interval_ms, priority, expected_ns) in [
            (1000, 254, 3_007_812_500),
            (1000, 100, 3_609_375_000),
            (1000, 1, 3_996_093_750),
            (100, 100, 360_937_500),
            (10, 254, 30_078_125),
            (10, 100, 36_093_750),
        ] {
            assert_eq!(candidate(Version::V3, priority).master_down_ns(interval_ms * MS), expected_ns);
        }
    }

    /// Version 2's skew does not shrink with the interval (RFC 3768 section 6.1).
    #[test]
    fn version_2_skew_is_in_seconds() {
        assert_eq!(candidate(Version::V2, 100).master_down_ns(2000 * MS), 6_609_375_000);
        assert_eq!(candidate(Version::V2, 255).skew_ns(1000 * MS), 3_906_250);
    }

    #[test]
    fn a_backup_follows_equal_and_higher_and_ignores_lower() {
        let c = candidate(Version::V3, 100);
        assert_eq!(c.at_backup(&advert(99, 9), None), AtBackup::Outranked);
        assert_eq!(c.at_backup(&advert(100, 1), None), AtBackup::Alive { master_down_ns: 3_609_375_000 });
        assert_eq!(c.at_backup(&advert(101, 1), None), AtBackup::Alive { master_down_ns: 3_609_375_000 });
        assert_eq!(c.at_backup(&advert(0, 1), None), AtBackup::Resigned { skew_ns: 609_375_000 });
        let hold = Candidate { preempt: Preempt::No, ..c };
        assert_eq!(hold.at_backup(&advert(1, 1), None), AtBackup::Alive { master_down_ns: 3_609_375_000 });
    }

    /// The resignation of one master may arrive after the first advert of the next master.
    #[test]
    fn c3_only_the_resignation_of_the_master_watched_shortens_the_wait() {
        let c = candidate(Version::V3, 100);
        let (master, other) = (Address::v4([10, 0, 0, 9]), Address::v4([10, 0, 0, 8]));
        assert_eq!(c.at_backup(&advert(0, 9), Some(&master)), AtBackup::Resigned { skew_ns: 609_375_000 });
        assert_eq!(c.at_backup(&advert(0, 9), Some(&other)), AtBackup::Unrelated);
        assert_eq!(
            c.at_backup(&advert(100, 9), Some(&other)),
            AtBackup::Alive { master_down_ns: 3_609_375_000 }
        );
        assert_eq!(c.at_backup(&advert(99, 9), Some(&other)), AtBackup::Outranked);
    }

    /// An advert of a lower router that arrives on a socket must not end the kernel half's watch: otherwise no half would be
    /// left to take over from that router.
    #[test]
    fn a_backup_waits_for_no_lower_router_and_for_none_that_resigns() {
        let c = candidate(Version::V3, 100);
        let waits = |candidate: Candidate| {
            [0, 99, 100, 101].map(|priority| candidate.waits_for(&advert(priority, 9)))
        };
        assert_eq!(waits(c), [false, false, true, true]);
        assert_eq!(waits(Candidate { preempt: Preempt::No, ..c }), [false, true, true, true]);
    }

    #[test]
    fn a_master_yields_to_higher_priority_then_to_higher_address() {
        let c = candidate(Version::V3, 100);
        assert_eq!(c.at_master(&advert(99, 9)), AtMaster::Inferior);
        assert_eq!(c.at_master(&advert(100, 1)), AtMaster::Inferior);
        assert_eq!(c.at_master(&advert(100, 3)), AtMaster::Superior { master_down_ns: 3_609_375_000 });
        assert_eq!(c.at_master(&advert(101, 1)), AtMaster::Superior { master_down_ns: 3_609_375_000 });
        assert_eq!(c.at_master(&advert(0, 9)), AtMaster::Resigned);
        assert_eq!(c.at_master(&advert(200, 2)), AtMaster::Echo);
    }
}
