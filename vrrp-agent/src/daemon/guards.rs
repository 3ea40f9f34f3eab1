//! Other interfaces of this host that are in a network of its virtual addresses: a second card in the same LAN. Linux answers
//! ARP there for every address of the host, whichever interface the address is on. So the program guards these interfaces:
//! questions for a virtual address reach the stack only while its lease lasts, and without a lease no frame that has the
//! address as its sender leaves. With IPv6, Linux does not answer so.

use std::net::IpAddr;

use rtnetlink::Handle;
use vrrp_ebpf::abi::{VIPS_MAX, VipUse};

use super::master_resources::{InterfaceAddress, MasterResources};
use crate::dataplane::VipEntry;
use crate::net::NetError;
use crate::net::addresses::{self, Installed};
use crate::net::links::{self, Link, Purpose};

/// Returns the interfaces to guard, besides those in use (`links`). `holdings` are the holdings of all instances.
///
/// # Errors
/// If netlink does not answer.
pub(super) async fn find(
    netlink: &Handle,
    links: &[Link],
    master_resources: &[MasterResources],
) -> Result<Vec<Link>, NetError> {
    let placed: Vec<&InterfaceAddress> = master_resources
        .iter()
        .flat_map(|held| &held.addresses)
        .filter(|placed| placed.vip.address.is_ipv4())
        .collect();
    if placed.is_empty() {
        return Ok(Vec::new());
    }
    let is_unused = |installed: &&Installed| {
        installed.address.is_ipv4() && links.iter().all(|link| link.index != installed.index)
    };
    let there = addresses::list(netlink).await?;
    let unused: Vec<u32> = there.iter().filter(is_unused).map(|installed| installed.index).collect();
    let all = links::list_states(netlink).await?;
    let names = all.into_iter().filter(|(_, running)| unused.contains(&running.index));
    let names: Vec<String> = names.map(|(name, _)| name).collect();
    let mut guards: Vec<Link> = links::find(netlink, &names).await?.into_iter().flatten().collect();
    guards.retain(|link| {
        let is_near_holder = |placed: &&InterfaceAddress| {
            let is_holder = |holder: &&Link| holder.index == placed.ifindex;
            links.iter().find(is_holder).is_some_and(|holder| is_near(link, holder, placed.vip.address))
        };
        link.uses_arp() && placed.iter().any(is_near_holder)
    });
    for guard in &mut guards {
        guard.purpose = Purpose::Guard;
        tracing::info!(
            "{}: it is in a network of virtual addresses too, so questions for them are dropped there while their lease is over",
            guard.name
        );
    }
    Ok(guards)
}

/// Returns true if an interface is in the network of a virtual address, or of the interface that holds the address. In
/// another VRF the same numbers are another network.
fn is_near(link: &Link, holder: &Link, vip: IpAddr) -> bool {
    let share_network = || {
        let of_holder = holder.networks.iter().any(|(network, _)| network.is_ipv4() && link.is_on(*network));
        of_holder || link.networks.iter().any(|(network, _)| network.is_ipv4() && holder.is_on(*network))
    };
    link.place.vrf_index == holder.place.vrf_index && (link.is_on(vip) || share_network())
}

/// Adds to the entries of `vips` those of the guarded interfaces. An address that the host has on a guarded interface itself is
/// left out: the stack may answer for it there.
pub(super) fn add_entries(entries: &mut Vec<VipEntry>, links: &[Link]) {
    let held: Vec<VipEntry> = entries.iter().filter(|entry| entry.address.is_ipv4()).copied().collect();
    for guard in links.iter().filter(|link| link.purpose == Purpose::Guard && link.is_there()) {
        let is_elsewhere = |entry: &&VipEntry| {
            let holder = links.iter().find(|link| link.index == entry.ifindex);
            holder.is_some_and(|holder| holder.place.vrf_index == guard.place.vrf_index)
                && !guard.addresses.contains(&entry.address)
        };
        let elsewhere = held.iter().filter(is_elsewhere).map(|entry| VipEntry {
            ifindex: guard.index,
            usage: VipUse::Elsewhere,
            ..*entry
        });
        let elsewhere: Vec<VipEntry> = elsewhere.collect();
        if entries.len() + elsewhere.len() <= VIPS_MAX {
            entries.extend(elsewhere);
        } else {
            tracing::warn!("{}: too many virtual addresses for it to be guarded too", guard.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::links::Place;

    fn link(index: u32, network: (&str, u8), vrf_index: Option<u32>) -> Link {
        let address: IpAddr = network.0.parse().expect("an address");
        Link {
            index,
            addresses: vec![address],
            networks: vec![(address, network.1)],
            place: Place { vrf_index, ..Place::unknown() },
            ..Link::absent("none0", 0)
        }
    }

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));

    #[test]
    fn b2_an_interface_is_near_if_it_is_in_the_same_network_of_the_same_vrf() {
        let holder = link(1, ("192.0.2.1", 24), None);
        for (network, vrf, expected) in [
            (("192.0.2.2", 24), None, true),
            (("192.0.2.130", 25), None, true),
            (("192.0.0.1", 16), None, true),
            (("198.51.100.1", 24), None, false),
            (("fd00::1", 64), None, false),
            (("192.0.2.2", 24), Some(9), false),
        ] {
            assert_eq!(is_near(&link(2, network, vrf), &holder, VIP), expected, "{network:?} {vrf:?}");
        }
        // The virtual address may be of a network in which the interface that holds it has no address.
        let elsewhere = link(1, ("198.51.100.1", 24), None);
        assert!(is_near(&link(2, ("192.0.2.2", 24), None), &elsewhere, VIP));
    }

    /// An address of another VRF has the same number and is another one; so has one that the host has there itself.
    #[test]
    fn b2_only_addresses_of_the_same_vrf_are_guarded_and_none_that_the_interface_has() {
        let guard = |index, network, vrf| Link { purpose: Purpose::Guard, ..link(index, network, vrf) };
        let links = [
            link(1, ("192.0.2.1", 24), None),
            guard(2, ("192.0.2.2", 24), None),
            guard(3, ("192.0.2.3", 24), Some(9)),
            guard(4, ("192.0.2.10", 24), None),
        ];
        let held = VipEntry { slot: 0, ifindex: 1, address: VIP, mac: [2; 6], usage: VipUse::Accept };
        let mut entries = vec![held];
        add_entries(&mut entries, &links);
        assert_eq!(entries, [held, VipEntry { ifindex: 2, usage: VipUse::Elsewhere, ..held }]);
    }
}
