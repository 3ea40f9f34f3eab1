//! Turns what happens on the host into commands for the engine: news of trackers, interfaces and addresses, and requests by
//! signals.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::MissedTickBehavior;

use super::effects::{EffectRunner, EngineHandle};
use super::engine::Command;
use super::interfaces::Interfaces;
use super::network::{Missing, Network};
use super::signals::Request;
use super::tracker_tasks::{SharedPage, TrackerTasks};
use super::{Read, master_resources, reload, service, status, unknown_vrids};
use crate::blocking;
use crate::config::Config;
use crate::control;
use crate::dataplane::Slot;
use crate::dbus;
use crate::host;
use crate::net::changes::{self, Change};
use crate::process::identity;
use crate::snmp;
use crate::track::HealthTable;
use crate::vrrp::Time;

/// The sources of what happens on the host.
pub(super) struct Sources<L> {
    pub(super) tracker_tasks: TrackerTasks,
    /// The track groups that lack something static, because it cannot be set.
    pub(super) missing: BTreeSet<String>,
    /// The same track groups, after each mend.
    pub(super) restores: UnboundedReceiver<BTreeSet<String>>,
    /// The questions of SNMP managers.
    pub(super) questions: UnboundedReceiver<snmp::Question>,
    pub(super) host: L,
    pub(super) refusals: UnboundedReceiver<(u64, usize)>,
    /// Numbers of interfaces on which the program has not seen an advert.
    pub(super) unseen: UnboundedReceiver<u32>,
    pub(super) requests: UnboundedReceiver<Request>,
    /// The requests of D-Bus clients.
    pub(super) dbus_requests: UnboundedReceiver<dbus::Request>,
}

/// An instance whose addresses the kernel refused tries again after this long.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

/// The interval at which the programs are checked: a program may have been taken off its interface, or its place may have
/// become wrong.
const PROGRAM_CHECK: Duration = Duration::from_secs(5);

/// Turns what happens on the host into commands, for ever.
pub(super) async fn supervise(
    engine: &EngineHandle,
    health_table: &mut HealthTable,
    interfaces: &mut Interfaces,
    runner: &EffectRunner,
    network: &Network,
    read: &Read,
    sources: Sources<impl futures_util::Stream<Item = Change>>,
) {
    let Sources {
        mut tracker_tasks,
        mut missing,
        mut restores,
        mut questions,
        host: changes,
        mut refusals,
        mut unseen,
        mut requests,
        mut dbus_requests,
    } = sources;
    let mut changes = std::pin::pin!(changes);
    let mut removals = watch_routing(&interfaces.config);
    // The tasks that listen; a reload replaces the set, which ends them.
    let mut listeners = unknown_vrids::listen_for(&interfaces.config, &interfaces.host_binding);
    let mut retry = tokio::time::interval(REFUSAL_PAUSE);
    // After a time with nothing to try, tick once and not once for each missed tick.
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (over, mut pauses_over) = unbounded_channel();
    let mut check = tokio::time::interval(PROGRAM_CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (has_read, mut configurations) = unbounded_channel();
    let mut reading = Reading::Not;
    loop {
        tokio::select! {
            news = tracker_tasks.changed() => health_table.hear(news),
            Some(change) = changes.next() => {
                if interfaces.note(&change) {
                    // Tell the engine that an interface is lost before it is told of another interface.
                    tell_health(engine, health_table, interfaces, runner, &tracker_tasks.page());
                    // The source address of the adverts may have been removed together with one of ours. The network thread
                    // puts it back; wait for that.
                    network.settled().await;
                    interfaces.look_again(&runner.handle, network, engine).await;
                }
                match change {
                    Change::AddressGone { index, address } => {
                        network.check(index, address);
                        network.restore();
                    }
                    Change::Missed => {
                        network.check_all();
                        network.restore();
                    }
                    // The kernel removed the routes over this interface when the interface went down.
                    Change::Link { running: true, .. } => network.restore(),
                    // A static route may have waited for this address.
                    Change::AddressNew { .. } if !missing.is_empty() => network.restore(),
                    Change::Link { .. } | Change::LinkGone { .. } | Change::AddressNew { .. } => {}
                }
                interfaces.look_for_sources(&runner.handle).await;
            }
            Some(()) = removals.next() => network.restore(),
            _ = retry.tick(), if !missing.is_empty() || interfaces.are_unsettled() => {
                if !missing.is_empty() {
                    network.restore();
                }
                if interfaces.are_unsettled() {
                    interfaces.look_again(&runner.handle, network, engine).await;
                }
            }
            _ = check.tick(), if interfaces.has_programs() => interfaces.look_again(&runner.handle, network, engine).await,
            Some(ifindex) = unseen.recv() => {
                interfaces.count_unseen(ifindex);
                interfaces.look_again(&runner.handle, network, engine).await;
            }
            Some(groups) = restores.recv() => missing = groups,
            () = until(interfaces.next_belief()) => {}
            Some((generation, slot)) = refusals.recv() => {
                if generation == runner.generation() {
                    tracing::error!("{}: in fault until its addresses are tried again", runner.name(slot));
                    health_table.set_addresses(slot, false);
                }
                let over = over.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(REFUSAL_PAUSE).await;
                    let _ending = over.send(());
                });
            }
            // Retry all; any that are tried too early are refused again.
            Some(()) = pauses_over.recv() => {
                (0..interfaces.host_binding.len()).for_each(|slot| health_table.set_addresses(slot, true));
            }
            Some(question) = questions.recv() => {
                if let Some(snapshot) = ask(engine, &tracker_tasks.page(), runner, &network.missing).await {
                    let interface = |name: &str| nix::net::if_::if_nametoindex(name).ok();
                    let facts = snmp::Facts { config: &interfaces.config, snapshot: &snapshot, interface: &interface };
                    // The SNMP session may have given up meanwhile.
                    let _late = question.send(snmp::Table::new(&facts));
                }
                continue;
            }
            Some(request) = next(&mut requests, &mut dbus_requests) => match request {
                Request::Announce(name, done) => {
                    let mut instances = interfaces.config.instances.iter();
                    if let Some(slot) = instances.position(|instance| instance.name == name) {
                        let _ended = engine.tell(Command::Announce { slot, done });
                    }
                }
                Request::Dump(dump) => {
                    if let Some(snapshot) = ask(engine, &tracker_tasks.page(), runner, &network.missing).await {
                        service::write_dump(dump, &interfaces.config, &snapshot);
                    }
                }
                Request::Reload => {
                    reading = match reading {
                        Reading::Not => {
                            tracing::info!("reading the configuration again");
                            service::reloading();
                            read_soon(read, &has_read);
                            Reading::Once
                        }
                        Reading::Once | Reading::AndAgain => Reading::AndAgain,
                    };
                }
            },
            Some(config) = configurations.recv() => {
                let result = match config {
                    Ok(config) => {
                        reload::reload(config, interfaces, health_table, &mut tracker_tasks, runner, engine).await
                    }
                    Err(error) => Err(error),
                };
                match result {
                    Ok(groups) => {
                        missing = groups;
                        removals = watch_routing(&interfaces.config);
                        interfaces.look_for_sources(&runner.handle).await;
                        listeners = unknown_vrids::listen_for(&interfaces.config, &interfaces.host_binding);
                    }
                    Err(error) => tracing::error!("not reloaded: {error:#}"),
                }
                reading = match reading {
                    Reading::AndAgain => {
                        read_soon(read, &has_read);
                        Reading::Once
                    }
                    Reading::Not | Reading::Once => {
                        service::ready();
                        Reading::Not
                    }
                };
            }
            // Takes tasks that have failed out of the set.
            Some(_ended) = listeners.join_next() => {}
            else => return,
        }
        for (slot, there) in needed(&interfaces.config, &missing) {
            health_table.set_statics(slot, there);
        }
        tell_health(engine, health_table, interfaces, runner, &tracker_tasks.page());
    }
}

/// The progress of reading the configuration.
enum Reading {
    Not,
    Once,
    /// Read the files once more: they may have changed since this reading began.
    AndAgain,
}

/// The time limit for reading the files.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the configuration, and looks up the users and groups that it names, on threads that the daemon does not depend on:
/// either may hang.
fn read_soon(read: &Read, done: &UnboundedSender<anyhow::Result<Config>>) {
    let (read, done) = (Arc::clone(read), done.clone());
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

/// Returns the next request of a signal or of a D-Bus client.
async fn next(
    requests: &mut UnboundedReceiver<Request>,
    dbus_requests: &mut UnboundedReceiver<dbus::Request>,
) -> Option<Request> {
    tokio::select! {
        request = requests.recv() => request,
        Some(dbus_request) = dbus_requests.recv() => Some(dbus_request.into()),
    }
}

/// Returns a stream that reports removals of routes and rules of ours.
fn watch_routing(config: &Config) -> Pin<Box<dyn futures_util::Stream<Item = ()>>> {
    changes::removals(master_resources::protocols(config)).unwrap_or_else(|error| {
        tracing::error!("{error}: routes and rules that somebody removes are not put back");
        Box::pin(futures_util::stream::pending())
    })
}

/// Returns for each instance true if nothing static that the instance needs is missing.
pub(super) fn needed(config: &Config, missing: &BTreeSet<String>) -> Vec<(Slot, bool)> {
    let lacks = |slot| {
        let mut groups = config.track_groups.iter();
        groups.any(|group| group.members.contains(&slot) && missing.contains(&group.name))
    };
    (0..config.instances.len()).map(|slot| (slot, !lacks(slot))).collect()
}

async fn until(at: Option<Time>) {
    match at {
        Some(at) => tokio::time::sleep(at - host::now()).await,
        None => std::future::pending().await,
    }
}

fn tell_health(
    engine: &EngineHandle,
    health_table: &mut HealthTable,
    interfaces: &mut Interfaces,
    runner: &EffectRunner,
    page: &SharedPage,
) {
    let now = host::now();
    health_table.set_interfaces(|name| interfaces.tracked_is_running(now, name));
    for slot in 0..interfaces.host_binding.len() {
        health_table.set_link(slot, interfaces.usable(now, slot));
    }
    note_lacks(health_table, interfaces, runner, page);
    for (slot, health) in health_table.changes() {
        let _ended = engine.tell(Command::Health { slot, health });
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

pub(super) async fn ask(
    engine: &EngineHandle,
    page: &SharedPage,
    runner: &EffectRunner,
    missing: &Missing,
) -> Option<control::Snapshot> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    if !engine.tell(Command::Status(reply)) {
        return std::future::pending().await;
    }
    match answer.await {
        Ok(snapshot) => {
            let mut snapshot = status::with_tracked(snapshot, &page.borrow(), runner.lacks());
            status::note_missing(&mut snapshot, missing);
            Some(snapshot)
        }
        Err(_ending) => std::future::pending().await,
    }
}
