//! Changes the configuration while the engine runs. A virtual router that is in both configurations goes on with its state, its
//! lease and its statistics; a master misses no advert, a backup no deadline.

use std::sync::Arc;

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::router::Router;
use super::send::Queued;
use super::{Effect, Engine};
use crate::daemon::messages::{InstanceBinding, Member, Notice, Reload, Reloaded};
use crate::host;
use crate::vrrp::{Instance, State, Time, Watch};

/// More events than a ring has room for, so that everything that arrived before a reload is heard.
const EVENTS_MAX: usize = 16_384;

impl Engine {
    pub(super) fn reload(&mut self, reload: Reload, now: Time) {
        let Reload { members, plane, attach, active, done } = reload;
        self.finish_with_the_present(&members, now);
        // The state machine watches each master that the kernel watches, until the new program has heard the master: not less
        // patiently than the kernel.
        for slot in 0..self.routers.len() {
            if self.routers[slot].machine.state() == State::Master {
                // The new maps know nothing of it.
                self.hear_as_master(slot, now);
            }
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
        self.config = Arc::clone(&active.config);
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
                self.tell(Effect::Failed { slot: None, doing: "watch the data plane", error });
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
                self.tell(Effect::Failed { slot: Some(slot), doing: "write the kernel's maps", error });
            }
        }
    }
}

impl Router {
    /// Continues the same virtual router with other parts.
    fn carry_on(self, binding: InstanceBinding, group: Option<usize>, now: Time) -> Self {
        let InstanceBinding { params, key, rules, frames, source } = binding;
        let mut router = Self { key, rules, frames, source, group, noticed: Vec::new(), ..self };
        router.machine.reconfigure(now, params);
        router
    }
}
