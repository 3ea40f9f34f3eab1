//! Reports of interfaces that go up and down, and of addresses that come and go.

use std::net::IpAddr;
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::rule::RuleAttribute;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;

use super::{NetError, addresses, links};
use crate::wire::ethernet::Mac;

/// A change on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An interface is new or has changed.
    Link {
        /// Kernel index.
        index: u32,
        /// Name.
        name: String,
        /// Hardware address, if it is Ethernet.
        mac: Option<Mac>,
        /// True if it can carry frames now.
        running: bool,
        /// The interface that it stands on, as a VLAN interface does.
        below: Option<u32>,
        /// The interface that it is part of.
        controller: Option<u32>,
    },
    /// An interface is gone.
    LinkGone {
        /// Kernel index.
        index: u32,
    },
    /// An interface has a new address.
    AddressNew {
        /// Kernel index.
        index: u32,
    },
    /// So much happened that the kernel has not reported all of it.
    Missed,
    /// An address is gone from an interface.
    AddressGone {
        /// Kernel index.
        index: u32,
        /// The address.
        address: IpAddr,
    },
}

/// Returns a stream of all changes from now on; must be called in a tokio runtime.
///
/// # Errors
/// If the socket cannot be opened.
pub fn stream() -> Result<impl Stream<Item = Change>, NetError> {
    let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
    let (connection, _, messages) = rtnetlink::new_multicast_connection(&groups)
        .map_err(|e| NetError::system("listen for changes of interfaces", e))?;
    tokio::spawn(connection);
    Ok(messages.filter_map(async |(message, _)| match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Some(Change::Link {
            index: link.header.index,
            name: links::name_of(&link)?.to_owned(),
            mac: links::mac_of(&link),
            running: links::running(&link),
            below: links::below(&link),
            controller: links::controller(&link),
        }),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
            Some(Change::LinkGone { index: link.header.index })
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(message)) => {
            let (index, address) = (message.header.index, addresses::address_of(&message)?);
            Some(Change::AddressGone { index, address })
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => {
            Some(Change::AddressNew { index: message.header.index })
        }
        NetlinkPayload::Overrun(_) => Some(Change::Missed),
        _ => None,
    }))
}

/// Returns a stream that yields each time a route or a rule of one of these protocols is removed, by this agent or by another
/// program; never if there are no protocols. It has a socket of its own, because a router that knows the routes of the whole
/// Internet gets many messages.
///
/// # Errors
/// If the socket cannot be opened.
pub fn removals(protocols: Vec<u8>) -> Result<Pin<Box<dyn Stream<Item = ()>>>, NetError> {
    if protocols.is_empty() {
        return Ok(Box::pin(futures_util::stream::pending()));
    }
    let groups = [
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Ipv4Rule,
        MulticastGroup::Ipv6Rule,
    ];
    let (connection, _, messages) = rtnetlink::new_multicast_connection(&groups)
        .map_err(|e| NetError::system("listen for changes of routes", e))?;
    tokio::spawn(connection);
    let removal = move |payload| {
        let protocol = match payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRoute(route)) => route.header.protocol,
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRule(rule)) => {
                rule.attributes.iter().find_map(|attribute| match attribute {
                    RuleAttribute::Protocol(protocol) => Some(*protocol),
                    _ => None,
                })?
            }
            NetlinkPayload::Overrun(_) => return Some(()),
            _ => return None,
        };
        protocols.contains(&protocol.into()).then_some(())
    };
    Ok(Box::pin(messages.filter_map(move |(message, _)| std::future::ready(removal(message.payload)))))
}
