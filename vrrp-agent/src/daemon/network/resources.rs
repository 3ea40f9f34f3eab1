//! Sets and takes away what masters hold, and what is static. Addresses, routes and rules are set in this order and taken away
//! in the reverse order, for a route may need an address, and a rule a route.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rtnetlink::Handle;

use super::Missing;
use super::statics::{self, Lacking};
use super::table::{Earlier, Spare, Table};
use crate::config::routing::{Route, Rule};
use crate::config::{InstanceConfig, StaticResources};
use crate::daemon::master_resources::{InterfaceAddress, MasterResources};
use crate::daemon::messages::ActiveConfig;
use crate::dataplane::Slot;
use crate::net::{NetError, routes, rules};

/// The configuration of everything that is to be held.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) generation: u64,
    names: Vec<String>,
    pub(super) master_resources: Vec<MasterResources>,
    statics: StaticResources,
    /// All virtual addresses, also those whose interface is not there.
    virtual_addresses: BTreeSet<IpAddr>,
}

impl Plan {
    pub(super) fn of(active: &ActiveConfig) -> Self {
        let ActiveConfig { generation, config, master_resources, .. } = active;
        let addresses = config.instances.iter().flat_map(InstanceConfig::addresses);
        Self {
            generation: *generation,
            names: config.instances.iter().map(|instance| instance.name.clone()).collect(),
            master_resources: master_resources.clone(),
            statics: config.statics.clone(),
            virtual_addresses: addresses.map(|vip| vip.address).collect(),
        }
    }

    fn has_static(&self, address: IpAddr) -> bool {
        self.statics.addresses.iter().any(|vip| vip.address == address)
    }
}

/// The outcome of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The first address is there; the kernel may have refused others.
    Installed,
    /// The kernel refuses the first address, or all.
    Refused,
}

/// The holdings of masters, and what is static.
pub(super) struct Resources {
    handle: Handle,
    pub(super) plan: Plan,
    table: Table,
    /// The instances whose holdings are on the host, each with the number of its mastership.
    masters: BTreeMap<Slot, u64>,
    /// The addresses of these instances that the kernel refuses.
    missing: BTreeMap<Slot, Vec<InterfaceAddress>>,
    /// The same addresses, for the status.
    page: Missing,
    /// The complaints that were last logged of each instance, and of what is static (`None`).
    said: BTreeMap<Option<Slot>, BTreeSet<String>>,
}

impl Resources {
    pub(super) fn new(handle: Handle, plan: Plan, pinned: Vec<(u32, IpAddr)>, page: Missing) -> Self {
        let placed = plan.master_resources.iter().flat_map(|held| &held.addresses);
        let configured = placed.map(|placed| (placed.ifindex, placed.identity())).collect();
        let table = Table::new(handle.clone(), Earlier { pinned, configured });
        let (masters, missing, said) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { handle, plan, table, masters, missing, page, said }
    }

    /// Finds out which virtual addresses the host has by itself.
    pub(super) async fn look(&mut self) -> Result<(), NetError> {
        self.table.refresh().await?;
        let Self { table, plan, .. } = self;
        table.note_host_s_own(|there| {
            plan.virtual_addresses.contains(&there.address) || plan.has_static(there.address)
        });
        Ok(())
    }

    fn name(&self, slot: Slot) -> &str {
        self.plan.names.get(slot).map_or("", String::as_str)
    }

    fn held(&self, slot: Slot) -> MasterResources {
        self.plan.master_resources.get(slot).cloned().unwrap_or_default()
    }

    pub(super) fn masters(&self) -> BTreeSet<Slot> {
        self.masters.keys().copied().collect()
    }

    /// Returns the number of an instance's mastership, if it has one.
    pub(super) fn mastership(&self, slot: Slot) -> Option<u64> {
        self.masters.get(&slot).copied()
    }

    /// Returns what masters hold, and what is static: what one of them gives up, others may keep.
    fn kept(&self) -> Vec<MasterResources> {
        let held = self.masters.keys().filter_map(|&slot| self.plan.master_resources.get(slot).cloned());
        held.chain([MasterResources::of_statics(&self.plan.statics)]).collect()
    }

    /// Logs each complaint that is new. A complaint that is not true any more may be logged again later.
    fn say_once(&mut self, of: Option<Slot>, complaints: BTreeSet<String>) {
        let said = self.said.remove(&of).unwrap_or_default();
        for complaint in complaints.difference(&said) {
            match of {
                Some(slot) => tracing::error!("{}: {complaint}", self.name(slot)),
                None => tracing::error!("static: {complaint}"),
            }
        }
        self.said.insert(of, complaints);
    }

    /// Puts the addresses of an instance on their interfaces. An address that the kernel refuses is no reason to leave the
    /// others without a router, unless it is the first.
    pub(super) async fn install(&mut self, slot: Slot, mastership: u64) -> Outcome {
        self.masters.insert(slot, mastership);
        let MasterResources { addresses, .. } = self.held(slot);
        let missing = self.set_addresses(slot, &addresses).await;
        let first = addresses.first();
        let refused = first.is_some_and(|first| missing.contains(first));
        self.note_missing(slot, missing);
        if refused { Outcome::Refused } else { Outcome::Installed }
    }

    /// Sets addresses. Returns those that the kernel refuses.
    async fn set_addresses(&mut self, slot: Slot, addresses: &[InterfaceAddress]) -> Vec<InterfaceAddress> {
        let mut complaints = BTreeSet::new();
        // Ask first what is there, so that setting an address that is there already is no error.
        complaints.extend(self.table.refresh().await.err().map(|error| error.to_string()));
        let mut missing = Vec::new();
        for placed in addresses {
            if let Err(error) = self.table.set(placed).await {
                complaints.insert(format!("{error}; it is tried again"));
                missing.push(placed.clone());
            }
        }
        self.say_once(Some(slot), complaints);
        missing
    }

    fn note_missing(&mut self, slot: Slot, missing: Vec<InterfaceAddress>) {
        let name = self.name(slot).to_owned();
        let addresses: Vec<IpAddr> = missing.iter().map(|placed| placed.vip.address).collect();
        let mut page = self.page.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if missing.is_empty() {
            self.missing.remove(&slot);
            page.remove(&name);
        } else {
            self.missing.insert(slot, missing);
            page.insert(name, addresses);
        }
    }

    /// Returns true if the kernel has refused an address of a master.
    pub(super) fn lacks_any(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Tries again what was refused. Returns the masters that have got an address by this.
    pub(super) async fn try_again(&mut self) -> Vec<Slot> {
        let mut better = Vec::new();
        for (slot, missing) in self.missing.clone() {
            let still = self.set_addresses(slot, &missing).await;
            if still.len() < missing.len() {
                tracing::info!("{}: addresses that the kernel had refused are there now", self.name(slot));
                better.push(slot);
            }
            self.note_missing(slot, still);
        }
        better
    }

    /// Sets the routes and rules of an instance that the filters select; those that are there already stay. A route or rule
    /// that the kernel refuses is an error in the log, as with keepalived, and no reason to leave the addresses without a
    /// router.
    pub(super) async fn set_routing(
        &self,
        slot: Slot,
        route: impl Fn(&Route) -> bool,
        rule: impl Fn(&Rule) -> bool,
    ) {
        let MasterResources { routes, rules, .. } = self.held(slot);
        for route in routes.iter().filter(|of| route(of)) {
            if let Err(error) = routes::add(&self.handle, route).await {
                tracing::error!("{}: {error}", self.name(slot));
            }
        }
        for rule in rules.iter().filter(|of| rule(of)) {
            if let Err(error) = rules::add(&self.handle, rule).await {
                tracing::error!("{}: {error}", self.name(slot));
            }
        }
    }

    /// Sets again what another program has removed, or the kernel with an interface that went down and is up again: the routes
    /// and rules of masters, unless they are `no_track`, and what is static. Returns the track groups that lack something
    /// static, because it cannot be set.
    pub(super) async fn restore(&mut self) -> BTreeSet<String> {
        for slot in self.masters() {
            self.set_routing(slot, Route::tracked, |rule| !rule.no_track).await;
        }
        self.set_statics().await
    }

    /// Sets what is static. Returns the track groups that lack something, because it cannot be set.
    pub(super) async fn set_statics(&mut self) -> BTreeSet<String> {
        let Lacking { complaints, groups } =
            statics::set(&self.handle, &mut self.table, &self.plan.statics).await;
        // Each complaint is logged once, however often this is tried.
        self.say_once(None, complaints);
        groups
    }

    /// Takes away what an instance holds. Returns true if all is gone.
    pub(super) async fn withdraw(&mut self, slot: Slot) -> bool {
        let was_master = self.masters.remove(&slot).is_some();
        self.note_missing(slot, Vec::new());
        self.take_away(&self.held(slot), &self.kept(), Spare::Same, was_master).await
    }

    /// Takes a holding away, except for what is kept. Returns true if all is gone.
    async fn take_away(
        &mut self,
        of: &MasterResources,
        kept: &[MasterResources],
        spare: Spare,
        was_held: bool,
    ) -> bool {
        let mut errors = self.take_routing_away(of, kept).await;
        if !of.addresses.is_empty() {
            match self.table.refresh().await {
                Ok(()) => {
                    let going = self.table.going(of, kept, spare, was_held);
                    errors.extend(self.table.remove(&going).await);
                }
                Err(error) => {
                    errors.push(error);
                    errors.extend(self.table.remove_unseen(of, kept).await);
                }
            }
        }
        errors.iter().for_each(|error| tracing::error!("{error}"));
        errors.is_empty()
    }

    async fn take_routing_away(&self, of: &MasterResources, kept: &[MasterResources]) -> Vec<NetError> {
        let mut errors = Vec::new();
        for rule in of.rules.iter().rev().filter(|rule| !kept.iter().any(|has| has.has_rule(rule))) {
            errors.extend(rules::remove(&self.handle, rule).await.err());
        }
        for route in of.routes.iter().rev().filter(|of| !kept.iter().any(|has| has.has_route(of))) {
            errors.extend(routes::remove(&self.handle, route).await.err());
        }
        errors
    }

    /// Changes to another configuration: what masters held, and what was static, is taken away, unless masters or what is
    /// static have it now. An instance that has it now without being master does not keep it. Returns the track groups that
    /// lack something static, because it cannot be set.
    pub(super) async fn change(&mut self, active: &ActiveConfig) -> BTreeSet<String> {
        let was_masters = std::mem::take(&mut self.masters);
        for slot in std::mem::take(&mut self.missing).into_keys() {
            self.note_missing(slot, Vec::new());
        }
        self.said.clear();
        let still = active.was.iter().enumerate().filter_map(|(slot, was)| {
            was.and_then(|was| was_masters.get(&was)).map(|&mastership| (slot, mastership))
        });
        self.masters = still.collect();
        let before = std::mem::replace(&mut self.plan, Plan::of(active));
        if let Err(error) = self.table.refresh().await {
            tracing::error!("{error}");
        }
        let Self { table, plan, .. } = self;
        let is_new = |address: &IpAddr| {
            let (has, had) =
                (plan.virtual_addresses.contains(address), before.virtual_addresses.contains(address));
            (has && !had) || (plan.has_static(*address) && !before.has_static(*address) && !had)
        };
        table.note_host_s_own(|there| is_new(&there.address));
        let kept = self.kept();
        let held = was_masters.keys().filter_map(|&slot| before.master_resources.get(slot).cloned());
        for held in held.chain([MasterResources::of_statics(&before.statics)]) {
            let _told = self.take_away(&held, &kept, Spare::Place, true).await;
        }
        self.set_statics().await
    }

    /// Changes the holdings because an interface has been replaced. Returns the masters that hold something on a new interface.
    pub(super) async fn place(&mut self, master_resources: Vec<MasterResources>) -> Vec<Slot> {
        let indexes = |of: &[MasterResources]| -> BTreeSet<u32> {
            of.iter().flat_map(|held| &held.addresses).map(|placed| placed.ifindex).collect()
        };
        let new: BTreeSet<u32> =
            indexes(&master_resources).difference(&indexes(&self.plan.master_resources)).copied().collect();
        self.plan.master_resources = master_resources;
        if new.is_empty() {
            return Vec::new();
        }
        if let Err(error) = self.table.refresh().await {
            tracing::error!("{error}");
        }
        let Self { table, plan, .. } = self;
        table.note_host_s_own(|there| {
            new.contains(&there.index) && plan.virtual_addresses.contains(&there.address)
        });
        self.masters()
            .into_iter()
            .filter(|&slot| self.held(slot).addresses.iter().any(|placed| new.contains(&placed.ifindex)))
            .collect()
    }

    /// Returns the masters that hold an address that is reported as gone, and that really is gone.
    pub(super) async fn who_lost(&mut self, ifindex: u32, address: IpAddr) -> Vec<Slot> {
        let lost = |placed: &InterfaceAddress| placed.is_at(ifindex, address);
        let holders: Vec<Slot> = self.masters().into_iter().filter(|&slot| self.tracks(slot, lost)).collect();
        if holders.is_empty() || self.table.refresh().await.is_err() {
            return Vec::new();
        }
        holders.into_iter().filter(|&slot| self.tracks(slot, |of| lost(of) && !self.table.has(of))).collect()
    }

    /// Returns, after news were missed, the masters that hold an address that is not there.
    pub(super) async fn who_lost_any(&mut self) -> Vec<Slot> {
        if self.table.refresh().await.is_err() {
            return Vec::new();
        }
        self.masters().into_iter().filter(|&slot| self.tracks(slot, |of| !self.table.has(of))).collect()
    }

    /// Returns true if an instance has an address for which `such` is true and whose loss costs the mastership. An address that
    /// the kernel has refused cannot be lost.
    fn tracks(&self, slot: Slot, such: impl Fn(&InterfaceAddress) -> bool) -> bool {
        let missing = self.missing.get(&slot);
        let is_missing = |placed: &InterfaceAddress| missing.is_some_and(|missing| missing.contains(placed));
        let addresses = self.plan.master_resources.get(slot).map(|held| &held.addresses);
        addresses.into_iter().flatten().any(|of| of.is_tracked() && !is_missing(of) && such(of))
    }

    /// Removes what a crash left behind: the routes and rules that the configuration has, and the addresses that an earlier run
    /// put there, even if the configuration has changed since; but nothing of the instances that are to go on (`kept`). The
    /// fence of the earlier run is still up, so the host answers for no address meanwhile.
    pub(super) async fn remove_leftovers(&mut self, kept: &[Slot]) -> Result<(), NetError> {
        let master_resources = self.plan.master_resources.clone();
        // The instances that go on do so in the first mastership of this run.
        self.masters.extend(kept.iter().map(|&slot| (slot, 1)));
        let stays = self.kept();
        for (_, held) in master_resources.iter().enumerate().filter(|(slot, _)| !kept.contains(slot)) {
            let errors = self.take_routing_away(held, &stays).await;
            errors.iter().for_each(|error| tracing::error!("{error}"));
        }
        self.table.remove_leftovers(&stays).await
    }

    /// At the end: takes away what is left of all instances, then what is static. Returns the virtual addresses that are still
    /// on this host, except those that the host has by itself.
    pub(super) async fn remove_all(&mut self) -> Result<Vec<String>, NetError> {
        for slot in 0..self.plan.master_resources.len() {
            let _told = self.withdraw(slot).await;
        }
        let statics = MasterResources::of_statics(&self.plan.statics);
        let _told = self.take_away(&statics, &[], Spare::Same, true).await;
        self.table.refresh().await?;
        Ok(self.table.left(&self.plan.virtual_addresses))
    }
}
