//! Carrying out what the engine asks for: addresses by netlink, the log. In order, each instance's and all together.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use nix::sys::eventfd::EventFd;
use rtnetlink::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::engine::reload::Roster;
use super::engine::{Command, Effect, Late, Notice};
use super::status::{explain, state_name};
use crate::config::{InstanceConfig, Vip};
use crate::dataplane::Slot;
use crate::net::addresses;
use crate::net::links::Link;
use crate::vrrp::State;

/// A way to reach the engine from anywhere.
#[derive(Clone, Debug)]
pub(super) struct Engineer {
    pub(super) commands: Sender<Command>,
    pub(super) wake: Arc<EventFd>,
}

impl Engineer {
    /// Sends a command. False if the engine has ended.
    pub(super) fn tell(&self, command: Command) -> bool {
        self.commands.send(command).is_ok() && self.wake.write(1).is_ok()
    }
}

/// An address of an instance, with the interface that it belongs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) vip: Vip,
    pub(super) ifindex: u32,
}

/// Finds each address's interface.
pub(super) fn place(config: &InstanceConfig, link: &Link, links: &[Link]) -> Vec<Placed> {
    let index_of = |vip: &Vip| match &vip.dev {
        None => Some(link.index),
        Some(dev) => links.iter().find(|link| link.name == *dev).map(|link| link.index),
    };
    config.addresses().filter_map(|vip| Some(Placed { vip: vip.clone(), ifindex: index_of(vip)? })).collect()
}

/// What carries out effects.
pub(super) struct Executor {
    pub(super) handle: Handle,
    /// What slots mean.
    roster: RefCell<Roster>,
    engineer: Engineer,
    /// Told of each instance whose addresses the kernel did not take, with the generation that its slot is of.
    refused: UnboundedSender<(u64, Slot)>,
}

impl Executor {
    pub(super) fn new(
        handle: Handle,
        roster: Roster,
        engineer: Engineer,
        refused: UnboundedSender<(u64, Slot)>,
    ) -> Self {
        Self { handle, roster: RefCell::new(roster), engineer, refused }
    }

    /// An interface is another: the addresses of each instance are these from now on.
    pub(super) fn place(&self, placed: Vec<Vec<Placed>>) {
        self.roster.borrow_mut().placed = placed;
    }

    /// The name of an instance.
    pub(super) fn name(&self, slot: Slot) -> String {
        self.roster.borrow().names.get(slot).cloned().unwrap_or_default()
    }

    /// The configuration that slots are of.
    pub(super) fn generation(&self) -> u64 {
        self.roster.borrow().generation
    }

    /// Another configuration: what it does not have goes.
    async fn change_roster(&self, roster: Roster) {
        let before = self.roster.replace(roster).placed;
        let now: Vec<Placed> = self.roster.borrow().placed.iter().flatten().cloned().collect();
        for Placed { vip, ifindex } in before.iter().flatten().filter(|placed| !now.contains(placed)) {
            if let Err(error) = addresses::remove(&self.handle, *ifindex, vip).await {
                tracing::error!("{error}");
            }
        }
    }

    /// Until the engine has ended and everything that it asked for is done. May be left off and taken up again.
    pub(super) async fn run(&self, effects: &mut UnboundedReceiver<Effect>) {
        while let Some(effect) = effects.recv().await {
            self.carry_out(effect).await;
        }
    }

    async fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Install { slot, mastership } => {
                let generation = self.generation();
                // Whoever listens may have ended.
                if self.install(slot).await {
                    let _ended = self.engineer.tell(Command::Installed { generation, slot, mastership });
                } else {
                    let _ended = self.refused.send((generation, slot));
                }
            }
            Effect::Reloaded(roster) => self.change_roster(roster).await,
            Effect::Withdraw { slot } => {
                let _told = self.withdraw(slot).await;
            }
            Effect::Transition { slot, from, to, cause, priority, late } => {
                let late = late.filter(|_| to == State::Master);
                let late = late.map_or_else(String::new, |Late { noticed, acted }| {
                    let noticed = noticed.map(|by| format!("noticed {} µs and ", by.as_micros()));
                    let noticed = noticed.unwrap_or_default();
                    format!(", {noticed}acted on {} µs after the deadline", acted.as_micros())
                });
                let (from, to) = (state_name(from).to_uppercase(), state_name(to).to_uppercase());
                let (instance, why) = (self.name(slot), explain(cause));
                tracing::info!(
                    instance,
                    from,
                    to,
                    why,
                    priority,
                    "{instance}: {from} -> {to}: {why}{late}; priority {priority}"
                );
            }
            Effect::Conflict { slot, address, mac } => {
                let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
                let (name, mac) = (self.name(slot), mac.join(":"));
                tracing::warn!(
                    "{name}: {address} is claimed by {mac} too; it was answered with our own claim"
                );
            }
            Effect::Notice { slot, notice, address } => {
                let name = self.name(slot);
                let what = match notice {
                    Notice::OtherAddresses => {
                        "advertises other addresses than we do: compare virtual_ipaddress"
                    }
                    Notice::TwoOwners => "has priority 255 like us: only one router owns the addresses",
                };
                tracing::warn!("{name}: {address} {what}");
            }
            Effect::Failed { slot, doing, error } => {
                tracing::error!("{}: cannot {doing}: {error}", self.name(slot));
            }
        }
    }

    fn placed_of(&self, slot: Slot) -> Vec<Placed> {
        self.roster.borrow().placed.get(slot).cloned().unwrap_or_default()
    }

    /// True if all addresses are there.
    async fn install(&self, slot: Slot) -> bool {
        let mut all = true;
        for Placed { vip, ifindex } in &self.placed_of(slot) {
            if let Err(error) = addresses::add(&self.handle, *ifindex, vip).await {
                tracing::error!("{}: {error}", self.name(slot));
                all = false;
            }
        }
        all
    }

    /// An address is said to be gone. If it is one that an instance holds, and really is, the engine is told; what we took away
    /// ourselves, and have put back since, is nobody's loss.
    pub(super) async fn check_address(&self, ifindex: u32, address: IpAddr) {
        let is_it = |placed: &Placed| {
            placed.ifindex == ifindex && placed.vip.address == address && placed.vip.track.is_none()
        };
        let holds = |placed: &Vec<Placed>| placed.iter().any(is_it);
        let generation = self.generation();
        let Some(slot) = self.roster.borrow().placed.iter().position(holds) else { return };
        let there = addresses::list(&self.handle).await;
        if there.is_ok_and(|there| !there.iter().any(|at| at.index == ifindex && at.address == address)) {
            let _ended = self.engineer.tell(Command::AddressesLost { generation, slot });
        }
    }

    /// After news were missed: whichever addresses are not there, the engine is told; who is not master does not mind.
    pub(super) async fn check_addresses(&self) {
        let Ok(there) = addresses::list(&self.handle).await else { return };
        let is_there = |placed: &Placed| {
            placed.vip.track.is_some()
                || there.iter().any(|at| at.index == placed.ifindex && at.address == placed.vip.address)
        };
        let (generation, lists) = (self.generation(), self.roster.borrow().placed.clone());
        for (slot, _) in lists.iter().enumerate().filter(|(_, placed)| !placed.iter().all(is_there)) {
            let _ended = self.engineer.tell(Command::AddressesLost { generation, slot });
        }
    }

    /// True if all addresses are gone.
    pub(super) async fn withdraw(&self, slot: Slot) -> bool {
        let mut all = true;
        for Placed { vip, ifindex } in &self.placed_of(slot) {
            if let Err(error) = addresses::remove(&self.handle, *ifindex, vip).await {
                tracing::error!("{}: {error}", self.name(slot));
                all = false;
            }
        }
        all
    }

    /// Removes addresses that a crash left behind: those of the configuration, and those that the pins of the earlier run know
    /// (`earlier`), should the configuration have changed; but not those of the instances that are to go on (`kept`). With the
    /// fence of the earlier run still up, nobody is answered meanwhile.
    pub(super) async fn remove_leftovers(
        &self,
        earlier: &[(u32, IpAddr)],
        kept: &[Slot],
    ) -> Result<(), crate::net::NetError> {
        let at = |placed: Placed| (placed.ifindex, placed.vip.address);
        let kept: Vec<_> = kept.iter().flat_map(|&slot| self.placed_of(slot)).map(at).collect();
        let ours: Vec<_> = self.roster.borrow().placed.iter().flatten().cloned().map(at).collect();
        for installed in addresses::list(&self.handle).await? {
            let place = (installed.index, installed.address);
            if !kept.contains(&place) && (earlier.contains(&place) || ours.contains(&place)) {
                tracing::warn!("removing {}, which an earlier run left on its interface", installed.address);
                addresses::remove_installed(&self.handle, installed).await?;
            }
        }
        Ok(())
    }
}
