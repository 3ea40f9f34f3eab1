//! The frames of one instance, built when what they say changes, not when they are sent.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use vrrp_ebpf::advert::{GROUP_V4, Version};

use crate::config::{Authentication, InstanceConfig};
use crate::net::links::Link;
use crate::wire::advert::{Body, Repr, V3Checksum};
use crate::wire::ethernet::{advert_ipv4, gratuitous_arp};

/// A frame and its interface.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) ifindex: u32,
    pub(super) bytes: Arc<[u8]>,
}

/// All frames that an instance sends.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    repr: Repr,
    link: Link,
    source: Ipv4Addr,
    advert: Frame,
    resignation: Frame,
    announcements: Vec<Frame>,
}

impl Frames {
    /// `link_of` finds the interface of an address's `dev`.
    pub(super) fn new<'l>(
        config: &InstanceConfig,
        link: &'l Link,
        source: Ipv4Addr,
        link_of: impl Fn(&str) -> Option<&'l Link>,
    ) -> Self {
        let body = match config.version {
            Version::V2 => Body::V2 {
                seconds: u8::try_from(config.interval.as_secs()).expect("read as at most 255"),
                password: config.authentication.map(|Authentication::Pass(password)| password),
            },
            Version::V3 => Body::V3 {
                centiseconds: u16::try_from(config.interval.as_millis() / 10).expect("read as at most 4095"),
                checksum: V3Checksum::PseudoHeader,
            },
        };
        debug_assert!(config.interval >= Duration::from_millis(10));
        let repr = Repr {
            vrid: config.vrid,
            priority: config.priority,
            addresses: config.vips.iter().map(|vip| vip.address).collect(),
            body,
        };
        let announcements = config
            .addresses()
            .filter_map(|vip| {
                let link = vip.dev.as_deref().map_or(Some(link), &link_of)?;
                let IpAddr::V4(address) = vip.address else { return None };
                Some(Frame { ifindex: link.index, bytes: gratuitous_arp(link.mac, address).into() })
            })
            .collect();
        let build = |priority| build(&repr, priority, link, source);
        let (advert, resignation) = (build(config.priority), build(0));
        Self { advert, resignation, announcements, link: link.clone(), source, repr }
    }

    /// The advert with a priority; 0 resigns.
    pub(super) fn advert(&mut self, priority: u8) -> &Frame {
        if priority == 0 {
            return &self.resignation;
        }
        if priority != self.repr.priority {
            self.repr.priority = priority;
            self.advert = build(&self.repr, priority, &self.link, self.source);
        }
        &self.advert
    }

    /// A gratuitous ARP for each address.
    pub(super) fn announcements(&self) -> &[Frame] {
        &self.announcements
    }
}

fn build(repr: &Repr, priority: u8, link: &Link, source: Ipv4Addr) -> Frame {
    let repr = Repr { priority, ..repr.clone() };
    let message = repr.encode(source.into(), GROUP_V4.into());
    Frame { ifindex: link.index, bytes: advert_ipv4(link.mac, source, &message).into() }
}
