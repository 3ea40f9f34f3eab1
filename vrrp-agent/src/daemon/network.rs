//! The one hand that changes the host's network: addresses, routes and rules, in the order in which it was asked. It has a thread
//! and a netlink connection of its own, and does nothing else: it reads no file, runs no program and asks no name service, so
//! that nothing of that can stand between a master and its addresses.
//!
//! All effects of the engine pass through here. Those that only tell people of something are handed on in order to
//! [`super::effects`], when everything before them has been done.

mod fixtures;
mod resources;
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

use super::effects::Engineer;
use super::engine::reload::Roster;
use super::engine::{Command, Effect};
use super::holdings::Holding;
use crate::dataplane::Slot;
use crate::net::{NetError, links};
use resources::{Outcome, Plan, Resources};

/// From one try of what the kernel has refused to the next.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How long whoever looks at the host waits for what is being changed on it.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the end waits for the addresses to be taken away: each request to the kernel has a limit of its own.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The virtual addresses that masters are missing because the kernel refuses them, by the name of the instance.
pub(super) type Missing = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

/// What those ask for who watch the host.
#[derive(Debug)]
pub(super) enum Order {
    /// Put back what somebody has removed.
    Mend,
    /// An address is said to be gone from an interface: look whether a master has lost it.
    Check { index: u32, address: IpAddr },
    /// News were missed: look whether any master has lost an address.
    CheckAll,
    /// An interface is another: each instance holds this from now on.
    Place(Vec<Holding>),
    /// Put there what is static; the answer is the track groups of what cannot be.
    SetFixtures(oneshot::Sender<BTreeSet<String>>),
    /// Say that all before this is done.
    Settle(oneshot::Sender<()>),
    /// Remove what an earlier run left, but for these instances, which go on.
    RemoveLeftovers(Vec<Slot>, oneshot::Sender<Result<(), NetError>>),
}

/// What is handed on.
#[derive(Debug)]
pub(super) enum Told {
    /// An effect that changes nothing on the network.
    Effect(Effect),
    /// From here on slots mean this. The network has followed: these are masters, and these track groups lack something.
    Reloaded { roster: Box<Roster>, masters: BTreeSet<Slot>, missing: BTreeSet<String> },
}

/// Who else is told of what.
pub(super) struct Listeners {
    pub(super) engineer: Engineer,
    /// Told of each instance whose addresses the kernel did not take, with the generation that its slot is of.
    pub(super) refused: UnboundedSender<(u64, Slot)>,
    /// Told of the track groups that lack something, after each mend.
    pub(super) mended: UnboundedSender<BTreeSet<String>>,
    /// Told of all that is no change of the network.
    pub(super) told: UnboundedSender<Told>,
}

/// The virtual addresses that are on the host at the end, though they should not be.
type Left = Result<Vec<String>, NetError>;

/// How the thread is reached.
pub(super) struct Network {
    /// It does not keep the queue open: that ends with the engine.
    effects: WeakUnboundedSender<Effect>,
    /// Whether a mend waits its turn.
    mend_asked: Arc<AtomicBool>,
    end: oneshot::Sender<oneshot::Sender<Left>>,
    pub(super) missing: Missing,
}

impl Network {
    /// Starts the thread. `pinned` are the addresses that the pins of an earlier run know. Its effects are to be sent where the second
    /// part of what is returned leads.
    pub(super) async fn start(
        roster: &Roster,
        pinned: Vec<(u32, IpAddr)>,
        listeners: Listeners,
    ) -> Result<(Self, UnboundedSender<Effect>)> {
        let (effects, queue) = unbounded_channel();
        let (end, ending) = oneshot::channel();
        let (started, has_started) = oneshot::channel();
        let (plan, missing, mend_asked) = (Plan::of(roster), Missing::default(), Arc::default());
        let (page, asked) = (Arc::clone(&missing), Arc::clone(&mend_asked));
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
                        // Whoever started it may have ended.
                        let _ended = started.send(Ok(()));
                        Hand { resources, listeners, mend_asked: asked }.run(queue, ending).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        })?;
        has_started.await.context("the thread that changes the network has ended")??;
        Ok((Self { effects: effects.downgrade(), mend_asked, end, missing }, effects))
    }

    /// Has what somebody has removed put back, in its turn. Asked often, it is done once.
    pub(super) fn mend(&self) {
        if !self.mend_asked.swap(true, Ordering::Relaxed) {
            self.order(Order::Mend);
        }
    }

    /// An address is said to be gone from an interface.
    pub(super) fn check(&self, index: u32, address: IpAddr) {
        self.order(Order::Check { index, address });
    }

    /// News were missed.
    pub(super) fn check_all(&self) {
        self.order(Order::CheckAll);
    }

    /// An interface is another: each instance holds this from now on.
    pub(super) fn place(&self, holdings: Vec<Holding>) {
        self.order(Order::Place(holdings));
    }

    /// Waits until what has been asked for is done: what is gone for a moment meanwhile is there again then. Not for long, should the
    /// kernel not answer.
    pub(super) async fn settled(&self) {
        let (done, is_done) = oneshot::channel();
        self.order(Order::Settle(done));
        let _late = timeout(SETTLE_TIMEOUT, is_done).await;
    }

    /// Puts there what is static. The track groups of what cannot be.
    pub(super) async fn set_fixtures(&self) -> Result<BTreeSet<String>> {
        let (done, is_done) = oneshot::channel();
        self.order(Order::SetFixtures(done));
        is_done.await.context("the thread that changes the network has ended")
    }

    /// Removes what an earlier run left, but for these instances, which go on.
    pub(super) async fn remove_leftovers(&self, kept: &[Slot]) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        self.order(Order::RemoveLeftovers(kept.to_vec(), done));
        Ok(is_done.await.context("the thread that changes the network has ended")??)
    }

    fn order(&self, order: Order) {
        if let Some(effects) = self.effects.upgrade() {
            let _ended = effects.send(Effect::Network(order));
        }
    }

    /// Takes everything away at the end, whatever still waits, and says which virtual addresses are on the host all the same.
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

/// What runs on the thread.
struct Hand {
    resources: Resources,
    listeners: Listeners,
    mend_asked: Arc<AtomicBool>,
}

impl Hand {
    /// Carries out effects until the engine has ended and all that it asked for is done, then waits for the end of the daemon; or
    /// until that end, if it does not wait for the engine.
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
        // With this the queue of what is told ends too.
        drop(listeners);
        let asked = match asked {
            Some(asked) => asked,
            None => end.await,
        };
        // Without a word the start has failed, and nothing was held.
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
            Effect::Reloaded(roster) => {
                let missing = resources.change(&roster).await;
                let masters = resources.masters();
                self.tell(Told::Reloaded { roster, masters, missing });
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

    async fn follow(&mut self, order: Order) {
        let Self { resources, listeners, mend_asked } = self;
        match order {
            Order::Mend => {
                mend_asked.store(false, Ordering::Relaxed);
                let missing = resources.mend().await;
                let _ended = listeners.mended.send(missing);
            }
            Order::Check { index, address } => {
                let lost = resources.who_lost(index, address).await;
                self.tell_lost(lost);
            }
            Order::CheckAll => {
                let lost = resources.who_lost_any().await;
                self.tell_lost(lost);
            }
            Order::Place(holdings) => {
                // What of theirs was on an interface that went away without taking the mastership along.
                for slot in resources.place(holdings).await {
                    if let Some(mastership) = self.resources.mastership(slot) {
                        self.install(slot, mastership).await;
                    }
                }
            }
            Order::SetFixtures(done) => {
                let _ended = done.send(resources.set_fixtures().await);
            }
            Order::Settle(done) => {
                let _ended = done.send(());
            }
            Order::RemoveLeftovers(kept, done) => {
                let _ended = done.send(resources.remove_leftovers(&kept).await);
            }
        }
    }

    /// The addresses are announced before routes are set, of which there may be thousands.
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
            // Announced with the others once more.
            self.tell_installed(slot);
        }
    }

    fn tell_installed(&self, slot: Slot) {
        let generation = self.resources.plan.generation;
        if let Some(mastership) = self.resources.mastership(slot) {
            let _ended = self.listeners.engineer.tell(Command::Installed { generation, slot, mastership });
        }
    }

    fn tell_lost(&self, lost: Vec<Slot>) {
        let generation = self.resources.plan.generation;
        for slot in lost {
            let _ended = self.listeners.engineer.tell(Command::AddressesLost { generation, slot });
        }
    }

    fn tell(&self, told: Told) {
        // The other side only goes away when the daemon ends.
        let _gone = self.listeners.told.send(told);
    }
}
