//! The timers of one instance. A timer is set or it is not; there is no handle that could go stale.

use super::Time;

/// A timer of an instance, named after the event that the instance waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Backup: the master was silent for too long (RFC 9568 `Active_Down_Timer`).
    MasterDown,
    /// Master: the next advert is due (`Adver_Timer`).
    Advert,
    /// Master: the second burst of gratuitous ARP is due.
    SecondBurst,
    /// Master: the second burst after a lower router's advert is due.
    SecondAfterLower,
    /// Master: the addresses are announced again, for switches and neighbours that forgot.
    Refresh,
    /// Backup: a lower master has been tolerated for long enough (`preempt_delay`).
    PreemptDelay,
    /// Master: the addresses should be on the interface by now.
    Install,
    /// Fault: the pause after a mastership that was given up is over.
    Pause,
}

/// All timers, in the order in which they are served when several are due: a mastership that ends sends no advert first.
const ALL: [Timer; 8] = [
    Timer::Install,
    Timer::MasterDown,
    Timer::Advert,
    Timer::SecondBurst,
    Timer::SecondAfterLower,
    Timer::Refresh,
    Timer::PreemptDelay,
    Timer::Pause,
];

/// The timers that are set, each with its time.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers([Option<Time>; ALL.len()]);

impl Timers {
    pub(super) fn get(&self, timer: Timer) -> Option<Time> {
        self.0[timer as usize]
    }

    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.0[timer as usize] = Some(at);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) fn stop_all(&mut self) {
        *self = Self::default();
    }

    /// Returns the time of the earliest timer.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes one timer that is due, with the time that it was set for.
    pub(super) fn expired(&mut self, now: Time) -> Option<(Timer, Time)> {
        let due = |timer| Some((timer, self.get(timer).filter(|&at| at <= now)?));
        let (timer, at) = ALL.into_iter().find_map(due)?;
        self.stop(timer);
        Some((timer, at))
    }
}
