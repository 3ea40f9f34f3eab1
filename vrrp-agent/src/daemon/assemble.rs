//! From a configuration and a look at the host to what each instance tracks and lacks: the steps that a start and a reload have
//! in common.

use std::collections::BTreeSet;
use std::sync::Arc;

use rtnetlink::Handle;

use super::host_binding::HostBinding;
use super::interfaces::{self, Interfaces};
use super::lacks::{self, Facts, Links};
use super::statics_needed;
use super::tracker_tasks::TrackerTasks;
use crate::config::Config;
use crate::dataplane::Slot;
use crate::host;
use crate::track::debounce::Debounce;
use crate::track::{Health, HealthTable};

/// A configuration as it applies to this host, with the first results of everything that is tracked.
pub(super) struct Assembly {
    pub(super) config: Arc<Config>,
    pub(super) host_binding: HostBinding,
    /// Decides which changes of links are believed.
    pub(super) debounce: Debounce,
    /// The instances whose source is not on this host, though they need it.
    pub(super) sourceless: BTreeSet<Slot>,
    pub(super) health_table: HealthTable,
    /// By slot.
    pub(super) health: Vec<Health>,
    /// For each instance, the sentences that say what it lacks.
    pub(super) lacks: Vec<Vec<String>>,
}

/// The configuration before this one.
pub(super) enum Before<'a> {
    /// None: the daemon starts. These track groups lack something static.
    Nothing { missing: &'a BTreeSet<String> },
    /// A configuration that is in force. `kept` are the slots of the instances that are in both, before and now.
    Running { interfaces: &'a Interfaces, health_table: &'a HealthTable, kept: Vec<(Slot, Slot)> },
}

/// Starts or goes on with the tracker tasks, and puts together what is known. Changes nothing else.
pub(super) async fn assemble(
    config: Arc<Config>,
    host_binding: HostBinding,
    before: Before<'_>,
    tracker_tasks: &mut TrackerTasks,
    handle: &Handle,
) -> Assembly {
    let started = tracker_tasks.run(&config).await;
    let sourceless = interfaces::sourceless(handle, &config).await;
    let mut debounce = Debounce::new(&config);
    if let Before::Running { interfaces, .. } = &before {
        debounce.inherit(interfaces.debounce());
    }
    let now = host::now();
    let usable: Vec<bool> = (0..host_binding.len())
        .map(|slot| {
            // Ask for every interface, so that the debounce notes every one.
            let mut running = true;
            for number in host_binding.needs(slot, &config) {
                let link = &host_binding.links[number];
                running &= debounce.believe(now, &link.name, link.running);
            }
            running
                && host_binding.has_source(slot)
                && !sourceless.contains(&slot)
                && host_binding.requires(slot).all(|number| host_binding.links[number].is_there())
        })
        .collect();
    let mut health_table = HealthTable::new(&config, &usable);
    match before {
        Before::Nothing { missing } => {
            for (slot, there) in statics_needed(&config, missing) {
                health_table.set_statics(slot, there);
            }
        }
        Before::Running { health_table: earlier, kept, .. } => {
            health_table.inherit(earlier, &started.carried, kept.into_iter());
        }
    }
    started.news.into_iter().for_each(|event| health_table.hear(event));
    health_table.set_interfaces(|name| debounce.believe(now, name, host_binding.tracked.is_running(name)));
    // All instances are new to the table, so it returns all.
    let health = health_table.changes().into_iter().map(|(_, health)| health).collect();
    let page = tracker_tasks.page();
    let facts = Facts {
        config: &config,
        host_binding: &host_binding,
        page: &page.borrow(),
        sourceless: &sourceless,
        complaint: &|_| None,
        links: Links::default(),
    };
    let lacks = lacks::of_all(&health_table, &facts);
    Assembly { config, host_binding, debounce, sourceless, health_table, health, lacks }
}
