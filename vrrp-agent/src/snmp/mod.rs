//! Answering SNMP managers, and telling them. Net-SNMP's `snmpd`, or another master agent, speaks to them; this is its subagent
//! (AgentX, RFC 2741). Nobody is waited for: the daemon is asked for what there is to see, and what it tells goes into a queue.

mod agentx;
mod mib;
mod oid;
mod serve;
mod session;

use std::time::Duration;

use tokio::sync::broadcast::{Sender, channel};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::config::{Config, Snmp, Traps};
use crate::notify::Notification;
pub use mib::{Facts, Table};

/// The daemon is asked what there is to see.
pub type Question = oneshot::Sender<Table>;

/// What waits while the master agent is slow.
const WAITING_MAX: usize = 1024;

/// The subagent, if managers are to see anything.
#[derive(Debug)]
pub struct Subagent {
    questions: UnboundedSender<Question>,
    running: Option<Running>,
}

/// A task that speaks to a master agent.
#[derive(Debug)]
struct Running {
    settings: Snmp,
    /// Dropped, it says that the task is to end.
    orders: Sender<Order>,
    task: JoinHandle<()>,
}

/// What the task is told.
#[derive(Clone, Debug)]
enum Order {
    /// This has happened, then.
    Tell(Notification, Instant),
    /// What there is to see is something else.
    Look,
}

impl Subagent {
    /// One that asks there.
    #[must_use]
    pub fn new(config: &Config, questions: UnboundedSender<Question>) -> Self {
        let mut subagent = Self { questions, running: None };
        subagent.change(config);
        subagent
    }

    /// Follows another configuration.
    pub fn change(&mut self, config: &Config) {
        let settings = &config.snmp;
        if let Some(running) = &self.running
            && running.settings == *settings
        {
            running.order(Order::Look);
            return;
        }
        let before = self.running.take();
        if settings.mibs.is_empty() {
            // It says good-bye by itself.
            drop(before);
        } else {
            self.running = Some(Running::start(settings, self.questions.clone(), before));
        }
    }

    /// Tells managers. Returns at once.
    pub fn tell(&self, notification: &Notification) {
        if let Some(running) = &self.running
            && running.settings.traps == Traps::Sent
        {
            running.order(Order::Tell(notification.clone(), Instant::now()));
        }
    }

    /// Tells what is still to be told, for as long as `patience` allows, and says good-bye. Nothing is told from now on.
    pub fn finish(&mut self, patience: Duration) -> impl Future<Output = ()> + use<> {
        let running = self.running.take();
        async move {
            let Some(Running { orders, mut task, .. }) = running else { return };
            drop(orders);
            if timeout_at(Instant::now() + patience, &mut task).await.is_err() {
                tracing::warn!("SNMP: the master agent does not take the last traps");
                task.abort();
            }
        }
    }
}

impl Running {
    fn start(settings: &Snmp, questions: UnboundedSender<Question>, before: Option<Self>) -> Self {
        let (orders, queue) = channel(WAITING_MAX);
        let of = settings.clone();
        let task = tokio::spawn(async move {
            if let Some(Self { orders, task, .. }) = before {
                // Two sessions cannot have the same objects.
                drop(orders);
                let _panicked = task.await;
            }
            serve::run(&of, questions, queue).await;
        });
        Self { settings: settings.clone(), orders, task }
    }

    fn order(&self, order: Order) {
        // The task only ends after the queue.
        let _never = self.orders.send(order);
    }
}
