//! The addresses of this host, and which of them are ours.
//!
//! A virtual address may be one that the host has by itself: that stays, whatever becomes of the instance. In all other cases a
//! virtual address on its interface is taken away with the mastership, whatever its prefix is by now: if it stays behind on a
//! host that is not master, two hosts answer for it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rtnetlink::Handle;

use crate::daemon::master_resources::{InterfaceAddress, MasterResources};
use crate::host;
use crate::net::NetError;
use crate::net::addresses::{self, Difference, Identity, Installed};

/// An address on an interface, as the kernel tells it from others.
pub(super) type Key = (u32, Identity);

/// The addresses of a holding that are not taken away because others hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spare {
    /// The very same address, with its prefix and peer.
    Same,
    /// The address with whatever prefix: its present holder will set it, and then take away what was there before.
    Place,
}

/// The addresses that an earlier run of the agent may have left, as far as the kernel does not mark them.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The addresses that the pins of that run know.
    pub(super) pinned: Vec<(u32, IpAddr)>,
    /// The addresses of the present configuration.
    pub(super) configured: BTreeSet<Key>,
}

/// The addresses of this host.
pub(super) struct Table {
    handle: Handle,
    /// The addresses as the kernel last listed them.
    there: Vec<Installed>,
    /// The addresses that we have put there and not taken away.
    put: BTreeSet<Key>,
    /// Virtual addresses that the host has by itself.
    own: BTreeSet<Key>,
    /// Present until what an earlier run left has been taken away.
    earlier: Option<Earlier>,
}

fn key(installed: &Installed) -> Key {
    (installed.index, installed.identity())
}

/// Returns true if the kernel's mark says that this agent has put the address there.
fn is_marked(installed: &Installed) -> bool {
    installed.mark() == host::address_mark()
}

impl Table {
    pub(super) fn new(handle: Handle, earlier: Earlier) -> Self {
        let (there, put, own) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        Self { handle, there, put, own, earlier: Some(earlier) }
    }

    /// Asks the kernel which addresses are there.
    pub(super) async fn refresh(&mut self) -> Result<(), NetError> {
        self.there = addresses::list(&self.handle).await?;
        Ok(())
    }

    /// Returns true if the address is ours to take away.
    fn is_ours(&self, installed: &Installed) -> bool {
        if self.put.contains(&key(installed)) {
            return true;
        }
        let pinned = |earlier: &Earlier| earlier.pinned.contains(&(installed.index, installed.address));
        match &self.earlier {
            _ if host::kernel_marks_addresses() => {
                let known = !host::shares_address_mark() || self.earlier.as_ref().is_some_and(pinned);
                is_marked(installed) && known
            }
            Some(earlier) => pinned(earlier) || earlier.configured.contains(&key(installed)),
            None => false,
        }
    }

    fn is_host_s(&self, installed: &Installed) -> bool {
        self.own.contains(&key(installed))
    }

    /// Returns true if another agent of this network namespace has put the address there.
    fn is_another_agent_s(&self, installed: &Installed) -> bool {
        host::is_address_mark(installed.mark()) && !is_marked(installed)
    }

    /// Notes which of these addresses are the host's own, because they are not ours; they stay. To be called when an address
    /// becomes virtual, or when its interface is new.
    pub(super) fn note_host_s_own(&mut self, is_virtual: impl Fn(&Installed) -> bool) {
        for installed in &self.there {
            let foreign = !self.is_ours(installed) && !self.is_another_agent_s(installed);
            if foreign && is_virtual(installed) && self.own.insert(key(installed)) {
                tracing::warn!(
                    "this host has {} on interface {} by itself, which is a virtual address of the configuration too: \
                     it is left there in every state",
                    installed.identity(),
                    interface(installed.index)
                );
            }
        }
    }

    /// Puts an address on its interface, as it should be there. The same address that we had put there with another prefix or
    /// another peer is taken away afterwards.
    pub(super) async fn set(&mut self, placed: &InterfaceAddress) -> Result<(), NetError> {
        let InterfaceAddress { vip, ifindex } = placed;
        let identity = placed.identity();
        let at_place = self.there.iter().filter(|there| placed.is_at(there.index, there.address));
        let (same, others): (Vec<_>, Vec<_>) =
            at_place.cloned().partition(|there| there.identity().collides(&identity));
        match same.first() {
            Some(there) if self.is_host_s(there) => return Ok(()),
            Some(there) => match there.differs_from(vip, &interface(*ifindex)) {
                Difference::None if is_marked(there) || !host::kernel_marks_addresses() => {}
                // Another program has set it, or an operator's change has taken the mark off.
                Difference::None | Difference::Changeable => {
                    addresses::change(&self.handle, *ifindex, vip).await?;
                }
                Difference::NeedsAnew => {
                    self.remove(&same).await.into_iter().try_for_each(Err)?;
                    addresses::add(&self.handle, *ifindex, vip).await?;
                }
            },
            None => addresses::add(&self.handle, *ifindex, vip).await?,
        }
        self.put.insert((*ifindex, identity));
        let stale: Vec<Installed> = others.into_iter().filter(|there| self.is_ours(there)).collect();
        if !stale.is_empty() {
            self.refresh().await?;
            self.remove(&stale).await.into_iter().try_for_each(Err)?;
        }
        Ok(())
    }

    /// Returns what is to be taken away with a holding: its addresses as they are there, with whatever prefix; or, if the
    /// holding was not a master's, only those that are ours.
    pub(super) fn going(
        &self,
        of: &MasterResources,
        kept: &[MasterResources],
        spare: Spare,
        was_held: bool,
    ) -> Vec<Installed> {
        let is_kept = |there: &Installed| {
            kept.iter().any(|held| match spare {
                Spare::Same => held.has_address(there.index, &there.identity()),
                Spare::Place => held.has_place(there.index, there.address),
            })
        };
        let goes = |there: &&Installed| {
            of.has_place(there.index, there.address)
                && !is_kept(there)
                && !self.is_host_s(there)
                && (self.is_ours(there) || (was_held && !self.is_another_agent_s(there)))
        };
        self.there.iter().filter(goes).cloned().collect()
    }

    /// Takes these addresses away, and at once puts back those that the kernel takes away with the first address of a network.
    /// Returns the errors.
    pub(super) async fn remove(&mut self, going: &[Installed]) -> Vec<NetError> {
        let mut errors = Vec::new();
        let keys: BTreeSet<Key> = going.iter().map(key).collect();
        let mut put_back = false;
        // The first address of a network last: while the others are removed, the kernel takes no further addresses away.
        let (secondary, first): (Vec<_>, Vec<_>) = going.iter().partition(|of| of.is_secondary());
        for installed in secondary.into_iter().chain(first) {
            match addresses::remove(&self.handle, installed).await {
                Ok(()) => {
                    self.put.remove(&key(installed));
                }
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            }
            let along = |other: &&Installed| installed.takes_along(other) && !keys.contains(&key(other));
            for other in self.there.iter().filter(along) {
                put_back = true;
                errors.extend(addresses::restore(&self.handle, other).await.err());
            }
        }
        self.there.retain(|there| !keys.contains(&key(there)));
        if put_back {
            errors.extend(self.refresh().await.err());
        }
        errors
    }

    /// Takes a holding away without knowing what is there, because the kernel does not say.
    pub(super) async fn remove_unseen(
        &mut self,
        of: &MasterResources,
        kept: &[MasterResources],
    ) -> Vec<NetError> {
        let mut errors = Vec::new();
        for placed in &of.addresses {
            let place = (placed.ifindex, placed.identity());
            let is_kept = kept.iter().any(|held| held.has_address(place.0, &place.1));
            if !is_kept && !self.own.contains(&place) {
                match addresses::remove_unseen(&self.handle, placed.ifindex, &placed.vip).await {
                    Ok(()) => drop(self.put.remove(&place)),
                    Err(error) => errors.push(error),
                }
            }
        }
        errors
    }

    /// Takes away what an earlier run put on interfaces, except for what is still held.
    pub(super) async fn remove_leftovers(&mut self, held: &[MasterResources]) -> Result<(), NetError> {
        self.refresh().await?;
        let ours: Vec<Installed> = self.there.iter().filter(|of| self.is_ours(of)).cloned().collect();
        let is_held = |of: &Installed| held.iter().any(|held| held.has_place(of.index, of.address));
        let (held, left): (Vec<_>, Vec<_>) = ours.into_iter().partition(is_held);
        self.put.extend(held.iter().map(key));
        for installed in &left {
            tracing::warn!("removing {}, which an earlier run left on its interface", installed.address);
        }
        self.remove(&left).await.into_iter().try_for_each(Err)?;
        self.earlier = None;
        Ok(())
    }

    /// Returns true if an address is on its interface, with whatever prefix.
    pub(super) fn has(&self, placed: &InterfaceAddress) -> bool {
        self.there.iter().any(|there| placed.is_at(there.index, there.address))
    }

    /// Returns which of these addresses, and of those that we have put there, are on this host although it does not have them
    /// by itself.
    pub(super) fn left(&self, virtual_addresses: &BTreeSet<IpAddr>) -> Vec<String> {
        let is_left = |there: &&Installed| {
            (virtual_addresses.contains(&there.address) || self.put.contains(&key(there)))
                && !self.is_host_s(there)
                && !self.is_another_agent_s(there)
        };
        let name = |there: &Installed| format!("{} on {}", there.identity(), interface(there.index));
        self.there.iter().filter(is_left).map(name).collect()
    }
}

/// The name of an interface, or its number where it has none any more.
pub(super) fn interface(index: u32) -> String {
    match nix::net::if_::if_indextoname(index) {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_gone) => index.to_string(),
    }
}

#[cfg(test)]
mod tests;
