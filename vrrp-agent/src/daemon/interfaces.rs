//! Follows the interfaces as they come, change and go, with what depends on them: attachments, memberships, sockets, and what
//! instances send and hear.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use rtnetlink::Handle;

use super::host_binding::{HostBinding, PreparedInterface};
use super::lacks::{self, Facts, Links};
use super::messages::{Command, EngineHandle};
use super::network::Network;
use super::plane;
use super::tracker_tasks::TrackPage;
use crate::config::{Config, InstanceConfig, SourceNeed};
use crate::dataplane::bpffs::PinDirectory;
use crate::dataplane::{KernelHalf, OnRefusal, VmacEntry};
use crate::net::addresses;
use crate::net::changes::Change;
use crate::net::links::{self, Link, Purpose};
use crate::net::receive::Membership;
use crate::net::sysctl::Setting;
use crate::track::HealthTable;
use crate::track::debounce::Debounce;
use crate::vrrp::Time;

/// The interfaces of the host binding.
pub(super) struct Interfaces {
    pub(super) config: Arc<Config>,
    pub(super) host_binding: HostBinding,
    pub(super) kernel: Option<KernelHalf>,
    /// Decides which changes of links are believed.
    debounce: Debounce,
    /// The instances whose source is not on this host, though they need it.
    sourceless: BTreeSet<usize>,
    /// In the order of `host_binding.links`.
    states: Vec<InterfaceState>,
}

/// The parts of a configuration that the interfaces follow.
pub(super) struct Interfacing {
    pub(super) config: Arc<Config>,
    pub(super) host_binding: HostBinding,
    pub(super) debounce: Debounce,
    pub(super) sourceless: BTreeSet<usize>,
}

struct InterfaceState {
    running: bool,
    /// True if everything that depends on the interface has followed it.
    settled: bool,
    /// True if the engine has been told that the program hears the interface.
    program_hears: bool,
    /// True if the program was attached after `host_binding.links` were looked up, which do not show it yet.
    just_attached: bool,
    /// The number of adverts that the program has not seen in its present place.
    unseen: u32,
    held: Option<PreparedInterface>,
    /// The last logged reason why the interface cannot be used.
    complaint: Option<String>,
}

/// An interface of the previous configuration.
struct Before {
    link: Link,
    vmacs: Vec<VmacEntry>,
    groups: Vec<IpAddr>,
    settings: Vec<Setting>,
    state: InterfaceState,
}

impl Interfaces {
    /// Takes hold of all interfaces. The data plane is attached already.
    pub(super) fn new(assembly: Interfacing, kernel: Option<KernelHalf>) -> Result<Self> {
        let Interfacing { config, host_binding, debounce, sourceless } = assembly;
        let state = |(number, link): (usize, &Link)| {
            let settled = link.is_there();
            let program_hears = kernel.as_ref().is_some_and(|kernel| kernel.is_attached(link));
            let held = if settled { Some(host_binding.hold(number, &config, program_hears)?) } else { None };
            let running = link.running;
            Ok(InterfaceState {
                running,
                settled,
                program_hears,
                just_attached: false,
                unseen: 0,
                held,
                complaint: None,
            })
        };
        let states = host_binding.links.iter().enumerate().map(state).collect::<Result<_>>()?;
        Ok(Self { config, host_binding, kernel, debounce, sourceless, states })
    }

    /// Changes to another configuration. What is held of an interface stays held, where it is the same. An interface that
    /// cannot be held counts as not there, and is tried again.
    pub(super) fn change(&mut self, next: Interfacing, kernel: Option<KernelHalf>, program_hears: &[bool]) {
        let Interfacing { config, host_binding, debounce, sourceless } = next;
        (self.debounce, self.sourceless) = (debounce, sourceless);
        let mut before: Vec<Before> = Vec::new();
        for (number, state) in std::mem::take(&mut self.states).into_iter().enumerate() {
            let link = self.host_binding.links[number].clone();
            let vmacs_on = self.host_binding.vmacs_on(&link, &self.config);
            let settings = self.host_binding.settings(number, &self.config, state.program_hears);
            let groups = self.host_binding.groups_on(number, &self.config);
            before.push(Before { link, vmacs: vmacs_on, groups, settings, state });
        }
        for (number, (link, &program_hears)) in host_binding.links.iter().zip(program_hears).enumerate() {
            let vmacs = program_hears;
            let (settings, groups) =
                (host_binding.settings(number, &config, vmacs), host_binding.groups_on(number, &config));
            let same = |Before { link: was, vmacs, groups: joined, settings: raised, .. }: &Before| {
                (was.index, was.mac) == (link.index, link.mac)
                    && *raised == settings
                    && *joined == groups
                    && vmacs
                        .iter()
                        .map(|entry| entry.mac)
                        .eq(host_binding.vmacs_on(link, &config).iter().map(|entry| entry.mac))
            };
            let mut complaint = None;
            let held = match before.iter().position(same) {
                _ if !link.is_there() => None,
                Some(at) => before.swap_remove(at).state.held,
                None => {
                    // Drop the old guard first: it restores the sysctl that the new one saves.
                    before.retain(|was| was.link.index != link.index);
                    let held = host_binding.hold(number, &config, vmacs);
                    held.inspect_err(|error| {
                        tracing::error!("interface {} cannot be used: {error}", link.name);
                        complaint = Some(error.to_string());
                    })
                    .ok()
                }
            };
            let settled = held.is_some();
            let running = link.running;
            self.states.push(InterfaceState {
                running,
                settled,
                program_hears,
                just_attached: false,
                unseen: 0,
                held,
                complaint,
            });
        }
        (self.config, self.host_binding, self.kernel) = (config, host_binding, kernel);
    }

    /// Where the kernel half is pinned, if there is one.
    pub(super) fn pins(&self) -> Option<&PinDirectory> {
        self.kernel.as_ref().map(KernelHalf::pins)
    }

    /// True if there is a kernel half, whose programs have to be checked.
    pub(super) fn has_programs(&self) -> bool {
        self.kernel.is_some()
    }

    /// True if the program is on the interface of an instance, and so receives for its virtual hardware address.
    pub(super) fn program_hears(&self, slot: usize) -> bool {
        self.states[self.host_binding.link_number(slot)].program_hears
    }

    /// Counts an advert that the program on an interface has not seen. Once or twice, that may be a frame that was under way
    /// when the program was attached; after that, its place counts as one in which it does not see frames.
    pub(super) fn count_unseen(&mut self, ifindex: u32) {
        const UNSEEN_MAX: u32 = 3;
        let Some(number) = self.host_binding.links.iter().position(|link| link.index == ifindex) else {
            return;
        };
        let (link, state) = (&self.host_binding.links[number], &mut self.states[number]);
        state.unseen += 1;
        if state.unseen == UNSEEN_MAX
            && let Some(kernel) = &mut self.kernel
        {
            tracing::error!(
                "{}: adverts arrive that the program on it does not see; it is put elsewhere, or sockets hear the interface",
                link.name
            );
            kernel.avoid_present_mode(link);
            state.unseen = 0;
        }
    }

    /// Returns true if all interfaces of an instance are there and can carry frames, as far as that is believed, and the
    /// instance has an address to send from.
    pub(super) fn usable(&mut self, now: Time, slot: usize) -> bool {
        let Self { config, host_binding, states, debounce, sourceless, .. } = self;
        // Ask for every interface, so that the debounce notes every one.
        let mut running = true;
        for number in host_binding.needs(slot, config) {
            running &= debounce.believe(now, &host_binding.links[number].name, states[number].running);
        }
        running
            && host_binding.has_source(slot)
            && !sourceless.contains(&slot)
            && host_binding.requires(slot).all(|number| states[number].settled)
    }

    /// Returns true if a tracked interface is there and can carry frames, as far as that is believed.
    pub(super) fn tracked_is_running(&mut self, now: Time, name: &str) -> bool {
        self.debounce.believe(now, name, self.host_binding.tracked.is_running(name))
    }

    /// Returns for each instance the sentences that say what it lacks.
    pub(super) fn lacks(&self, health_table: &HealthTable, page: &TrackPage) -> Vec<Vec<String>> {
        let complaint = |number: usize| {
            let complaint = self.states[number].complaint.as_ref()?;
            Some(format!("interface {} cannot be used: {complaint}", self.host_binding.links[number].name))
        };
        let facts = Facts {
            config: &self.config,
            host_binding: &self.host_binding,
            page,
            sourceless: &self.sourceless,
            complaint: &complaint,
            links: Links::default(),
        };
        lacks::of_all(health_table, &facts)
    }

    /// Returns the time at which the next change of a link will be believed.
    pub(super) fn next_belief(&self) -> Option<Time> {
        self.debounce.next()
    }

    /// Returns what is known of links whose changes are not believed at once.
    pub(super) fn debounce(&self) -> &Debounce {
        &self.debounce
    }

    /// Returns true if there is an interface that could not be used when it was last tried.
    pub(super) fn are_unsettled(&self) -> bool {
        self.states.iter().any(|state| !state.settled)
    }

    /// Looks up the sources that are needed.
    pub(super) async fn look_for_sources(&mut self, handle: &Handle) {
        self.sourceless = sourceless(handle, &self.config).await;
    }

    /// Takes note of a change. Returns true if the interfaces must be looked up again.
    pub(super) fn note(&mut self, change: &Change) -> bool {
        self.host_binding.tracked.note(change);
        match change {
            Change::Link { index, name, mac, running, below, controller } => {
                let ours = |link: &Link| link.name == *name || link.index == *index;
                let Some(number) = self.host_binding.links.iter().position(ours) else {
                    // A VLAN interface on an interface of ours, or a part of one: the place of the program may be wrong now.
                    let is_ours =
                        |other: &u32| self.host_binding.links.iter().any(|link| link.index == *other);
                    return self.has_programs() && below.iter().chain(controller).any(is_ours);
                };
                let link = &self.host_binding.links[number];
                if link.index != *index {
                    self.lose(number);
                    return true;
                }
                let same = mac.unwrap_or_default() == link.mac;
                self.set_running(number, *running);
                // The kernel also reports when an interface gets other features, or becomes promiscuous.
                !same || !self.states[number].settled || self.has_programs()
            }
            Change::LinkGone { index } => {
                if let Some(number) = self.host_binding.links.iter().position(|link| link.index == *index) {
                    self.lose(number);
                }
                false
            }
            // An instance or an interface that waits for an address may wait for this one.
            Change::AddressNew { .. } => {
                self.host_binding.await_sources() || self.states.iter().any(|state| !state.settled)
            }
            // The address may be the one that adverts are sent from.
            Change::AddressGone { index, address } => {
                self.host_binding.sources.contains(address)
                    && self.host_binding.links.iter().any(|link| link.index == *index)
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
            tracing::info!("interface {} is {how}", self.host_binding.links[number].name);
        }
    }

    fn lose(&mut self, number: usize) {
        let state = &mut self.states[number];
        state.running = false;
        if std::mem::replace(&mut state.settled, false) {
            tracing::warn!("interface {} is gone", self.host_binding.links[number].name);
        }
    }

    /// Looks the interfaces up again, and has everything follow that depends on them.
    pub(super) async fn look_again(&mut self, handle: &Handle, network: &Network, engine: &EngineHandle) {
        match links::list_states(handle).await {
            Ok(all) => self.host_binding.tracked.look(&all),
            Err(error) => tracing::error!("{error}"),
        }
        let names: Vec<String> = self.host_binding.links.iter().map(|link| link.name.clone()).collect();
        let found = match links::find(handle, &names).await {
            Ok(found) => found,
            Err(error) => return tracing::error!("{error}"),
        };
        for (number, found) in found.into_iter().enumerate() {
            match found {
                Err(_) => self.lose(number),
                Ok(found) => {
                    let link = Link { purpose: self.host_binding.links[number].purpose, ..found };
                    if !self.is_as_before(number, &link) {
                        self.follow_and_say(number, &link, network, engine);
                        continue;
                    }
                    self.set_running(number, link.running);
                    if self.host_binding.links[number].addresses != link.addresses {
                        self.readdress(number, link, engine);
                    }
                }
            }
        }
    }

    /// Returns true if nothing of an interface has changed that anything depends on, apart from its addresses. If it has no
    /// program, attaching one is tried again.
    fn is_as_before(&mut self, number: usize, link: &Link) -> bool {
        let (before, state) = (&self.host_binding.links[number], &self.states[number]);
        let same = state.settled && (before.index, before.mac) == (link.index, link.mac);
        match &mut self.kernel {
            Some(kernel) if same && state.program_hears => kernel.is_in_place(link),
            // Meanwhile its adverts go through sockets.
            Some(kernel) if same && link.can_have_program() => {
                let attached = kernel.attach(link).is_ok();
                self.states[number].just_attached = attached;
                !attached
            }
            Some(_) | None => same,
        }
    }

    /// Takes over the new addresses of an interface. The engine is told only of instances that now send from another address;
    /// instances that have none left are in fault.
    fn readdress(&mut self, number: usize, link: Link, engine: &EngineHandle) {
        let (had_v6, has_v6) = (self.host_binding.links[number].has_v6(), link.has_v6());
        let changed = self.host_binding.replace(number, link, &self.config);
        self.report_sources(&changed);
        if has_v6 && !had_v6 {
            // The groups of IPv6 could not be joined before.
            match Membership::join(
                &self.host_binding.links[number],
                &self.host_binding.groups_on(number, &self.config),
            ) {
                Ok(joined) => {
                    if let Some(held) = &mut self.states[number].held {
                        held.add(joined);
                    }
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
        for slot in changed.into_iter().filter(|&slot| self.host_binding.has_source(slot)) {
            let binding = Box::new(self.host_binding.binding(slot, &self.config, self.program_hears(slot)));
            let _ended = engine.tell(Command::Moved { slot, binding });
        }
    }

    fn report_sources(&self, changed: &[usize]) {
        for &slot in changed {
            let name = &self.config.instances[slot].name;
            match self.host_binding.source(slot, &self.config) {
                Ok(source) => tracing::info!("{name}: adverts are sent from {source}"),
                Err(error) => tracing::warn!("{name}: {error}; in fault until it has one"),
            }
        }
    }

    fn follow_and_say(&mut self, number: usize, link: &Link, network: &Network, engine: &EngineHandle) {
        let result = self.follow(number, link, network, engine);
        let (name, state) = (&self.host_binding.links[number].name, &mut self.states[number]);
        state.settled = result.is_ok();
        let complaint = result.err().map(|error| format!("{error:#}"));
        if complaint.is_none() {
            tracing::info!("interface {name} is there again, or has changed; its instances go on with it");
        }
        if let Some(complaint) = complaint.as_ref().filter(|new| state.complaint.as_ref() != Some(new)) {
            tracing::error!("interface {name} cannot be used: {complaint}");
        }
        state.complaint = complaint;
        self.set_running(number, link.running);
    }

    /// Does all that follows the change of an interface. It may be called again if it fails on the way.
    fn follow(&mut self, number: usize, link: &Link, network: &Network, engine: &EngineHandle) -> Result<()> {
        let gone = self.host_binding.links[number].index;
        // Taken first: if a step fails, the flag must not count for another interface of this name.
        let just_attached = std::mem::take(&mut self.states[number].just_attached);
        let mut changed = self.host_binding.replace(number, link.clone(), &self.config);
        changed.extend(
            self.host_binding
                .sourceless_on(number)
                .filter(|slot| !changed.contains(slot))
                .collect::<Vec<_>>(),
        );
        self.report_sources(&changed);
        // Written before the program is there, so that no address is without its fence.
        if let Some(kernel) = &mut self.kernel {
            kernel.write_vips(&self.host_binding.vips(&self.config))?;
            kernel.write_vmacs(&self.host_binding.vmacs(&self.config))?;
        }
        let program_hears = just_attached || self.place_program(link)?;
        self.states[number].program_hears = program_hears;
        // Drop the old guard first: it restores the settings that the new one saves.
        self.states[number].held = None;
        self.states[number].held = Some(self.host_binding.hold(number, &self.config, program_hears)?);
        match link.purpose {
            Purpose::Instances => {
                let hearing = self.host_binding.hearing(link, &self.config, program_hears)?;
                let _ended = engine.tell(Command::Hear { gone, hearing });
            }
            Purpose::Guard => {}
        }
        if let Some(kernel) = &self.kernel {
            let _ended = engine.tell(Command::Attached(kernel.describe()));
        }
        network.place(self.host_binding.master_resources(&self.config));
        let uses = |&slot: &usize| {
            self.host_binding.has_source(slot) && self.host_binding.uses(slot).any(|used| used == number)
        };
        for slot in (0..self.host_binding.len()).filter(uses) {
            let binding = Box::new(self.host_binding.binding(slot, &self.config, self.program_hears(slot)));
            let _ended = engine.tell(Command::Moved { slot, binding });
        }
        Ok(())
    }
}

impl Interfaces {
    /// Has the program on an interface, in the right place. Returns false if the interface has no program: its adverts go
    /// through sockets then, unless the operator has asked for the kernel half; then that is an error.
    fn place_program(&mut self, link: &Link) -> Result<bool> {
        let Some(kernel) = self.kernel.as_mut().filter(|_| link.can_have_program()) else { return Ok(false) };
        if kernel.is_in_place(link) {
            return Ok(true);
        }
        let known = kernel.refusal(link).map(str::to_owned);
        match (kernel.attach(link), kernel.on_refusal(), link.purpose) {
            (Ok(()), _, _) => {
                tracing::info!("{}: the program is attached", link.name);
                Ok(true)
            }
            (Err(error), OnRefusal::Fail, Purpose::Instances) => Err(error.into()),
            (Err(error), OnRefusal::Sockets, _) | (Err(error), _, Purpose::Guard) => {
                let why = error.to_string();
                if known.as_ref() != Some(&why) {
                    plane::warn_of_refusal(link, &why);
                }
                Ok(false)
            }
        }
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
