//! The snapshot of a running engine.

use std::net::IpAddr;
use std::time::Duration;

use super::engine::Router;
use super::network::Missing;
use super::tracker_tasks::TrackPage;
use crate::config::{Config, InstanceConfig, StartDelay};
use crate::control::{
    FileStatus, InstanceStatus, MasterStatus, ProcessStatus, ScriptStatus, Snapshot, TrackedInterface, WonBy,
};
use crate::dataplane::DataPlane;
use crate::host;
use crate::vrrp::{Cause, Condition, State, Time};
use crate::wire::advert::{family, ip};

/// The parts of the status that do not come from the state machines.
#[derive(Clone, Debug)]
pub(super) struct StatusPage {
    pub(super) config: Config,
    /// Primary addresses, by slot.
    pub(super) sources: Vec<IpAddr>,
    pub(super) pins: Option<String>,
}

impl StatusPage {
    /// Returns how long elections have to wait from now, at the start.
    pub(super) fn start_delay(&self) -> Duration {
        let StartDelay { from_start, from_boot } = self.config.start_delay;
        from_start.max(from_boot.saturating_sub(host::uptime()))
    }

    pub(super) fn snapshot(&self, routers: &[Router], plane: &DataPlane, now: Time) -> Snapshot {
        let instances =
            routers.iter().enumerate().map(|(slot, router)| self.instance(slot, router, plane, now));
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            router_id: self.config.router_id.clone(),
            dataplane: plane.describe(),
            pins: self.pins.clone(),
            instances: instances.collect(),
            // Filled in by `with_tracked`.
            scripts: Vec::new(),
            interfaces: Vec::new(),
            files: Vec::new(),
            processes: Vec::new(),
            counters: plane
                .counters()
                .entries()
                .filter(|(_, count)| *count > 0)
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        }
    }

    fn instance(&self, slot: usize, router: &Router, plane: &DataPlane, now: Time) -> InstanceStatus {
        let config: &InstanceConfig = &self.config.instances[slot];
        let machine = &router.machine;
        let state = machine.state();
        let kernel = plane.kernel_watch(slot);
        let master = match state {
            State::Master => Some(MasterStatus {
                address: self.sources[slot],
                priority: machine.priority(),
                is_self: true,
            }),
            State::Backup => machine.heard().map(|heard| MasterStatus {
                address: ip(family(self.sources[slot]), &heard.advert.source),
                priority: heard.advert.priority,
                is_self: false,
            }),
            State::Initialize | State::Fault => None,
        };
        let (watch, down) = match (state, kernel, machine.next_deadline()) {
            (State::Backup, Some(watch), _) => (Some("kernel"), Some(watch.deadline - now)),
            (State::Backup, None, Some(deadline)) => (Some("agent"), Some(deadline - now)),
            _ => (None, None),
        };
        let statistics = machine.statistics();
        InstanceStatus {
            name: config.name.clone(),
            state: state_name(state).to_owned(),
            for_seconds: (now - machine.since()).as_secs_f64(),
            cause: explain(router.cause),
            lacks: Vec::new(),
            interface: config.interface.clone(),
            vrid: config.vrid,
            source: self.sources[slot],
            won_by: (state == State::Master).then(|| won_by(router.cause)),
            version: config.version as u8,
            group: self.config.groups.iter().find(|g| g.members.contains(&slot)).map(|g| g.name.clone()),
            waits_for_group: machine.claims(),
            priority: machine.priority(),
            base_priority: config.priority,
            interval_seconds: config.interval.as_secs_f64(),
            master,
            vips: config.addresses().map(|vip| vip.address).collect::<Vec<IpAddr>>(),
            // Filled in by `note_missing`.
            missing: Vec::new(),
            lease_seconds: router.lease_until.map(|until| (until - now).as_secs_f64()),
            master_down_seconds: down.as_ref().map(Duration::as_secs_f64),
            watch: watch.map(str::to_owned),
            adverts_sent: statistics.adverts_sent,
            resignations_sent: statistics.resignations_sent,
            became_master: statistics.became_master,
        }
    }
}

fn won_by(cause: Cause) -> WonBy {
    match cause {
        Cause::Preempts => WonBy::Preemption,
        Cause::Started | Cause::Resumed | Cause::MasterResigned | Cause::Recovered => WonBy::Priority,
        Cause::MasterSilent
        | Cause::Stopped
        | Cause::HigherPriority
        | Cause::Overtaken { .. }
        | Cause::AddressesLost
        | Cause::NotInstalled { .. }
        | Cause::CannotSend { .. }
        | Cause::WithGroup
        | Cause::Faulted
        | Cause::Undecided
        | Cause::Removed => WonBy::Silence,
    }
}

/// Returns a snapshot with what the protocol thread does not know: everything that is tracked, and what each instance lacks.
pub(super) fn with_tracked(snapshot: Snapshot, page: &TrackPage, lacks: Vec<Vec<String>>) -> Snapshot {
    let mut snapshot = Snapshot {
        scripts: page
            .scripts
            .iter()
            .map(|(name, report)| ScriptStatus {
                name: name.clone(),
                state: condition(report.condition).to_owned(),
                result: report.outcome.as_ref().map(ToString::to_string),
                output: report.output.clone(),
            })
            .collect(),
        interfaces: page
            .interfaces
            .iter()
            .map(|(name, running)| TrackedInterface {
                name: name.clone(),
                state: match running {
                    None => "missing",
                    Some(true) => "up",
                    Some(false) => "down",
                }
                .to_owned(),
            })
            .collect(),
        files: page
            .files
            .iter()
            .map(|(name, (path, number))| FileStatus {
                name: name.clone(),
                path: path.display().to_string(),
                number: *number,
            })
            .collect(),
        processes: page
            .processes
            .iter()
            .map(|(name, state)| ProcessStatus { name: name.clone(), state: condition(*state).to_owned() })
            .collect(),
        ..snapshot
    };
    for (instance, lacks) in snapshot.instances.iter_mut().zip(lacks) {
        if instance.state == state_name(State::Fault) && !lacks.is_empty() {
            instance.cause = lacks.join("; ");
        }
        instance.lacks = lacks;
    }
    snapshot
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Unknown => "unknown",
        Condition::Up => "up",
        Condition::Down => "down",
    }
}

/// Notes which addresses a master should have but the kernel refuses.
pub(super) fn note_missing(snapshot: &mut Snapshot, missing: &Missing) {
    let missing = missing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for instance in &mut snapshot.instances {
        instance.missing = missing.get(&instance.name).cloned().unwrap_or_default();
    }
}

/// The state in lower case, as JSON has it.
pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Initialize => "initialize",
        State::Backup => "backup",
        State::Master => "master",
        State::Fault => "fault",
    }
}

/// Why a state was entered, for people.
pub(super) fn explain(cause: Cause) -> String {
    match cause {
        Cause::Started => "started".to_owned(),
        Cause::Resumed => "went on where an earlier run of the agent had left off".to_owned(),
        Cause::Stopped => "stopped".to_owned(),
        Cause::MasterSilent => "no advert for the master-down interval".to_owned(),
        Cause::MasterResigned => "the master resigned".to_owned(),
        Cause::Preempts => "this router ranks higher than the master".to_owned(),
        Cause::HigherPriority => "a router that ranks higher advertises".to_owned(),
        Cause::Overtaken { stalled } => {
            format!("stalled for {:.3} s, and another router took over", stalled.as_secs_f64())
        }
        Cause::AddressesLost => "somebody took its addresses off the interface".to_owned(),
        Cause::NotInstalled { waited } => format!(
            "its addresses were not on the interface {:.1} s after it was to hold them",
            waited.as_secs_f64()
        ),
        Cause::CannotSend { silent } => format!(
            "no advert of its own could be sent for {:.3} s, so the other routers take it for lost",
            silent.as_secs_f64()
        ),
        Cause::WithGroup => "another member of its sync group has moved".to_owned(),
        Cause::Faulted => "in fault".to_owned(),
        Cause::Undecided => "what it tracks has yet to be seen".to_owned(),
        Cause::Recovered => "all that it needs is there".to_owned(),
        Cause::Removed => "removed from the configuration".to_owned(),
    }
}
