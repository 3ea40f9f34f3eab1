//! The interfaces as they come, change and go, and what follows them: attachments, memberships, sockets, and what instances send
//! and hear.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::Result;
use rtnetlink::Handle;

use super::effects::{Engineer, Executor};
use super::engine::Command;
use super::site::{Held, Site};
use crate::config::{Config, InstanceConfig, SourceNeed};
use crate::dataplane::bpffs::PinDirectory;
use crate::dataplane::{KernelHalf, VmacEntry};
use crate::net::addresses;
use crate::net::changes::Change;
use crate::net::links::{self, Link};
use crate::net::receive::Receiver;
use crate::net::sysctl::Setting;
use crate::track::debounce::Debounce;
use crate::vrrp::Time;

/// The interfaces of a site.
pub(super) struct Interfaces {
    pub(super) config: Config,
    pub(super) site: Site,
    pub(super) kernel: Option<KernelHalf>,
    /// Which changes of links are believed.
    debounce: Debounce,
    /// The instances whose source is not on this host, though they need it.
    sourceless: BTreeSet<usize>,
    /// As `site.links`.
    states: Vec<InterfaceState>,
}

struct InterfaceState {
    running: bool,
    /// Whether all has followed that follows it.
    settled: bool,
    held: Option<Held>,
    /// What was last said to be in the way.
    complaint: Option<String>,
}

/// An interface of the configuration before.
struct Before {
    link: Link,
    vmacs: Vec<VmacEntry>,
    groups: Vec<IpAddr>,
    settings: Vec<Setting>,
    state: InterfaceState,
}

impl Interfaces {
    /// Takes hold of all of them. The data plane is attached already.
    pub(super) fn new(config: Config, site: Site, kernel: Option<KernelHalf>) -> Result<Self> {
        let vmacs = kernel.is_some();
        let state = |(number, link): (usize, &Link)| {
            let settled = site.is_ready(number);
            let held = if settled { Some(site.hold(number, &config, vmacs)?) } else { None };
            Ok(InterfaceState { running: link.running, settled, held, complaint: None })
        };
        let states = site.links.iter().enumerate().map(state).collect::<Result<_>>()?;
        let debounce = Debounce::new(&config);
        Ok(Self { config, site, kernel, debounce, sourceless: BTreeSet::new(), states })
    }

    /// Another configuration meets this host: what is held of an interface is held on, where it is the same.
    /// What cannot be taken hold of is as if it were not there, and tried again.
    pub(super) fn change(
        &mut self,
        config: Config,
        site: Site,
        kernel: Option<KernelHalf>,
        debounce: Debounce,
    ) {
        let vmacs = kernel.is_some();
        self.debounce = debounce;
        let mut before: Vec<Before> = Vec::new();
        for (number, state) in std::mem::take(&mut self.states).into_iter().enumerate() {
            let link = self.site.links[number].clone();
            let vmacs_on = self.site.vmacs_on(&link, &self.config);
            let settings = self.site.settings(number, &self.config, vmacs);
            let groups = self.site.groups_on(number, &self.config);
            before.push(Before { link, vmacs: vmacs_on, groups, settings, state });
        }
        for (number, link) in site.links.iter().enumerate() {
            let (settings, groups) = (site.settings(number, &config, vmacs), site.groups_on(number, &config));
            let same = |Before { link: was, vmacs, groups: joined, settings: raised, .. }: &Before| {
                (was.index, was.mac) == (link.index, link.mac)
                    && *raised == settings
                    && *joined == groups
                    && vmacs
                        .iter()
                        .map(|entry| entry.mac)
                        .eq(site.vmacs_on(link, &config).iter().map(|entry| entry.mac))
            };
            let mut complaint = None;
            let held = match before.iter().position(same) {
                _ if !site.is_ready(number) => None,
                Some(at) => before.swap_remove(at).state.held,
                None => {
                    // First let go: what is put back then is what is found next.
                    before.retain(|was| was.link.index != link.index);
                    let held = site.hold(number, &config, vmacs);
                    held.inspect_err(|error| {
                        tracing::error!("interface {} cannot be used: {error}", link.name);
                        complaint = Some(error.to_string());
                    })
                    .ok()
                }
            };
            let settled = held.is_some();
            self.states.push(InterfaceState { running: link.running, settled, held, complaint });
        }
        (self.config, self.site, self.kernel) = (config, site, kernel);
    }

    /// Where the kernel half is pinned, if there is one.
    pub(super) fn pins(&self) -> Option<&PinDirectory> {
        self.kernel.as_ref().map(KernelHalf::pins)
    }

    /// Whether the data plane can receive for virtual hardware addresses.
    pub(super) fn has_vmacs(&self) -> bool {
        self.kernel.is_some()
    }

    /// Whether all interfaces of an instance are there and can carry frames, as far as that is believed.
    pub(super) fn usable(&mut self, now: Time, slot: usize) -> bool {
        let Self { config, site, states, debounce, sourceless, .. } = self;
        // Each is asked, so that each is noted.
        let mut running = true;
        for number in site.needs(slot, config) {
            running &= debounce.believe(now, &site.links[number].name, states[number].running);
        }
        running && !sourceless.contains(&slot) && site.uses(slot).all(|number| states[number].settled)
    }

    /// Whether a tracked interface is there and can carry frames, as far as that is believed.
    pub(super) fn tracked_is_running(&mut self, now: Time, name: &str) -> bool {
        self.debounce.believe(now, name, self.site.tracked.is_running(name))
    }

    /// When more will be believed.
    pub(super) fn next_belief(&self) -> Option<Time> {
        self.debounce.next()
    }

    /// Which changes of links another configuration believes, with what is known.
    pub(super) fn debounce_for(&self, config: &Config) -> Debounce {
        let mut debounce = Debounce::new(config);
        debounce.inherit(&self.debounce);
        debounce
    }

    /// Whether there is one that could not be used when it was last tried.
    pub(super) fn are_unsettled(&self) -> bool {
        self.states.iter().any(|state| !state.settled)
    }

    /// Looks up the sources that are needed.
    pub(super) async fn look_for_sources(&mut self, handle: &Handle) {
        self.sourceless = sourceless(handle, &self.config).await;
    }

    /// Takes note of what happened. True if it must be looked up what is there now.
    pub(super) fn note(&mut self, change: &Change) -> bool {
        self.site.tracked.note(change);
        match change {
            Change::Link { index, name, mac, running } => {
                let ours = |link: &Link| link.name == *name || link.index == *index;
                let Some(number) = self.site.links.iter().position(ours) else { return false };
                let link = &self.site.links[number];
                if link.index != *index {
                    self.lose(number);
                    return true;
                }
                let same = *mac == Some(link.mac);
                self.set_running(number, *running);
                !same || !self.states[number].settled
            }
            Change::LinkGone { index } => {
                if let Some(number) = self.site.links.iter().position(|link| link.index == *index) {
                    self.lose(number);
                }
                false
            }
            // What waits for its interface may wait for this.
            Change::AddressNew { .. } => self.states.iter().any(|state| !state.settled),
            // It may be what adverts are sent from.
            Change::AddressGone { index, address } => {
                self.site.sources.contains(address) && self.site.links.iter().any(|link| link.index == *index)
            }
            Change::Missed => {
                tracing::warn!(
                    "more has changed on this host than the kernel could tell; looking at all of it"
                );
                true
            }
        }
    }

    fn set_running(&mut self, number: usize, running: bool) {
        if std::mem::replace(&mut self.states[number].running, running) != running {
            let how = if running { "up" } else { "down" };
            tracing::info!("interface {} is {how}", self.site.links[number].name);
        }
    }

    fn lose(&mut self, number: usize) {
        let state = &mut self.states[number];
        state.running = false;
        if std::mem::replace(&mut state.settled, false) {
            tracing::warn!("interface {} is gone", self.site.links[number].name);
        }
    }

    /// Looks up what is there, and has follow what follows it.
    pub(super) async fn look_again(&mut self, executor: &Executor, engineer: &Engineer) {
        match links::all(&executor.handle).await {
            Ok(all) => self.site.tracked.look(&all),
            Err(error) => tracing::error!("{error}"),
        }
        let names: Vec<String> = self.site.links.iter().map(|link| link.name.clone()).collect();
        let found = match links::look(&executor.handle, &names).await {
            Ok(found) => found,
            Err(error) => return tracing::error!("{error}"),
        };
        for (number, found) in found.into_iter().enumerate() {
            let (before, state) = (&self.site.links[number], &self.states[number]);
            match found {
                Err(_) => self.lose(number),
                Ok(link)
                    if state.settled
                        && (before.index, before.mac) == (link.index, link.mac)
                        && self.site.sends_as_before(number, &link, &self.config) =>
                {
                    self.set_running(number, link.running);
                }
                Ok(link) => {
                    let running = link.running;
                    let result = self.follow(number, &link, executor, engineer);
                    let (name, state) = (&self.site.links[number].name, &mut self.states[number]);
                    state.settled = result.is_ok();
                    let complaint = result.err().map(|error| format!("{error:#}"));
                    if complaint.is_none() {
                        tracing::info!(
                            "interface {name} is there again, or has changed; its instances go on with it"
                        );
                    }
                    if let Some(complaint) =
                        complaint.as_ref().filter(|new| state.complaint.as_ref() != Some(new))
                    {
                        tracing::error!("interface {name} is there again, but cannot be used: {complaint}");
                    }
                    state.complaint = complaint;
                    self.set_running(number, running);
                }
            }
        }
    }

    /// All that follows an interface. May be done again if it fails on the way.
    fn follow(&mut self, number: usize, link: &Link, executor: &Executor, engineer: &Engineer) -> Result<()> {
        let gone = self.site.links[number].index;
        self.site.replace(number, link.clone(), &self.config)?;
        let vmacs = self.has_vmacs();
        // First let go: what is put back then is what is found next.
        self.states[number].held = None;
        self.states[number].held = Some(self.site.hold(number, &self.config, vmacs)?);
        if let Some(kernel) = &mut self.kernel {
            kernel.write_vips(&self.site.vips(&self.config))?;
            kernel.write_vmacs(&self.site.vmacs(&self.config))?;
            kernel.attach(link)?;
            let _ended = engineer.tell(Command::Attached(kernel.describe()));
        }
        let judged_here = self.site.links_judged_here(&self.config);
        if !vmacs || judged_here.iter().any(|judged| judged.index == link.index) {
            let _ended = engineer.tell(Command::Listen { gone, receiver: Receiver::open(link)? });
        }
        executor.place(self.site.holdings(&self.config));
        for slot in (0..self.site.len()).filter(|&slot| self.site.uses(slot).any(|used| used == number)) {
            let parts = Box::new(self.site.parts(slot, &self.config, vmacs));
            let _ended = engineer.tell(Command::Moved { slot, parts });
        }
        Ok(())
    }
}

/// The instances whose source is not on this host, though they need it (`track_src_ip`).
pub(super) async fn sourceless(handle: &Handle, config: &Config) -> BTreeSet<usize> {
    let needed =
        |instance: &InstanceConfig| instance.source.filter(|_| instance.source_need == SourceNeed::Tracked);
    if config.instances.iter().all(|instance| needed(instance).is_none()) {
        return BTreeSet::new();
    }
    match addresses::list(handle).await {
        Ok(there) => {
            let is_missing = |(slot, instance): (usize, &InstanceConfig)| {
                let source = needed(instance)?;
                there.iter().all(|installed| installed.address != source).then_some(slot)
            };
            config.instances.iter().enumerate().filter_map(is_missing).collect()
        }
        Err(error) => {
            tracing::error!("{error}");
            BTreeSet::new()
        }
    }
}
