//! Another configuration while the engine runs. What is the same virtual router in both goes on: its state, its lease, its
//! statistics; a master misses no advert, a backup no deadline.

use std::collections::BTreeSet;

use nix::sys::epoll::{EpollEvent, EpollFlags};
use tokio::sync::oneshot;

use super::{Effect, Engine, Notice, Parts, Queued, Router};
use crate::config::Config;
use crate::daemon::holdings::Holding;
use crate::daemon::status::StatusPage;
use crate::dataplane::{DataPlane, EbpfError, KernelHalf, Slot};
use crate::host;
use crate::track::Health;
use crate::vrrp::{Instance, State, Time, Watch};

/// More than a ring has room for: what was heard before a reload is heard.
const EVENTS_MAX: usize = 16_384;

/// What takes the place of all that the engine has.
pub(in crate::daemon) struct Reload {
    /// The instances, by their new slots.
    pub(in crate::daemon) members: Vec<Member>,
    /// A data plane of their own, which hears nothing yet.
    pub(in crate::daemon) plane: DataPlane,
    /// What has it hear: done in one go, when all is written that it decides by. None for sockets, which hear at once.
    pub(in crate::daemon) attach: Option<Attach>,
    pub(in crate::daemon) status: StatusPage,
    /// For whoever carries out effects: what the new slots mean.
    pub(in crate::daemon) roster: Roster,
    pub(in crate::daemon) done: oneshot::Sender<Reloaded>,
}

/// Attaches the kernel half to the interfaces, in the place of the one before.
pub(in crate::daemon) type Attach = Box<dyn FnOnce() -> (KernelHalf, Result<(), EbpfError>) + Send>;

/// An instance of the new configuration.
pub(in crate::daemon) struct Member {
    /// Its slot in the present one, if it is there.
    pub(in crate::daemon) was: Option<Slot>,
    pub(in crate::daemon) parts: Parts,
    pub(in crate::daemon) group: Option<usize>,
    pub(in crate::daemon) health: Health,
    /// Whether it holds something else than before.
    pub(in crate::daemon) holds_other: bool,
}

/// What slots mean to whoever carries out effects.
#[derive(Debug)]
pub(in crate::daemon) struct Roster {
    /// Grows with each configuration.
    pub(in crate::daemon) generation: u64,
    pub(in crate::daemon) config: Config,
    pub(in crate::daemon) holdings: Vec<Holding>,
    /// What each lacks, in sentences.
    pub(in crate::daemon) lacks: Vec<Vec<String>>,
    /// Where each was in the configuration before.
    pub(in crate::daemon) was: Vec<Option<Slot>>,
    /// Told of the track groups that lack something, when all has followed.
    pub(in crate::daemon) carried_out: Option<oneshot::Sender<BTreeSet<String>>>,
}

/// What is left over afterwards.
pub(in crate::daemon) struct Reloaded {
    pub(in crate::daemon) kernel: Option<KernelHalf>,
    pub(in crate::daemon) attached: Result<(), EbpfError>,
    /// Whatever closing it may take is not the engine's affair.
    pub(in crate::daemon) _before: DataPlane,
}

impl Engine {
    pub(super) fn reload(&mut self, reload: Reload, now: Time) {
        let Reload { members, plane, attach, status, roster, done } = reload;
        self.finish_with_the_present(&members, now);
        // What the kernel watches is watched here until the new program has heard the master: not less patiently.
        for slot in 0..self.routers.len() {
            self.catch_up(slot);
            self.watch_here(slot, now);
            if let (State::Backup, Some(watch)) =
                (self.routers[slot].machine.state(), self.plane.kernel_watch(slot))
            {
                self.routers[slot].machine.handle_advert(now, &watch.advert, Watch::Here);
            }
        }

        let before = std::mem::replace(&mut self.plane, plane);
        let mut present: Vec<Option<Router>> =
            std::mem::take(&mut self.routers).into_iter().map(Some).collect();
        self.announcements.renumber(|slot| members.iter().position(|member| member.was == Some(slot)));
        let mut holds_other = Vec::new();
        for Member { was, parts, group, health, holds_other: other } in members {
            let mut router = match was.and_then(|was| present[was].take()) {
                Some(router) => router.go_on(parts, group, now),
                None => Router::new(Instance::new(parts.params.clone(), now), parts, group),
            };
            router.machine.set_contributions(now, health.contributions);
            router.machine.set_fault(now, health.fault);
            self.routers.push(router);
            holds_other.push(other);
        }
        self.announcements.keep(|slot| self.routers[slot].frames.announcements());
        self.close_unused_sockets();
        self.status = status;
        self.generation = roster.generation;
        self.join_groups();
        self.hand_over();
        let (kernel, attached) = attach.map_or((None, Ok(())), |attach| {
            let (kernel, attached) = attach();
            (Some(kernel), attached)
        });
        // Before any effect that speaks of the new slots.
        self.tell(Effect::Reloaded(Box::new(roster)));
        for (slot, holds_other) in holds_other.into_iter().enumerate() {
            let machine = &mut self.routers[slot].machine;
            if self.start_at.is_none() {
                machine.start(now);
            }
            if holds_other || !machine.is_installed() {
                machine.install_again(now);
            }
            self.react(slot, now, None);
        }
        // Nobody waits for it if the daemon is about to end.
        let _ending = done.send(Reloaded { kernel, attached, _before: before });
    }

    /// What was heard is heard by those it was for; who is not there any more resigns, and what is queued leaves.
    fn finish_with_the_present(&mut self, members: &[Member], now: Time) {
        for _ in 0..EVENTS_MAX {
            let Some(signal) = self.plane.next_signal() else { break };
            self.take_signal(signal, now);
        }
        for slot in 0..self.routers.len() {
            if members.iter().all(|member| member.was != Some(slot)) {
                // It does not take the others of its group along.
                self.routers[slot].group = None;
                self.routers[slot].machine.remove(now);
                self.drain(slot, None);
            }
        }
        self.send_adverts();
        debug_assert!(self.adverts.iter().all(|Queued { slot, .. }| *slot < self.routers.len()));
    }

    /// New members of a sync group that is master do not end that while they listen. One that has a master elsewhere does, and
    /// the operator is told why.
    fn join_groups(&mut self) {
        for slot in 0..self.routers.len() {
            let Router { group, ref machine, .. } = self.routers[slot];
            let others = || {
                let others = (0..self.routers.len()).filter(|&other| other != slot && group.is_some());
                let others = others.filter(|&other| self.routers[other].group == group);
                others.map(|other| &self.routers[other].machine).filter(|m| m.state() != State::Initialize)
            };
            let joins = others().any(|m| m.state() == State::Master) && others().all(|m| !m.holds_back());
            match (machine.state(), machine.heard().map(|heard| heard.advert.source)) {
                (State::Initialize, _) if joins => self.routers[slot].machine.join_masters(),
                (State::Backup, Some(master)) if joins => self.say(slot, Notice::JoinedAsBackup, master),
                (State::Initialize | State::Backup | State::Master | State::Fault, _) => {}
            }
        }
    }

    /// The new data plane learns what stands: roles, rules, and leases as long as they were.
    fn hand_over(&mut self) {
        for fd in self.plane.descriptors() {
            if let Err(error) = self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0)) {
                let error = error.to_string();
                self.tell(Effect::Failed { slot: 0, doing: "watch the data plane", error });
            }
        }
        for slot in 0..self.routers.len() {
            let applied = self.plane.apply(&self.routers[slot].desired(slot));
            let lease = self.routers[slot]
                .lease_until
                .filter(|_| self.routers[slot].machine.state() == State::Master);
            // In this order: what passes between the two looks at a clock makes it shorter.
            let uptime = host::uptime();
            let now = host::now();
            let renewed = lease.map_or(Ok(()), |until| self.plane.renew(slot, now, uptime + (until - now)));
            if let Err(error) = applied.and(renewed) {
                let error = error.to_string();
                self.tell(Effect::Failed { slot, doing: "write the kernel's maps", error });
            }
        }
    }
}

impl Router {
    /// The same virtual router with other parts.
    fn go_on(self, parts: Parts, group: Option<usize>, now: Time) -> Self {
        let Parts { params, key, rules, frames, .. } = parts;
        let mut router = Self { key, rules, frames, group, noticed: Vec::new(), ..self };
        router.machine.reconfigure(now, params);
        router
    }
}
