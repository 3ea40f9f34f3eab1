//! The values that the kernel half, the protocol thread and the sockets need of each instance on this host.

use std::time::Duration;

use vrrp_ebpf::abi::{InstanceKey, VipUse};
use vrrp_ebpf::advert::VerifiedBy;

use super::{HostBinding, each_once};
use crate::config::{Config, InstanceConfig, Sealing, Vmac};
use crate::daemon::derive::{judged_here, params, rules};
use crate::daemon::engine::Router;
use crate::daemon::frames::{Frames, Macs, Origin, Sealer};
use crate::daemon::guards;
use crate::daemon::master_resources::InterfaceAddress;
use crate::daemon::messages::InstanceBinding;
use crate::daemon::namesakes::Named;
use crate::dataplane::{AdvertVerifier, AdvertVerifiers, Seal, VipEntry, VmacEntry};
use crate::host;
use crate::net::links::Link;
use crate::vrrp::{Instance, SyncMembership};

/// The shortest time that an installation may take, however little is held.
const INSTALL_TIME_MIN: Duration = Duration::from_secs(3);
/// The additional time for each address, route and rule of the configuration.
const INSTALL_TIME_EACH: Duration = Duration::from_millis(10);

impl HostBinding {
    pub(in crate::daemon) fn vips(&self, config: &Config) -> Vec<VipEntry> {
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

    pub(in crate::daemon) fn vmacs(&self, config: &Config) -> Vec<VmacEntry> {
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
        instance.vmac.filter(|_| link.uses_arp() && link.takes_other_macs)
    }

    /// The virtual routers' hardware addresses on one interface.
    pub(in crate::daemon) fn vmacs_on(&self, link: &Link, config: &Config) -> Vec<VmacEntry> {
        self.vmacs(config).into_iter().filter(|vmac| vmac.ifindex == link.index).collect()
    }

    /// Returns the keys and sources by which adverts name each instance, for comparing with another configuration.
    pub(in crate::daemon) fn wire_names<'c>(&'c self, config: &'c Config) -> Named<'c> {
        Named { config, keys: self.keys(config), sources: &self.sources }
    }

    /// Returns the key by which adverts name each instance.
    pub(in crate::daemon) fn keys(&self, config: &Config) -> Vec<InstanceKey> {
        config.instances.iter().enumerate().map(|(slot, instance)| self.key(slot, instance)).collect()
    }

    fn key(&self, slot: usize, instance: &InstanceConfig) -> InstanceKey {
        InstanceKey { ifindex: self.wire(slot).index, family: instance.family, vrid: instance.vrid.into() }
    }

    /// `program_hears` is true of an instance if the program is on its interface.
    pub(in crate::daemon) fn routers(
        &self,
        config: &Config,
        program_hears: impl Fn(usize) -> bool,
    ) -> Vec<Router> {
        let router = |slot| {
            let binding = self.binding(slot, config, program_hears(slot));
            let group = config.groups.iter().position(|group| group.members.contains(&slot));
            Router::new(Instance::new(binding.params.clone(), host::now()), binding, group)
        };
        (0..self.len()).map(router).collect()
    }

    /// Returns the parts of an instance that depend on this host. `vmacs` is true if the data plane can receive for virtual
    /// hardware addresses.
    pub(in crate::daemon) fn binding(&self, slot: usize, config: &Config, vmacs: bool) -> InstanceBinding {
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
    pub(super) fn verified_by(&self, slot: usize, instance: &InstanceConfig) -> VerifiedBy {
        if judged_here(instance) || self.namesakes.contains(&slot) || !self.wire(slot).can_have_program() {
            VerifiedBy::Agent
        } else {
            VerifiedBy::Kernel
        }
    }

    /// The judges of those instances whose adverts the kernel cannot judge.
    pub(in crate::daemon) fn verifiers(&self, config: &Config) -> AdvertVerifiers {
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
    pub(in crate::daemon) fn links_judged_here(&self, config: &Config) -> Vec<&Link> {
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

/// Returns how long the host may take to put a master's addresses on the interface. All instances may become master at once,
/// and the network thread serves them in turn: each thing takes about a millisecond, and ten are allowed.
fn install_time(config: &Config) -> Duration {
    let held = |i: &InstanceConfig| i.vips.len() + i.excluded.len() + i.routes.len() + i.rules.len();
    let held: usize = config.instances.iter().map(held).sum();
    INSTALL_TIME_MIN + INSTALL_TIME_EACH * u32::try_from(held).unwrap_or(u32::MAX)
}
