//! Virtual addresses on interfaces. "Already there" and "already gone" are success.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo,
};
use nix::libc;
use rtnetlink::{AddressMessageBuilder, Handle};

use super::NetError;
use super::routes::ignoring;
use crate::config::{AddressTrait, Vip};

/// An address on an interface, as the kernel has it.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    message: AddressMessage,
}

impl Installed {
    /// Whether the host may send from it: not while the kernel still looks for another host that has it (tentative), nor once it has
    /// found one.
    #[must_use]
    pub fn may_be_sent_from(&self) -> bool {
        let mut flags = AddressFlags::from_bits_retain(self.message.header.flags.bits().into());
        // All flags, where the kernel tells them: the header has no room for some.
        for attribute in &self.message.attributes {
            if let AddressAttribute::Flags(all) = attribute {
                flags = *all;
            }
        }
        let is_tentative =
            flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
        !is_tentative && !flags.contains(AddressFlags::Dadfailed)
    }
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
    complete(message, vip);
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
    let flags = flags(vip);
    if !flags.is_empty() {
        message.attributes.push(AddressAttribute::Flags(flags));
    }
    if let Some(preferred) = preferred_lifetime(vip) {
        let mut lifetimes = CacheInfo::default();
        (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (preferred, u32::MAX);
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    let result = request.execute().await;
    ignoring(result, &[libc::EEXIST], || format!("add {}/{} to interface {index}", vip.address, vip.prefix))
}

/// Takes a virtual address away.
///
/// # Errors
/// If the kernel refuses.
pub async fn remove(handle: &Handle, index: u32, vip: &Vip) -> Result<(), NetError> {
    let mut message = match vip.address {
        IpAddr::V4(a) => AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(a, vip.prefix).build(),
        IpAddr::V6(a) => AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(a, vip.prefix).build(),
    };
    complete(&mut message, vip);
    let result = handle.address().del(message).execute().await;
    let doing = || format!("remove {}/{} from interface {index}", vip.address, vip.prefix);
    ignoring(result, &[libc::EADDRNOTAVAIL, libc::ENODEV], doing)
}

/// What rtnetlink leaves out of a message, and the kernel compares.
fn complete(message: &mut AddressMessage, vip: &Vip) {
    if vip.address.is_multicast() {
        message.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Multicast(_)));
        message
            .attributes
            .extend([AddressAttribute::Address(vip.address), AddressAttribute::Local(vip.address)]);
    }
    // On a point-to-point link the address of the message is the peer's, the prefix is of it, and ours is the local one.
    if let Some(peer) = vip.peer {
        message.header.prefix_len = peer.length;
        for attribute in &mut message.attributes {
            if let AddressAttribute::Address(address) = attribute {
                *address = peer.address;
            }
        }
    }
}

/// All of them, since those that do not fit in the header count instead of the header's.
fn flags(vip: &Vip) -> AddressFlags {
    let mut flags = AddressFlags::empty();
    // Another router had it a moment ago: to probe for duplicates would delay it, or find the old master.
    flags.set(AddressFlags::Nodad, vip.address.is_ipv6() && !vip.is(AddressTrait::Probed));
    flags.set(AddressFlags::Homeaddress, vip.is(AddressTrait::Home));
    flags.set(AddressFlags::Managetempaddr, vip.is(AddressTrait::MakesTemporary));
    flags.set(AddressFlags::Noprefixroute, vip.is(AddressTrait::NoPrefixRoute));
    flags.set(AddressFlags::Mcautojoin, vip.is(AddressTrait::Joined));
    flags
}

/// As keepalived: an IPv6 address of 128 bits is deprecated unless said otherwise, so answered for but not chosen as a source.
fn preferred_lifetime(vip: &Vip) -> Option<u32> {
    match vip.preferred {
        None => (vip.address.is_ipv6() && vip.prefix == 128).then_some(0),
        // What is for ever needs no telling: it is what the kernel does by itself.
        Some(u32::MAX) => None,
        Some(preferred) => Some(preferred),
    }
}

/// Takes away what the kernel has, exactly as it has it: what a crash left behind.
///
/// # Errors
/// If the kernel refuses.
pub async fn remove_installed(handle: &Handle, installed: Installed) -> Result<(), NetError> {
    let result = handle.address().del(installed.message).execute().await;
    ignoring(result, &[libc::EADDRNOTAVAIL], || format!("remove the left-over address {}", installed.address))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_another_host_has_is_not_sent_from() {
        for (flags, usable) in [
            (AddressFlags::Permanent, true),
            (AddressFlags::Permanent | AddressFlags::Nodad, true),
            (AddressFlags::Tentative, false),
            (AddressFlags::Tentative | AddressFlags::Optimistic, true),
            (AddressFlags::Permanent | AddressFlags::Dadfailed, false),
            (AddressFlags::Permanent | AddressFlags::Tentative | AddressFlags::Dadfailed, false),
        ] {
            let mut message = AddressMessage::default();
            message.attributes.push(AddressAttribute::Flags(flags));
            let installed = Installed { index: 1, address: Ipv6Addr::LOCALHOST.into(), message };
            assert_eq!(installed.may_be_sent_from(), usable, "{flags:?}");
        }
    }
}
