//! The configuration as it applies to this host, and the routers that are made of both.

mod derive;
mod hold;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_ebpf::advert::{AUTH_DATA, Family, HEADER, VerifiedBy, Version};
use vrrp_ebpf::nd::IPV6_HEADER;

use super::guards;
use super::master_resources::{MasterResources, place};
use super::namesakes;
use super::wire::{self, Found, position};
use crate::config::{AddressTrait, Config, InstanceConfig, Primary, Sealing};
use crate::dataplane::{HeardBy, Hearing, Sequence};
use crate::host;
use crate::net::NetError;
use crate::net::links::{self, Link, Purpose};
use crate::net::receive::Receiver;
use crate::track::interface::Interfaces;
use crate::wire::ethernet::IPV4_HEADER;
use crate::wire::{ah, trailer};
pub(super) use hold::PreparedInterface;

/// The configuration as it applies to this host.
pub(super) struct HostBinding {
    /// Every interface that an instance or an address uses, once.
    pub(super) links: Vec<Link>,
    /// The tracked interfaces.
    pub(super) tracked: Interfaces,
    /// Each instance's primary address.
    pub(super) sources: Vec<IpAddr>,
    /// Each instance's interface, which its addresses are on, as an index into `links`.
    link_of: Vec<usize>,
    /// The interface that each instance's adverts leave and arrive by: most often its own interface.
    wire_of: Vec<usize>,
    /// All interfaces of each instance, those of its addresses included.
    uses: Vec<Vec<usize>>,
    /// The interfaces without which an instance cannot be master: not those of `no_track` addresses alone.
    requires: Vec<Vec<usize>>,
    /// Each instance's AH sequence, which its sender and its receiver share.
    sequences: Vec<Sequence>,
    /// The instances whose adverts can be told from another instance's only by their destination.
    namesakes: BTreeSet<usize>,
}

impl HostBinding {
    /// Looks at the host. Addresses that do not fit in an advert here become excluded ones, as with keepalived. `others` are
    /// further virtual addresses, which may be on an interface and are no source of adverts either.
    pub(super) async fn look(
        netlink: &rtnetlink::Handle,
        config: &mut Config,
        others: &[IpAddr],
    ) -> Result<Self, NetError> {
        let Found { links, link_of, wire_of } = wire::find(netlink, config).await?;
        let uses = |(slot, instance): (usize, &InstanceConfig)| {
            let devs = instance.addresses().filter_map(|vip| Some(position(&links, vip.dev.as_deref()?)));
            without_repeats([link_of[slot], wire_of[slot]].into_iter().chain(devs))
        };
        let uses: Vec<Vec<usize>> = config.instances.iter().enumerate().map(uses).collect();
        for (instance, &wire) in config.instances.iter_mut().zip(&wire_of) {
            fit(instance, &links[wire]);
        }
        let required = |(slot, instance): (usize, &InstanceConfig)| {
            let tracked = instance.addresses().filter(|vip| !vip.is(AddressTrait::Untracked));
            let devs = tracked.filter_map(|vip| Some(position(&links, vip.dev.as_deref()?)));
            without_repeats([link_of[slot], wire_of[slot]].into_iter().chain(devs))
        };
        let requires: Vec<Vec<usize>> = config.instances.iter().enumerate().map(required).collect();
        let mut sources = Vec::new();
        let virtual_addresses = [&virtual_addresses(config), others].concat();
        for (instance, (&own, &wire)) in config.instances.iter().zip(link_of.iter().zip(&wire_of)) {
            let link = &links[wire];
            sources.push(source(instance, link, &virtual_addresses).unwrap_or_else(|error| {
                if link.is_there() {
                    tracing::warn!("{}: {error}; in fault until it has one", instance.name);
                }
                unspecified(instance.family)
            }));
            warn_of_vmac(instance, &links[own]);
        }
        let first = first_sequence();
        let sequences = config.instances.iter().map(|_| Sequence::new(first)).collect();
        let mut tracked = Interfaces::new(config.tracked_interfaces());
        tracked.look(&links::list_states(netlink).await?);
        for (name, state) in tracked.states() {
            if state.is_none() {
                tracing::warn!(
                    "tracked interface {name} does not exist on this host: it counts as down until it does"
                );
            }
        }
        let namesakes = BTreeSet::new();
        let mut host_binding =
            Self { links, tracked, link_of, wire_of, uses, requires, sources, sequences, namesakes };
        host_binding.check_keys(config)?;
        let guards =
            guards::find(netlink, &host_binding.links, &host_binding.master_resources(config)).await?;
        host_binding.links.extend(guards);
        Ok(host_binding)
    }

    /// Continues the AH sequences of the instances that an earlier binding had too. `slots` are pairs of the slot there and the
    /// slot here.
    pub(super) fn inherit(&mut self, earlier: &Self, slots: impl Iterator<Item = (usize, usize)>) {
        for (there, here) in slots {
            self.sequences[here] = earlier.sequences[there].clone();
        }
    }

    /// Refuses two instances that adverts cannot tell apart. The file shows such a pair unless one of the two names no
    /// interface.
    fn check_keys(&mut self, config: &Config) -> Result<(), NetError> {
        let keys = self.keys(config);
        if let Some((one, other)) = namesakes::indistinguishable(config, &keys, &self.sources) {
            return Err(NetError::SameRouter {
                one: config.instances[one].name.clone(),
                other: config.instances[other].name.clone(),
                vrid: config.instances[other].vrid,
                interface: self.wire(other).name.clone(),
            });
        }
        self.namesakes = namesakes::sharing(&keys);
        Ok(())
    }

    /// Replaces an interface that is another than before, or has other addresses. Returns the instances that send from another
    /// address now, or from none.
    pub(super) fn replace(&mut self, number: usize, link: Link, config: &Config) -> Vec<usize> {
        let virtual_addresses = virtual_addresses(config);
        let mut changed = Vec::new();
        for (slot, instance) in config.instances.iter().enumerate() {
            if self.wire_of[slot] != number {
                continue;
            }
            // A source that was chosen stays as long as the interface has it, whatever address comes before it now.
            let before = self.sources[slot];
            let kept =
                link.addresses.contains(&before).then_some(before).filter(|_| instance.source.is_none());
            let now = kept.or_else(|| source(instance, &link, &virtual_addresses).ok());
            let now = now.unwrap_or_else(|| unspecified(instance.family));
            if now != before {
                self.sources[slot] = now;
                changed.push(slot);
            }
        }
        self.links[number] = link;
        changed
    }

    /// The address that an instance sends from.
    ///
    /// # Errors
    /// If its interface has none.
    pub(super) fn source(&self, slot: usize, config: &Config) -> Result<IpAddr, NetError> {
        let source = Some(self.sources[slot]).filter(|source| !source.is_unspecified());
        source.ok_or_else(|| no_address(&config.instances[slot]))
    }

    /// Returns true if an instance has an address to send from.
    pub(super) fn has_source(&self, slot: usize) -> bool {
        !self.sources[slot].is_unspecified()
    }

    /// The instances that have no address to send from on the interface by which their adverts leave.
    pub(super) fn sourceless_on(&self, number: usize) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(move |&slot| self.is_wire_of(slot, number) && !self.has_source(slot))
    }

    /// True if adverts of an instance leave and arrive by an interface.
    pub(super) fn is_wire_of(&self, slot: usize, number: usize) -> bool {
        self.wire_of[slot] == number
    }

    /// Returns true if any instance waits for an address of its interface to send from.
    pub(super) fn await_sources(&self) -> bool {
        (0..self.len()).any(|slot| !self.has_source(slot))
    }

    /// The interfaces that the kernel half is to be on.
    pub(super) fn programmable(&self) -> Vec<Link> {
        let mut links = self.there();
        links.retain(Link::can_have_program);
        links
    }

    /// The interfaces that are there and that instances or their addresses use.
    pub(super) fn present(&self) -> Vec<Link> {
        let mut present = self.there();
        present.retain(|link| link.purpose == Purpose::Instances);
        present
    }

    fn there(&self) -> Vec<Link> {
        each_once(self.links.iter().filter(|link| link.is_there())).into_iter().cloned().collect()
    }

    /// The number of instances.
    pub(super) fn len(&self) -> usize {
        self.link_of.len()
    }

    /// The interface of an instance, as an index into `links`.
    pub(super) fn link_number(&self, slot: usize) -> usize {
        self.link_of[slot]
    }

    /// Opens what an interface is heard by: canaries beside the program if the interface has it, else a socket.
    pub(super) fn hearing(
        &self,
        link: &Link,
        config: &Config,
        by_program: bool,
    ) -> Result<Hearing, NetError> {
        let ifindex = link.index;
        if !by_program {
            return Ok(Hearing { ifindex, by: HeardBy::Sockets, receiver: Some(Receiver::open(link)?) });
        }
        let judged = self.links_judged_here(config).iter().any(|judged| judged.index == ifindex);
        let receiver = if judged { Some(Receiver::open(link)?) } else { None };
        let mut canaries = Vec::new();
        for family in [Family::V4, Family::V6] {
            let on_it = config.instances.iter().enumerate().filter(|(slot, instance)| {
                self.wire(*slot).index == ifindex
                    && instance.family == family
                    && self.verified_by(*slot, instance) == VerifiedBy::Kernel
            });
            let vrids: BTreeSet<u8> = on_it.map(|(_, instance)| instance.vrid).collect();
            if !vrids.is_empty() {
                canaries.push(Receiver::open_canary(link, family, &Vec::from_iter(vrids))?);
            }
        }
        Ok(Hearing { ifindex, by: HeardBy::Program { canaries }, receiver })
    }

    fn link(&self, slot: usize) -> &Link {
        &self.links[self.link_of[slot]]
    }

    fn wire(&self, slot: usize) -> &Link {
        &self.links[self.wire_of[slot]]
    }

    fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Returns what each instance holds as master.
    pub(super) fn master_resources(&self, config: &Config) -> Vec<MasterResources> {
        let held =
            |(slot, instance)| MasterResources::new(instance, place(instance, self.link(slot), &self.links));
        config.instances.iter().enumerate().map(held).collect()
    }

    pub(super) fn uses(&self, slot: usize) -> impl Iterator<Item = usize> {
        self.uses[slot].iter().copied()
    }

    /// Returns the interfaces that must be there for an instance.
    pub(super) fn requires(&self, slot: usize) -> impl Iterator<Item = usize> {
        self.requires[slot].iter().copied()
    }

    /// Returns the interfaces that must be up for an instance.
    pub(super) fn needs(&self, slot: usize, config: &Config) -> impl Iterator<Item = usize> {
        let excused = (config.instances[slot].primary == Primary::Untracked).then_some(self.link_of[slot]);
        self.requires(slot).filter(move |number| Some(*number) != excused)
    }
}

pub(super) fn virtual_addresses(config: &Config) -> Vec<IpAddr> {
    config.instances.iter().flat_map(InstanceConfig::addresses).map(|vip| vip.address).collect()
}

/// Returns the unspecified address, which means that there is no address yet.
fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Returns each number once, in their order.
fn without_repeats(numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut once = Vec::new();
    for number in numbers {
        if !once.contains(&number) {
            once.push(number);
        }
    }
    once
}

/// Returns each interface once: an interface that was looked for by an address may be there by its name too.
fn each_once<'l>(links: impl Iterator<Item = &'l Link>) -> Vec<&'l Link> {
    let mut once: Vec<&Link> = Vec::new();
    for link in links {
        if once.iter().all(|other| other.index != link.index) {
            once.push(link);
        }
    }
    once
}

/// The address that adverts are sent from.
fn source(instance: &InstanceConfig, link: &Link, virtual_addresses: &[IpAddr]) -> Result<IpAddr, NetError> {
    let source = instance.source.or_else(|| link.advert_source(instance.family, virtual_addresses));
    source.ok_or_else(|| no_address(instance))
}

fn no_address(instance: &InstanceConfig) -> NetError {
    let kind = match instance.family {
        Family::V4 => "IPv4",
        Family::V6 => "link-local IPv6",
    };
    NetError::NoAddress { name: instance.interface.clone(), kind }
}

/// Warns an operator who asks for the hardware address of the virtual router on an interface where it has no effect, because
/// the addresses would be unreachable or there is no ARP.
fn warn_of_vmac(instance: &InstanceConfig, link: &Link) {
    if instance.vmac.is_none() || !link.is_there() {
        return;
    }
    let (name, interface) = (&instance.name, &link.name);
    if !link.uses_arp() {
        tracing::warn!("{name}: use_vmac has no effect on {interface}, which has no ARP");
    } else if !link.takes_other_macs {
        tracing::warn!(
            "{name}: use_vmac has no effect on {interface}: the interface below it hands it nothing that is sent to another \
             hardware address than its own, with which the addresses are announced instead; name the interface below it, or make \
             {interface} a macvlan of the mode passthru"
        );
    }
}

/// Returns the first sequence number of AH: seconds since 2020, more than an earlier run has used, so that the peers of a
/// router that starts as owner believe it at once. Any other router hears the master's number before it sends.
fn first_sequence() -> u32 {
    const YEAR_2020: u64 = 1_577_836_800;
    u32::try_from(host::utc().as_secs().saturating_sub(YEAR_2020)).unwrap_or(0)
}

/// Leaves in the advert as many addresses as one packet on this interface takes; the others become excluded ones.
fn fit(instance: &mut InstanceConfig, link: &Link) {
    let ip = match instance.family {
        Family::V4 => IPV4_HEADER,
        Family::V6 => IPV6_HEADER,
    };
    let tail = match instance.version {
        Version::V2 => AUTH_DATA,
        Version::V3 => 0,
    };
    let seal = match instance.sealing() {
        Some(Sealing::Ah(_)) => ah::HEADER,
        Some(Sealing::Hmac(_)) => trailer::TRAILER,
        None => 0,
    };
    let mtu = usize::try_from(link.mtu).unwrap_or(usize::MAX);
    let room = mtu.saturating_sub(ip + HEADER + tail + seal) / instance.family.width();
    if instance.vips.len() > room {
        tracing::warn!(
            "{}: an advert on {} takes {room} of the {} addresses; the others are held, but not advertised",
            instance.name,
            link.name,
            instance.vips.len()
        );
        let beyond = instance.vips.split_off(room);
        instance.excluded.splice(0..0, beyond);
    }
}
