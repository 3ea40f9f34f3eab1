//! Tells people what the engine has decided: by the log, the operator's programs, SNMP and D-Bus. News come in order, for each
//! instance and for all together, and after the changes of the network that were asked for before them ([`super::network`]).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use rtnetlink::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::explain::{explain, explain_notice, explain_refusal, state_name};
use super::ipvs_sync::IpvsSync;
use super::messages::{ActiveConfig, Effect, Late, Told};
use crate::dataplane::Slot;
use crate::dbus::{Request, Service};
use crate::notify::{Channel, Event, Groups, Notification, Notifier, Subject};
use crate::snmp::{self, Subagent};
use crate::vrrp::{Cause, State};

/// The effects task.
pub(super) struct EffectRunner {
    /// For looks at the host; nothing is changed by it.
    pub(super) handle: Handle,
    /// The meaning of the slots.
    active: RefCell<ActiveConfig>,
    /// The channels to programs outside, in the order in which they are told.
    channels: RefCell<Vec<Box<dyn Channel>>>,
    ipvs_sync: RefCell<IpvsSync>,
    groups: RefCell<Groups>,
    /// Told of each interface on which the program has not seen an advert.
    unseen: UnboundedSender<u32>,
    /// Why each instance is in the state in which it is.
    reasons: RefCell<BTreeMap<Slot, String>>,
}

impl EffectRunner {
    pub(super) fn new(
        handle: Handle,
        active: ActiveConfig,
        unseen: UnboundedSender<u32>,
        questions: UnboundedSender<snmp::Question>,
        dbus_requests: UnboundedSender<Request>,
    ) -> Self {
        let channels: Vec<Box<dyn Channel>> = vec![
            Box::new(Subagent::new(&active.config, questions)),
            Box::new(Service::new(&active.config, dbus_requests)),
            Box::new(Notifier::new(&active.config)),
        ];
        Self {
            handle,
            channels: RefCell::new(channels),
            ipvs_sync: RefCell::new(IpvsSync::new(&active.config)),
            groups: RefCell::new(Groups::new(&active.config)),
            active: RefCell::new(active),
            unseen,
            reasons: RefCell::default(),
        }
    }

    /// Stores what each instance lacks from now on.
    pub(super) fn note_lacks(&self, lacks: Vec<Vec<String>>) {
        self.active.borrow_mut().lacks = lacks;
    }

    /// Returns for each instance the sentences that say what it lacks.
    pub(super) fn lacks(&self) -> Vec<Vec<String>> {
        self.active.borrow().lacks.clone()
    }

    /// Returns the reason why an instance has moved.
    fn why(&self, slot: Slot, cause: Cause) -> String {
        match (cause, self.active.borrow().lacks.get(slot)) {
            (Cause::Faulted | Cause::Undecided, Some(lacks)) if !lacks.is_empty() => lacks.join("; "),
            (cause, _) => explain(cause),
        }
    }

    /// The name of an instance.
    pub(super) fn name(&self, slot: Slot) -> String {
        self.active
            .borrow()
            .config
            .instances
            .get(slot)
            .map(|instance| instance.name.clone())
            .unwrap_or_default()
    }

    /// Returns the generation of the configuration that slots belong to.
    pub(super) fn generation(&self) -> u64 {
        self.active.borrow().generation
    }

    /// Runs until the engine has ended and everything that it asked for is done and told.
    pub(super) async fn run(&self, told: &mut UnboundedReceiver<Told>) {
        while let Some(told) = told.recv().await {
            match told {
                Told::Effect(effect) => self.tell(effect),
                Told::Reloaded { active, masters, missing } => self.change(*active, &masters, missing),
            }
        }
    }

    /// Changes to another configuration.
    fn change(&self, mut active: ActiveConfig, masters: &BTreeSet<Slot>, missing: BTreeSet<String>) {
        let carried_out = active.carried_out.take();
        // Notifications for deleted instances were already sent with the old configuration.
        for channel in self.channels.borrow_mut().iter_mut() {
            channel.change(&active.config, &active.was);
        }
        self.groups.borrow_mut().change(&active.config, &active.was);
        self.ipvs_sync.borrow_mut().change(&active.config, |slot| masters.contains(&slot));
        self.reasons.borrow_mut().clear();
        self.active.replace(active);
        // The receiver may be gone already.
        let _ended = carried_out.map(|carried_out| carried_out.send(missing));
    }

    fn tell(&self, effect: Effect) {
        match effect {
            Effect::Refused { slot, source, reject } => {
                let (name, why) = (self.name(slot), explain_refusal(reject));
                tracing::warn!("{name}: adverts of {source} for our virtual router are refused: {why}");
            }
            Effect::Unseen { ifindex } => {
                // The receiver only goes away when the daemon ends.
                let _ended = self.unseen.send(ifindex);
            }
            Effect::Suspended { duration } => {
                tracing::warn!(
                    "this host was suspended for {:.1} s; peers did not wait: instances that were master listen first",
                    duration.as_secs_f64()
                );
            }
            Effect::LowerHeard { slot, priority } => self.notify(slot, Event::MasterRxLowerPri, priority),
            Effect::Priority { slot, state, priority } => match state {
                State::Master => self.notify(slot, Event::MasterPriority, priority),
                State::Backup => self.notify(slot, Event::BackupPriority, priority),
                State::Initialize | State::Fault => {}
            },
            Effect::Transition { slot, from, to, cause, priority, late } => {
                let state = to;
                self.ipvs_sync.borrow_mut().note(slot, state);
                let late = late.filter(|_| to == State::Master);
                let late = late.map_or_else(String::new, |Late { noticed, acted }| {
                    let noticed = noticed.map(|by| format!("noticed {} µs and ", by.as_micros()));
                    let noticed = noticed.unwrap_or_default();
                    format!(", {noticed}acted on {} µs after the deadline", acted.as_micros())
                });
                let (instance, why) = (self.name(slot), self.why(slot, cause));
                // A change from "not known yet" to "down" shows the same state and the same reason, so it is not logged again.
                let is_said = from == to && self.reasons.borrow().get(&slot) == Some(&why);
                let (from, to) = (state_name(from).to_uppercase(), state_name(to).to_uppercase());
                if !is_said {
                    tracing::info!(
                        instance,
                        from,
                        to,
                        why,
                        priority,
                        "{instance}: {from} -> {to}: {why}{late}; priority {priority}"
                    );
                }
                self.reasons.borrow_mut().insert(slot, why);
                if let Some(event) = event(state, cause) {
                    self.notify(slot, event, priority);
                }
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
                tracing::warn!("{name}: {address} {}", explain_notice(notice));
            }
            Effect::Failed { slot, doing, error } => {
                let name = slot.map(|slot| format!("{}: ", self.name(slot))).unwrap_or_default();
                tracing::error!("{name}cannot {doing}: {error}");
            }
            // The network thread has handled these already.
            Effect::Install { .. } | Effect::Withdraw { .. } | Effect::Reloaded(_) | Effect::Network(_) => {}
        }
    }

    /// Tells the operator's programs, SNMP managers and D-Bus clients of an event.
    fn notify(&self, slot: Slot, event: Event, priority: u8) {
        let name = self.name(slot);
        let subject = Subject::Instance;
        self.tell_channels(&Notification { subject, name, slot: Some(slot), event, priority });
        match event {
            Event::Master | Event::Backup | Event::Fault | Event::Stop => {}
            // As with keepalived, nothing more is told of groups.
            Event::Deleted | Event::MasterRxLowerPri | Event::MasterPriority | Event::BackupPriority => {
                return;
            }
        }
        let group = self.groups.borrow_mut().note(slot, event).map(str::to_owned);
        if let Some(name) = group {
            let subject = Subject::Group;
            self.tell_channels(&Notification { subject, name, slot: None, event, priority: 0 });
        }
    }

    fn tell_channels(&self, notification: &Notification) {
        for channel in self.channels.borrow_mut().iter_mut() {
            channel.tell(notification);
        }
    }

    /// Waits, for a limited time, until the last events have been told.
    pub(super) async fn finish(&self) {
        const END_TIMEOUT: Duration = Duration::from_secs(5);
        let channels = self
            .channels
            .borrow_mut()
            .iter_mut()
            .map(|channel| channel.finish(END_TIMEOUT))
            .collect::<Vec<_>>();
        let stopping = self.ipvs_sync.borrow_mut().finish(END_TIMEOUT);
        tokio::join!(join_all(channels), stopping);
    }
}

/// Returns the event that the operator's programs are told of. None while it is not known yet what becomes of an instance.
fn event(to: State, cause: Cause) -> Option<Event> {
    match (to, cause) {
        (State::Master, _) => Some(Event::Master),
        (State::Backup, _) => Some(Event::Backup),
        (State::Fault, Cause::Undecided) => None,
        (State::Fault, _) => Some(Event::Fault),
        (State::Initialize, Cause::Removed) => Some(Event::Deleted),
        (State::Initialize, _) => Some(Event::Stop),
    }
}
