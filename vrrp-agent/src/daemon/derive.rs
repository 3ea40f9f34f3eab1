//! Derives from an instance's configuration the parameters of the state machine and the rules for adverts.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::{AUTH_DATA, Auth, Cast, Rules, VerifiedBy, list_sum};
use vrrp_ebpf::election::Takeover;

use super::namesakes::destination;
use crate::config::{Authentication, InstanceConfig};
use crate::vrrp::{Params, SyncMembership};
use crate::wire::advert::address;

/// Returns true if the kernel leaves the judgement to the agent: seals that the kernel cannot verify, and peers that it does
/// not tell apart.
pub(super) fn judged_here(instance: &InstanceConfig) -> bool {
    let told_apart = instance.only_peers || instance.peers.iter().any(|peer| peer.ttl != (0..=u8::MAX));
    instance.sealing().is_some() || told_apart
}

pub(super) fn params(
    instance: &InstanceConfig,
    source: IpAddr,
    sync_membership: SyncMembership,
    install_time: Duration,
) -> Params {
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
        sync_membership,
        takeover: if instance.tracked.is_empty() { Takeover::Kernel } else { Takeover::Agent },
        install_time,
    }
}

pub(super) fn rules(instance: &InstanceConfig, source: IpAddr, verified_by: VerifiedBy) -> Rules {
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
        destination: address(destination(instance, source)),
        cast,
        ttl_min: match cast {
            Cast::Multicast => 255,
            // Each peer may have limits of its own, which the judge checks.
            Cast::Unicast => 0,
        },
        verified_by,
        list_sum: list_sum(instance.vips.iter().map(|vip| address(vip.address))),
    }
}
