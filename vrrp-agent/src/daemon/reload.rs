//! Reads the file again. A virtual router that is in both configurations goes on as it is: it is identified by interface,
//! family, number and the routers that it speaks to, not by its name. Everything that can fail is done before anything changes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use tokio::sync::oneshot;
use vrrp_ebpf::abi::INSTANCES_MAX;

use super::effects::{Engineer, Executor};
use super::engine::Command;
use super::engine::reload::{Attach, Member, Reload, Reloaded, Roster};
use super::interfaces::{self, Interfaces};
use super::lacks::{self, Facts, Links};
use super::namesakes::identities;
use super::plane;
use super::site::{Site, virtual_addresses};
use super::status::StatusPage;
use super::trackers::Trackers;
use crate::config::{Config, HostSettings};
use crate::dataplane::Slot;
use crate::host;
use crate::net::links::Link;
use crate::track::Tracker;

/// Has everything follow another configuration, and returns, when that is done, the track groups that lack something. If this
/// fails, nothing has changed, unless the error says that the configuration is in force.
pub(super) async fn reload(
    mut config: Config,
    interfaces: &mut Interfaces,
    tracker: &mut Tracker,
    trackers: &mut Trackers,
    executor: &Executor,
    engineer: &Engineer,
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
    let mut site = Site::look(&executor.handle, &mut config, &others).await?;
    let was = identities(&interfaces.site.wire_names(&interfaces.config), &site.wire_names(&config));
    let kept = || was.iter().enumerate().filter_map(|(here, there)| Some(((*there)?, here)));
    site.inherit(&interfaces.site, kept());
    let (plane, kernel) = plane::open_beside(&config, &site, interfaces.kernel.as_ref())?;

    // From here on the reload is not refused any more.
    let program_hears = {
        let refused = |link: &Link| kernel.as_ref().is_none_or(|kernel| kernel.refusal(link).is_some());
        site.links.iter().map(|link| link.can_have_program() && !refused(link)).collect::<Vec<bool>>()
    };
    let tracked = trackers.run(&config).await;
    let mut debounce = interfaces.debounce_for(&config);
    let sourceless = interfaces::sourceless(&executor.handle, &config).await;
    let now = host::now();
    let usable: Vec<bool> = (0..site.len())
        .map(|slot| {
            let mut running = true;
            for number in site.needs(slot, &config) {
                let link = &site.links[number];
                running &= debounce.believe(now, &link.name, link.running);
            }
            running
                && site.has_source(slot)
                && !sourceless.contains(&slot)
                && site.requires(slot).all(|number| site.links[number].is_there())
        })
        .collect();
    let mut health = Tracker::new(&config, &usable);
    health.inherit(tracker, &tracked.going_on, kept());
    tracked.news.into_iter().for_each(|news| health.hear(news));
    health.set_interfaces(|name| debounce.believe(now, name, site.tracked.is_running(name)));
    *tracker = health;
    let health = tracker.changes();
    let page = trackers.page();
    let lacks = lacks::of_all(
        tracker,
        &Facts {
            config: &config,
            site: &site,
            page: &page.borrow(),
            sourceless: &sourceless,
            complaint: &|_| None,
            links: Links::default(),
        },
    );
    let holdings = site.holdings(&config);
    let before = interfaces.site.holdings(&interfaces.config);
    let member = |(slot, was): (Slot, &Option<Slot>)| Member {
        was: *was,
        parts: site.parts(slot, &config, program_hears[site.link_number(slot)]),
        group: config.groups.iter().position(|group| group.members.contains(&slot)),
        health: health[slot].1,
        holds_other: was.is_some_and(|was| !before[was].agrees(&holdings[slot])),
    };
    let members: Vec<Member> = was.iter().enumerate().map(member).collect();
    let pins = kernel.as_ref().map(|kernel| kernel.pins().path.display().to_string());
    let links = site.programmable();
    let attach = kernel.map(|mut kernel| -> Attach {
        Box::new(move || {
            let published = kernel.publish(&links);
            (kernel, published)
        })
    });
    let (done, is_done) = oneshot::channel();
    let (carried_out, is_carried_out) = oneshot::channel();
    let count = (kept().count(), members.len(), interfaces.site.len());
    let reload = Reload {
        members,
        plane,
        attach,
        status: StatusPage { config: config.clone(), sources: site.sources.clone(), pins },
        roster: Roster {
            generation: executor.generation() + 1,
            holdings,
            config: config.clone(),
            lacks,
            was,
            carried_out: Some(carried_out),
        },
        done,
    };
    if !engineer.tell(Command::Reload(Box::new(reload))) {
        bail!("the daemon is about to stop");
    }
    let Reloaded { kernel, attached, .. } = is_done.await.context("the daemon is about to stop")?;
    if let Some(kernel) = &kernel {
        let _ended = engineer.tell(Command::Attached(kernel.describe()));
    }
    interfaces.change(config, site, kernel, debounce, &program_hears);
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
