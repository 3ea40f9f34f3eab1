//! The configuration as it applies to this host, and the routers that are made of both.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use vrrp_ebpf::abi::{InstanceKey, VipUse};
use vrrp_ebpf::advert::{AUTH_DATA, Cast, Family, GROUP_V4, GROUP_V6, HEADER, VerifiedBy, Version};
use vrrp_ebpf::nd::IPV6_HEADER;

use super::derive::{judged_here, params, rules};
use super::engine::{InstanceBinding, Router};
use super::frames::{Frames, Macs, Origin, Sealer};
use super::guards;
use super::master_resources::{InterfaceAddress, MasterResources, place};
use super::namesakes::{self, Named};
use super::wire::{self, Found, position};
use crate::config::{AddressTrait, Config, InstanceConfig, Primary, Sealing, Secondaries, Vmac};
use crate::dataplane::{
    AdvertVerifier, AdvertVerifiers, HeardBy, Hearing, Seal, Sequence, VipEntry, VmacEntry,
};
use crate::host;
use crate::net::NetError;
use crate::net::links::{self, Link, Purpose};
use crate::net::receive::{Membership, Receiver};
use crate::net::sysctl::{Setting, SysctlGuard};
use crate::track::interface::Interfaces;
use crate::vrrp::{Instance, SyncMembership};
use crate::wire::ethernet::IPV4_HEADER;
use crate::wire::{ah, trailer};

/// The shortest time that an installation may take, however little is held.
const INSTALL_TIME_MIN: Duration = Duration::from_secs(3);
/// The additional time for each address, route and rule of the configuration.
const INSTALL_TIME_EACH: Duration = Duration::from_millis(10);

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

/// The memberships and settings of an interface, which last as long as this is held.
#[derive(Debug)]
pub(super) struct PreparedInterface {
    memberships: Vec<Membership>,
    _raised: Vec<SysctlGuard>,
}

impl PreparedInterface {
    /// Holds one more membership.
    pub(super) fn add(&mut self, membership: Membership) {
        self.memberships.push(membership);
    }
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
        tracked.look(&links::all(netlink).await?);
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

    /// Continues the AH sequences of the instances that an earlier site had too. `slots` are pairs of the slot there and the
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

    /// The groups that adverts come to on an interface.
    pub(super) fn groups_on(&self, number: usize, config: &Config) -> Vec<IpAddr> {
        let link = &self.links[number];
        let mut groups = match link.purpose {
            Purpose::Instances if link.needs_arp() => vec![GROUP_V4.into(), GROUP_V6.into()],
            Purpose::Instances | Purpose::Guard => Vec::new(),
        };
        let mut join = |instance: &InstanceConfig| {
            if instance.cast() == Cast::Multicast && !groups.contains(&instance.group) {
                groups.push(instance.group);
            }
        };
        let here = config.instances.iter().zip(&self.link_of).filter(|(_, link)| **link == number);
        here.for_each(|(instance, _)| join(instance));
        groups
    }

    /// Returns the kernel settings of an interface that may need another value for VRRP.
    pub(super) fn settings(&self, number: usize, config: &Config, vmacs: bool) -> Vec<Setting> {
        let mut settings = Vec::new();
        if vmacs && !self.vmacs_on(&self.links[number], config).is_empty() {
            settings.push(Setting::ArpAnnounce);
        }
        let promotes = |(instance, link): (&InstanceConfig, &usize)| {
            *link == number && instance.secondaries == Secondaries::Promoted
        };
        if config.instances.iter().zip(&self.link_of).any(promotes) {
            settings.push(Setting::PromoteSecondaries);
        }
        settings
    }

    /// Has the network card and the stack treat an interface as VRRP needs it, for as long as the returned value lives. `vmacs`
    /// is true if the data plane can receive for virtual hardware addresses.
    pub(super) fn hold(
        &self,
        number: usize,
        config: &Config,
        vmacs: bool,
    ) -> Result<PreparedInterface, NetError> {
        let link = &self.links[number];
        let mut memberships = vec![Membership::join(link, &self.groups_on(number, config))?];
        if vmacs {
            // Network cards learn the address while the virtual router is still backup: that may take them a second.
            for vmac in self.vmacs_on(link, config) {
                memberships.push(Membership::receive_for(link, vmac.mac)?);
            }
        }
        let mut raised = Vec::new();
        for setting in self.settings(number, config, vmacs) {
            match SysctlGuard::make(&link.name, setting) {
                Ok(setting) => raised.extend(setting),
                Err(error) => tracing::warn!("{error}; {}", setting.otherwise()),
            }
        }
        Ok(PreparedInterface { memberships, _raised: raised })
    }

    pub(super) fn vips(&self, config: &Config) -> Vec<VipEntry> {
        let mut entries = Vec::new();
        for (slot, held) in self.master_resources(config).into_iter().enumerate() {
            for InterfaceAddress { vip, ifindex } in held.addresses {
                let instance = &config.instances[slot];
                let own =
                    self.links.iter().find(|link| link.index == ifindex).map_or([0; 6], |link| link.mac);
                // On another interface, an address is held with that interface's own hardware address.
                let is_virtual = self.vmac(slot, instance).is_some() && ifindex == self.link(slot).index;
                let mac = if is_virtual { instance.virtual_mac() } else { own };
                let usage = if instance.accept { VipUse::Accept } else { VipUse::NoAccept };
                entries.push(VipEntry { slot, ifindex, address: vip.address, mac, usage });
            }
        }
        guards::add_entries(&mut entries, &self.links);
        entries
    }

    pub(super) fn vmacs(&self, config: &Config) -> Vec<VmacEntry> {
        let with = config.instances.iter().enumerate().filter(|(slot, i)| self.vmac(*slot, i).is_some());
        let entry = |(slot, instance): (usize, &InstanceConfig)| {
            let link = self.link(slot);
            VmacEntry { slot, ifindex: link.index, mac: instance.virtual_mac(), own: link.mac }
        };
        with.map(entry).collect()
    }

    /// How an instance uses the virtual router's hardware address, if its interface can receive for it.
    fn vmac(&self, slot: usize, instance: &InstanceConfig) -> Option<Vmac> {
        let link = self.link(slot);
        instance.vmac.filter(|_| link.needs_arp() && link.takes_other_macs)
    }

    /// The virtual routers' hardware addresses on one interface.
    pub(super) fn vmacs_on(&self, link: &Link, config: &Config) -> Vec<VmacEntry> {
        self.vmacs(config).into_iter().filter(|vmac| vmac.ifindex == link.index).collect()
    }

    /// Returns the keys and sources by which adverts name each instance, for comparing with another configuration.
    pub(super) fn wire_names<'c>(&'c self, config: &'c Config) -> Named<'c> {
        Named { config, keys: self.keys(config), sources: &self.sources }
    }

    /// Returns the key by which adverts name each instance.
    pub(super) fn keys(&self, config: &Config) -> Vec<InstanceKey> {
        config.instances.iter().enumerate().map(|(slot, instance)| self.key(slot, instance)).collect()
    }

    fn key(&self, slot: usize, instance: &InstanceConfig) -> InstanceKey {
        InstanceKey { ifindex: self.wire(slot).index, family: instance.family, vrid: instance.vrid.into() }
    }

    /// `program_hears` is true of an instance if the program is on its interface.
    pub(super) fn routers(&self, config: &Config, program_hears: impl Fn(usize) -> bool) -> Vec<Router> {
        let router = |slot| {
            let binding = self.binding(slot, config, program_hears(slot));
            let group = config.groups.iter().position(|group| group.members.contains(&slot));
            Router::new(Instance::new(binding.params.clone(), host::now()), binding, group)
        };
        (0..self.len()).map(router).collect()
    }

    /// Returns the parts of an instance that depend on this host. `vmacs` is true if the data plane can receive for virtual
    /// hardware addresses.
    pub(super) fn binding(&self, slot: usize, config: &Config, vmacs: bool) -> InstanceBinding {
        let (instance, link, source) = (&config.instances[slot], self.link(slot), self.sources[slot]);
        let in_group = config.groups.iter().any(|group| group.members.contains(&slot));
        let sync_membership = if in_group { SyncMembership::Group } else { SyncMembership::Alone };
        let (adverts, addresses) = match self.vmac(slot, instance).filter(|_| vmacs) {
            None => (link.mac, link.mac),
            Some(Vmac::All) => (instance.virtual_mac(), instance.virtual_mac()),
            Some(Vmac::AddressesOnly) => (link.mac, instance.virtual_mac()),
        };
        let macs = Macs { adverts, addresses };
        let sealer = self.sealer(slot, instance);
        InstanceBinding {
            params: params(instance, source, sync_membership, install_time(config)),
            key: self.key(slot, instance),
            rules: rules(instance, source, self.verified_by(slot, instance)),
            frames: Frames::new(
                instance,
                link,
                macs,
                Origin { wire: self.wire(slot), source },
                sealer,
                |name| self.named(name),
                |name| config.pace_of(name),
            ),
            source,
        }
    }

    fn sealer(&self, slot: usize, instance: &InstanceConfig) -> Option<Sealer> {
        match instance.sealing()? {
            Sealing::Ah(key) => Some(Sealer::Ah { key, sequence: self.sequences[slot].clone() }),
            Sealing::Hmac(keys) => {
                let key = keys.sending()?.clone();
                Some(Sealer::Hmac { key, replay: keys.replay, last: 0 })
            }
        }
    }

    /// The side that verifies an instance's adverts: the kernel half, or the agent.
    fn verified_by(&self, slot: usize, instance: &InstanceConfig) -> VerifiedBy {
        if judged_here(instance) || self.namesakes.contains(&slot) || !self.wire(slot).can_have_program() {
            VerifiedBy::Agent
        } else {
            VerifiedBy::Kernel
        }
    }

    /// The judges of those instances whose adverts the kernel cannot judge.
    pub(super) fn verifiers(&self, config: &Config) -> AdvertVerifiers {
        let judged = config
            .instances
            .iter()
            .enumerate()
            .filter(|(slot, i)| self.verified_by(*slot, i) == VerifiedBy::Agent);
        let verifier = |(slot, instance): (usize, &InstanceConfig)| {
            let seal = instance.sealing().map(|sealing| match sealing {
                Sealing::Ah(key) => Seal::Ah { key, sequence: self.sequences[slot].clone() },
                Sealing::Hmac(keys) => Seal::Hmac(keys.clone()),
            });
            let verifier = AdvertVerifier::new(seal, instance.peers.clone(), instance.only_peers);
            (slot, verifier)
        };
        judged.map(verifier).collect()
    }

    /// Returns the interfaces of the instances whose adverts the agent judges.
    pub(super) fn links_judged_here(&self, config: &Config) -> Vec<&Link> {
        let used = |index: &usize| {
            let mut instances = config.instances.iter().enumerate();
            let judged = |(slot, instance)| {
                self.wire_of[slot] == *index && self.verified_by(slot, instance) == VerifiedBy::Agent
            };
            self.links[*index].is_there() && instances.any(judged)
        };
        each_once((0..self.links.len()).filter(used).map(|index| &self.links[index]))
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
    let source = instance.source.or_else(|| link.primary(instance.family, virtual_addresses));
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
    if !link.needs_arp() {
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

/// Returns how long the host may take to put a master's addresses on the interface. All instances may become master at once,
/// and the network thread serves them in turn: each thing takes about a millisecond, and ten are allowed.
fn install_time(config: &Config) -> Duration {
    let held = |i: &InstanceConfig| i.vips.len() + i.excluded.len() + i.routes.len() + i.rules.len();
    let held: usize = config.instances.iter().map(held).sum();
    INSTALL_TIME_MIN + INSTALL_TIME_EACH * u32::try_from(held).unwrap_or(u32::MAX)
}
