//! Answers SNMP managers, and sends them traps. Net-SNMP's `snmpd`, or another master agent, speaks to the managers; this is
//! its subagent (AgentX, RFC 2741). The daemon waits for neither: the subagent asks the daemon for the objects, and the daemon
//! puts its traps into a queue.

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

use crate::config::{Config, Slot, Snmp, Traps};
use crate::notify::{Channel, Finishing, Notification};
pub use mib::{Facts, Table};

/// A question to the daemon, to be answered with a table of all objects.
pub type Question = oneshot::Sender<Table>;

/// The number of orders that wait while the master agent is slow.
const WAITING_MAX: usize = 1024;

/// The subagent. Its task runs if managers are to see anything.
#[derive(Debug)]
pub struct Subagent {
    questions: UnboundedSender<Question>,
    running: Option<Running>,
}

/// A task that speaks to a master agent.
#[derive(Debug)]
struct Running {
    settings: Snmp,
    /// Dropping it tells the task to end.
    orders: Sender<Command>,
    task: JoinHandle<()>,
}

/// An order to the task.
#[derive(Clone, Debug)]
enum Command {
    /// This has happened, at this time: managers are to be told.
    Tell(Notification, Instant),
    /// The objects have changed, and are to be looked at again.
    Look,
}

impl Subagent {
    /// A subagent that sends its questions to `questions`.
    #[must_use]
    pub fn new(config: &Config, questions: UnboundedSender<Question>) -> Self {
        let mut subagent = Self { questions, running: None };
        subagent.change(config, &[]);
        subagent
    }
}

impl Channel for Subagent {
    fn change(&mut self, config: &Config, _was: &[Option<Slot>]) {
        let settings = &config.snmp;
        if let Some(running) = &self.running
            && running.settings == *settings
        {
            running.order(Command::Look);
            return;
        }
        let before = self.running.take();
        if settings.mibs.is_empty() {
            // The task closes its session by itself.
            drop(before);
        } else {
            self.running = Some(Running::start(settings, self.questions.clone(), before));
        }
    }

    fn tell(&mut self, notification: &Notification) {
        if let Some(running) = &self.running
            && running.settings.traps == Traps::Sent
        {
            running.order(Command::Tell(notification.clone(), Instant::now()));
        }
    }

    /// Sends the traps that still wait, and closes the session.
    fn finish(&mut self, patience: Duration) -> Finishing {
        let running = self.running.take();
        Box::pin(async move {
            let Some(Running { orders, mut task, .. }) = running else { return };
            drop(orders);
            if timeout_at(Instant::now() + patience, &mut task).await.is_err() {
                tracing::warn!("SNMP: the master agent did not take the last traps in time");
                task.abort();
            }
        })
    }
}

impl Running {
    fn start(settings: &Snmp, questions: UnboundedSender<Question>, before: Option<Self>) -> Self {
        let (orders, queue) = channel(WAITING_MAX);
        let of = settings.clone();
        let task = tokio::spawn(async move {
            if let Some(Self { orders, task, .. }) = before {
                // Two sessions cannot register the same objects.
                drop(orders);
                let _panicked = task.await;
            }
            serve::run(&of, questions, queue).await;
        });
        Self { settings: settings.clone(), orders, task }
    }

    fn order(&self, order: Command) {
        // The task only ends after the queue.
        let _never = self.orders.send(order);
    }
}
