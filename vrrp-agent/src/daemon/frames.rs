//! The packets of one instance, built when what they say changes, not when they are sent.

use std::net::IpAddr;
use std::sync::Arc;

use vrrp_ebpf::advert::{Cast, GROUP_V4, GROUP_V6, Version};

use crate::config::{Authentication, InstanceConfig};
use crate::net::links::Link;
use crate::net::transmit::Outgoing;
use crate::wire::advert::{Body, Repr};
use crate::wire::ethernet::{advert_ipv4, advert_ipv6, gratuitous_arp, unsolicited_advertisement};

/// Something ready to be sent.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Frame { ifindex: u32, bytes: Arc<[u8]> },
    Message { source: IpAddr, peer: IpAddr, ttl: u8, ifindex: u32, bytes: Arc<[u8]> },
}

impl Packet {
    pub(super) fn outgoing(&self) -> Outgoing<'_> {
        match self {
            Self::Frame { ifindex, bytes } => Outgoing::Frame { ifindex: *ifindex, bytes },
            Self::Message { source, peer, ttl, ifindex, bytes } => {
                Outgoing::Message { source: *source, peer: *peer, ttl: *ttl, ifindex: *ifindex, bytes }
            }
        }
    }
}

/// All packets that an instance sends.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    builder: Builder,
    repr: Repr,
    adverts: Vec<Packet>,
    resignations: Vec<Packet>,
    announcements: Vec<Packet>,
}

/// What does not change about an instance's adverts.
#[derive(Clone, Debug)]
struct Builder {
    link: Link,
    source: IpAddr,
    cast: Cast,
    peers: Vec<IpAddr>,
    ttl: u8,
}

impl Frames {
    /// `link_of` finds the interface of an address's `dev`.
    pub(super) fn new<'l>(
        config: &InstanceConfig,
        link: &'l Link,
        source: IpAddr,
        link_of: impl Fn(&str) -> Option<&'l Link>,
    ) -> Self {
        let body = match config.version {
            Version::V2 => Body::V2 {
                seconds: u8::try_from(config.interval.as_secs()).expect("read as at most 255"),
                password: config.authentication.map(|Authentication::Pass(password)| password),
            },
            Version::V3 => Body::V3 {
                centiseconds: u16::try_from(config.interval.as_millis() / 10).expect("read as at most 4095"),
                checksum: config.v3_checksum,
            },
        };
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
                let bytes = match vip.address {
                    IpAddr::V4(address) => gratuitous_arp(link.mac, address),
                    IpAddr::V6(address) => unsolicited_advertisement(link.mac, address),
                };
                Some(Packet::Frame { ifindex: link.index, bytes: bytes.into() })
            })
            .collect();
        let builder = Builder {
            link: link.clone(),
            source,
            cast: config.cast(),
            peers: config.peers.clone(),
            ttl: config.unicast_ttl,
        };
        let (adverts, resignations) =
            (builder.build(&repr), builder.build(&Repr { priority: 0, ..repr.clone() }));
        Self { builder, repr, adverts, resignations, announcements }
    }

    /// The advert with a priority, for the group or for each peer; 0 resigns.
    pub(super) fn adverts(&mut self, priority: u8) -> &[Packet] {
        if priority == 0 {
            return &self.resignations;
        }
        if priority != self.repr.priority {
            self.repr.priority = priority;
            self.adverts = self.builder.build(&self.repr);
        }
        &self.adverts
    }

    /// A gratuitous ARP or neighbour advertisement for each address.
    pub(super) fn announcements(&self) -> &[Packet] {
        &self.announcements
    }
}

impl Builder {
    fn build(&self, repr: &Repr) -> Vec<Packet> {
        let Self { link: Link { index: ifindex, mac, .. }, source, ttl, .. } = *self;
        match (self.cast, source) {
            (Cast::Multicast, IpAddr::V4(address)) => {
                let bytes = advert_ipv4(mac, address, &repr.encode(source, GROUP_V4.into())).into();
                vec![Packet::Frame { ifindex, bytes }]
            }
            (Cast::Multicast, IpAddr::V6(address)) => {
                let bytes = advert_ipv6(mac, address, &repr.encode(source, GROUP_V6.into())).into();
                vec![Packet::Frame { ifindex, bytes }]
            }
            (Cast::Unicast, _) => {
                let message = |&peer: &IpAddr| {
                    let bytes = repr.encode(source, peer).into();
                    Packet::Message { source, peer, ttl, ifindex, bytes }
                };
                self.peers.iter().map(message).collect()
            }
        }
    }
}
