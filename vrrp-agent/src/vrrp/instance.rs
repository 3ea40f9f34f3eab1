//! One virtual router: the state machine of RFC 9568 section 6.4, with keepalived's rules where it has its own.
//!
//! ```text
//!               start, priority < 255            master silent for the master-down interval
//!  Initialize ------------------------> Backup ---------------------------------------> Master
//!       |  ^                             |  ^                                           |  |  ^
//!       |  |  stop                       |  |  higher priority, or equal and higher     |  |  |
//!       |  +-----------------------------+  |  address; or a rival while stalled        |  |  |
//!       |  |                                +-------------------------------------------+  |  |
//!       |  +-------------------------------------------------------------------------------+  |
//!       +-------------------------------------------------------------------------------------+
//!                                       start, priority 255
//!
//!  Any state changes to Fault when something that the instance needs is gone, and Fault to Backup when it is back. A master
//!  that cannot do its work (no advert leaves, the addresses do not get on the interface) also goes to Fault, for a while.
//! ```
//!
//! The caller hands in one input (`start`, `handle_*`, `set_*`, `stop`), drains [`Instance::poll_output`], and calls again with
//! an input or at [`Instance::next_deadline`]. Inputs that have arrived are handed in before a deadline that has passed, so
//! that after a stall the adverts that arrived meanwhile decide.

mod addresses;
mod change;
mod listen;
mod lower;
mod resume;
mod surrender;
mod sync_membership;

use std::collections::VecDeque;
use std::time::Duration;

use vrrp_ebpf::advert::{Advert, PRIORITY_OWNER};
use vrrp_ebpf::election::{AtMaster, Candidate, DOWN_ADVERTS, Preempt, Takeover};

use super::terms::{
    Cause, Fault, GarpSchedule, Heard, OnHigher, Output, Params, State, Statistics, SyncMembership, Watch,
};
use super::timers::{Timer, Timers};
use super::{Time, effective_priority};
use surrender::Sending;
use sync_membership::Joining;

/// The progress of a preemption that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PreemptDelay {
    /// No lower advert was heard yet, or the delay runs.
    Waiting,
    /// The delay is over, or there is none.
    Over,
}

/// One virtual router.
#[derive(Clone, Debug)]
pub struct Instance {
    params: Params,
    contributions: i32,
    fault: Fault,
    /// The worst fault of the members of its sync group.
    group_fault: Fault,
    /// The cause, if the instance would be master without its sync group.
    claim: Option<Cause>,
    state: State,
    epoch: u64,
    since: Time,
    timers: Timers,
    /// The interval of the master heard; version 3 learns it (RFC 9568 section 6.4.2).
    master_interval: Duration,
    heard: Option<Heard>,
    /// As backup: the last advert of any router, whether it counted or not, unless its sender has resigned since.
    last: Option<Heard>,
    preempt_delay: PreemptDelay,
    /// True if the addresses of this mastership are on the interface.
    installed: bool,
    /// As backup: the time of the last advert of lower priority.
    outranked: Option<Time>,
    /// The time when our last advert was due to leave; the lease counts from here.
    advertised: Option<Time>,
    /// The time for which the host was suspended since then; `Time` does not include it.
    suspended: Duration,
    /// The record of adverts that left or failed to.
    sending: Sending,
    /// The time when the host was asked to put the addresses on the interface; `None` once it has done so.
    install_asked: Option<Time>,
    /// True during the pause after the instance has failed as master.
    paused: bool,
    /// [`Joining::Yes`] if the instance is new in a sync group that is master.
    joining: Joining,
    /// The time when a master last heard a lower advert.
    lower_heard: Option<Time>,
    /// The time when a lower advert was last answered with an announcement.
    answered: Option<Time>,
    /// True if the sync group has not learned of that advert yet.
    group_garp_pending: bool,
    outputs: VecDeque<Output>,
    statistics: Statistics,
}

impl Instance {
    /// An instance that has not started.
    #[must_use]
    pub fn new(params: Params, now: Time) -> Self {
        Self {
            master_interval: params.interval,
            params,
            contributions: 0,
            fault: Fault::None,
            group_fault: Fault::None,
            claim: None,
            state: State::Initialize,
            epoch: 1,
            since: now,
            timers: Timers::default(),
            heard: None,
            last: None,
            preempt_delay: PreemptDelay::Waiting,
            installed: false,
            outranked: None,
            advertised: None,
            suspended: Duration::ZERO,
            sending: Sending::default(),
            install_asked: None,
            paused: false,
            joining: Joining::No,
            lower_heard: None,
            answered: None,
            group_garp_pending: false,
            outputs: VecDeque::new(),
            statistics: Statistics::default(),
        }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns the time when the state was entered.
    #[must_use]
    pub fn since(&self) -> Time {
        self.since
    }

    /// Returns the epoch, which increases with each change of state; information about an earlier epoch is stale.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The priority after tracking.
    #[must_use]
    pub fn priority(&self) -> u8 {
        effective_priority(self.params.priority, self.contributions)
    }

    /// Returns the last advert that counted; as backup, its sender is the master.
    #[must_use]
    pub fn heard(&self) -> Option<&Heard> {
        self.heard.as_ref()
    }

    /// Counts since the start.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Returns the values of this router in the election, by which the kernel half decides.
    #[must_use]
    pub fn candidate(&self) -> Candidate {
        Candidate {
            address: self.params.address,
            version: self.params.version,
            priority: self.priority().into(),
            // While it waits to preempt, a backup tolerates a lower master as if preemption were not allowed; so does the
            // kernel half.
            preempt: match (self.params.preempt, self.waits_to_preempt()) {
                (Preempt::Yes, false) => Preempt::Yes,
                (Preempt::No, _) | (Preempt::Yes, true) => Preempt::No,
            },
            down_adverts: self.params.down_adverts,
        }
    }

    /// Returns the half that may answer first when the master is lost: the kernel half, unless a sync group or a tracker takes
    /// part in the decision.
    #[must_use]
    pub fn takeover(&self) -> Takeover {
        match (self.params.sync_membership, self.params.takeover) {
            (SyncMembership::Alone, Takeover::Kernel) => Takeover::Kernel,
            (SyncMembership::Group, Takeover::Kernel | Takeover::Agent)
            | (SyncMembership::Alone, Takeover::Agent) => Takeover::Agent,
        }
    }

    /// Returns true if the delay before a preemption has yet to run, or is running.
    #[must_use]
    pub fn waits_to_preempt(&self) -> bool {
        !self.params.preempt_delay.is_zero() && self.preempt_delay == PreemptDelay::Waiting
    }

    /// Returns the lease: the time after an advert for which the addresses are still ours. It is shorter, by the skew, than the
    /// master-down interval of any peer that waits for as many adverts as we do or for three. If the wait is for a single
    /// advert, the smallest possible skew is added, so that the lease does not end just when it is renewed.
    #[must_use]
    pub fn lease(&self) -> Duration {
        let interval = self.params.interval;
        match self.params.down_adverts.min(DOWN_ADVERTS) {
            1 => {
                let best = Candidate { priority: 254, ..self.candidate() };
                interval + Duration::from_nanos(best.skew_ns(nanos(interval)))
            }
            adverts => interval * adverts,
        }
    }

    /// Returns the time at which to call [`Self::handle_timeout`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Returns the next action for the caller.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Starts the instance: Initialize in RFC 9568 section 6.4.1.
    pub fn start(&mut self, now: Time) {
        match self.state {
            State::Initialize => self.enter(now, Cause::Started),
            State::Backup | State::Master | State::Fault => {}
        }
    }

    /// Stops the instance: the shutdown event of RFC 9568 sections 6.4.2 and 6.4.3.
    pub fn stop(&mut self, now: Time) {
        self.leave(now, Cause::Stopped);
    }

    /// Stops the instance because it was removed from the configuration.
    pub fn remove(&mut self, now: Time) {
        self.leave(now, Cause::Removed);
    }

    fn leave(&mut self, now: Time, cause: Cause) {
        match self.state {
            State::Master => {
                self.advertise_resignation();
                self.leave_master();
                self.transition(now, State::Initialize, cause);
            }
            State::Backup | State::Fault => self.transition(now, State::Initialize, cause),
            State::Initialize => {}
        }
    }

    /// Handles an advert that [`vrrp_ebpf::advert::accept`] accepted. Adverts are handed in in the order of arrival. `watch`
    /// says which half waits for the next one.
    pub fn handle_advert(&mut self, now: Time, advert: &Advert, watch: Watch) {
        self.statistics.adverts_received += 1;
        match self.state {
            State::Backup => self.handle_advert_as_backup(now, advert, watch),
            State::Master => self.handle_advert_as_master(now, advert, watch),
            State::Initialize | State::Fault => {}
        }
    }

    /// RFC 9568 section 6.4.3.
    fn handle_advert_as_master(&mut self, now: Time, advert: &Advert, watch: Watch) {
        match watch {
            // The fence is for the present epoch. If this router is still master after this advert, because its priority has
            // risen since the kernel half judged the advert, the addresses are held under a new epoch.
            Watch::Fenced => self.epoch += 1,
            Watch::Here | Watch::Kernel => {}
        }
        match self.candidate().at_master(advert) {
            AtMaster::Echo => {}
            // "ADVERTISEMENT MUST be sent", and the timer restarts.
            AtMaster::Resigned => self.advertise(now),
            AtMaster::Superior { master_down_ns } => {
                match self.params.on_higher {
                    OnHigher::Yield => {}
                    OnHigher::AdvertiseAndYield => self.advertise(now),
                }
                self.step_down(now, advert, Duration::from_nanos(master_down_ns), Cause::HigherPriority);
            }
            AtMaster::Inferior => self.hear_lower(now, advert),
        }
    }

    /// Returns the time for which no advert of ours has left, if it is longer than the lease and longer than a busy host
    /// explains.
    fn stalled_for(&self, now: Time) -> Option<Duration> {
        let silent = now - self.sending.failing_since().or(self.advertised)? + self.suspended;
        (silent > self.lease().max(self.lateness())).then_some(silent)
    }

    /// Returns the time for which a busy host may send no advert.
    fn lateness(&self) -> Duration {
        self.params.interval + self.params.interval / 2
    }

    /// Handles a suspension of the host, which `Time` does not show. A master whose lease has ended meanwhile does not continue
    /// with an advert: it first listens for as long as another master may take to advertise.
    pub fn handle_suspended(&mut self, now: Time, suspended: Duration) {
        match self.state {
            State::Master => {
                self.suspended += suspended;
                if self.stalled_for(now).is_some() {
                    self.timers.set(Timer::Advert, now + self.lateness());
                }
            }
            State::Initialize | State::Backup | State::Fault => {}
        }
    }

    fn step_down(&mut self, now: Time, advert: &Advert, down: Duration, cause: Cause) {
        self.leave_master();
        self.transition(now, State::Backup, cause);
        self.follow(Heard { advert: *advert, at: now });
        self.timers.set(Timer::MasterDown, now + down);
    }

    /// Handles the end of a watch without an advert: the master is lost.
    pub fn handle_master_down(&mut self, now: Time) {
        match self.state {
            State::Backup => {
                let cause = match (self.heard, self.outranked) {
                    // A lower router went on advertising while the timer ran.
                    (None, Some(_)) => Cause::Preempts,
                    (Some(heard), Some(at)) if at > heard.at => Cause::Preempts,
                    (Some(Heard { advert: Advert { priority: 0, .. }, .. }), _) => Cause::MasterResigned,
                    (Some(_) | None, _) => Cause::MasterSilent,
                };
                self.claim(now, cause);
            }
            State::Initialize | State::Master | State::Fault => {}
        }
    }

    /// Serves every timer that is due, after a deadline has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((timer, due)) = self.timers.expired(now) {
            match timer {
                Timer::MasterDown => self.handle_master_down(now),
                Timer::Advert => {
                    let stalled = self.stalled_for(now).is_some();
                    self.advertise(now);
                    // Counted from the time when the advert was due, not from the time of this call: the rate is exact, and
                    // peers see no drift.
                    let next = due + self.params.interval;
                    if next > now {
                        self.timers.set(Timer::Advert, next);
                    }
                    if stalled {
                        // No router took over, but neighbours may have tried other routers: announce where the addresses are.
                        self.announce(self.params.garp.repeat);
                    }
                }
                Timer::SecondBurst => self.announce(self.params.garp.repeat),
                Timer::SecondAfterLower => self.announce(self.params.garp.lower_repeat),
                Timer::PreemptDelay => self.preempt_delay = PreemptDelay::Over,
                Timer::Install => self.handle_install_late(now, due),
                Timer::Pause => self.end_pause(now),
                Timer::Refresh => {
                    let GarpSchedule { refresh, refresh_repeat, .. } = self.params.garp;
                    self.announce(refresh_repeat);
                    if let Some(refresh) = refresh {
                        self.timers.set(Timer::Refresh, now + refresh);
                    }
                }
            }
        }
    }

    /// Enters the protocol from Initialize or Fault.
    fn enter(&mut self, now: Time, cause: Cause) {
        let lacking = match self.lacking() {
            Fault::None => None,
            Fault::Undecided => Some(Cause::Undecided),
            Fault::Present => Some(Cause::Faulted),
        };
        if let Some(lacking) = lacking {
            self.transition(now, State::Fault, lacking);
        } else if self.priority() == PRIORITY_OWNER && self.params.sync_membership == SyncMembership::Alone {
            self.become_master(now, cause);
        } else {
            self.heard = None;
            self.master_interval = self.params.interval;
            self.transition(now, State::Backup, cause);
            self.timers.set(Timer::MasterDown, now + self.master_down_interval());
            if self.priority() == PRIORITY_OWNER {
                self.claim(now, cause);
            }
        }
    }

    /// Returns the master-down interval while no master was heard.
    fn master_down_interval(&self) -> Duration {
        Duration::from_nanos(self.candidate().master_down_ns(nanos(self.params.interval)))
    }

    fn become_master(&mut self, now: Time, cause: Cause) {
        self.statistics.became_master += 1;
        self.transition(now, State::Master, cause);
        self.heard = None;
        self.advertise(now);
        self.ask_to_install(now);
    }

    /// Gives up the mastership voluntarily: another router may take over, and this one again after a skew time.
    fn resign(&mut self, now: Time, cause: Cause) {
        self.advertise_resignation();
        self.leave_master();
        self.transition(now, State::Backup, cause);
        let skew = self.candidate().skew_ns(nanos(self.params.interval));
        self.timers.set(Timer::MasterDown, now + Duration::from_nanos(skew));
    }

    fn leave_master(&mut self) {
        self.statistics.released_master += 1;
        self.advertised = None;
        self.sending = Sending::default();
        self.outputs.push_back(Output::Withdraw);
    }

    fn advertise(&mut self, now: Time) {
        self.statistics.adverts_sent += 1;
        self.advertised = Some(now);
        self.suspended = Duration::ZERO;
        self.outputs.push_back(Output::Advertise { priority: self.priority() });
        self.timers.set(Timer::Advert, now + self.params.interval);
    }

    fn advertise_resignation(&mut self) {
        self.statistics.resignations_sent += 1;
        self.outputs.push_back(Output::Advertise { priority: 0 });
    }

    fn announce(&mut self, repeat: u32) {
        self.outputs.push_back(Output::Announce { repeat });
    }

    /// Changes the state. Every state starts with no timer set, except a pause that continues in Fault.
    fn transition(&mut self, now: Time, to: State, cause: Cause) {
        let from = std::mem::replace(&mut self.state, to);
        self.epoch += 1;
        self.since = now;
        self.preempt_delay = PreemptDelay::Waiting;
        self.installed = false;
        self.install_asked = None;
        self.last = None;
        self.outranked = None;
        self.answered = None;
        self.claim = None;
        let pause = self.timers.get(Timer::Pause);
        self.timers.stop_all();
        match to {
            State::Fault => self.keep_pause(pause),
            State::Initialize | State::Backup | State::Master => self.paused = false,
        }
        if to == State::Master {
            self.joining = Joining::No;
        }
        self.outputs.push_back(Output::Transition { from, to, cause });
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("intervals are at most 255 seconds")
}
