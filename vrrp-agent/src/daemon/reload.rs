//! Reads the file again. A virtual router that is in both configurations goes on as it is: it is identified by interface,
//! family, number and the routers that it speaks to, not by its name. Everything that can fail is done before anything changes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use tokio::sync::oneshot;
use vrrp_ebpf::abi::INSTANCES_MAX;

use super::effects::{EffectRunner, EngineHandle};
use super::engine::Command;
use super::engine::reload::{ActiveConfig, Attach, Member, Reload, Reloaded};
use super::host_binding::{HostBinding, virtual_addresses};
use super::interfaces::{self, Interfaces};
use super::lacks::{self, Facts, Links};
use super::namesakes::identities;
use super::plane;
use super::status::StatusPage;
use super::tracker_tasks::TrackerTasks;
use crate::config::{Config, HostSettings};
use crate::dataplane::Slot;
use crate::host;
use crate::net::links::Link;
use crate::track::HealthTable;

/// Has everything follow another configuration, and returns, when that is done, the track groups that lack something. If this
/// fails, nothing has changed, unless the error says that the configuration is in force.
pub(super) async fn reload(
    mut config: Config,
    interfaces: &mut Interfaces,
    health_table: &mut HealthTable,
    tracker_tasks: &mut TrackerTasks,
    runner: &EffectRunner,
    engine: &EngineHandle,
) -> Result<BTreeSet<String>> {
    let started = std::time::Instant::now();
    check_size(&config)?;
    warn_of_what_stays(&config.host, &interfaces.config.host);
    if config.instances.is_empty() && !interfaces.config.instances.is_empty() {
        tracing::warn!(
            "the file has no vrrp_instance any more: all addresses are given up, as by keepalived"
        );
    }
    config.host.place = interfaces.config.host.place.clone();
    let others: Vec<IpAddr> = virtual_addresses(&interfaces.config);
    let mut host_binding = HostBinding::look(&runner.handle, &mut config, &others).await?;
    let was = identities(
        &interfaces.host_binding.wire_names(&interfaces.config),
        &host_binding.wire_names(&config),
    );
    let kept = || was.iter().enumerate().filter_map(|(here, there)| Some(((*there)?, here)));
    host_binding.inherit(&interfaces.host_binding, kept());
    let (plane, kernel) = plane::open_beside(&config, &host_binding, interfaces.kernel.as_ref())?;

    // From here on the reload is not refused any more.
    let program_hears = {
        let refused = |link: &Link| kernel.as_ref().is_none_or(|kernel| kernel.refusal(link).is_some());
        host_binding.links.iter().map(|link| link.can_have_program() && !refused(link)).collect::<Vec<bool>>()
    };
    let tracked = tracker_tasks.run(&config).await;
    let mut debounce = interfaces.debounce_for(&config);
    let sourceless = interfaces::sourceless(&runner.handle, &config).await;
    let now = host::now();
    let usable: Vec<bool> = (0..host_binding.len())
        .map(|slot| {
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
    let mut health = HealthTable::new(&config, &usable);
    health.inherit(health_table, &tracked.carried, kept());
    tracked.news.into_iter().for_each(|news| health.hear(news));
    health.set_interfaces(|name| debounce.believe(now, name, host_binding.tracked.is_running(name)));
    *health_table = health;
    let health = health_table.changes();
    let page = tracker_tasks.page();
    let lacks = lacks::of_all(
        health_table,
        &Facts {
            config: &config,
            host_binding: &host_binding,
            page: &page.borrow(),
            sourceless: &sourceless,
            complaint: &|_| None,
            links: Links::default(),
        },
    );
    let master_resources = host_binding.master_resources(&config);
    let before = interfaces.host_binding.master_resources(&interfaces.config);
    let member = |(slot, was): (Slot, &Option<Slot>)| Member {
        was: *was,
        binding: host_binding.binding(slot, &config, program_hears[host_binding.link_number(slot)]),
        group: config.groups.iter().position(|group| group.members.contains(&slot)),
        health: health[slot].1,
        holds_other: was.is_some_and(|was| !before[was].agrees(&master_resources[slot])),
    };
    let members: Vec<Member> = was.iter().enumerate().map(member).collect();
    let pins = kernel.as_ref().map(|kernel| kernel.pins().path.display().to_string());
    let links = host_binding.programmable();
    let attach = kernel.map(|mut kernel| -> Attach {
        Box::new(move || {
            let published = kernel.publish(&links);
            (kernel, published)
        })
    });
    let (done, is_done) = oneshot::channel();
    let (carried_out, is_carried_out) = oneshot::channel();
    let count = (kept().count(), members.len(), interfaces.host_binding.len());
    let reload = Reload {
        members,
        plane,
        attach,
        status: StatusPage { config: config.clone(), sources: host_binding.sources.clone(), pins },
        active: ActiveConfig {
            generation: runner.generation() + 1,
            master_resources,
            config: config.clone(),
            lacks,
            was,
            carried_out: Some(carried_out),
        },
        done,
    };
    if !engine.tell(Command::Reload(Box::new(reload))) {
        bail!("the daemon is about to stop");
    }
    let Reloaded { kernel, attached, .. } = is_done.await.context("the daemon is about to stop")?;
    if let Some(kernel) = &kernel {
        let _ended = engine.tell(Command::Attached(kernel.describe()));
    }
    interfaces.change(config, host_binding, kernel, debounce, &program_hears);
    // Wait until the network thread and the effects task have followed: until then a slot means one thing here and another
    // there, so nothing else is asked of them.
    let missing = is_carried_out.await.context("the daemon is about to stop")?;
    attached.context("the configuration is in force, but the kernel half is not everywhere")?;
    let (kept, now, before) = count;
    tracing::info!(
        "reloaded in {:.1} ms: {kept} instances go on, {} are new, {} are gone",
        started.elapsed().as_secs_f64() * 1000.0,
        now - kept,
        before - kept
    );
    Ok(missing)
}

/// Warns of settings that have changed in the file and stay as they were at the start.
fn warn_of_what_stays(now: &HostSettings, before: &HostSettings) {
    for (keyword, changed) in [
        ("net_namespace", now.place.net_namespace != before.place.net_namespace),
        ("instance", now.place.instance != before.place.instance),
        ("scheduling (vrrp_priority and the like)", now.scheduling != before.scheduling),
        ("umask", now.umask != before.umask),
    ] {
        if changed {
            tracing::warn!(
                "{keyword} has changed in the file, which takes effect when the daemon is started again"
            );
        }
    }
}

/// Checks that one agent can run all instances.
pub(super) fn check_size(config: &Config) -> Result<()> {
    if config.instances.len() > INSTANCES_MAX {
        bail!("{} instances are more than the {INSTANCES_MAX} that one agent runs", config.instances.len());
    }
    Ok(())
}
