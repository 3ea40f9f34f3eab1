//! What instances hold on the host while they are master: addresses, routes, rules. Set in this order and taken away in the
//! reverse one, for a route may need an address, and a rule a route.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::effects::Executor;
use super::engine::Command;
use super::engine::reload::Roster;
use super::fixtures::{self, Lacking};
use crate::config::routing::{Route, Rule};
use crate::config::{AddressTrait, Config, Fixtures, InstanceConfig, Vip};
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

    /// What is static, as far as its interfaces are there.
    pub(super) fn of_fixtures(fixtures: &Fixtures) -> Self {
        let placed = |vip: &Vip| {
            let ifindex = nix::net::if_::if_nametoindex(vip.dev.as_deref()?).ok()?;
            Some(Placed { vip: vip.clone(), ifindex })
        };
        Self {
            addresses: fixtures.addresses.iter().filter_map(placed).collect(),
            routes: fixtures.routes.clone(),
            rules: fixtures.rules.clone(),
        }
    }

    fn has_address(&self, placed: &Placed) -> bool {
        let place = |placed: &Placed| (placed.ifindex, placed.vip.address);
        self.addresses.iter().any(|own| place(own) == place(placed))
    }

    /// Whether the kernel would take it for one of these; it knows nothing of who looks after it.
    fn has_route(&self, route: &Route) -> bool {
        let bare = |route: &Route| Route { no_track: false, track_group: None, ..route.clone() };
        self.routes.iter().any(|own| bare(own) == bare(route))
    }

    fn has_rule(&self, rule: &Rule) -> bool {
        let bare = |rule: &Rule| Rule { no_track: false, track_group: None, ..rule.clone() };
        self.rules.iter().any(|own| bare(own) == bare(rule))
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

    /// What masters hold, and what is static: what one of them gives up, others may keep.
    fn kept(&self) -> Vec<Holding> {
        let (roster, masters) = (self.roster.borrow(), self.masters.borrow());
        let held = masters.iter().filter_map(|&slot| roster.holdings.get(slot).cloned());
        held.chain([Holding::of_fixtures(&roster.config.fixtures)]).collect()
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

    /// Sets those routes and rules of an instance; those that are there already stay.
    async fn set_routing(&self, slot: Slot, route: impl Fn(&Route) -> bool, rule: impl Fn(&Rule) -> bool) {
        let Holding { routes, rules, .. } = self.holding(slot);
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

    /// Somebody has removed a route or a rule, or the kernel has with an interface that went down and is up again: what masters
    /// are missing of theirs is set again, unless it is `no_track`, and what is static. One of the effects, so that nothing else
    /// changes meanwhile. The track groups of what is static and cannot be there.
    pub(super) async fn mend(&self) -> BTreeSet<String> {
        let masters: Vec<Slot> = self.masters.borrow().iter().copied().collect();
        for slot in masters {
            self.set_routing(slot, Route::tracked, |rule| !rule.no_track).await;
        }
        self.set_fixtures().await
    }

    /// Puts there what is static. The track groups of what cannot be.
    pub(super) async fn set_fixtures(&self) -> BTreeSet<String> {
        let fixtures = self.roster.borrow().config.fixtures.clone();
        let Lacking { complaints, groups } = fixtures::set(&self.handle, &fixtures).await;
        // Said once, however often it is tried.
        let said = self.static_complaints.replace(complaints.clone());
        for complaint in complaints.difference(&said) {
            tracing::error!("static: {complaint}");
        }
        groups
    }

    /// True if all is gone.
    pub(super) async fn withdraw(&self, slot: Slot) -> bool {
        self.masters.borrow_mut().remove(&slot);
        self.take_away(&self.holding(slot), &self.kept()).await
    }

    /// What is static goes at the end, as with keepalived.
    pub(super) async fn remove_fixtures(&self) {
        let fixtures = Holding::of_fixtures(&self.roster.borrow().config.fixtures);
        let _told = self.take_away(&fixtures, &[]).await;
    }

    /// Takes a holding away, but for what is kept. True if all is gone.
    async fn take_away(&self, holding: &Holding, kept: &[Holding]) -> bool {
        let mut all = true;
        let mut check = |result: Result<(), NetError>| {
            if let Err(error) = result {
                tracing::error!("{error}");
                all = false;
            }
        };
        for rule in holding.rules.iter().rev().filter(|rule| !kept.iter().any(|has| has.has_rule(rule))) {
            check(rules::remove(&self.handle, rule).await);
        }
        for route in holding.routes.iter().rev().filter(|of| !kept.iter().any(|has| has.has_route(of))) {
            check(routes::remove(&self.handle, route).await);
        }
        for placed in holding.addresses.iter().filter(|of| !kept.iter().any(|has| has.has_address(of))) {
            check(addresses::remove(&self.handle, placed.ifindex, &placed.vip).await);
        }
        all
    }

    /// Another configuration: what masters held, and what was static, goes, unless masters or what is static have it now. An
    /// instance that has come to it without being master does not.
    pub(super) async fn change_roster(&self, mut roster: Roster) {
        let carried_out = roster.carried_out.take();
        let was_masters = self.masters.take();
        let is_still = |slot: &Slot| roster.was[*slot].is_some_and(|was_at| was_masters.contains(&was_at));
        let still = (0..roster.was.len()).filter(is_still).collect();
        self.masters.replace(still);
        let before = self.roster.replace(roster);
        let kept = self.kept();
        let held = was_masters.iter().filter_map(|&slot| before.holdings.get(slot).cloned());
        for holding in held.chain([Holding::of_fixtures(&before.config.fixtures)]) {
            let _told = self.take_away(&holding, &kept).await;
        }
        let missing = self.set_fixtures().await;
        // Whoever waits may have ended.
        let _ended = carried_out.map(|carried_out| carried_out.send(missing));
    }

    /// An address is said to be gone. If it is one that masters hold, and really is, the engine is told; what we take away
    /// ourselves is no master's any more.
    pub(super) async fn check_address(&self, ifindex: u32, address: IpAddr) {
        let is_it = |placed: &Placed| {
            placed.ifindex == ifindex && placed.vip.address == address && Holding::is_tracked(placed)
        };
        let (generation, holders) = (self.generation(), self.masters_with(is_it));
        if holders.is_empty() {
            return;
        }
        let there = addresses::list(&self.handle).await;
        if there.is_ok_and(|there| !there.iter().any(|at| at.index == ifindex && at.address == address)) {
            for slot in holders {
                let _ended = self.engineer.tell(Command::AddressesLost { generation, slot });
            }
        }
    }

    fn masters_with(&self, is_it: impl Fn(&Placed) -> bool) -> Vec<Slot> {
        let (roster, masters) = (self.roster.borrow(), self.masters.borrow());
        let holds = |slot: &&Slot| {
            roster.holdings.get(**slot).is_some_and(|holding| holding.addresses.iter().any(&is_it))
        };
        masters.iter().filter(holds).copied().collect()
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
        let stays: Vec<Holding> = kept.iter().map(|(_, holding)| (*holding).clone()).collect();
        for (_, holding) in &ours {
            // The addresses below: they are looked for first, and told of.
            let routing = Holding { addresses: Vec::new(), ..(*holding).clone() };
            let _told = self.take_away(&routing, &stays).await;
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
