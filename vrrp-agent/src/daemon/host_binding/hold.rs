//! Preparing the interfaces: group memberships, virtual hardware addresses in the card, and settings of the kernel.

use std::net::IpAddr;

use vrrp_ebpf::advert::{Cast, GROUP_V4, GROUP_V6};

use super::HostBinding;
use crate::config::{Config, InstanceConfig, Secondaries};
use crate::net::NetError;
use crate::net::links::Purpose;
use crate::net::receive::Membership;
use crate::net::sysctl::{Setting, SysctlGuard};

/// The memberships and settings of an interface, which last as long as this is held.
#[derive(Debug)]
pub(in crate::daemon) struct PreparedInterface {
    memberships: Vec<Membership>,
    _raised: Vec<SysctlGuard>,
}

impl PreparedInterface {
    /// Holds one more membership.
    pub(in crate::daemon) fn add(&mut self, membership: Membership) {
        self.memberships.push(membership);
    }
}
impl HostBinding {
    /// The groups that adverts come to on an interface.
    pub(in crate::daemon) fn groups_on(&self, number: usize, config: &Config) -> Vec<IpAddr> {
        let link = &self.links[number];
        let mut groups = match link.purpose {
            Purpose::Instances if link.uses_arp() => vec![GROUP_V4.into(), GROUP_V6.into()],
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
    pub(in crate::daemon) fn settings(&self, number: usize, config: &Config, vmacs: bool) -> Vec<Setting> {
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
    pub(in crate::daemon) fn hold(
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
}
