//! Finds the interfaces of this host that instances use; and the interface by which the adverts to unicast peers leave, and are
//! awaited, where their source is on another interface than the instance's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vrrp_ebpf::advert::{Cast, Family};

use crate::config::{Config, InstanceConfig, MissingInterfaces};
use crate::net::links::{self, FrameKind, Link};
use crate::net::{NetError, sysctl};

/// The interfaces that instances use, each once, and which instance uses which, as indexes.
pub(super) struct Found {
    pub(super) links: Vec<Link>,
    /// Each instance's interface, which its addresses are on.
    pub(super) link_of: Vec<usize>,
    /// The interface that each instance's adverts leave and arrive by.
    pub(super) wire_of: Vec<usize>,
}

/// Looks the interfaces up. An instance that names no interface gets the one that has its source, if there is one.
///
/// # Errors
/// If netlink does not answer, or if an interface that must be there is not.
pub(super) async fn find(netlink: &rtnetlink::Handle, config: &mut Config) -> Result<Found, NetError> {
    // The file's own names first; then the sources of unicast instances, for the interfaces that have them.
    let mut asked = names(config);
    let sources: Vec<IpAddr> = config.instances.iter().filter_map(unicast_source).collect();
    asked.extend(sources.iter().map(IpAddr::to_string));
    let mut found = links::find(netlink, &asked).await?;
    let found_sources = found.split_off(asked.len() - sources.len());
    let holders = sources.into_iter().zip(found_sources);
    let holders: BTreeMap<IpAddr, Link> =
        holders.filter_map(|(source, link)| Some((source, link.ok()?))).collect();
    let mut links: Vec<Link> = Vec::new();
    for (name, link) in asked.iter().zip(found) {
        let link = present_or_awaited(name, links.len(), link, config.missing)?;
        if !links.iter().any(|there| there.name == link.name) {
            links.push(link);
        }
    }
    for instance in &mut config.instances {
        if let Some(holder) = unicast_source(instance).and_then(|source| holders.get(&source))
            && !instance.names_interface()
        {
            instance.interface.clone_from(&holder.name);
        }
    }
    let link_of: Vec<usize> =
        config.instances.iter().map(|instance| position(&links, &instance.interface)).collect();
    let wire_of: Vec<usize> = config
        .instances
        .iter()
        .zip(&link_of)
        .map(|(instance, &own)| match of_source(instance, &links[own], &holders) {
            Some(holder) if !has_router(holder, instance, config) => {
                wire_number(instance, holder, &mut links)
            }
            Some(_) | None => own,
        })
        .collect();
    Ok(Found { links, link_of, wire_of })
}

/// The number of an interface by its name.
pub(super) fn position(links: &[Link], name: &str) -> usize {
    links.iter().position(|link| link.name == name).expect("all were found")
}

/// The names in the file of the interfaces that instances and their addresses are on, each once.
fn names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for instance in &config.instances {
        let devs = instance.addresses().filter_map(|vip| vip.dev.as_ref());
        for name in std::iter::once(&instance.interface).chain(devs) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// The source that the file gives to adverts to peers.
fn unicast_source(instance: &InstanceConfig) -> Option<IpAddr> {
    match instance.cast() {
        Cast::Multicast => None,
        Cast::Unicast => instance.source,
    }
}

/// Returns true if another unicast instance on an interface has the same number and a common peer, and the same source or one
/// that is not known yet: adverts could not tell the two instances apart there.
fn has_router(link: &Link, instance: &InstanceConfig, config: &Config) -> bool {
    let is_on = |other: &InstanceConfig| {
        (other.vrid, other.family, other.cast()) == (instance.vrid, instance.family, instance.cast())
            && other.interface == link.name
            && other.shares_peer(instance)
            && other.source.is_none_or(|source| Some(source) == instance.source)
    };
    let is = config.instances.iter().any(is_on);
    if is {
        tracing::warn!(
            "{}: {} has its source, but another instance with virtual_router_id {} too, so adverts leave by {}, where its peers may \
             not hear them; give it another number",
            instance.name,
            link.name,
            instance.vrid,
            instance.interface
        );
    }
    is
}

/// The number of the interface that has an instance's source, among those that are used; it may be a new one.
fn wire_number(instance: &InstanceConfig, holder: &Link, links: &mut Vec<Link>) -> usize {
    tracing::info!(
        "{}: adverts leave by {}, which has their source, and are awaited there",
        instance.name,
        holder.name
    );
    links.iter().position(|link| link.name == holder.name).unwrap_or_else(|| {
        links.push(holder.clone());
        links.len() - 1
    })
}

/// Returns an interface as it was found, or, where the configuration lets it come later, as absent.
fn present_or_awaited(
    name: &str,
    number: usize,
    found: Result<Link, NetError>,
    missing: MissingInterfaces,
) -> Result<Link, NetError> {
    match (found, missing) {
        (Err(NetError::NoHolder { address }), _) => {
            tracing::warn!(
                "no interface has {address}, the `unicast_src_ip` of an instance that names no `interface`; it is in fault until \
                 one has"
            );
            Ok(Link::absent(name, number))
        }
        (Err(NetError::NoInterface { .. }), MissingInterfaces::Awaited) => {
            tracing::warn!("interface {name} is not there; its instances are in fault until it is");
            Ok(Link::absent(name, number))
        }
        (found, MissingInterfaces::Awaited | MissingInterfaces::Fatal) => found,
    }
}

/// Returns the interface of the source, if adverts are to leave by it and not by the instance's own interface (`own`).
/// `holders` are the interfaces that have the sources of instances.
///
/// keepalived binds its sockets to `interface`, whatever the source. So a peer that runs keepalived sends and listens there,
/// and over IPv4 that works wherever the peers answer ARP for their other addresses. The interface of the source is taken only
/// where keepalived's way cannot work; keepalived has two masters there.
fn of_source<'h>(
    instance: &InstanceConfig,
    own: &Link,
    holders: &'h BTreeMap<IpAddr, Link>,
) -> Option<&'h Link> {
    match instance.cast() {
        Cast::Multicast => return None,
        Cast::Unicast => {}
    }
    let source = instance.source.filter(|source| own.is_there() && !own.addresses.contains(source))?;
    let holder = holders.get(&source).filter(|holder| carries_adverts(holder))?;
    (!reaches_peers(instance, source, own, holder)).then_some(holder)
}

/// Returns true if peers can be on the interface: an address of the loopback or of a dummy is one that other hosts have a route
/// to.
fn carries_adverts(link: &Link) -> bool {
    match link.frame_kind {
        FrameKind::Ethernet | FrameKind::Other => true,
        FrameKind::WithoutArp | FrameKind::Loopback => false,
    }
}

/// Returns true if adverts from `source`, an address of `holder`, reach the peers by the instance's own interface.
fn reaches_peers(instance: &InstanceConfig, source: IpAddr, own: &Link, holder: &Link) -> bool {
    let all_on = |link: &Link| instance.peers.iter().all(|peer| link.is_on(peer.address));
    match source {
        // A link-local source means nothing on another interface.
        IpAddr::V6(source) if source.is_unicast_link_local() => return false,
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    match instance.family {
        _ if !carries_adverts(own) => false,
        _ if all_on(own) => true,
        // The kernel takes the peers for neighbours on the interface that a socket is bound to.
        Family::V4 => all_on(holder) && own.uses_arp() && sysctl::is_lenient(&own.name),
        Family::V6 => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn link(index: u32, name: &str, frame_kind: FrameKind, address: &str, length: u8) -> Link {
        let address: IpAddr = address.parse().expect("an address");
        let networks = vec![(address, length)];
        Link { index, frame_kind, addresses: vec![address], networks, ..Link::absent(name, 0) }
    }

    fn instance(source: &str, peer: &str) -> InstanceConfig {
        let vip = if source.contains(':') { "fd09::1" } else { "192.0.2.1" };
        let text = format!(
            "vrrp_instance V {{\ninterface none1\nvirtual_router_id 1\nunicast_src_ip {source}\nunicast_peer {{\n{peer}\n}}\n\
             virtual_ipaddress {{\n{vip}\n}}\n}}\n"
        );
        parse(&text).config.expect("a valid file").instances.remove(0)
    }

    /// No host has an interface `none1`, so its settings count as not strict.
    #[test]
    fn the_way_of_the_source_is_taken_only_where_keepalived_s_cannot_work() {
        let (own_v4, own_v6) = ("10.1.0.1", "fd01::1");
        for (device, source, length, peer, expected) in [
            // As keepalived: the peer is taken for a neighbour.
            (FrameKind::Ethernet, "10.0.0.1", 24, "10.0.0.2", None),
            // The peer is a neighbour.
            (FrameKind::Ethernet, "10.0.0.1", 24, "10.1.0.2", None),
            (FrameKind::Ethernet, "fd00::1", 64, "fd01::2", None),
            // The peer is behind a router.
            (FrameKind::Ethernet, "10.0.0.1", 24, "10.9.0.2", Some("none0")),
            // The kernel takes no IPv6 peer for a neighbour.
            (FrameKind::Ethernet, "fd00::1", 64, "fd00::2", Some("none0")),
            (FrameKind::Ethernet, "fe80::1", 64, "fe80::2", Some("none0")),
            (FrameKind::Other, "10.0.0.1", 24, "10.9.0.2", Some("none0")),
            // A router's own address, which other hosts have a route to.
            (FrameKind::Loopback, "10.0.0.1", 32, "10.0.0.2", None),
            (FrameKind::WithoutArp, "fd00::1", 128, "fd00::2", None),
        ] {
            let own = match source.contains(':') {
                true => link(2, "none1", FrameKind::Ethernet, own_v6, 64),
                false => link(2, "none1", FrameKind::Ethernet, own_v4, 24),
            };
            let holder = link(1, "none0", device, source, length);
            let holders = BTreeMap::from([(holder.addresses[0], holder)]);
            let way = of_source(&instance(source, peer), &own, &holders);
            assert_eq!(way.map(|link| link.name.as_str()), expected, "{device:?} {source} -> {peer}");
        }
    }

    #[test]
    fn an_interface_that_carries_nothing_is_no_way() {
        let own = link(2, "none1", FrameKind::Loopback, "127.0.0.1", 8);
        let holder = link(1, "none0", FrameKind::Ethernet, "10.0.0.1", 24);
        let holders = BTreeMap::from([(holder.addresses[0], holder)]);
        let way = of_source(&instance("10.0.0.1", "10.0.0.2"), &own, &holders);
        assert_eq!(way.map(|link| link.index), Some(1));
    }
}
