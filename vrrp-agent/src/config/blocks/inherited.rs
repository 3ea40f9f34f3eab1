//! The values that an instance takes from `global_defs` unless it sets them itself.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::{GROUP_V4, GROUP_V6, Version};
use vrrp_ebpf::election::DOWN_ADVERTS;

use super::extra_refresh::ExtraRefresh;
use crate::vrrp::{GarpSchedule, OnHigher, OnLower};
use crate::wire::advert::V3Checksum;

/// The values that an instance inherits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inherited {
    pub(super) version: Version,
    pub(super) garp: GarpSchedule,
    pub(super) lower: AfterLower,
    pub(super) v3_checksum: V3Checksum,
    pub(super) on_lower: OnLower,
    pub(super) on_higher: OnHigher,
    pub(super) down_adverts: u32,
    /// `vrrp_check_unicast_src`.
    pub(super) only_peers: bool,
    /// `vrrp_mcast_group4` and `vrrp_mcast_group6`.
    pub(super) groups: (IpAddr, IpAddr),
    /// `vrrp_strict`; like `vrrp_version`, it also holds for the instances above it.
    pub(super) strict: bool,
    /// `vrrp_garp_extra_if`.
    pub(super) extra: Option<ExtraRefresh>,
    /// `vrrp_owner_ignore_adverts`.
    pub(super) owner_ignores: bool,
}

impl Default for Inherited {
    fn default() -> Self {
        Self {
            version: Version::V2,
            garp: GarpSchedule {
                repeat: 5,
                delay: Some(Duration::from_secs(5)),
                refresh: None,
                refresh_repeat: 1,
                lower_repeat: 5,
                lower_delay: Some(Duration::from_secs(5)),
            },
            lower: AfterLower::default(),
            v3_checksum: V3Checksum::PseudoHeader,
            on_lower: OnLower::Advertise,
            on_higher: OnHigher::Yield,
            down_adverts: DOWN_ADVERTS,
            only_peers: false,
            groups: (GROUP_V4.into(), GROUP_V6.into()),
            strict: false,
            extra: None,
            owner_ignores: false,
        }
    }
}

/// The values of `garp_lower_prio_*`. A value that is not set defaults to the value of `garp_master_*`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AfterLower {
    pub(super) repeat: Option<u32>,
    pub(super) delay: Option<Duration>,
}

impl AfterLower {
    pub(super) fn fill(self, garp: &mut GarpSchedule) {
        garp.lower_repeat = self.repeat.unwrap_or(garp.repeat);
        garp.lower_delay = match self.delay {
            Some(delay) => (!delay.is_zero()).then_some(delay),
            None => garp.delay,
        };
    }
}
