//! Virtual addresses on interfaces. "Already there" and "already gone" are success.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use rtnetlink::{AddressMessageBuilder, Handle};

use super::NetError;
use crate::config::{PrefixRoute, Vip};

/// An address on an interface, as the kernel has it.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    message: AddressMessage,
}

/// All addresses of the host.
///
/// # Errors
/// If netlink does not answer.
pub async fn list(handle: &Handle) -> Result<Vec<Installed>, NetError> {
    let netlink = |source| NetError::Netlink { doing: "list the addresses".to_owned(), source };
    let messages: Vec<AddressMessage> =
        handle.address().get().execute().try_collect().await.map_err(netlink)?;
    let installed = |message: AddressMessage| {
        let address = address_of(&message)?;
        Some(Installed { index: message.header.index, address, message })
    };
    Ok(messages.into_iter().filter_map(installed).collect())
}

/// Puts a virtual address on an interface.
///
/// # Errors
/// If the kernel refuses.
pub async fn add(handle: &Handle, index: u32, vip: &Vip) -> Result<(), NetError> {
    let mut request = handle.address().add(index, vip.address, vip.prefix);
    let message = request.message_mut();
    if let Some(scope) = vip.scope {
        message.header.scope = AddressScope::from(scope);
    }
    if let Some(label) = &vip.label {
        message.attributes.push(AddressAttribute::Label(label.clone()));
    }
    // rtnetlink sets the broadcast address of the prefix; keepalived and `ip addr add` set none unless asked.
    message.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Broadcast(_)));
    if let Some(broadcast) = vip.broadcast {
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    let mut preferred = vip.preferred;
    if vip.address.is_ipv6() {
        // Another router had it a moment ago: to probe for duplicates would delay it, or find the old master.
        message.header.flags |= AddressHeaderFlags::Nodad;
        if vip.prefix == 128 {
            // As keepalived does: a deprecated address is answered for but not chosen as a source.
            preferred = preferred.or(Some(0));
        }
    }
    if let Some(preferred) = preferred {
        let mut lifetimes = CacheInfo::default();
        (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (preferred, u32::MAX);
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    if vip.prefix_route == Some(PrefixRoute::No) {
        // These flags are more than the header has room for, and then count instead of the header's.
        let mut flags = AddressFlags::Noprefixroute;
        if vip.address.is_ipv6() {
            flags |= AddressFlags::Nodad;
        }
        message.attributes.push(AddressAttribute::Flags(flags));
    }
    let result = request.execute().await;
    ignoring(result, nix::libc::EEXIST, || format!("add {}/{} to interface {index}", vip.address, vip.prefix))
}

/// Takes a virtual address away.
///
/// # Errors
/// If the kernel refuses.
pub async fn remove(handle: &Handle, index: u32, vip: &Vip) -> Result<(), NetError> {
    let message = match vip.address {
        IpAddr::V4(a) => AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(a, vip.prefix).build(),
        IpAddr::V6(a) => AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(a, vip.prefix).build(),
    };
    let result = handle.address().del(message).execute().await;
    let doing = || format!("remove {}/{} from interface {index}", vip.address, vip.prefix);
    ignoring(result, nix::libc::EADDRNOTAVAIL, doing)
}

/// Takes away what the kernel has, exactly as it has it: what a crash left behind.
///
/// # Errors
/// If the kernel refuses.
pub async fn remove_installed(handle: &Handle, installed: Installed) -> Result<(), NetError> {
    let result = handle.address().del(installed.message).execute().await;
    ignoring(result, nix::libc::EADDRNOTAVAIL, || {
        format!("remove the left-over address {}", installed.address)
    })
}

fn ignoring(
    result: Result<(), rtnetlink::Error>,
    errno: i32,
    doing: impl FnOnce() -> String,
) -> Result<(), NetError> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == -errno => Ok(()),
        result => result.map_err(|source| NetError::Netlink { doing: doing(), source }),
    }
}

/// The address that a message is about.
pub(super) fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point link the address is the peer's and the local one is ours.
            AddressAttribute::Local(local) => return Some(*local),
            AddressAttribute::Address(other) => address = Some(*other),
            _ => {}
        }
    }
    address
}
