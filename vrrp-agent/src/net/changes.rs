//! Word of interfaces that go up and down, and of addresses that go away.

use std::net::IpAddr;

use futures_util::{Stream, StreamExt as _};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;

use super::{NetError, addresses, links};
use crate::wire::ethernet::Mac;

/// Something happened on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// To an interface.
    Link {
        /// Kernel index.
        index: u32,
        /// Name.
        name: String,
        /// Hardware address, if it is Ethernet.
        mac: Option<Mac>,
        /// Whether it can carry frames now.
        running: bool,
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
    /// So much happened that the kernel has not told all of it.
    Missed,
    /// An address is gone from an interface.
    AddressGone {
        /// Kernel index.
        index: u32,
        /// The address.
        address: IpAddr,
    },
}

/// Everything that happens from now on; must be called in a tokio runtime.
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
