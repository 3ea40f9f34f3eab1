//! Reads the file again. A virtual router that is in both configurations goes on as it is: it is identified by interface,
//! family, number and the routers that it speaks to, not by its name. Everything that can refuse the file is done before anything changes. What can still fail afterwards is the
//! attachment of a program: then the file is in force all the same, and the log says so.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::sync::oneshot;
use vrrp_ebpf::abi::INSTANCES_MAX;

use super::assemble::{Assembly, Before, assemble};
use super::effects::EffectRunner;
use super::host_binding::{HostBinding, virtual_addresses};
use super::interfaces::{Interfaces, Interfacing};
use super::messages::{ActiveConfig, Attach, Command, EngineHandle, Member, Reload, Reloaded};
use super::namesakes::identities;
use super::plane;
use super::tracker_tasks::TrackerTasks;
use crate::config::Config;
use crate::dataplane::Slot;
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
    warn_of_what_stays(&config, &interfaces.config);
    config.host.place = interfaces.config.host.place.clone();
    let others: Vec<IpAddr> = virtual_addresses(&interfaces.config);
    let mut host_binding = HostBinding::look(&runner.handle, &mut config, &others).await?;
    let was = identities(
        &interfaces.host_binding.wire_names(&interfaces.config),
        &host_binding.wire_names(&config),
    );
    let kept = was.iter().enumerate().filter_map(|(here, there)| Some(((*there)?, here)));
    host_binding.inherit(&interfaces.host_binding, kept);
    let (plane, kernel) = plane::open_beside(&config, &host_binding, interfaces.kernel.as_ref())?;

    // From here on the reload is not refused any more.
    let program_hears = {
        let refused = |link: &Link| kernel.as_ref().is_none_or(|kernel| kernel.refusal(link).is_some());
        host_binding.links.iter().map(|link| link.can_have_program() && !refused(link)).collect::<Vec<bool>>()
    };
    let kept: Vec<(Slot, Slot)> =
        was.iter().enumerate().filter_map(|(here, there)| Some(((*there)?, here))).collect();
    let before = Before::Running { interfaces, health_table, kept: kept.clone() };
    let assembly = assemble(Arc::new(config), host_binding, before, tracker_tasks, &runner.handle).await;
    let Assembly { config, host_binding, debounce, sourceless, health_table: table, health, lacks } =
        assembly;
    *health_table = table;
    let master_resources = host_binding.master_resources(&config);
    let before = interfaces.host_binding.master_resources(&interfaces.config);
    let member = |(slot, was): (Slot, &Option<Slot>)| Member {
        was: *was,
        binding: host_binding.binding(slot, &config, program_hears[host_binding.link_number(slot)]),
        group: config.groups.iter().position(|group| group.members.contains(&slot)),
        health: health[slot],
        holds_other: was.is_some_and(|was| !before[was].agrees(&master_resources[slot])),
    };
    let members: Vec<Member> = was.iter().enumerate().map(member).collect();
    let links = host_binding.programmable();
    let attach = kernel.map(|mut kernel| -> Attach {
        Box::new(move || {
            let published = kernel.publish(&links);
            (kernel, published)
        })
    });
    let (done, is_done) = oneshot::channel();
    let (carried_out, is_carried_out) = oneshot::channel();
    let (both, now, before) = (kept.len(), members.len(), interfaces.host_binding.len());
    let reload = Reload {
        members,
        plane,
        attach,
        active: ActiveConfig {
            generation: runner.generation() + 1,
            master_resources,
            config: Arc::clone(&config),
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
    interfaces.change(Interfacing { config, host_binding, debounce, sourceless }, kernel, &program_hears);
    // Wait until the network thread and the effects task have followed: until then a slot means one thing here and another
    // there, so nothing else is asked of them.
    let missing = is_carried_out.await.context("the daemon is about to stop")?;
    if let Err(error) = attached {
        tracing::error!("not reloaded everywhere: the file is in force, but not the kernel half: {error}");
        return Ok(missing);
    }
    tracing::info!(
        "reloaded in {:.1} ms: {both} instances go on, {} are new, {} are gone",
        started.elapsed().as_secs_f64() * 1000.0,
        now - both,
        before - both
    );
    Ok(missing)
}

/// Warns if all addresses are given up, which may be a slip of the operator's, and of settings that have changed in the file and stay
/// as they were at the start.
fn warn_of_what_stays(now: &Config, before: &Config) {
    if now.instances.is_empty() && !before.instances.is_empty() {
        tracing::warn!(
            "the file has no vrrp_instance any more: all addresses are given up, as by keepalived"
        );
    }
    let (now, before) = (&now.host, &before.host);
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
