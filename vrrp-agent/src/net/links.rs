//! Reads the interfaces over netlink and describes them. Changes nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::TryStreamExt as _;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, InfoMacVtap, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType,
    LinkMessage, LinkXdp, MacVlanMode, XdpAttached,
};
use rtnetlink::Handle;
use vrrp_ebpf::advert::Family;

use super::addresses::Installed;
use super::features::{self, Tags};
use super::{NetError, addresses, answered};
use crate::wire::ethernet::Mac;

/// An interface that adverts are sent and heard on, or that addresses go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Its Ethernet address; zero if it has none.
    pub mac: Mac,
    /// The kind of frames that it carries.
    pub frame_kind: FrameKind,
    /// True if the interface can be asked to receive frames for another hardware address than its own.
    pub takes_other_macs: bool,
    /// Its addresses that may be sent from, in the kernel's order.
    pub addresses: Vec<IpAddr>,
    /// The addresses among them that this agent has not set, as their mark says (`IFA_PROTO`).
    pub own: Vec<IpAddr>,
    /// The networks that its addresses make reachable: an address of each network, and the length of its prefix.
    pub networks: Vec<(IpAddr, u8)>,
    /// The length of the longest IP packet that it carries, in bytes.
    pub mtu: u32,
    /// True if it can carry frames.
    pub running: bool,
    /// The XDP program on it, our own or another.
    pub xdp: Option<AttachedXdp>,
    /// Its place among other interfaces.
    pub place: Place,
    /// The reason for which it gets our program.
    pub purpose: Purpose,
}

/// The reason for which an interface gets our program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Instances send and listen on it, or addresses go on it.
    Instances,
    /// Linux answers ARP here for addresses of other interfaces too; the program prevents that for a virtual address without a
    /// lease.
    Guard,
}

/// The place of an interface among others. It decides if XDP in the driver is right for it: there a program must see each frame
/// once, with its VLAN tag, and under this interface's own number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kind of an interface that is made of software (`veth`, `bond`, `bridge`, `vlan` …); `None` for a card.
    pub info_kind: Option<String>,
    /// Other interfaces are its ports (bond, team, bridge, failover): a program in the driver of a port sees the port's number.
    pub has_ports: bool,
    /// VLAN interfaces stand on it: their frames pass through it, most often without their tag.
    pub has_vlans: bool,
    /// Where tags are when a program in the driver sees a frame.
    pub tags: Tags,
    /// The number of the VRF that it is in. Addresses of another VRF are not local here.
    pub vrf_index: Option<u32>,
}

impl Place {
    /// A place of which nothing is known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { info_kind: None, has_ports: false, has_vlans: false, tags: Tags::MayBeHidden, vrf_index: None }
    }
}

/// The kind of frames that an interface carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Ethernet, with ARP and neighbour discovery.
    Ethernet,
    /// Ethernet frames without ARP and neighbour discovery: a dummy, or `ip link set … arp off`.
    WithoutArp,
    /// The loopback.
    Loopback,
    /// IP packets without Ethernet headers: tun, WireGuard, GRE and other tunnels, PPP, InfiniBand.
    Other,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The kernel's number of the program.
    pub program: u32,
    /// True if it runs in the driver, false if in the stack.
    pub native: bool,
}

/// The first number for interfaces that are not there. The kernel's numbers are smaller.
const ABSENT: u32 = 1 << 31;

impl Link {
    /// An interface that does not exist yet. `number` tells it apart from others that do not exist. Its other values are such that
    /// every check passes until it is there.
    #[must_use]
    pub fn absent(name: &str, number: usize) -> Self {
        Self {
            index: ABSENT | u32::try_from(number).unwrap_or(0),
            name: name.to_owned(),
            mac: [0; 6],
            frame_kind: FrameKind::Ethernet,
            takes_other_macs: true,
            addresses: Vec::new(),
            own: Vec::new(),
            networks: Vec::new(),
            mtu: u32::MAX,
            running: false,
            xdp: None,
            place: Place::unknown(),
            purpose: Purpose::Instances,
        }
    }

    /// Returns true if the kernel has the interface.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.index < ABSENT
    }

    /// True if it has an IPv6 address that may be sent from.
    #[must_use]
    pub fn has_v6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    /// True if an address is of one of its networks.
    #[must_use]
    pub fn is_on(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|&(network, length)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= u32::from(length)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= u32::from(length)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        })
    }

    /// True if whole Ethernet frames can be sent by it.
    #[must_use]
    pub fn is_ethernet(&self) -> bool {
        match self.frame_kind {
            FrameKind::Ethernet | FrameKind::WithoutArp => true,
            FrameKind::Loopback | FrameKind::Other => false,
        }
    }

    /// True if neighbours on it use ARP or neighbour discovery.
    #[must_use]
    pub fn uses_arp(&self) -> bool {
        match self.frame_kind {
            FrameKind::Ethernet => true,
            FrameKind::WithoutArp | FrameKind::Loopback | FrameKind::Other => false,
        }
    }

    /// True if the kernel half has something to do on the interface: its program reads Ethernet frames, and is there for ARP.
    /// Adverts on any other interface are heard by a packet socket.
    #[must_use]
    pub fn can_have_program(&self) -> bool {
        self.uses_arp()
    }

    /// Returns the address that adverts of a family are sent from: the first, for IPv6 the first link-local one. A virtual
    /// address that a crash left behind does not count; a virtual address that the host has by itself counts if there is no
    /// other address.
    #[must_use]
    pub fn advert_source(&self, family: Family, virtual_addresses: &[IpAddr]) -> Option<IpAddr> {
        let fits = |address: &IpAddr| match (family, address) {
            (Family::V4, IpAddr::V4(_)) => true,
            (Family::V6, IpAddr::V6(address)) => address.is_unicast_link_local(),
            (Family::V4, IpAddr::V6(_)) | (Family::V6, IpAddr::V4(_)) => false,
        };
        let mut others = self.addresses.iter().filter(|address| !virtual_addresses.contains(address));
        others.find(|address| fits(address)).or_else(|| self.own.iter().find(|own| fits(own))).copied()
    }
}

/// Opens a connection to netlink.
///
/// # Panics
/// Outside of a tokio runtime.
///
/// # Errors
/// If the socket cannot be opened.
pub fn connect() -> Result<Handle, NetError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|e| NetError::system("open a netlink socket", e))?;
    tokio::spawn(connection);
    Ok(handle)
}

async fn dump(handle: &Handle) -> Result<Vec<LinkMessage>, NetError> {
    answered(|| "list the interfaces".to_owned(), handle.link().get().execute().try_collect()).await
}

/// Looks up interfaces by name, in the order asked; each result is an interface or its error. An address may be given instead
/// of a name, and means the interface that has the address.
///
/// # Errors
/// If netlink does not answer.
pub async fn find(handle: &Handle, wanted: &[String]) -> Result<Vec<Result<Link, NetError>>, NetError> {
    let messages = dump(handle).await?;
    let addresses = addresses::list(handle).await?;
    let mut links = Vec::new();
    for name in wanted {
        let mut link = describe(name, &messages, &addresses);
        if let Ok(link) = &mut link
            && link.place.info_kind.is_none()
        {
            let message = messages.iter().find(|message| message.header.index == link.index);
            link.place.tags = features::tags(&link.name, message.is_none_or(is_promiscuous)).await;
        }
        links.push(link);
    }
    Ok(links)
}

/// Describes an interface as the kernel lists it, without the features of its card. `wanted` is its name or one of its
/// addresses.
fn describe(wanted: &str, messages: &[LinkMessage], addresses: &[Installed]) -> Result<Link, NetError> {
    let held: Option<IpAddr> = wanted.parse().ok();
    let holder = held.and_then(|held| addresses.iter().find(|a| a.address == held)).map(|a| a.index);
    let is_it = |m: &&LinkMessage| name_of(m) == Some(wanted) || Some(m.header.index) == holder;
    let Some(message) = messages.iter().find(is_it) else {
        if let Some(address) = held {
            return Err(NetError::NoHolder { address });
        }
        let present: Vec<&str> = messages.iter().filter_map(name_of).collect();
        return Err(NetError::NoInterface { name: wanted.to_owned(), present: present.join(", ") });
    };
    let index = message.header.index;
    Ok(Link {
        index,
        name: name_of(message).unwrap_or(wanted).to_owned(),
        mac: mac_of(message).unwrap_or_default(),
        frame_kind: frame_kind_of(message),
        takes_other_macs: takes_other_macs(message),
        addresses: addresses
            .iter()
            .filter(|a| a.index == index && a.may_be_sent_from())
            .map(|a| a.address)
            .collect(),
        networks: addresses.iter().filter(|a| a.index == index).map(Installed::network).collect(),
        own: addresses
            .iter()
            .filter(|a| a.index == index && a.may_be_sent_from() && a.is_host_s())
            .map(|a| a.address)
            .collect(),
        mtu: mtu_of(message).unwrap_or(u32::MAX),
        running: running(message),
        xdp: xdp_of(message),
        place: Place {
            info_kind: kind_of(message).map(ToString::to_string),
            has_ports: messages.iter().any(|other| is_port_of(other, index)),
            has_vlans: messages.iter().any(|other| is_vlan_on(other, index)),
            tags: Tags::MayBeHidden,
            vrf_index: vrf_of(message, messages),
        },
        purpose: Purpose::Instances,
    })
}

/// The present state of an interface of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Kernel index.
    pub index: u32,
    /// True if it can carry frames.
    pub running: bool,
}

/// Returns all interfaces by name, of whatever kind.
///
/// # Errors
/// If netlink does not answer.
pub async fn list_states(handle: &Handle) -> Result<BTreeMap<String, LinkState>, NetError> {
    let messages = dump(handle).await?;
    let link = |message: &LinkMessage| {
        let state = LinkState { index: message.header.index, running: running(message) };
        Some((name_of(message)?.to_owned(), state))
    };
    Ok(messages.iter().filter_map(link).collect())
}

pub(super) fn name_of(message: &LinkMessage) -> Option<&str> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

pub(super) fn mac_of(message: &LinkMessage) -> Option<Mac> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    })
}

fn mtu_of(message: &LinkMessage) -> Option<u32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

fn xdp_of(message: &LinkMessage) -> Option<AttachedXdp> {
    let xdp = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp),
        _ => None,
    })?;
    let native = xdp.contains(&LinkXdp::Attached(XdpAttached::Driver));
    let program = xdp.iter().find_map(|xdp| match xdp {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) => Some(*id),
        _ => None,
    });
    program.map(|program| AttachedXdp { program, native })
}

fn kind_of(message: &LinkMessage) -> Option<&InfoKind> {
    infos_of(message).iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    })
}

fn infos_of(message: &LinkMessage) -> &[LinkInfo] {
    let infos = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos.as_slice()),
        _ => None,
    });
    infos.unwrap_or_default()
}

fn frame_kind_of(message: &LinkMessage) -> FrameKind {
    let (flags, layer) = (message.header.flags, message.header.link_layer_type);
    if flags.contains(LinkFlags::Loopback) || layer == LinkLayerType::Loopback {
        return FrameKind::Loopback;
    }
    // Without a hardware address of 6 bytes no Ethernet frame can be sent by it.
    match mac_of(message).filter(|_| layer == LinkLayerType::Ether) {
        None => FrameKind::Other,
        Some(_) if flags.contains(LinkFlags::Noarp) => FrameKind::WithoutArp,
        Some(_) => FrameKind::Ethernet,
    }
}

/// True if an interface can receive frames that are addressed to another hardware address than its own. A macvlan gets only what is sent to its own
/// address: its parent chooses by that address, and knows nothing of others that the macvlan has asked for. Only in the mode
/// `passthru`, which leaves its parent no choice, does it get all frames. An ipvlan shares the hardware address of its parent
/// and is chosen by IP address.
fn takes_other_macs(message: &LinkMessage) -> bool {
    let mode = infos_of(message).iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::MacVlan(data)) => data.iter().find_map(|data| match data {
            InfoMacVlan::Mode(mode) => Some(*mode),
            _ => None,
        }),
        LinkInfo::Data(InfoData::MacVtap(data)) => data.iter().find_map(|data| match data {
            InfoMacVtap::Mode(mode) => Some(*mode),
            _ => None,
        }),
        _ => None,
    });
    match kind_of(message) {
        Some(InfoKind::MacVlan | InfoKind::MacVtap) => mode == Some(MacVlanMode::Passthrough),
        Some(InfoKind::IpVlan | InfoKind::IpVtap) => false,
        Some(_) | None => true,
    }
}

fn is_vlan_on(message: &LinkMessage, index: u32) -> bool {
    kind_of(message) == Some(&InfoKind::Vlan) && below(message) == Some(index)
}

/// True if one interface is a port of another: of a bond, a team, a bridge, or of the switch behind it (DSA).
fn is_port_of(message: &LinkMessage, index: u32) -> bool {
    let is_port = kind_of(message) == Some(&InfoKind::Dsa) && below(message) == Some(index);
    is_port || controller(message) == Some(index)
}

/// Returns the interface of this namespace that this one stands on, as a VLAN interface does. The number of an interface in another
/// namespace may be that of any interface here.
pub(super) fn below(message: &LinkMessage) -> Option<u32> {
    if message.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::LinkNetNsId(_))) {
        return None;
    }
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    })
}

/// Returns the interface that this one is a port of.
pub(super) fn controller(message: &LinkMessage) -> Option<u32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Controller(index) => Some(*index),
        _ => None,
    })
}

/// The number of the VRF that an interface is in: the interface of that kind that it is a port of.
fn vrf_of(message: &LinkMessage, messages: &[LinkMessage]) -> Option<u32> {
    let index = controller(message)?;
    let is_it = |other: &&LinkMessage| other.header.index == index;
    messages.iter().find(is_it).filter(|other| kind_of(other) == Some(&InfoKind::Vrf)).map(|_| index)
}

/// True if an interface is promiscuous, which also switches off the VLAN filter of its card.
fn is_promiscuous(message: &LinkMessage) -> bool {
    let asked = message.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::Promiscuity(count) => *count > 0,
        _ => false,
    });
    asked || message.header.flags.contains(LinkFlags::Promisc)
}

/// Returns true if an interface can carry frames.
pub(super) fn running(message: &LinkMessage) -> bool {
    message.header.flags.contains(LinkFlags::Up | LinkFlags::Running)
}
