//! Instances that have interface, family and number in common. Adverts tell them apart by their destination: by another
//! multicast group, by unicast beside multicast, or by another `unicast_src_ip`; and instances with the same `unicast_src_ip`
//! by their peers. The kernel's maps know no destination, so the agent judges the adverts of such instances.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use vrrp_ebpf::abi::InstanceKey;
use vrrp_ebpf::advert::Cast;

use crate::config::{Config, InstanceConfig};
use crate::dataplane::Slot;

/// Returns the address that adverts to an instance are sent to. `source` is the address that the instance sends from.
pub(super) fn destination(instance: &InstanceConfig, source: IpAddr) -> IpAddr {
    match instance.cast() {
        Cast::Multicast => instance.group,
        Cast::Unicast => source,
    }
}

/// The instances that share their key with another one.
pub(super) fn sharing(keys: &[InstanceKey]) -> BTreeSet<Slot> {
    let mut of_key: HashMap<InstanceKey, Vec<Slot>> = HashMap::new();
    for (slot, key) in keys.iter().enumerate() {
        of_key.entry(*key).or_default().push(slot);
    }
    of_key.into_values().filter(|slots| slots.len() > 1).flatten().collect()
}

/// The first two instances that adverts cannot tell apart.
pub(super) fn indistinguishable(
    config: &Config,
    keys: &[InstanceKey],
    sources: &[IpAddr],
) -> Option<(Slot, Slot)> {
    let mut at: HashMap<(InstanceKey, IpAddr), Vec<Slot>> = HashMap::new();
    for (slot, instance) in config.instances.iter().enumerate() {
        let before = at.entry((keys[slot], destination(instance, sources[slot]))).or_default();
        let is_same = |other: &&Slot| is_same_at_destination(instance, &config.instances[**other]);
        if let Some(&other) = before.iter().find(is_same) {
            return Some((other, slot));
        }
        before.push(slot);
    }
    None
}

/// Returns true if nothing tells apart two instances that share their key and their destination.
fn is_same_at_destination(one: &InstanceConfig, other: &InstanceConfig) -> bool {
    match one.cast() {
        Cast::Multicast => true,
        Cast::Unicast => one.shares_peer(other),
    }
}

/// A configuration, and the keys and sources by which adverts name its instances.
pub(super) struct Named<'c> {
    pub(super) config: &'c Config,
    pub(super) keys: Vec<InstanceKey>,
    pub(super) sources: &'c [IpAddr],
}

impl Named<'_> {
    fn destination(&self, slot: Slot) -> IpAddr {
        destination(&self.config.instances[slot], self.sources[slot])
    }
}

/// Returns for each instance of `after` its slot in `before`, if it was there: with the same key, and both multicast or both
/// unicast. Only among several instances with the same key the destination decides too, so that an instance that changes its
/// group or source goes on.
pub(super) fn identities(before: &Named<'_>, after: &Named<'_>) -> Vec<Option<Slot>> {
    let mut of_key: HashMap<(InstanceKey, Cast), Vec<Slot>> = HashMap::new();
    for (slot, key) in before.keys.iter().enumerate() {
        of_key.entry((*key, before.config.instances[slot].cast())).or_default().push(slot);
    }
    let mut wanted: HashMap<(InstanceKey, Cast), usize> = HashMap::new();
    for (slot, key) in after.keys.iter().enumerate() {
        *wanted.entry((*key, after.config.instances[slot].cast())).or_default() += 1;
    }
    let was = |(slot, key): (Slot, &InstanceKey)| {
        let name = (*key, after.config.instances[slot].cast());
        match of_key.get(&name)?.as_slice() {
            [only] if wanted[&name] == 1 => Some(*only),
            several => several.iter().copied().find(|&there| {
                before.destination(there) == after.destination(slot)
                    && is_same_at_destination(&before.config.instances[there], &after.config.instances[slot])
            }),
        }
    };
    after.keys.iter().enumerate().map(was).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    /// Returns a configuration with one instance for each string of keywords, all with the number 7 on `none0`.
    fn file(instances: &[&str]) -> Config {
        let instance = |(number, keywords): (usize, &&str)| {
            format!(
                "vrrp_instance V{number} {{\ninterface none0\nvirtual_router_id 7\n{keywords}\nvirtual_ipaddress {{\n\
                 192.0.2.{number}\n}}\n}}\n"
            )
        };
        parse(&instances.iter().enumerate().map(instance).collect::<String>()).config.expect("a valid file")
    }

    fn named(config: &Config) -> Named<'_> {
        const SOURCES: [IpAddr; 3] = [IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 99)); 3];
        let key = |instance: &InstanceConfig| InstanceKey { ifindex: 1, family: instance.family, vrid: 7 };
        Named { config, keys: config.instances.iter().map(key).collect(), sources: &SOURCES }
    }

    const PEER: &str = "unicast_peer {\n192.0.2.98\n}";
    const OTHER_PEER: &str = "unicast_peer {\n192.0.2.97\n}";

    #[test]
    fn they_are_told_apart_by_their_destination() {
        let group = |last: u8| format!("mcast_dst_ip 224.0.0.{last}");
        for (instances, sharing_expected, clash) in [
            (vec![String::new()], 0, None),
            (vec![String::new(), group(18)], 0, Some((0, 1))),
            (vec![String::new(), group(19)], 2, None),
            (vec![String::new(), PEER.to_owned()], 2, None),
            (vec![PEER.to_owned(), OTHER_PEER.to_owned()], 2, None),
            (vec![PEER.to_owned(), group(19), PEER.to_owned()], 3, Some((0, 2))),
        ] {
            let texts: Vec<&str> = instances.iter().map(String::as_str).collect();
            // The parser refuses two instances that clash, so they are put together from two files.
            let mut config = file(&texts[..1]);
            for text in &texts[1..] {
                config.instances.extend(file(&[text]).instances);
            }
            let named = named(&config);
            assert_eq!(indistinguishable(&config, &named.keys, named.sources), clash, "{instances:?}");
            if clash.is_none() {
                assert_eq!(sharing(&named.keys).len(), sharing_expected, "{instances:?}");
            }
        }
    }

    #[test]
    fn a_reload_finds_each_again() {
        let (a, b) = ("mcast_dst_ip 224.0.0.18", "mcast_dst_ip 224.0.0.19");
        for (before, after, expected) in [
            // An instance that is alone may change its group.
            (&[a][..], &[b][..], &[Some(0)][..]),
            (&[a, b], &[b, a], &[Some(1), Some(0)]),
            (&[a, b], &[b], &[Some(1)]),
            (&[b], &[a, b], &[None, Some(0)]),
            (&[a, PEER], &[PEER, b], &[Some(1), Some(0)]),
            (&[a], &[PEER], &[None]),
            (&[PEER, OTHER_PEER], &[OTHER_PEER], &[Some(1)]),
        ] {
            let (before, after) = (file(before), file(after));
            assert_eq!(identities(&named(&before), &named(&after)), expected);
        }
    }
}
