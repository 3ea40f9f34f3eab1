//! The site: what the configuration meets on this host, and the routers that are made of both.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use vrrp_ebpf::abi::InstanceKey;
use vrrp_ebpf::advert::{
    AUTH_DATA, Auth, Cast, Family, GROUP_V4, GROUP_V6, HEADER, Judge as JudgedBy, Rules, Version, list_sum,
};
use vrrp_ebpf::election::Takeover;
use vrrp_ebpf::nd::IPV6_HEADER;

use super::engine::{Parts, Router};
use super::frames::{Frames, Macs, Sealer};
use super::holdings::{Holding, Placed, place};
use crate::config::{
    AddressTrait, Authentication, Config, InstanceConfig, Missing, Primary, Sealing, Secondaries, Vmac,
};
use crate::dataplane::{HeardBy, Hearing, Judge, Judges, Seal, Sequence, VipEntry, VmacEntry};
use crate::host;
use crate::net::NetError;
use crate::net::links::{self, Link};
use crate::net::receive::{Membership, Receiver};
use crate::net::sysctl::{Raised, Setting};
use crate::track::interface::Interfaces;
use crate::vrrp::{Company, Instance, Params};
use crate::wire::advert::address;
use crate::wire::ethernet::IPV4_HEADER;
use crate::wire::{ah, trailer};

/// However little is held, so long it may take.
const INSTALL_TIME_MIN: Duration = Duration::from_secs(3);
/// And so much longer for each address, route and rule of the configuration.
const INSTALL_TIME_EACH: Duration = Duration::from_millis(10);

/// What the configuration meets on this host.
pub(super) struct Site {
    /// Every interface that an instance or an address uses, once.
    pub(super) links: Vec<Link>,
    /// The interfaces that are tracked beside these.
    pub(super) tracked: Interfaces,
    /// Each instance's primary address.
    pub(super) sources: Vec<IpAddr>,
    /// Each instance's interface, as an index into `links`.
    link_of: Vec<usize>,
    /// All interfaces of each instance, those of its addresses included.
    uses: Vec<Vec<usize>>,
    /// Those of them without which it cannot be master: not those of `no_track` addresses alone.
    requires: Vec<Vec<usize>>,
    /// Each instance's sequence of AH, which its sender and its receiver share.
    sequences: Vec<Sequence>,
}

/// What is held of an interface, for its effect.
#[derive(Debug)]
pub(super) struct Held {
    _memberships: Vec<Membership>,
    _raised: Vec<Raised>,
}

impl Site {
    /// Looks at the host. Addresses that do not fit in an advert here become excluded ones, as with keepalived. `others` are virtual
    /// addresses too, which may be on an interface and are nobody's own.
    pub(super) async fn look(
        netlink: &rtnetlink::Handle,
        config: &mut Config,
        others: &[IpAddr],
    ) -> Result<Self, NetError> {
        let mut names: Vec<String> = Vec::new();
        let of_instance = |instance: &InstanceConfig| {
            let devs = instance.addresses().filter_map(|vip| vip.dev.clone());
            std::iter::once(instance.interface.clone()).chain(devs).collect::<Vec<_>>()
        };
        for name in config.instances.iter().flat_map(of_instance) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let found = links::look(netlink, &names).await?;
        let found = names.iter().zip(found).enumerate();
        let links =
            found.map(|(number, (name, link))| present_or_awaited(name, number, link, config.missing));
        let links = links.collect::<Result<Vec<Link>, NetError>>()?;
        let position = |name: &str| links.iter().position(|link| link.name == name).expect("all were found");
        let link_of: Vec<usize> =
            config.instances.iter().map(|instance| position(&instance.interface)).collect();
        let uses =
            |instance: &InstanceConfig| of_instance(instance).iter().map(|name| position(name)).collect();
        let uses: Vec<Vec<usize>> = config.instances.iter().map(uses).collect();
        let required = |instance: &InstanceConfig| {
            let tracked = instance.addresses().filter(|vip| !vip.is(AddressTrait::Untracked));
            let devs = tracked.filter_map(|vip| vip.dev.as_deref());
            std::iter::once(instance.interface.as_str()).chain(devs).map(position).collect()
        };
        let requires: Vec<Vec<usize>> = config.instances.iter().map(required).collect();
        let mut sources = Vec::new();
        for (instance, &link) in config.instances.iter_mut().zip(&link_of) {
            fit(instance, &links[link]);
        }
        let virtual_addresses = [&virtual_addresses(config), others].concat();
        for (instance, &link) in config.instances.iter().zip(&link_of) {
            let link = &links[link];
            sources.push(source(instance, link, &virtual_addresses).unwrap_or_else(|error| {
                if link.is_there() {
                    tracing::warn!("{}: {error}; in fault until it has one", instance.name);
                }
                unspecified(instance.family)
            }));
        }
        for (instance, &link) in config.instances.iter().zip(&link_of) {
            warn_of_vmac(instance, &links[link]);
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
        Ok(Self { links, tracked, link_of, uses, requires, sources, sequences })
    }

    /// The sequences of AH go on in those instances that an earlier site had too: pairs of slots there and here.
    pub(super) fn inherit(&mut self, earlier: &Self, slots: impl Iterator<Item = (usize, usize)>) {
        for (there, here) in slots {
            self.sequences[here] = earlier.sequences[there].clone();
        }
    }

    /// An interface is another than before, or has another hardware address. Nothing changes if it cannot be used yet.
    pub(super) fn replace(&mut self, number: usize, link: Link, config: &Config) -> Result<(), NetError> {
        let (virtual_addresses, mut sources) = (virtual_addresses(config), self.sources.clone());
        for (slot, instance) in config.instances.iter().enumerate() {
            if self.link_of[slot] == number {
                sources[slot] = source(instance, &link, &virtual_addresses)?;
            }
        }
        (self.sources, self.links[number]) = (sources, link);
        Ok(())
    }

    /// Whether each instance would send from the same address as before on what an interface is now.
    pub(super) fn sends_as_before(&self, number: usize, link: &Link, config: &Config) -> bool {
        let virtual_addresses = virtual_addresses(config);
        let mut instances =
            config.instances.iter().enumerate().filter(|(slot, _)| self.link_of[*slot] == number);
        instances.all(|(slot, instance)| {
            // One that was chosen stays as long as it is there, whatever stands before it now.
            let before = self.sources[slot];
            link.addresses.contains(&before)
                || source(instance, link, &virtual_addresses).is_ok_and(|now| now == before)
        })
    }

    /// Whether an interface is there, with an address for each instance that sends on it.
    pub(super) fn is_ready(&self, number: usize) -> bool {
        let mut sources = self.sources.iter().zip(&self.link_of).filter(|(_, link)| **link == number);
        self.links[number].is_there() && sources.all(|(source, _)| !source.is_unspecified())
    }

    /// The interfaces that the kernel half is to be on.
    pub(super) fn programmable(&self) -> Vec<Link> {
        let mut links = self.present();
        links.retain(Link::can_have_program);
        links
    }

    /// The interfaces that are there.
    pub(super) fn present(&self) -> Vec<Link> {
        self.links.iter().filter(|link| link.is_there()).cloned().collect()
    }

    /// The number of instances.
    pub(super) fn len(&self) -> usize {
        self.link_of.len()
    }

    /// The interface of an instance, as an index into `links`.
    pub(super) fn link_number(&self, slot: usize) -> usize {
        self.link_of[slot]
    }

    /// How an interface is heard: by the program if it is on it, with canaries beside it, else by a socket.
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
                self.link(*slot).index == ifindex && instance.family == family && !judged_here(instance)
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

    fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// What each instance holds as master.
    pub(super) fn holdings(&self, config: &Config) -> Vec<Holding> {
        let holding =
            |(slot, instance)| Holding::new(instance, place(instance, self.link(slot), &self.links));
        config.instances.iter().enumerate().map(holding).collect()
    }

    pub(super) fn uses(&self, slot: usize) -> impl Iterator<Item = usize> {
        self.uses[slot].iter().copied()
    }

    /// Those that must be there for it.
    pub(super) fn requires(&self, slot: usize) -> impl Iterator<Item = usize> {
        self.requires[slot].iter().copied()
    }

    /// Those that must be up for it.
    pub(super) fn needs(&self, slot: usize, config: &Config) -> impl Iterator<Item = usize> {
        let excused = (config.instances[slot].primary == Primary::Untracked).then_some(self.link_of[slot]);
        self.requires(slot).filter(move |number| Some(*number) != excused)
    }

    /// The groups that adverts come to on an interface.
    pub(super) fn groups_on(&self, number: usize, config: &Config) -> Vec<IpAddr> {
        let mut groups =
            if self.links[number].needs_arp() { vec![GROUP_V4.into(), GROUP_V6.into()] } else { Vec::new() };
        let mut join = |instance: &InstanceConfig| {
            if instance.cast() == Cast::Multicast && !groups.contains(&instance.group) {
                groups.push(instance.group);
            }
        };
        let here = config.instances.iter().zip(&self.link_of).filter(|(_, link)| **link == number);
        here.for_each(|(instance, _)| join(instance));
        groups
    }

    /// What of the kernel an interface needs otherwise than it may be.
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

    /// Has the network card and the stack treat an interface as VRRP needs it, for as long as what is returned lives. `vmacs`
    /// says whether the data plane can receive for virtual hardware addresses.
    pub(super) fn hold(&self, number: usize, config: &Config, vmacs: bool) -> Result<Held, NetError> {
        let link = &self.links[number];
        let mut memberships = vec![Membership::join(link, &self.groups_on(number, config))?];
        if vmacs {
            // Network cards learn it while the virtual router is still backup: it may take them a second.
            for vmac in self.vmacs_on(link, config) {
                memberships.push(Membership::receive_for(link, vmac.mac)?);
            }
        }
        let mut raised = Vec::new();
        for setting in self.settings(number, config, vmacs) {
            match Raised::make(&link.name, setting) {
                Ok(setting) => raised.extend(setting),
                Err(error) => tracing::warn!("{error}; {}", setting.otherwise()),
            }
        }
        Ok(Held { _memberships: memberships, _raised: raised })
    }

    pub(super) fn vips(&self, config: &Config) -> Vec<VipEntry> {
        let mut entries = Vec::new();
        for (slot, holding) in self.holdings(config).into_iter().enumerate() {
            for Placed { vip, ifindex } in holding.addresses {
                let instance = &config.instances[slot];
                let own =
                    self.links.iter().find(|link| link.index == ifindex).map_or([0; 6], |link| link.mac);
                // On another interface an address is held with that interface's own.
                let is_virtual = self.vmac(slot, instance).is_some() && ifindex == self.link(slot).index;
                let mac = if is_virtual { instance.virtual_mac() } else { own };
                entries.push(VipEntry { slot, ifindex, address: vip.address, mac, accept: instance.accept });
            }
        }
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

    /// What the wire calls each instance.
    pub(super) fn keys(&self, config: &Config) -> Vec<InstanceKey> {
        config.instances.iter().enumerate().map(|(slot, instance)| self.key(slot, instance)).collect()
    }

    fn key(&self, slot: usize, instance: &InstanceConfig) -> InstanceKey {
        InstanceKey { ifindex: self.link(slot).index, family: instance.family, vrid: instance.vrid.into() }
    }

    /// `program_hears` says of an instance whether the program is on its interface.
    pub(super) fn routers(&self, config: &Config, program_hears: impl Fn(usize) -> bool) -> Vec<Router> {
        let router = |slot| {
            let parts = self.parts(slot, config, program_hears(slot));
            let group = config.groups.iter().position(|group| group.members.contains(&slot));
            Router::new(Instance::new(parts.params.clone(), host::now()), parts, group)
        };
        (0..self.len()).map(router).collect()
    }

    /// What an instance is on this host. `vmacs` says whether the data plane can receive for virtual hardware addresses.
    pub(super) fn parts(&self, slot: usize, config: &Config, vmacs: bool) -> Parts {
        let (instance, link, source) = (&config.instances[slot], self.link(slot), self.sources[slot]);
        let in_group = config.groups.iter().any(|group| group.members.contains(&slot));
        let company = if in_group { Company::Group } else { Company::Alone };
        let (adverts, addresses) = match self.vmac(slot, instance).filter(|_| vmacs) {
            None => (link.mac, link.mac),
            Some(Vmac::All) => (instance.virtual_mac(), instance.virtual_mac()),
            Some(Vmac::AddressesOnly) => (link.mac, instance.virtual_mac()),
        };
        let macs = Macs { adverts, addresses };
        let sealer = self.sealer(slot, instance);
        Parts {
            params: params(instance, source, company, install_time(config)),
            key: self.key(slot, instance),
            rules: rules(instance, source, self.judged_by(slot, instance)),
            frames: Frames::new(
                instance,
                link,
                macs,
                source,
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
    fn judged_by(&self, slot: usize, instance: &InstanceConfig) -> JudgedBy {
        if judged_here(instance) || !self.link(slot).can_have_program() {
            JudgedBy::Agent
        } else {
            JudgedBy::Kernel
        }
    }

    /// The judges of those instances whose adverts the kernel cannot judge.
    pub(super) fn judges(&self, config: &Config) -> Judges {
        let judged = config
            .instances
            .iter()
            .enumerate()
            .filter(|(slot, i)| self.judged_by(*slot, i) == JudgedBy::Agent);
        let judge = |(slot, instance): (usize, &InstanceConfig)| {
            let seal = instance.sealing().map(|sealing| match sealing {
                Sealing::Ah(key) => Seal::Ah { key, sequence: self.sequences[slot].clone() },
                Sealing::Hmac(keys) => Seal::Hmac(keys.clone()),
            });
            let judge = Judge::new(seal, instance.peers.clone(), instance.only_peers);
            (self.key(slot, instance), judge)
        };
        judged.map(judge).collect()
    }

    /// The interfaces of those instances.
    pub(super) fn links_judged_here(&self, config: &Config) -> Vec<&Link> {
        let used = |index: &usize| {
            let mut instances = config.instances.iter().enumerate();
            let judged = |(slot, instance)| {
                self.link_of[slot] == *index && self.judged_by(slot, instance) == JudgedBy::Agent
            };
            self.links[*index].is_there() && instances.any(judged)
        };
        (0..self.links.len()).filter(used).map(|index| &self.links[index]).collect()
    }
}

pub(super) fn virtual_addresses(config: &Config) -> Vec<IpAddr> {
    config.instances.iter().flat_map(InstanceConfig::addresses).map(|vip| vip.address).collect()
}

/// An interface as it was found, or, where the file lets it come later, one that is not there.
fn present_or_awaited(
    name: &str,
    number: usize,
    found: Result<Link, NetError>,
    missing: Missing,
) -> Result<Link, NetError> {
    match (found, missing) {
        (Err(NetError::NoInterface { .. }), Missing::Awaited) => {
            tracing::warn!("interface {name} is not there; its instances are in fault until it is");
            Ok(Link::absent(name, number))
        }
        (found, Missing::Awaited | Missing::Fatal) => found,
    }
}

/// No address yet.
fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The address that adverts are sent from.
fn source(instance: &InstanceConfig, link: &Link, virtual_addresses: &[IpAddr]) -> Result<IpAddr, NetError> {
    let kind = match instance.family {
        Family::V4 => "IPv4",
        Family::V6 => "link-local IPv6",
    };
    let source = instance.source.or_else(|| link.primary(instance.family, virtual_addresses));
    source.ok_or_else(|| NetError::NoAddress { name: instance.interface.clone(), kind })
}

/// Whether the kernel leaves the judgement to the agent: seals it cannot verify, and peers it does not tell apart.
fn judged_here(instance: &InstanceConfig) -> bool {
    let told_apart = instance.only_peers || instance.peers.iter().any(|peer| peer.ttl != (0..=u8::MAX));
    instance.sealing().is_some() || told_apart
}

/// An operator who asks for the hardware address of the virtual router is told where it would leave the address unreachable.
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

/// Where the numbers of AH begin: seconds since 2020, more than an earlier run has used, so that the peers of a router that
/// starts as owner believe it at once. Any other hears what the master's number is before it sends.
fn first_sequence() -> u32 {
    const YEAR_2020: u64 = 1_577_836_800;
    u32::try_from(host::utc().as_secs().saturating_sub(YEAR_2020)).unwrap_or(0)
}

/// Leaves in the advert what one packet on this interface takes.
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

/// How long the host may take to put a master's addresses on the interface. All instances may become master at once, and one
/// task serves them in turn: a millisecond for each thing is what it takes, ten are allowed.
fn install_time(config: &Config) -> Duration {
    let held = |i: &InstanceConfig| i.vips.len() + i.excluded.len() + i.routes.len() + i.rules.len();
    let held: usize = config.instances.iter().map(held).sum();
    INSTALL_TIME_MIN + INSTALL_TIME_EACH * u32::try_from(held).unwrap_or(u32::MAX)
}

fn params(instance: &InstanceConfig, source: IpAddr, company: Company, install_time: Duration) -> Params {
    Params {
        version: instance.version,
        priority: instance.priority,
        interval: instance.interval,
        preempt: instance.preempt,
        preempt_delay: instance.preempt_delay,
        on_lower: instance.on_lower,
        on_higher: instance.on_higher,
        down_adverts: instance.down_adverts,
        address: address(source),
        garp: instance.garp,
        company,
        takeover: if instance.tracked.is_empty() { Takeover::Kernel } else { Takeover::Agent },
        install_time,
    }
}

fn rules(instance: &InstanceConfig, source: IpAddr, judge: JudgedBy) -> Rules {
    let (auth, password) = match instance.authentication {
        Some(Authentication::Pass(password)) => (Auth::Pass, password),
        Some(Authentication::Ah(_)) => (Auth::Ah, [0; AUTH_DATA]),
        None => (Auth::None, [0; AUTH_DATA]),
    };
    let cast = instance.cast();
    Rules {
        version: instance.version,
        auth,
        password,
        interval_ns: u64::try_from(instance.interval.as_nanos()).expect("read as at most 255 seconds"),
        destination: match cast {
            Cast::Multicast => address(instance.group),
            Cast::Unicast => address(source),
        },
        cast,
        ttl_min: match cast {
            Cast::Multicast => 255,
            // Of each peer its own, if any: the judge's affair.
            Cast::Unicast => 0,
        },
        judge,
        list_sum: list_sum(instance.vips.iter().map(|vip| address(vip.address))),
    }
}
