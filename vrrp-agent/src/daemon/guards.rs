//! Other interfaces of this host that are in a network of its virtual addresses: a second card in the same LAN. Linux answers
//! ARP there for every address of the host, whichever interface the address is on. So the program guards these interfaces:
//! questions for a virtual address reach the stack only while its lease lasts, and without a lease no frame that has the
//! address as its sender leaves. With IPv6, Linux does not answer so.

use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::Handle;

use super::holdings::Holding;
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
    holdings: &[Holding],
) -> Result<Vec<Link>, NetError> {
    let placed = || holdings.iter().flat_map(|holding| &holding.addresses);
    let mut networks: Vec<(IpAddr, u8)> = placed().map(|placed| (placed.vip.address, 32)).collect();
    for link in links.iter().filter(|link| placed().any(|placed| placed.ifindex == link.index)) {
        networks.extend(&link.networks);
    }
    networks.retain(|(network, _)| network.is_ipv4());
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let is_used = |index: u32| links.iter().any(|link| link.index == index);
    let is_near = |installed: &&Installed| {
        !is_used(installed.index) && networks.iter().any(|&network| overlap(network, installed.network()))
    };
    let there = addresses::list(netlink).await?;
    let near: Vec<u32> = there.iter().filter(is_near).map(|installed| installed.index).collect();
    if near.is_empty() {
        return Ok(Vec::new());
    }
    let names = links::all(netlink).await?.into_iter().filter(|(_, running)| near.contains(&running.index));
    let names: Vec<String> = names.map(|(name, _)| name).collect();
    let found = links::look(netlink, &names).await?.into_iter().flatten().filter(Link::needs_arp);
    Ok(found.map(|link| Link { purpose: Purpose::Guard, ..link }).collect())
}

/// Returns true if one of two IPv4 networks contains an address of the other.
fn overlap((one, one_length): (IpAddr, u8), (other, other_length): (IpAddr, u8)) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let length = one_length.min(other_length);
            prefix(one, length) == prefix(other, length)
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => false,
    }
}

fn prefix(address: Ipv4Addr, length: u8) -> u32 {
    address.to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_overlap_where_one_is_in_the_other() {
        for (one, other, expected) in [
            (("192.0.2.10", 32), ("192.0.2.1", 24), true),
            (("192.0.2.1", 24), ("192.0.2.200", 25), true),
            (("192.0.2.10", 32), ("192.0.2.129", 25), false),
            (("192.0.2.10", 32), ("198.51.100.1", 24), false),
            (("192.0.2.10", 32), ("198.51.100.1", 0), true),
            (("192.0.2.10", 32), ("fd00::1", 64), false),
        ] {
            let network = |(address, length): (&str, u8)| (address.parse().expect("an address"), length);
            assert_eq!(overlap(network(one), network(other)), expected, "{one:?} {other:?}");
            assert_eq!(overlap(network(other), network(one)), expected, "{one:?} {other:?}");
        }
    }
}
