//! What instances hold on the host while they are master: addresses, routes, rules. Set in this order and taken away in the
//! reverse one, for a route may need an address, and a rule a route.

use std::net::IpAddr;

use super::effects::Executor;
use super::engine::Command;
use super::engine::reload::Roster;
use crate::config::routing::{Route, Rule};
use crate::config::{AddressTrait, Config, InstanceConfig, Vip};
use crate::dataplane::Slot;
use crate::net::links::Link;
use crate::net::{NetError, addresses, routes, rules};

/// An address of an instance, with the interface that it belongs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) vip: Vip,
    pub(super) ifindex: u32,
}

/// What an instance holds as master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) addresses: Vec<Placed>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
}

impl Holding {
    pub(super) fn new(config: &InstanceConfig, addresses: Vec<Placed>) -> Self {
        Self { addresses, routes: config.routes.clone(), rules: config.rules.clone() }
    }

    /// Whether both are the same, in whatever order.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(one: &[T], other: &[T]) -> bool {
            one.len() == other.len() && one.iter().all(|of| other.contains(of))
        }
        same(&self.addresses, &other.addresses)
            && same(&self.routes, &other.routes)
            && same(&self.rules, &other.rules)
    }

    fn is_tracked(placed: &Placed) -> bool {
        !placed.vip.is(AddressTrait::Untracked)
    }
}

/// Finds each address's interface.
pub(super) fn place(config: &InstanceConfig, link: &Link, links: &[Link]) -> Vec<Placed> {
    let index_of = |vip: &Vip| match &vip.dev {
        None => Some(link.index),
        Some(dev) => links.iter().find(|link| link.name == *dev).map(|link| link.index),
    };
    config.addresses().filter_map(|vip| Some(Placed { vip: vip.clone(), ifindex: index_of(vip)? })).collect()
}

/// Who, by protocol, has put there the routes and rules that are put there again when others remove them.
pub(super) fn protocols(config: &Config) -> Vec<u8> {
    let Config { instances, fixtures, .. } = config;
    let tracked = |instance: &InstanceConfig| {
        let routes = instance.routes.iter().filter(|route| route.tracked()).map(|route| route.protocol);
        let rules = instance.rules.iter().filter(|rule| !rule.no_track).map(|rule| rule.protocol);
        routes.chain(rules).collect::<Vec<u8>>()
    };
    let mut protocols: Vec<u8> = instances.iter().flat_map(tracked).collect();
    protocols.extend(fixtures.routes.iter().map(|route| route.protocol));
    protocols.extend(fixtures.rules.iter().map(|rule| rule.protocol));
    protocols.sort_unstable();
    protocols.dedup();
    protocols
}

impl Executor {
    fn holding(&self, slot: Slot) -> Holding {
        self.roster.borrow().holdings.get(slot).cloned().unwrap_or_default()
    }

    /// What the masters other than this one hold: of two instances with the same route, one may leave.
    fn held_by_others(&self, slot: Slot) -> Vec<Holding> {
        let roster = self.roster.borrow();
        let others = self.masters.borrow();
        others.iter().filter(|&&other| other != slot).map(|&other| roster.holdings[other].clone()).collect()
    }

    /// True if all addresses are there. A route that the kernel refuses is an error in the log, as with keepalived, and no reason
    /// to leave the addresses to nobody.
    pub(super) async fn install(&self, slot: Slot) -> bool {
        self.masters.borrow_mut().insert(slot);
        let Holding { addresses, .. } = self.holding(slot);
        let mut all = true;
        for Placed { vip, ifindex } in &addresses {
            if let Err(error) = addresses::add(&self.handle, *ifindex, vip).await {
                tracing::error!("{}: {error}", self.name(slot));
                all = false;
            }
        }
        self.set_routing(slot, |_| true, |_| true).await;
        all
    }

    /// Sets those routes and rules of an instance; those that are there already stay. It may cease to be master meanwhile: what
    /// was set too late is taken away again.
    async fn set_routing(&self, slot: Slot, route: impl Fn(&Route) -> bool, rule: impl Fn(&Rule) -> bool) {
        let Holding { routes, rules, .. } = self.holding(slot);
        let is_master = || self.masters.borrow().contains(&slot);
        let report = |result: Result<(), NetError>| {
            if let Err(error) = result {
                tracing::error!("{}: {error}", self.name(slot));
            }
        };
        for route in routes.iter().filter(|of| route(of)) {
            if is_master() {
                report(routes::add(&self.handle, route).await);
            }
            if !is_master() {
                return report(routes::remove(&self.handle, route).await);
            }
        }
        for rule in rules.iter().filter(|of| rule(of)) {
            if is_master() {
                report(rules::add(&self.handle, rule).await);
            }
            if !is_master() {
                return report(rules::remove(&self.handle, rule).await);
            }
        }
    }

    /// Somebody has removed a route or a rule, or the kernel has with an interface that went down and is up again: what masters
    /// are missing of theirs is set again, unless it is `no_track`.
    pub(super) async fn mend_routing(&self) {
        let masters: Vec<Slot> = self.masters.borrow().iter().copied().collect();
        for slot in masters {
            self.set_routing(slot, Route::tracked, |rule| !rule.no_track).await;
        }
    }

    /// True if all is gone.
    pub(super) async fn withdraw(&self, slot: Slot) -> bool {
        self.masters.borrow_mut().remove(&slot);
        let Holding { addresses, routes, rules } = self.holding(slot);
        let others = self.held_by_others(slot);
        let mut all = true;
        let mut check = |result: Result<(), NetError>| {
            if let Err(error) = result {
                tracing::error!("{}: {error}", self.name(slot));
                all = false;
            }
        };
        for rule in rules.iter().rev().filter(|rule| !others.iter().any(|other| other.rules.contains(rule))) {
            check(rules::remove(&self.handle, rule).await);
        }
        for route in routes.iter().rev().filter(|of| !others.iter().any(|other| other.routes.contains(of))) {
            check(routes::remove(&self.handle, route).await);
        }
        for Placed { vip, ifindex } in &addresses {
            check(addresses::remove(&self.handle, *ifindex, vip).await);
        }
        all
    }

    /// Another configuration: what it does not have goes.
    pub(super) async fn change_roster(&self, roster: Roster) {
        let was = self.masters.take();
        let still = (0..roster.was.len())
            .filter(|&slot| roster.was[slot].is_some_and(|was_at| was.contains(&was_at)));
        self.masters.replace(still.collect());
        let before = self.roster.replace(roster).holdings;
        let now = self.roster.borrow().holdings.clone();
        let report = |result: Result<(), NetError>| {
            if let Err(error) = result {
                tracing::error!("{error}");
            }
        };
        let of_masters =
            || before.iter().enumerate().filter(|(slot, _)| was.contains(slot)).map(|(_, had)| had);
        for rule in of_masters().flat_map(|had| &had.rules) {
            if !now.iter().any(|has| has.rules.contains(rule)) {
                report(rules::remove(&self.handle, rule).await);
            }
        }
        for route in of_masters().flat_map(|had| &had.routes) {
            if !now.iter().any(|has| has.routes.contains(route)) {
                report(routes::remove(&self.handle, route).await);
            }
        }
        for placed in before.iter().flat_map(|had| &had.addresses) {
            if !now.iter().any(|has| has.addresses.contains(placed)) {
                report(addresses::remove(&self.handle, placed.ifindex, &placed.vip).await);
            }
        }
    }

    /// An address is said to be gone. If it is one that an instance holds, and really is, the engine is told; what we took away
    /// ourselves, and have put back since, is nobody's loss.
    pub(super) async fn check_address(&self, ifindex: u32, address: IpAddr) {
        let is_it = |placed: &Placed| {
            placed.ifindex == ifindex && placed.vip.address == address && Holding::is_tracked(placed)
        };
        let holds = |holding: &Holding| holding.addresses.iter().any(is_it);
        let generation = self.generation();
        let Some(slot) = self.roster.borrow().holdings.iter().position(holds) else { return };
        let there = addresses::list(&self.handle).await;
        if there.is_ok_and(|there| !there.iter().any(|at| at.index == ifindex && at.address == address)) {
            let _ended = self.engineer.tell(Command::AddressesLost { generation, slot });
        }
    }

    /// After news were missed: whichever addresses are not there, the engine is told; who is not master does not mind.
    pub(super) async fn check_addresses(&self) {
        let Ok(there) = addresses::list(&self.handle).await else { return };
        let is_there = |placed: &Placed| {
            !Holding::is_tracked(placed)
                || there.iter().any(|at| at.index == placed.ifindex && at.address == placed.vip.address)
        };
        let (generation, holdings) = (self.generation(), self.roster.borrow().holdings.clone());
        for (slot, holding) in holdings.iter().enumerate() {
            if !holding.addresses.iter().all(is_there) {
                let _ended = self.engineer.tell(Command::AddressesLost { generation, slot });
            }
        }
    }

    /// Removes what a crash left behind: what the configuration has, and the addresses that the pins of the earlier run know
    /// (`earlier`), should the configuration have changed; but not that of the instances that are to go on (`kept`). With the
    /// fence of the earlier run still up, nobody is answered meanwhile.
    pub(super) async fn remove_leftovers(
        &self,
        earlier: &[(u32, IpAddr)],
        kept: &[Slot],
    ) -> Result<(), NetError> {
        let holdings = self.roster.borrow().holdings.clone();
        let (kept, ours): (Vec<_>, Vec<_>) =
            holdings.iter().enumerate().partition(|(slot, _)| kept.contains(slot));
        self.masters.borrow_mut().extend(kept.iter().map(|(slot, _)| slot));
        for rule in ours.iter().flat_map(|(_, holding)| &holding.rules) {
            if !kept.iter().any(|(_, holding)| holding.rules.contains(rule)) {
                rules::remove(&self.handle, rule).await?;
            }
        }
        for route in ours.iter().flat_map(|(_, holding)| &holding.routes) {
            if !kept.iter().any(|(_, holding)| holding.routes.contains(route)) {
                routes::remove(&self.handle, route).await?;
            }
        }
        let places = |of: &[(Slot, &Holding)]| -> Vec<(u32, IpAddr)> {
            let placed = of.iter().flat_map(|(_, holding)| &holding.addresses);
            placed.map(|placed| (placed.ifindex, placed.vip.address)).collect()
        };
        let (kept, ours) = (places(&kept), places(&ours));
        for installed in addresses::list(&self.handle).await? {
            let place = (installed.index, installed.address);
            if !kept.contains(&place) && (earlier.contains(&place) || ours.contains(&place)) {
                tracing::warn!("removing {}, which an earlier run left on its interface", installed.address);
                addresses::remove_installed(&self.handle, installed).await?;
            }
        }
        Ok(())
    }
}
