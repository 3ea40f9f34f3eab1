//! The only thread that changes the host's network: addresses, routes and rules, in the order in which the changes were asked
//! for. The thread has a netlink connection of its own, and does nothing else: it reads no file, runs no program and asks no
//! name service, so that none of these can stand between a master and its addresses.
//!
//! All effects of the engine pass through here. Effects that change nothing on the network are handed on in order to
//! [`super::effects`], when everything before them has been done.

mod resources;
mod statics;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::master_resources::MasterResources;
use super::messages::{ActiveConfig, Command, Effect, EngineHandle, NetworkRequest, Told};
use crate::dataplane::Slot;
use crate::net::{NetError, links};
use resources::{Outcome, Plan, Resources};

/// The interval between two tries of what the kernel has refused.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// The time limit for waiting until pending changes of the network are made, before the host is looked at.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit for taking the addresses away at the end; each request to the kernel has a limit of its own.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The virtual addresses that masters do not have because the kernel refuses them, by the name of the instance.
pub(super) type Missing = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

/// The receivers of what the network thread reports.
pub(super) struct Listeners {
    pub(super) engine: EngineHandle,
    /// Told of each instance whose addresses the kernel refused, with the generation of the slot.
    pub(super) refused: UnboundedSender<(u64, Slot)>,
    /// Told of the track groups that lack something, after each mend.
    pub(super) restored: UnboundedSender<BTreeSet<String>>,
    /// Told of every effect that does not change the network.
    pub(super) told: UnboundedSender<Told>,
}

/// The virtual addresses that are on the host at the end, though they should not be.
type Left = Result<Vec<String>, NetError>;

/// The handle of the network thread.
pub(super) struct Network {
    /// A weak sender, which does not keep the queue open: the queue ends with the engine.
    effects: WeakUnboundedSender<Effect>,
    /// True while a mend waits for its turn.
    restore_asked: Arc<AtomicBool>,
    end: oneshot::Sender<oneshot::Sender<Left>>,
    pub(super) missing: Missing,
}

impl Network {
    /// Starts the thread. `pinned` are the addresses that the pins of an earlier run know. Effects are to be sent through the
    /// returned sender.
    pub(super) async fn start(
        active: &ActiveConfig,
        pinned: Vec<(u32, IpAddr)>,
        listeners: Listeners,
    ) -> Result<(Self, UnboundedSender<Effect>)> {
        let (effects, queue) = unbounded_channel();
        let (end, ending) = oneshot::channel();
        let (started, has_started) = oneshot::channel();
        let (plan, missing, restore_asked) = (Plan::of(active), Missing::default(), Arc::default());
        let (page, asked) = (Arc::clone(&missing), Arc::clone(&restore_asked));
        std::thread::Builder::new().name("network".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error.into()))),
            };
            runtime.block_on(async {
                let begun = async {
                    let handle = links::connect()?;
                    let mut resources = Resources::new(handle, plan, pinned, page);
                    resources.look().await?;
                    anyhow::Ok(resources)
                };
                match begun.await {
                    Ok(resources) => {
                        // The receiver may be gone already.
                        let _ended = started.send(Ok(()));
                        Hand { resources, listeners, restore_asked: asked }.run(queue, ending).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        })?;
        has_started.await.context("the thread that changes the network has ended")??;
        Ok((Self { effects: effects.downgrade(), restore_asked, end, missing }, effects))
    }

    /// Has what was removed put back, in its turn. Requests that come before that turn are done together, once.
    pub(super) fn restore(&self) {
        if !self.restore_asked.swap(true, Ordering::Relaxed) {
            self.order(NetworkRequest::Restore);
        }
    }

    /// Reports an address that the kernel says is gone from an interface.
    pub(super) fn check(&self, index: u32, address: IpAddr) {
        self.order(NetworkRequest::Check { index, address });
    }

    /// Reports that news were missed.
    pub(super) fn check_all(&self) {
        self.order(NetworkRequest::CheckAll);
    }

    /// Reports that an interface has been replaced: each instance holds this from now on.
    pub(super) fn place(&self, master_resources: Vec<MasterResources>) {
        self.order(NetworkRequest::Place(master_resources));
    }

    /// Waits until everything that was asked for before is done: an address that is gone for a moment meanwhile is there again
    /// then. The wait is limited, in case the kernel does not answer.
    pub(super) async fn settled(&self) {
        let (done, is_done) = oneshot::channel();
        self.order(NetworkRequest::Settle(done));
        let _late = timeout(SETTLE_TIMEOUT, is_done).await;
    }

    /// Sets what is static. Returns the track groups that lack something, because it cannot be set.
    pub(super) async fn set_statics(&self) -> Result<BTreeSet<String>> {
        let (done, is_done) = oneshot::channel();
        self.order(NetworkRequest::SetStatics(done));
        is_done.await.context("the thread that changes the network has ended")
    }

    /// Removes what an earlier run left, except for these instances, which go on.
    pub(super) async fn remove_leftovers(&self, kept: &[Slot]) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        self.order(NetworkRequest::RemoveLeftovers(kept.to_vec(), done));
        Ok(is_done.await.context("the thread that changes the network has ended")??)
    }

    fn order(&self, order: NetworkRequest) {
        if let Some(effects) = self.effects.upgrade() {
            let _ended = effects.send(Effect::Network(order));
        }
    }

    /// Takes everything away at the end, whatever still waits in the queue. Returns the virtual addresses that are still on the
    /// host.
    pub(super) async fn end(self) -> Result<Vec<String>> {
        let (done, is_done) = oneshot::channel();
        if self.end.send(done).is_err() {
            bail!("the thread that changes the network has ended");
        }
        match timeout(END_TIMEOUT, is_done).await {
            Ok(left) => Ok(left.context("the thread that changes the network has ended")??),
            Err(_elapsed) => bail!("the kernel has not answered for {} s", END_TIMEOUT.as_secs()),
        }
    }
}

/// The state of the network thread.
struct Hand {
    resources: Resources,
    listeners: Listeners,
    restore_asked: Arc<AtomicBool>,
}

impl Hand {
    /// Carries out effects until the engine has ended and everything that it asked for is done, then waits for the end of the
    /// daemon. Stops earlier if the daemon ends without waiting for the engine.
    async fn run(
        mut self,
        mut queue: UnboundedReceiver<Effect>,
        end: oneshot::Receiver<oneshot::Sender<Left>>,
    ) {
        let mut end = std::pin::pin!(end);
        let mut retry = interval(RETRY_INTERVAL);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let asked = loop {
            tokio::select! {
                effect = queue.recv() => match effect {
                    Some(effect) => self.carry_out(effect).await,
                    None => break None,
                },
                _ = retry.tick(), if self.resources.lacks_any() => self.try_again().await,
                asked = &mut end => break Some(asked),
            }
        };
        let Self { mut resources, listeners, .. } = self;
        // This also ends the queue of the effects task.
        drop(listeners);
        let asked = match asked {
            Some(asked) => asked,
            None => end.await,
        };
        // If the sender was dropped without a request, the start has failed and nothing was held.
        if let Ok(done) = asked {
            let _ended = done.send(resources.remove_all().await);
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
        let resources = &mut self.resources;
        match effect {
            Effect::Install { slot, mastership } => self.install(slot, mastership).await,
            Effect::Withdraw { slot } => {
                let _told = resources.withdraw(slot).await;
            }
            Effect::Reloaded(active) => {
                let missing = resources.change(&active).await;
                let masters = resources.masters();
                self.tell(Told::Reloaded { active, masters, missing });
            }
            Effect::Network(order) => self.follow(order).await,
            effect @ (Effect::Transition { .. }
            | Effect::LowerHeard { .. }
            | Effect::Suspended { .. }
            | Effect::Priority { .. }
            | Effect::Conflict { .. }
            | Effect::Notice { .. }
            | Effect::Refused { .. }
            | Effect::Unseen { .. }
            | Effect::Failed { .. }) => self.tell(Told::Effect(effect)),
        }
    }

    async fn follow(&mut self, order: NetworkRequest) {
        let Self { resources, listeners, restore_asked } = self;
        match order {
            NetworkRequest::Restore => {
                restore_asked.store(false, Ordering::Relaxed);
                let missing = resources.restore().await;
                let _ended = listeners.restored.send(missing);
            }
            NetworkRequest::Check { index, address } => {
                let lost = resources.who_lost(index, address).await;
                self.tell_lost(lost);
            }
            NetworkRequest::CheckAll => {
                let lost = resources.who_lost_any().await;
                self.tell_lost(lost);
            }
            NetworkRequest::Place(master_resources) => {
                // These masters had addresses on an interface that was replaced, which did not cost the mastership. Set all
                // again.
                for slot in resources.place(master_resources).await {
                    if let Some(mastership) = self.resources.mastership(slot) {
                        self.install(slot, mastership).await;
                    }
                }
            }
            NetworkRequest::SetStatics(done) => {
                let _ended = done.send(resources.set_statics().await);
            }
            NetworkRequest::Settle(done) => {
                let _ended = done.send(());
            }
            NetworkRequest::RemoveLeftovers(kept, done) => {
                let _ended = done.send(resources.remove_leftovers(&kept).await);
            }
        }
    }

    /// Installs an instance. The addresses are announced before the routes are set, since there may be thousands of routes.
    async fn install(&mut self, slot: Slot, mastership: u64) {
        match self.resources.install(slot, mastership).await {
            Outcome::Installed => self.tell_installed(slot),
            Outcome::Refused => {
                let _ended = self.listeners.refused.send((self.resources.plan.generation, slot));
            }
        }
        self.resources.set_routing(slot, |_| true, |_| true).await;
    }

    async fn try_again(&mut self) {
        for slot in self.resources.try_again().await {
            // The new addresses are announced once more, together with the others.
            self.tell_installed(slot);
        }
    }

    fn tell_installed(&self, slot: Slot) {
        let generation = self.resources.plan.generation;
        if let Some(mastership) = self.resources.mastership(slot) {
            let _ended = self.listeners.engine.tell(Command::Installed { generation, slot, mastership });
        }
    }

    fn tell_lost(&self, lost: Vec<Slot>) {
        let generation = self.resources.plan.generation;
        for slot in lost {
            let _ended = self.listeners.engine.tell(Command::AddressesLost { generation, slot });
        }
    }

    fn tell(&self, told: Told) {
        // The receiver only goes away when the daemon ends.
        let _gone = self.listeners.told.send(told);
    }
}
