//! The interfaces, and word of their going up and down.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::{Handle, MulticastGroup};

use super::{NetError, addresses};
use crate::wire::ethernet::Mac;

/// An Ethernet interface that adverts are sent and heard on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Hardware address.
    pub mac: Mac,
    /// First IPv4 address, if any.
    pub address: Option<Ipv4Addr>,
    /// First link-local IPv6 address, if any.
    pub link_local: Option<Ipv6Addr>,
    /// Whether it can carry frames.
    pub running: bool,
    /// Whether it is one end of a veth pair.
    pub is_veth: bool,
}

/// A connection to netlink; must be called in a tokio runtime.
///
/// # Errors
/// If the socket cannot be opened.
pub fn connect() -> Result<Handle, NetError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|e| NetError::system("open a netlink socket", e))?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Looks up interfaces by name, in the order asked.
///
/// # Errors
/// If one is missing or not Ethernet.
pub async fn find(handle: &Handle, names: &[String]) -> Result<Vec<Link>, NetError> {
    let netlink = |source| NetError::Netlink { doing: "list the interfaces".to_owned(), source };
    let messages: Vec<LinkMessage> = handle.link().get().execute().try_collect().await.map_err(netlink)?;
    let addresses = addresses::list(handle).await?;
    let mut links = Vec::new();
    for name in names {
        let Some(message) = messages.iter().find(|m| name_of(m) == Some(name)) else {
            let present: Vec<&str> = messages.iter().filter_map(name_of).collect();
            return Err(NetError::NoInterface { name: name.clone(), present: present.join(", ") });
        };
        let index = message.header.index;
        let ours = || addresses.iter().filter(|a| a.index == index).map(|a| a.address);
        let not_ethernet = || NetError::NotEthernet { name: name.clone() };
        links.push(Link {
            index,
            name: name.clone(),
            mac: mac_of(message).ok_or_else(not_ethernet)?,
            address: ours().find_map(|address| match address {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            }),
            link_local: ours().find_map(|address| match address {
                IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
                IpAddr::V6(_) | IpAddr::V4(_) => None,
            }),
            running: running(message),
            is_veth: is_veth(message),
        });
    }
    Ok(links)
}

/// What happened to an interface: its index, and whether it can carry frames now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// Kernel index.
    pub index: u32,
    /// Whether it can carry frames; an interface that is gone cannot.
    pub running: bool,
}

/// Word of every change of any interface.
///
/// # Errors
/// If the socket cannot be opened.
pub fn changes() -> Result<impl Stream<Item = LinkChange>, NetError> {
    let (connection, _, messages) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
        .map_err(|e| NetError::system("listen for interface changes", e))?;
    tokio::spawn(connection);
    Ok(messages.filter_map(async |(message, _)| match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
            Some(LinkChange { index: link.header.index, running: running(&link) })
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
            Some(LinkChange { index: link.header.index, running: false })
        }
        _ => None,
    }))
}

fn name_of(message: &LinkMessage) -> Option<&str> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn mac_of(message: &LinkMessage) -> Option<Mac> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    })
}

fn is_veth(message: &LinkMessage) -> bool {
    message.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.contains(&LinkInfo::Kind(InfoKind::Veth)),
        _ => false,
    })
}

fn running(message: &LinkMessage) -> bool {
    message.header.flags.contains(LinkFlags::Up | LinkFlags::Running)
}
