//! Virtual addresses on interfaces. "Already there" and "already gone" are success.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope,
    CacheInfo,
};
use nix::libc;
use rtnetlink::{AddressAddRequest, AddressMessageBuilder, Handle};

use super::routes::ignoring;
use super::{NetError, answered};
use crate::config::{AddressTrait, Vip};
use crate::host;

/// The parts by which the kernel tells the addresses of one interface apart: in IPv4 one address may be there several times,
/// with different prefixes or peers; in IPv6 it is there once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length; on a point-to-point link, that of the peer.
    pub prefix: u8,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
}

impl Identity {
    /// The identity of a virtual address, once it is set.
    #[must_use]
    pub fn of(vip: &Vip) -> Self {
        let peer = vip.peer.filter(|peer| peer.address != vip.address);
        let prefix = vip.peer.map_or(vip.prefix, |peer| peer.length);
        Self { address: vip.address, prefix, peer: peer.map(|peer| peer.address) }
    }

    /// Returns true if the kernel, asked to set one of the two while the other is there, would say that it is there already.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let network = |of: &Self| match of.peer.unwrap_or(of.address) {
            IpAddr::V4(address) => u32::from(address) & mask(of.prefix),
            IpAddr::V6(_) => 0,
        };
        self.address == other.address
            && (self.address.is_ipv6() || (self.prefix == other.prefix && network(self) == network(other)))
    }

    /// Returns true if the kernel would remove `other` together with this address, provided that this is the first address of
    /// its network (only IPv4 has secondary addresses).
    fn shares_network(&self, other: &Self) -> bool {
        match (self.peer.unwrap_or(self.address), other.peer.unwrap_or(other.address)) {
            (IpAddr::V4(one), IpAddr::V4(two)) => {
                self.prefix == other.prefix && (u32::from(one) ^ u32::from(two)) & mask(self.prefix) == 0
            }
            (IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => false,
        }
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, prefix, peer } = self;
        match peer {
            Some(peer) => write!(f, "{address} peer {peer}/{prefix}"),
            None => write!(f, "{address}/{prefix}"),
        }
    }
}

/// An address on an interface, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    message: AddressMessage,
}

impl Installed {
    /// Returns true if the host may send from it: not while the kernel still looks for another host that has it (tentative),
    /// nor once the kernel has found one.
    #[must_use]
    pub fn may_be_sent_from(&self) -> bool {
        let flags = self.flags();
        let is_tentative =
            flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
        !is_tentative && !flags.contains(AddressFlags::Dadfailed)
    }

    /// An address of IPv4 with a prefix and the mark of the agent that has put it there, for tests of other rooms.
    #[cfg(test)]
    pub(crate) fn example(index: u32, address: Ipv4Addr, prefix: u8, mark: u8) -> Self {
        let mut message = AddressMessage::default();
        (message.header.index, message.header.prefix_len) = (index, prefix);
        message.attributes =
            vec![AddressAttribute::Local(address.into()), AddressAttribute::Protocol(mark.into())];
        Self { index, address: address.into(), message }
    }

    fn new(message: AddressMessage) -> Option<Self> {
        Some(Self { index: message.header.index, address: address_of(&message)?, message })
    }

    /// Returns the identity by which the kernel knows it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let peer = self.find(|attribute| match attribute {
            AddressAttribute::Address(peer) if *peer != self.address => Some(*peer),
            _ => None,
        });
        Identity { address: self.address, prefix: self.message.header.prefix_len, peer }
    }

    /// Returns an address of the network that it makes reachable, and the length of that network's prefix. On a point-to-point
    /// link the network is the peer's.
    #[must_use]
    pub fn network(&self) -> (IpAddr, u8) {
        let Identity { address, prefix, peer } = self.identity();
        (peer.unwrap_or(address), prefix)
    }

    /// Returns the mark of the program that has set it, as the kernel remembers it; 0 if there is no mark.
    #[must_use]
    pub fn mark(&self) -> u8 {
        let protocol = self.find(|attribute| match attribute {
            AddressAttribute::Protocol(protocol) => Some(u8::from(*protocol)),
            _ => None,
        });
        protocol.unwrap_or(0)
    }

    /// Returns true if it is one of the host's own: the kernel says that no daemon of ours has set it.
    #[must_use]
    pub fn is_host_s(&self) -> bool {
        host::kernel_marks_addresses() && !host::is_address_mark(self.mark())
    }

    /// Returns true if the kernel would remove `other` together with this address, unless it promotes secondary addresses.
    #[must_use]
    pub fn takes_along(&self, other: &Self) -> bool {
        !self.flags().contains(AddressFlags::Secondary)
            && other.flags().contains(AddressFlags::Secondary)
            && self.index == other.index
            && self.identity().shares_network(&other.identity())
    }

    /// Returns true if another address of its network stands before it.
    #[must_use]
    pub fn is_secondary(&self) -> bool {
        self.address.is_ipv4() && self.flags().contains(AddressFlags::Secondary)
    }

    fn find<T>(&self, what: impl Fn(&AddressAttribute) -> Option<T>) -> Option<T> {
        self.message.attributes.iter().find_map(what)
    }

    fn flags(&self) -> AddressFlags {
        let all = self.find(|attribute| match attribute {
            AddressAttribute::Flags(flags) => Some(*flags),
            _ => None,
        });
        all.unwrap_or_else(|| AddressFlags::from_bits_retain(self.message.header.flags.bits().into()))
    }

    /// Returns what has to be done to make it match a virtual address in everything. `interface` is the interface's name.
    #[must_use]
    pub fn differs_from(&self, vip: &Vip, interface: &str) -> Difference {
        if self.identity() != Identity::of(vip) {
            return Difference::NeedsAnew;
        }
        let label = self.find(|attribute| match attribute {
            AddressAttribute::Label(label) => Some(label.clone()),
            _ => None,
        });
        let broadcast = self.find(|attribute| match attribute {
            AddressAttribute::Broadcast(broadcast) => Some(*broadcast),
            _ => None,
        });
        let flags_that_stay = match vip.address {
            IpAddr::V4(_) => AddressFlags::Noprefixroute | AddressFlags::Mcautojoin,
            IpAddr::V6(_) => AddressFlags::Mcautojoin,
        };
        let (has, wants) = (self.flags(), flags(vip));
        // In IPv6 there is no label and no broadcast address, and the kernel chooses the scope.
        let v4_agrees = vip.address.is_ipv6()
            || (label.as_deref().unwrap_or(interface) == vip.label.as_deref().unwrap_or(interface)
                && broadcast == vip.broadcast
                && u8::from(self.message.header.scope) == vip.scope.unwrap_or(0));
        if !v4_agrees || (has & flags_that_stay) != (wants & flags_that_stay) {
            return Difference::NeedsAnew;
        }
        let flags_that_change =
            AddressFlags::Homeaddress | AddressFlags::Managetempaddr | AddressFlags::Noprefixroute;
        let preferred = self.find(|attribute| match attribute {
            AddressAttribute::CacheInfo(lifetimes) => Some(lifetimes.ifa_preferred),
            _ => None,
        });
        let lasts = match (preferred.unwrap_or(u32::MAX), preferred_lifetime(vip).unwrap_or(u32::MAX)) {
            (has, u32::MAX) => has == u32::MAX,
            // The lifetime runs down.
            (has, wants) => has <= wants,
        };
        match lasts && (has & flags_that_change) == (wants & flags_that_change) {
            true => Difference::None,
            false => Difference::Changeable,
        }
    }
}

/// The difference between an address that is there and the wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// There is none.
    None,
    /// The kernel can change it in place.
    Changeable,
    /// The kernel takes it only with a new address: the old one has to be removed, and set anew.
    NeedsAnew,
}

/// All addresses of the host.
///
/// # Errors
/// If netlink does not answer.
pub async fn list(handle: &Handle) -> Result<Vec<Installed>, NetError> {
    let listing = handle.address().get().execute().try_collect();
    let messages: Vec<AddressMessage> = answered(|| "list the addresses".to_owned(), listing).await?;
    Ok(messages.into_iter().filter_map(Installed::new).collect())
}

/// Puts a virtual address on an interface.
///
/// # Errors
/// If the kernel refuses.
pub async fn add(handle: &Handle, index: u32, vip: &Vip) -> Result<(), NetError> {
    let request = request(handle, index, vip).execute();
    ignoring(request, &[libc::EEXIST], || format!("add {} to interface {index}", Identity::of(vip))).await
}

/// Changes those properties of a virtual address that the kernel changes in place.
///
/// # Errors
/// If the kernel refuses.
pub async fn change(handle: &Handle, index: u32, vip: &Vip) -> Result<(), NetError> {
    let request = request(handle, index, vip).replace().execute();
    ignoring(request, &[], || format!("change {} on interface {index}", Identity::of(vip))).await
}

fn request(handle: &Handle, index: u32, vip: &Vip) -> AddressAddRequest {
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
    // Kernels before 5.18 do not read this attribute.
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(host::address_mark())));
    request
}

/// Adds to a message the parts that rtnetlink leaves out and the kernel compares.
fn complete(message: &mut AddressMessage, vip: &Vip) {
    if vip.address.is_multicast() {
        message.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Multicast(_)));
        message
            .attributes
            .extend([AddressAttribute::Address(vip.address), AddressAttribute::Local(vip.address)]);
    }
    // On a point-to-point link the address of the message is the peer's, the prefix belongs to it, and the local address is
    // ours.
    if let Some(peer) = vip.peer {
        message.header.prefix_len = peer.length;
        for attribute in &mut message.attributes {
            if let AddressAttribute::Address(address) = attribute {
                *address = peer.address;
            }
        }
    }
}

/// Returns all flags, for an attribute: some do not fit in the header, and the attribute counts instead of the header's flags.
fn flags(vip: &Vip) -> AddressFlags {
    let mut flags = AddressFlags::empty();
    // Another router had the address a moment ago: a probe for duplicates would delay it, or find the old master.
    flags.set(AddressFlags::Nodad, vip.address.is_ipv6() && !vip.is(AddressTrait::Probed));
    flags.set(AddressFlags::Homeaddress, vip.is(AddressTrait::Home));
    flags.set(AddressFlags::Managetempaddr, vip.is(AddressTrait::MakesTemporary));
    flags.set(AddressFlags::Noprefixroute, vip.is(AddressTrait::NoPrefixRoute));
    flags.set(AddressFlags::Mcautojoin, vip.is(AddressTrait::Joined));
    flags
}

/// The preferred lifetime, as with keepalived: an IPv6 address of 128 bits is deprecated unless the file says otherwise, so it
/// is answered for but not chosen as a source.
fn preferred_lifetime(vip: &Vip) -> Option<u32> {
    match vip.preferred {
        None => (vip.address.is_ipv6() && vip.prefix == 128).then_some(0),
        // A lifetime without end is not sent: it is the kernel's default.
        Some(u32::MAX) => None,
        Some(preferred) => Some(preferred),
    }
}

/// Removes an address, exactly as the kernel has it.
///
/// # Errors
/// If the kernel refuses.
pub async fn remove(handle: &Handle, installed: &Installed) -> Result<(), NetError> {
    let Installed { index, message, .. } = installed;
    let request = handle.address().del(message.clone()).execute();
    let doing = || format!("remove {} from interface {index}", installed.identity());
    ignoring(request, &[libc::EADDRNOTAVAIL, libc::ENODEV], doing).await
}

/// Removes an address about which the kernel could not be asked.
///
/// # Errors
/// If the kernel refuses.
pub async fn remove_unseen(handle: &Handle, index: u32, vip: &Vip) -> Result<(), NetError> {
    let mut message = match vip.address {
        IpAddr::V4(a) => AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(a, vip.prefix).build(),
        IpAddr::V6(a) => AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(a, vip.prefix).build(),
    };
    complete(&mut message, vip);
    let request = handle.address().del(message).execute();
    let doing = || format!("remove {} from interface {index}", Identity::of(vip));
    ignoring(request, &[libc::EADDRNOTAVAIL, libc::ENODEV], doing).await
}

/// Puts back an address as the kernel had it, be it the agent's or the host's own.
///
/// # Errors
/// If the kernel refuses.
pub async fn restore(handle: &Handle, installed: &Installed) -> Result<(), NetError> {
    let Installed { index, address, message } = installed;
    let identity = installed.identity();
    let mut request = handle.address().add(*index, *address, identity.prefix);
    // Flags that the kernel reports, and would not take.
    let said = AddressFlags::Secondary | AddressFlags::Permanent | AddressFlags::Tentative;
    let mut restored = message.clone();
    restored.header.flags = AddressHeaderFlags::empty();
    for attribute in &mut restored.attributes {
        if let AddressAttribute::Flags(flags) = attribute {
            *flags = flags.difference(said);
        }
    }
    *request.message_mut() = restored;
    let doing = || format!("put {identity} back on interface {index}");
    ignoring(request.execute(), &[libc::EEXIST], doing).await
}

/// Returns the address that a message is about.
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
mod tests;
