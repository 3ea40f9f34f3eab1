//! The addresses, routes and rules that instances hold on the host while they are master.

use std::net::IpAddr;

use crate::config::routing::{Route, Rule};
use crate::config::{AddressTrait, Config, InstanceConfig, StaticResources, Vip};
use crate::net::addresses::Identity;
use crate::net::links::Link;

/// An address of an instance, with the interface that it belongs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InterfaceAddress {
    pub(super) vip: Vip,
    pub(super) ifindex: u32,
}

impl InterfaceAddress {
    /// Returns the identity by which the kernel knows the address.
    pub(super) fn identity(&self) -> Identity {
        Identity::of(&self.vip)
    }

    /// Returns true if this is the given address on the given interface, with whatever prefix.
    pub(super) fn is_at(&self, ifindex: u32, address: IpAddr) -> bool {
        self.ifindex == ifindex && self.vip.address == address
    }

    /// Returns true if the loss of this address costs the mastership.
    pub(super) fn is_tracked(&self) -> bool {
        !self.vip.is(AddressTrait::Untracked)
    }
}

/// The addresses, routes and rules that an instance holds as master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MasterResources {
    pub(super) addresses: Vec<InterfaceAddress>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
}

impl MasterResources {
    pub(super) fn new(config: &InstanceConfig, addresses: Vec<InterfaceAddress>) -> Self {
        Self { addresses, routes: config.routes.clone(), rules: config.rules.clone() }
    }

    /// Returns true if both are the same, in whatever order.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(one: &[T], other: &[T]) -> bool {
            one.len() == other.len() && one.iter().all(|of| other.contains(of))
        }
        same(&self.addresses, &other.addresses)
            && same(&self.routes, &other.routes)
            && same(&self.rules, &other.rules)
    }

    /// Returns the static addresses, routes and rules. Addresses whose interface is not there are left out.
    pub(super) fn of_statics(statics: &StaticResources) -> Self {
        let placed = |vip: &Vip| {
            let ifindex = nix::net::if_::if_nametoindex(vip.dev.as_deref()?).ok()?;
            Some(InterfaceAddress { vip: vip.clone(), ifindex })
        };
        Self {
            addresses: statics.addresses.iter().filter_map(placed).collect(),
            routes: statics.routes.clone(),
            rules: statics.rules.clone(),
        }
    }

    /// Returns true if one of the addresses is the given address on the given interface, with whatever prefix.
    pub(super) fn has_place(&self, ifindex: u32, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.is_at(ifindex, address))
    }

    /// Returns true if the kernel would know one of the addresses on this interface by this identity.
    pub(super) fn has_address(&self, ifindex: u32, identity: &Identity) -> bool {
        self.addresses.iter().any(|own| own.ifindex == ifindex && own.identity() == *identity)
    }

    /// Returns true if the kernel would take the route for one of these. `no_track` and `track_group` are not compared, because
    /// the kernel does not know them.
    pub(super) fn has_route(&self, route: &Route) -> bool {
        let bare = |route: &Route| Route { no_track: false, track_group: None, ..route.clone() };
        self.routes.iter().any(|own| bare(own) == bare(route))
    }

    pub(super) fn has_rule(&self, rule: &Rule) -> bool {
        let bare = |rule: &Rule| Rule { no_track: false, track_group: None, ..rule.clone() };
        self.rules.iter().any(|own| bare(own) == bare(rule))
    }
}

/// Finds each address's interface.
pub(super) fn place(config: &InstanceConfig, link: &Link, links: &[Link]) -> Vec<InterfaceAddress> {
    let index_of = |vip: &Vip| match &vip.dev {
        None => Some(link.index),
        Some(dev) => links.iter().find(|link| link.name == *dev).map(|link| link.index),
    };
    config
        .addresses()
        .filter_map(|vip| Some(InterfaceAddress { vip: vip.clone(), ifindex: index_of(vip)? }))
        .collect()
}

/// Returns the protocol numbers of the routes and rules that are set again when another program removes them.
pub(super) fn protocols(config: &Config) -> Vec<u8> {
    let Config { instances, statics, .. } = config;
    let tracked = |instance: &InstanceConfig| {
        let routes = instance.routes.iter().filter(|route| route.tracked()).map(|route| route.protocol);
        let rules = instance.rules.iter().filter(|rule| !rule.no_track).map(|rule| rule.protocol);
        routes.chain(rules).collect::<Vec<u8>>()
    };
    let mut protocols: Vec<u8> = instances.iter().flat_map(tracked).collect();
    protocols.extend(statics.routes.iter().map(|route| route.protocol));
    protocols.extend(statics.rules.iter().map(|rule| rule.protocol));
    protocols.sort_unstable();
    protocols.dedup();
    protocols
}
