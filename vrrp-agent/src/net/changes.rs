//! Word of interfaces that go up and down, and of addresses that go away.

use std::net::IpAddr;

use futures_util::{Stream, StreamExt as _};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;

use super::{NetError, addresses, links};

/// Something happened on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// To an interface; one that is gone cannot carry frames.
    Link {
        /// Kernel index.
        index: u32,
        /// Whether it can carry frames now.
        running: bool,
    },
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
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
            Some(Change::Link { index: link.header.index, running: links::running(&link) })
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
            Some(Change::Link { index: link.header.index, running: false })
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(message)) => {
            let (index, address) = (message.header.index, addresses::address_of(&message)?);
            Some(Change::AddressGone { index, address })
        }
        _ => None,
    }))
}
