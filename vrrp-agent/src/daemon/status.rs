//! The status of the daemon: plain data from the protocol thread, and the snapshot that is composed of it for people and programs.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::oneshot;

use super::effects::EffectRunner;
use super::explain::{explain, state_name};
use super::messages::{Command, EngineHandle, EngineState, InstanceState};
use super::network::Missing;
use super::tracker_tasks::{SharedPage, TrackPage};
use crate::control::{
    FileStatus, InstanceStatus, MasterStatus, ProcessStatus, ScriptStatus, Snapshot, TrackedInterface, WonBy,
};
use crate::vrrp::{Cause, Condition, State};
use crate::wire::advert::{family, ip};

/// The parts of the daemon that know something of the status.
pub(super) struct StatusSources<'a> {
    pub(super) engine: &'a EngineHandle,
    pub(super) runner: &'a EffectRunner,
    pub(super) page: SharedPage,
    pub(super) missing: &'a Missing,
    /// The directory of the pins, if there is a kernel half.
    pub(super) pins: Option<String>,
}

impl StatusSources<'_> {
    /// Asks all of them. Does not return if the daemon is about to end.
    pub(super) async fn ask(&self) -> Snapshot {
        let (reply, answer) = oneshot::channel();
        let state = match self.engine.tell(Command::Status(reply)) {
            true => answer.await.ok(),
            false => None,
        };
        let Some(state) = state else { return std::future::pending().await };
        let mut snapshot = compose(&state, self.pins.clone());
        add_tracked(&mut snapshot, &self.page.borrow());
        add_lacks(&mut snapshot, self.runner.lacks());
        add_missing(&mut snapshot, self.missing);
        snapshot
    }
}

fn compose(state: &EngineState, pins: Option<String>) -> Snapshot {
    let counters = state.counters.entries().filter(|(_, count)| *count > 0);
    Snapshot {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        router_id: state.config.router_id.clone(),
        dataplane: state.dataplane.clone(),
        pins,
        instances: state.instances.iter().enumerate().map(|(slot, of)| instance(slot, of, state)).collect(),
        // Filled in by `add_tracked`.
        scripts: Vec::new(),
        interfaces: Vec::new(),
        files: Vec::new(),
        processes: Vec::new(),
        counters: counters.map(|(name, count)| (name.to_owned(), count)).collect(),
    }
}

fn instance(
    slot: usize,
    of: &InstanceState,
    EngineState { at, config: all, .. }: &EngineState,
) -> InstanceStatus {
    let (now, config) = (*at, &all.instances[slot]);
    let master = match of.state {
        State::Master => Some(MasterStatus { address: of.source, priority: of.priority, is_self: true }),
        State::Backup => of.heard.map(|advert| MasterStatus {
            address: ip(family(of.source), &advert.source),
            priority: advert.priority,
            is_self: false,
        }),
        State::Initialize | State::Fault => None,
    };
    let (watch, down) = match (of.state, of.kernel_deadline, of.next_deadline) {
        (State::Backup, Some(deadline), _) => (Some("kernel"), Some(deadline - now)),
        (State::Backup, None, Some(deadline)) => (Some("agent"), Some(deadline - now)),
        _ => (None, None),
    };
    InstanceStatus {
        name: config.name.clone(),
        state: state_name(of.state).to_owned(),
        for_seconds: (now - of.since).as_secs_f64(),
        cause: explain(of.cause),
        // Filled in by `add_lacks`.
        lacks: Vec::new(),
        interface: config.interface.clone(),
        vrid: config.vrid,
        source: of.source,
        won_by: (of.state == State::Master).then(|| won_by(of.cause)),
        version: config.version as u8,
        group: all.groups.iter().find(|g| g.members.contains(&slot)).map(|g| g.name.clone()),
        waits_for_group: of.waits_for_group,
        priority: of.priority,
        base_priority: config.priority,
        interval_seconds: config.interval.as_secs_f64(),
        master,
        vips: config.addresses().map(|vip| vip.address).collect::<Vec<IpAddr>>(),
        // Filled in by `add_missing`.
        missing: Vec::new(),
        lease_seconds: of.lease_until.map(|until| (until - now).as_secs_f64()),
        master_down_seconds: down.as_ref().map(Duration::as_secs_f64),
        watch: watch.map(str::to_owned),
        adverts_sent: of.statistics.adverts_sent,
        resignations_sent: of.statistics.resignations_sent,
        became_master: of.statistics.became_master,
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

/// Adds everything that is tracked.
fn add_tracked(snapshot: &mut Snapshot, page: &TrackPage) {
    snapshot.scripts = page
        .scripts
        .iter()
        .map(|(name, report)| ScriptStatus {
            name: name.clone(),
            state: condition(report.condition).to_owned(),
            result: report.outcome.as_ref().map(ToString::to_string),
            output: report.output.clone(),
        })
        .collect();
    snapshot.interfaces = page
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
        .collect();
    snapshot.files = page
        .files
        .iter()
        .map(|(name, (path, number))| FileStatus {
            name: name.clone(),
            path: path.display().to_string(),
            number: *number,
        })
        .collect();
    snapshot.processes = page
        .processes
        .iter()
        .map(|(name, state)| ProcessStatus { name: name.clone(), state: condition(*state).to_owned() })
        .collect();
}

/// Adds what each instance lacks.
fn add_lacks(snapshot: &mut Snapshot, lacks: Vec<Vec<String>>) {
    for (instance, lacks) in snapshot.instances.iter_mut().zip(lacks) {
        if instance.state == state_name(State::Fault) && !lacks.is_empty() {
            instance.cause = lacks.join("; ");
        }
        instance.lacks = lacks;
    }
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Unknown => "unknown",
        Condition::Up => "up",
        Condition::Down => "down",
    }
}

/// Adds the addresses that a master should have but the kernel refuses.
fn add_missing(snapshot: &mut Snapshot, missing: &Missing) {
    let missing = missing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for instance in &mut snapshot.instances {
        instance.missing = missing.get(&instance.name).cloned().unwrap_or_default();
    }
}
