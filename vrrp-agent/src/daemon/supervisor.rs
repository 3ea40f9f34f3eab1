//! Turns what happens on the host into commands for the engine: news of trackers, interfaces and addresses, and requests by
//! signals and D-Bus clients.
//!
//! [`Supervisor::next`] only waits, and all that it waits for can be dropped and waited for again without a loss: queues, streams
//! and intervals keep what has arrived. [`Supervisor::handle`] is never dropped half way by this loop; at the end of the daemon it
//! is, and then the shutdown takes away what is on the host, whatever has been done of a change.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::effects::EffectRunner;
use super::interfaces::Interfaces;
use super::messages::{Command, EngineHandle};
use super::network::Network;
use super::signals::Request;
use super::status::StatusSources;
use super::tracker_tasks::{SharedPage, TrackerTasks};
use super::{Read, master_resources, reload, service, statics_needed, unknown_vrids};
use crate::blocking;
use crate::config::Config;
use crate::dataplane::Slot;
use crate::dbus;
use crate::host;
use crate::net::changes::{self, Change};
use crate::process::identity;
use crate::snmp;
use crate::track::{HealthTable, TrackEvent};
use crate::vrrp::Time;

/// An instance whose addresses the kernel refused tries again after this long.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

/// The interval at which the programs are checked: a program may have been taken off its interface, or its place may have
/// become wrong.
const PROGRAM_CHECK: Duration = Duration::from_secs(5);

/// The time limit for reading the files.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The queues by which other tasks and threads report to the supervisor. None has a bound: see where each is made.
pub(super) struct Reports {
    /// The track groups that lack something static, after each time that the network thread has put back what was removed.
    pub(super) restored: UnboundedReceiver<BTreeSet<String>>,
    /// The questions of SNMP managers.
    pub(super) questions: UnboundedReceiver<snmp::Question>,
    /// The instances whose addresses the kernel refused, with the generation of the slot.
    pub(super) refused: UnboundedReceiver<(u64, Slot)>,
    /// The numbers of interfaces on which the program has not seen an advert.
    pub(super) unseen: UnboundedReceiver<u32>,
    /// The requests by signals.
    pub(super) requests: UnboundedReceiver<Request>,
    /// The requests of D-Bus clients.
    pub(super) dbus_requests: UnboundedReceiver<dbus::Request>,
}

/// The parts of the daemon that the supervisor speaks to.
#[derive(Clone, Copy)]
pub(super) struct Peers<'a> {
    pub(super) engine: &'a EngineHandle,
    pub(super) runner: &'a EffectRunner,
    pub(super) network: &'a Network,
    pub(super) status: &'a StatusSources<'a>,
    /// Reads the configuration.
    pub(super) read: &'a Read,
}

/// Something that has happened.
enum Happened {
    Tracked(TrackEvent),
    Host(Change),
    /// A route or rule of ours was removed.
    RoutingRemoved,
    /// It is time to try what could not be done.
    RetryDue,
    /// It is time to check the programs.
    CheckDue,
    /// The program on this interface has not seen an advert.
    Unseen(u32),
    /// Static addresses, routes and rules were put back, and these track groups still lack one.
    Restored(BTreeSet<String>),
    /// A change of a link is believed from now on.
    BeliefDue,
    /// The kernel refused the addresses of an instance.
    Refused(u64, Slot),
    /// A pause after a refusal is over.
    PauseOver,
    Asked(snmp::Question),
    Requested(Request),
    /// The configuration was read.
    Read(Box<anyhow::Result<Config>>),
    /// A listener for unknown virtual routers has ended.
    ListenerEnded,
    /// Nothing can happen any more.
    End,
}

/// The progress of reading the configuration.
enum Reading {
    Not,
    Once,
    /// Read the files once more: they may have changed since this reading began.
    AndAgain,
}

/// The supervisor's state.
pub(super) struct Supervisor<'a> {
    peers: Peers<'a>,
    interfaces: &'a mut Interfaces,
    health_table: HealthTable,
    tracker_tasks: TrackerTasks,
    /// The track groups that lack something static, because it cannot be set.
    missing: BTreeSet<String>,
    reports: Reports,
    /// Reports removals of routes and rules of ours.
    removals: Pin<Box<dyn Stream<Item = ()>>>,
    /// The tasks that listen for unknown virtual routers; a reload replaces the set, which ends them.
    listeners: JoinSet<()>,
    reading: Reading,
    /// A reading puts its result here. There is one reading at a time.
    has_read: (UnboundedSender<anyhow::Result<Config>>, UnboundedReceiver<anyhow::Result<Config>>),
    /// A pause after a refusal ends here. There is one pause for each refusal, and an instance is refused once in a pause.
    pauses: (UnboundedSender<()>, UnboundedReceiver<()>),
    retry: Interval,
    check: Interval,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        peers: Peers<'a>,
        interfaces: &'a mut Interfaces,
        health_table: HealthTable,
        tracker_tasks: TrackerTasks,
        missing: BTreeSet<String>,
        reports: Reports,
    ) -> Self {
        let removals = watch_routing(&interfaces.config);
        let listeners = unknown_vrids::listen_for(&interfaces.config, &interfaces.host_binding);
        Self {
            peers,
            interfaces,
            health_table,
            tracker_tasks,
            missing,
            reports,
            removals,
            listeners,
            reading: Reading::Not,
            has_read: unbounded_channel(),
            pauses: unbounded_channel(),
            retry: every(REFUSAL_PAUSE),
            check: every(PROGRAM_CHECK),
        }
    }

    /// Turns what happens on the host into commands, for ever.
    pub(super) async fn run(&mut self, changes: impl Stream<Item = Change>) {
        let mut changes = std::pin::pin!(changes);
        loop {
            let happened = self.next(changes.as_mut()).await;
            if let Happened::End = happened {
                return;
            }
            self.handle(happened).await;
        }
    }

    /// Waits until something happens.
    async fn next(&mut self, mut changes: Pin<&mut impl Stream<Item = Change>>) -> Happened {
        let retries = !self.missing.is_empty() || self.interfaces.are_unsettled();
        let checks = self.interfaces.has_programs();
        let belief = self.interfaces.next_belief();
        let Reports { restored, questions, refused, unseen, requests, dbus_requests } = &mut self.reports;
        tokio::select! {
            event = self.tracker_tasks.changed() => Happened::Tracked(event),
            Some(change) = changes.next() => Happened::Host(change),
            Some(()) = self.removals.next() => Happened::RoutingRemoved,
            _ = self.retry.tick(), if retries => Happened::RetryDue,
            _ = self.check.tick(), if checks => Happened::CheckDue,
            Some(ifindex) = unseen.recv() => Happened::Unseen(ifindex),
            Some(groups) = restored.recv() => Happened::Restored(groups),
            () = until(belief) => Happened::BeliefDue,
            Some((generation, slot)) = refused.recv() => Happened::Refused(generation, slot),
            Some(()) = self.pauses.1.recv() => Happened::PauseOver,
            Some(question) = questions.recv() => Happened::Asked(question),
            Some(request) = requests.recv() => Happened::Requested(request),
            Some(request) = dbus_requests.recv() => Happened::Requested(request.into()),
            Some(config) = self.has_read.1.recv() => Happened::Read(Box::new(config)),
            // Takes tasks that have failed out of the set.
            Some(_ended) = self.listeners.join_next() => Happened::ListenerEnded,
            else => Happened::End,
        }
    }

    async fn handle(&mut self, happened: Happened) {
        match happened {
            Happened::Tracked(event) => self.health_table.hear(event),
            Happened::Host(change) => self.follow_host(&change).await,
            Happened::RoutingRemoved => self.peers.network.restore(),
            Happened::RetryDue => self.try_again().await,
            Happened::CheckDue => self.look_at_interfaces().await,
            Happened::Unseen(ifindex) => {
                self.interfaces.count_unseen(ifindex);
                self.look_at_interfaces().await;
            }
            Happened::Restored(groups) => self.missing = groups,
            Happened::BeliefDue | Happened::ListenerEnded | Happened::End => {}
            Happened::Refused(generation, slot) => self.pause_after_refusal(generation, slot),
            // Retry all; any that are tried too early are refused again.
            Happened::PauseOver => {
                (0..self.interfaces.host_binding.len())
                    .for_each(|slot| self.health_table.set_addresses(slot, true));
            }
            // A question changes nothing.
            Happened::Asked(question) => return self.answer(question).await,
            Happened::Requested(request) => self.carry_out(request).await,
            Happened::Read(config) => self.reload(*config).await,
        }
        for (slot, there) in statics_needed(&self.interfaces.config, &self.missing) {
            self.health_table.set_statics(slot, there);
        }
        self.tell_health();
    }

    async fn follow_host(&mut self, change: &Change) {
        let network = self.peers.network;
        if self.interfaces.note(change) {
            // Tell the engine that an interface is lost before it is told of another interface.
            self.tell_health();
            // The source address of the adverts may have been removed together with one of ours. The network thread puts it back;
            // wait for that.
            network.settled().await;
            self.look_at_interfaces().await;
        }
        match change {
            Change::AddressGone { index, address } => {
                network.check(*index, *address);
                network.restore();
            }
            Change::Missed => {
                network.check_all();
                network.restore();
            }
            // The kernel removed the routes over this interface when the interface went down.
            Change::Link { running: true, .. } => network.restore(),
            // A static route may have waited for this address.
            Change::AddressNew { .. } if !self.missing.is_empty() => network.restore(),
            Change::Link { .. } | Change::LinkGone { .. } | Change::AddressNew { .. } => {}
        }
        self.interfaces.look_for_sources(&self.peers.runner.handle).await;
    }

    /// Looks at all interfaces, and has everything that depends on one follow it.
    async fn look_at_interfaces(&mut self) {
        let Peers { engine, runner, network, .. } = self.peers;
        self.interfaces.look_again(&runner.handle, network, engine).await;
    }

    async fn try_again(&mut self) {
        if !self.missing.is_empty() {
            self.peers.network.restore();
        }
        if self.interfaces.are_unsettled() {
            self.look_at_interfaces().await;
        }
    }

    fn pause_after_refusal(&mut self, generation: u64, slot: Slot) {
        let runner = self.peers.runner;
        if generation == runner.generation() {
            tracing::error!("{}: in fault until its addresses are tried again", runner.name(slot));
            self.health_table.set_addresses(slot, false);
        }
        let over = self.pauses.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(REFUSAL_PAUSE).await;
            let _ending = over.send(());
        });
    }

    /// Answers the question of an SNMP manager.
    async fn answer(&self, question: snmp::Question) {
        let snapshot = self.peers.status.ask().await;
        let interface = |name: &str| nix::net::if_::if_nametoindex(name).ok();
        let facts =
            snmp::Facts { config: &self.interfaces.config, snapshot: &snapshot, interface: &interface };
        // The SNMP session may have given up meanwhile.
        let _late = question.send(snmp::Table::new(&facts));
    }

    /// Carries out a request of a signal or a D-Bus client.
    async fn carry_out(&mut self, request: Request) {
        match request {
            Request::Announce(name, done) => {
                let mut instances = self.interfaces.config.instances.iter();
                if let Some(slot) = instances.position(|instance| instance.name == name) {
                    let _ended = self.peers.engine.tell(Command::Announce { slot, done });
                }
            }
            Request::Dump(dump) => {
                let snapshot = self.peers.status.ask().await;
                service::write_dump(dump, &self.interfaces.config, &snapshot);
            }
            Request::Reload => {
                self.reading = match self.reading {
                    Reading::Not => {
                        tracing::info!("reading the configuration again");
                        service::reloading();
                        self.read_soon();
                        Reading::Once
                    }
                    Reading::Once | Reading::AndAgain => Reading::AndAgain,
                };
            }
        }
    }

    async fn reload(&mut self, config: anyhow::Result<Config>) {
        let Peers { engine, runner, .. } = self.peers;
        let reloaded = match config {
            Ok(config) => {
                let (table, tasks) = (&mut self.health_table, &mut self.tracker_tasks);
                reload::reload(config, self.interfaces, table, tasks, runner, engine).await
            }
            Err(error) => Err(error),
        };
        match reloaded {
            Ok(groups) => {
                self.missing = groups;
                self.removals = watch_routing(&self.interfaces.config);
                self.interfaces.look_for_sources(&runner.handle).await;
                self.listeners =
                    unknown_vrids::listen_for(&self.interfaces.config, &self.interfaces.host_binding);
            }
            Err(error) => tracing::error!("not reloaded: {error:#}"),
        }
        self.reading = match self.reading {
            Reading::AndAgain => {
                self.read_soon();
                Reading::Once
            }
            Reading::Not | Reading::Once => {
                service::ready();
                Reading::Not
            }
        };
    }

    /// Reads the configuration, and looks up the users and groups that it names, on threads that the daemon does not depend on:
    /// either may hang.
    fn read_soon(&self) {
        let (read, done) = (Arc::clone(self.peers.read), self.has_read.0.clone());
        tokio::spawn(async move {
            let config = match blocking::within("the configuration", READ_TIMEOUT, move || read()).await {
                Ok(config) => config,
                Err(hangs) => Err(anyhow::Error::from(hangs).context("a file of it hangs")),
            };
            if let Ok(config) = &config {
                identity::look_up(config.script_users().cloned()).await;
            }
            // The receiver may be gone already.
            let _ended = done.send(config);
        });
    }

    fn tell_health(&mut self) {
        let Self { interfaces, health_table, tracker_tasks, peers, .. } = self;
        let now = host::now();
        health_table.set_interfaces(|name| interfaces.tracked_is_running(now, name));
        for slot in 0..interfaces.host_binding.len() {
            health_table.set_link(slot, interfaces.usable(now, slot));
        }
        note_lacks(health_table, interfaces, peers.runner, &tracker_tasks.page());
        for (slot, health) in health_table.changes() {
            let _ended = peers.engine.tell(Command::Health { slot, health });
        }
    }
}

/// Returns a stream that reports removals of routes and rules of ours.
fn watch_routing(config: &Config) -> Pin<Box<dyn Stream<Item = ()>>> {
    changes::removals(master_resources::protocols(config)).unwrap_or_else(|error| {
        tracing::error!("{error}: routes and rules of ours that another program removes are not put back");
        Box::pin(futures_util::stream::pending())
    })
}

/// Returns an interval that ticks once after a time with nothing to do, and not once for each missed tick.
fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn until(at: Option<Time>) {
    match at {
        Some(at) => tokio::time::sleep(at - host::now()).await,
        None => std::future::pending().await,
    }
}

/// Stores what instances lack. This comes before the engine is told, because the log line of the transition gives it as the
/// reason.
pub(super) fn note_lacks(
    health_table: &HealthTable,
    interfaces: &Interfaces,
    runner: &EffectRunner,
    page: &SharedPage,
) {
    let states = interfaces.host_binding.tracked.states().map(|(name, state)| (name.to_owned(), state));
    page.borrow_mut().interfaces = states.collect();
    runner.note_lacks(interfaces.lacks(health_table, &page.borrow()));
}
