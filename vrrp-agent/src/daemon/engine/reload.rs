//! Changes the configuration while the engine runs. A virtual router that is in both configurations goes on with its state, its
//! lease and its statistics; a master misses no advert, a backup no deadline.

use std::collections::BTreeSet;

use nix::sys::epoll::{EpollEvent, EpollFlags};
use tokio::sync::oneshot;

use super::{Effect, Engine, InstanceBinding, Notice, Queued, Router};
use crate::config::Config;
use crate::daemon::master_resources::MasterResources;
use crate::daemon::status::StatusPage;
use crate::dataplane::{DataPlane, EbpfError, KernelHalf, Slot};
use crate::host;
use crate::track::Health;
use crate::vrrp::{Instance, State, Time, Watch};

/// More events than a ring has room for, so that everything that arrived before a reload is heard.
const EVENTS_MAX: usize = 16_384;

/// The parts that replace all parts of the engine.
pub(in crate::daemon) struct Reload {
    /// The instances, by their new slots.
    pub(in crate::daemon) members: Vec<Member>,
    /// The new data plane, which hears nothing yet.
    pub(in crate::daemon) plane: DataPlane,
    /// Makes the data plane hear: done in one go, when all is written that it decides by. None for sockets, which hear at once.
    pub(in crate::daemon) attach: Option<Attach>,
    pub(in crate::daemon) status: StatusPage,
    /// The meaning of the new slots, for the network thread and the effects task.
    pub(in crate::daemon) active: ActiveConfig,
    pub(in crate::daemon) done: oneshot::Sender<Reloaded>,
}

/// Attaches the kernel half to the interfaces, in the place of the previous one.
pub(in crate::daemon) type Attach = Box<dyn FnOnce() -> (KernelHalf, Result<(), EbpfError>) + Send>;

/// An instance of the new configuration.
pub(in crate::daemon) struct Member {
    /// The slot of the instance in the present configuration, if it is there.
    pub(in crate::daemon) was: Option<Slot>,
    pub(in crate::daemon) binding: InstanceBinding,
    pub(in crate::daemon) group: Option<usize>,
    pub(in crate::daemon) health: Health,
    /// True if the instance holds something else than before.
    pub(in crate::daemon) holds_other: bool,
}

/// Per-slot configuration for the network thread and the effects task; replaced on reload.
#[derive(Debug)]
pub(in crate::daemon) struct ActiveConfig {
    /// Grows with each configuration.
    pub(in crate::daemon) generation: u64,
    pub(in crate::daemon) config: Config,
    pub(in crate::daemon) master_resources: Vec<MasterResources>,
    /// The sentences that say what each instance lacks.
    pub(in crate::daemon) lacks: Vec<Vec<String>>,
    /// The slot of each instance in the previous configuration.
    pub(in crate::daemon) was: Vec<Option<Slot>>,
    /// Told of the track groups that lack something, when the network thread and the effects task have followed.
    pub(in crate::daemon) carried_out: Option<oneshot::Sender<BTreeSet<String>>>,
}

/// The results of a reload.
pub(in crate::daemon) struct Reloaded {
    pub(in crate::daemon) kernel: Option<KernelHalf>,
    pub(in crate::daemon) attached: Result<(), EbpfError>,
    /// The previous data plane. The receiver drops it, so that the engine does not have to wait until it is closed.
    pub(in crate::daemon) _before: DataPlane,
}

impl Engine {
    pub(super) fn reload(&mut self, reload: Reload, now: Time) {
        let Reload { members, plane, attach, status, active, done } = reload;
        self.finish_with_the_present(&members, now);
        // The state machine watches each master that the kernel watches, until the new program has heard the master: not less
        // patiently than the kernel.
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
        for Member { was, binding, group, health, holds_other: other } in members {
            let mut router = match was.and_then(|was| present[was].take()) {
                Some(router) => router.carry_on(binding, group, now),
                None => Router::new(Instance::new(binding.params.clone(), now), binding, group),
            };
            router.machine.set_contributions(now, health.contributions);
            router.machine.set_fault(now, health.fault);
            self.routers.push(router);
            holds_other.push(other);
        }
        self.announcements.keep(|slot| self.routers[slot].frames.announcements());
        self.close_unused_sockets();
        self.status = status;
        self.generation = active.generation;
        self.join_groups();
        self.hand_over();
        let (kernel, attached) = attach.map_or((None, Ok(())), |attach| {
            let (kernel, attached) = attach();
            (Some(kernel), attached)
        });
        // Sent before any effect that has a new slot.
        self.tell(Effect::Reloaded(Box::new(active)));
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
        // The receiver is gone if the daemon is about to end.
        let _ending = done.send(Reloaded { kernel, attached, _before: before });
    }

    /// Hands the signals that have arrived to the present instances, makes removed instances resign, and sends what is queued.
    fn finish_with_the_present(&mut self, members: &[Member], now: Time) {
        for _ in 0..EVENTS_MAX {
            let Some(signal) = self.plane.next_event() else { break };
            self.take_event(signal, now);
        }
        for slot in 0..self.routers.len() {
            if members.iter().all(|member| member.was != Some(slot)) {
                // A removed instance does not make the others of its group resign.
                self.routers[slot].group = None;
                self.routers[slot].machine.remove(now);
                self.drain(slot, None);
            }
        }
        self.send_adverts();
        debug_assert!(self.adverts.iter().all(|Queued { slot, .. }| *slot < self.routers.len()));
    }

    /// Lets new members of a sync group that is master listen without ending its mastership. A member that has a master
    /// elsewhere does end it, and the operator is told why.
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

    /// Writes the present state to the new data plane: roles, rules, and leases as long as they were.
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
            // The clocks are read in this order, so that time that passes between them makes the lease shorter.
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
    /// Continues the same virtual router with other parts.
    fn carry_on(self, binding: InstanceBinding, group: Option<usize>, now: Time) -> Self {
        let InstanceBinding { params, key, rules, frames, .. } = binding;
        let mut router = Self { key, rules, frames, group, noticed: Vec::new(), ..self };
        router.machine.reconfigure(now, params);
        router
    }
}
