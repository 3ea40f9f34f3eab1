//! The commands of the rest of the daemon to the protocol thread.

use std::os::fd::AsFd as _;
use std::sync::mpsc::TryRecvError;

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Command, Effect, Engine, Next};
use crate::daemon::messages::InstanceBinding;
use crate::dataplane::{HeardBy, Hearing, Slot};
use crate::host;
use crate::vrrp::Time;

impl Engine {
    pub(super) fn take_commands(&mut self) -> Next {
        loop {
            let now = host::now();
            match self.commands.try_recv() {
                Ok(Command::Installed { generation, slot, mastership }) => {
                    let router = self.routers.get_mut(slot).filter(|_| generation == self.generation);
                    if let Some(router) = router
                        && router.machine.statistics().became_master == mastership
                    {
                        router.machine.handle_installed(now);
                        self.react(slot, now, None);
                    }
                }
                Ok(Command::AddressesLost { generation, slot }) => {
                    let router = self.routers.get_mut(slot).filter(|_| generation == self.generation);
                    if let Some(router) = router {
                        router.machine.handle_addresses_lost(now);
                        self.react(slot, now, None);
                    }
                }
                Ok(Command::Health { slot, health }) => {
                    self.catch_up(slot);
                    let machine = &mut self.routers[slot].machine;
                    let before = (machine.state(), machine.priority());
                    machine.set_contributions(now, health.contributions);
                    machine.set_fault(now, health.fault);
                    let (state, priority) = (machine.state(), machine.priority());
                    self.react(slot, now, None);
                    if before.0 == state && before.1 != priority {
                        self.tell(Effect::Priority { slot, state, priority });
                    }
                }
                Ok(Command::Moved { slot, binding }) => self.move_to(slot, *binding, now),
                Ok(Command::Hear { gone, hearing }) => self.hear(gone, hearing),
                Ok(Command::Attached(attached)) => self.plane.set_description(attached),
                Ok(Command::Announce { slot, done }) => {
                    // The receiver may be gone already.
                    let _left = done.send(self.routers[slot].machine.announce_once());
                    self.react(slot, now, None);
                }
                Ok(Command::Reload(reload)) => self.reload(*reload, now),
                Ok(Command::Status(reply)) => {
                    // The receiver may be gone already.
                    let _left = reply.send(self.state(now));
                }
                Err(TryRecvError::Empty) => return Next::Continue,
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    for router in &mut self.routers {
                        router.machine.stop(now);
                    }
                    for slot in 0..self.routers.len() {
                        self.react(slot, now, None);
                    }
                    return Next::Stop;
                }
            }
        }
    }

    /// Changes how an interface is heard. Descriptors that are closed leave the epoll by themselves.
    fn hear(&mut self, gone: u32, hearing: Hearing) {
        let canaries = match &hearing.by {
            HeardBy::Program { canaries } => canaries.as_slice(),
            HeardBy::Sockets => &[],
        };
        for receiver in canaries.iter().chain(&hearing.receiver) {
            if let Err(error) = self.epoll.add(receiver.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0)) {
                let error = error.to_string();
                self.tell(Effect::Failed { slot: None, doing: "listen to an interface", error });
            }
        }
        self.plane.hear(gone, hearing);
    }

    /// Continues an instance with another interface, or with the same interface and another hardware address.
    fn move_to(&mut self, slot: Slot, binding: InstanceBinding, now: Time) {
        let InstanceBinding { params, key, rules, frames, source } = binding;
        self.catch_up(slot);
        if self.routers[slot].key != key {
            self.watch_here(slot, now);
        }
        let router = &mut self.routers[slot];
        let before = std::mem::replace(&mut router.key, key);
        (router.rules, router.frames, router.source) = (rules, frames, source);
        router.machine.reconfigure(now, params);
        self.announcements.forget(slot);
        self.close_unused_sockets();
        if before != key
            && let Err(error) = self.plane.forget(slot, &before)
        {
            let error = error.to_string();
            self.tell(Effect::Failed { slot: Some(slot), doing: "change the kernel's maps", error });
        }
        // The neighbours of a master must learn the new hardware address.
        self.routers[slot].machine.announce_again();
        self.react(slot, now, None);
    }
}
