//! What a believed advert means to a router, and the protocol's intervals (RFC 9568 section 6).
//!
//! Times are nanoseconds in `u64`: 255 seconds times 256 is below 2^46.

use crate::advert::{Address, Advert, PRIORITY_RESIGN, Version};

/// How long a master may be silent, as multiples of its interval, unless `vrrp_down_timer_adverts` says otherwise.
pub const DOWN_ADVERTS: u32 = 3;

/// What the election needs to know of the router that hears an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Candidate {
    /// Our primary address, which breaks ties.
    pub address: Address,
    /// The version spoken: skew differs.
    pub version: Version,
    /// Effective priority, 1 to 255.
    pub priority: u32,
    /// Whether a lower priority may stay master.
    pub preempt: Preempt,
    /// Adverts that may be missed before the master counts as lost.
    pub down_adverts: u32,
}

/// Whether a backup takes over from a master of lower priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Preempt {
    /// It does: lower adverts do not hold it back.
    Yes = 1,
    /// It does not (`nopreempt`).
    No = 2,
}

/// Who answers first for the addresses of a master that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Takeover {
    /// The kernel, as soon as its timer fires; the agent confirms it by a mastership.
    Kernel = 1,
    /// Nobody before the agent has asked whoever else has a say: a sync group, a tracker.
    Agent = 2,
}

/// What an advert means to a backup (RFC 9568 section 6.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtBackup {
    /// The master lives: it must be heard again within this many nanoseconds.
    Alive {
        /// The new master-down interval.
        down_ns: u64,
    },
    /// The master resigns: take over after the skew time.
    Resigned {
        /// The skew time.
        skew_ns: u64,
    },
    /// A lower priority, which does not hold us back.
    Outranked,
    /// The resignation of a router that is not the master watched. It ends nothing, so nothing changes.
    Unrelated,
}

/// What an advert means to a master (RFC 9568 section 6.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtMaster {
    /// Another router resigns; say at once that we are here.
    Resigned,
    /// We rank higher; say so.
    Inferior,
    /// It ranks higher: step down. It must be heard again within this many nanoseconds.
    Superior {
        /// The master-down interval under the new master.
        down_ns: u64,
    },
    /// Our own address: an advert of ours come back, or a misconfigured twin. Not an election.
    Echo,
}

impl Candidate {
    /// The meaning of an advert to a backup. `watched` is the sender of the last advert that counted, which is the master as far as we know;
    /// none before there was one. Only its resignation shortens the wait: one that was on its way while the next master's first
    /// advert overtook it must not make us take over from that next master.
    #[inline(always)]
    #[must_use]
    pub const fn at_backup(&self, advert: &Advert, watched: Option<&Address>) -> AtBackup {
        if advert.priority == PRIORITY_RESIGN {
            match watched {
                Some(master) if !master.same(&advert.source) => AtBackup::Unrelated,
                Some(_) | None => AtBackup::Resigned { skew_ns: self.skew_ns(advert.interval_ns) },
            }
        } else if matches!(self.preempt, Preempt::No) || advert.priority as u32 >= self.priority {
            AtBackup::Alive { down_ns: self.down_ns(advert.interval_ns) }
        } else {
            AtBackup::Outranked
        }
    }

    /// Whether a backup waits for the sender of this advert from now on. Whoever hears one that says so watches the master, and what
    /// anybody else believes of it is out of date; one that does not changes nothing about whose watch it is.
    #[inline(always)]
    #[must_use]
    pub const fn waits_for(&self, advert: &Advert) -> bool {
        match self.at_backup(advert, None) {
            AtBackup::Alive { .. } => true,
            AtBackup::Resigned { .. } | AtBackup::Outranked | AtBackup::Unrelated => false,
        }
    }

    /// What to do as master.
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
            AtMaster::Superior { down_ns: self.down_ns(advert.interval_ns) }
        } else {
            AtMaster::Inferior
        }
    }

    /// Skew time: version 2 `(256 - priority) / 256` seconds whatever the interval, version 3 that share of the
    /// master's interval (RFC 9568 section 6.1). Nanoseconds.
    #[inline(always)]
    #[must_use]
    pub const fn skew_ns(&self, master_interval_ns: u64) -> u64 {
        let share = (256 - self.priority) as u64;
        match self.version {
            Version::V2 => share * 1_000_000_000 / 256,
            Version::V3 => share * master_interval_ns / 256,
        }
    }

    /// Master-down interval: the missed adverts and the skew. Nanoseconds.
    #[inline(always)]
    #[must_use]
    pub const fn down_ns(&self, master_interval_ns: u64) -> u64 {
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

    /// The table of RFC 9568's formulas, worked by hand: 1 s gives 3.6094 s at priority 100.
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
            assert_eq!(candidate(Version::V3, priority).down_ns(interval_ms * MS), expected_ns);
        }
    }

    /// Version 2's skew does not shrink with the interval (RFC 3768 section 6.1).
    #[test]
    fn version_2_skew_is_in_seconds() {
        assert_eq!(candidate(Version::V2, 100).down_ns(2000 * MS), 6_609_375_000);
        assert_eq!(candidate(Version::V2, 255).skew_ns(1000 * MS), 3_906_250);
    }

    #[test]
    fn a_backup_follows_equal_and_higher_and_ignores_lower() {
        let c = candidate(Version::V3, 100);
        assert_eq!(c.at_backup(&advert(99, 9), None), AtBackup::Outranked);
        assert_eq!(c.at_backup(&advert(100, 1), None), AtBackup::Alive { down_ns: 3_609_375_000 });
        assert_eq!(c.at_backup(&advert(101, 1), None), AtBackup::Alive { down_ns: 3_609_375_000 });
        assert_eq!(c.at_backup(&advert(0, 1), None), AtBackup::Resigned { skew_ns: 609_375_000 });
        let hold = Candidate { preempt: Preempt::No, ..c };
        assert_eq!(hold.at_backup(&advert(1, 1), None), AtBackup::Alive { down_ns: 3_609_375_000 });
    }

    /// The resignation of one master may arrive after the next one's first advert.
    #[test]
    fn c3_only_the_resignation_of_the_master_watched_shortens_the_wait() {
        let c = candidate(Version::V3, 100);
        let (master, other) = (Address::v4([10, 0, 0, 9]), Address::v4([10, 0, 0, 8]));
        assert_eq!(c.at_backup(&advert(0, 9), Some(&master)), AtBackup::Resigned { skew_ns: 609_375_000 });
        assert_eq!(c.at_backup(&advert(0, 9), Some(&other)), AtBackup::Unrelated);
        assert_eq!(c.at_backup(&advert(100, 9), Some(&other)), AtBackup::Alive { down_ns: 3_609_375_000 });
        assert_eq!(c.at_backup(&advert(99, 9), Some(&other)), AtBackup::Outranked);
    }

    /// A lower router that a socket hears must not end the kernel's watch: nobody would be left to take over from it.
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
        assert_eq!(c.at_master(&advert(100, 3)), AtMaster::Superior { down_ns: 3_609_375_000 });
        assert_eq!(c.at_master(&advert(101, 1)), AtMaster::Superior { down_ns: 3_609_375_000 });
        assert_eq!(c.at_master(&advert(0, 9)), AtMaster::Resigned);
        assert_eq!(c.at_master(&advert(200, 2)), AtMaster::Echo);
    }
}
