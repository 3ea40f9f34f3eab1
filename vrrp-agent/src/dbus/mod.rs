//! keepalived's service on D-Bus, `org.keepalived.Vrrp1`: the objects that clients see, their requests, and the signals to
//! them. The daemon never waits for a client: what clients see is kept here and answered by a thread of its own, so that
//! clients that ask all day hold up no address; signals go into a queue.

mod objects;
mod serve;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::broadcast::{Sender, channel};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::config::{Config, OnDelete, Slot};
use crate::notify::{Channel, Event, Finishing, Notification};
use objects::{Status, instance_path, root};

/// A request of a client to the daemon.
#[derive(Debug)]
pub enum Request {
    /// Announce the addresses of this instance; the answer is true if they are ours.
    Announce(String, oneshot::Sender<bool>),
    /// Read the configuration again.
    Reload,
    /// Write configuration and state.
    PrintData,
    /// Write the counters.
    PrintStatistics,
    /// The same, after which keepalived would begin to count anew.
    ClearStatistics,
}

/// The number of orders that wait while the bus is slow.
const WAITING_MAX: usize = 1024;

/// An instance, as clients see it.
#[derive(Clone, Debug)]
struct InstanceView {
    name: String,
    path: String,
    status: Status,
    on_delete: Status,
}

/// All instances as clients see them, in the order of the file.
type View = Arc<Mutex<Vec<InstanceView>>>;

fn look(view: &View) -> std::sync::MutexGuard<'_, Vec<InstanceView>> {
    // No code panics while it is half way through a change of the view.
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The service. Its thread runs if clients are to see anything.
#[derive(Debug)]
pub struct Service {
    view: View,
    requests: UnboundedSender<Request>,
    running: Option<Running>,
}

/// A thread that speaks to the bus.
#[derive(Debug)]
struct Running {
    identity: Identity,
    /// Dropping it tells the thread to end.
    orders: Sender<Command>,
    /// Closed when the thread has ended.
    ended: oneshot::Receiver<()>,
}

/// The identity of the service on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    name: String,
    /// The beginning of the paths of all its objects.
    root: String,
}

/// An order to the thread.
#[derive(Clone, Debug)]
enum Command {
    /// The instance of this path has changed to this status.
    Tell(String, Status),
    /// The configuration has been read again, so the objects have changed.
    Look,
}

impl Service {
    /// A service that sends the requests of clients to `requests`.
    #[must_use]
    pub fn new(config: &Config, requests: UnboundedSender<Request>) -> Self {
        let mut service = Self { view: View::default(), requests, running: None };
        service.change(config, &[]);
        service
    }
}

impl Channel for Service {
    fn change(&mut self, config: &Config, was: &[Option<Slot>]) {
        let root = root(&config.host.place);
        {
            let mut view = look(&self.view);
            let status = |slot: usize| {
                let before = was.get(slot).copied().flatten().and_then(|before| view.get(before));
                before.map_or(Status::Initialize, |seen| seen.status)
            };
            let seen = config.instances.iter().enumerate().map(|(slot, instance)| InstanceView {
                name: instance.name.clone(),
                path: instance_path(&root, &instance.interface, instance.vrid, instance.family),
                status: status(slot),
                on_delete: match instance.notify.on_delete {
                    OnDelete::Fault => Status::Fault,
                    OnDelete::Deleted(_) => Status::Deleted,
                },
            });
            *view = seen.collect();
        }
        let identity = config.dbus.clone().map(|name| Identity { name, root });
        match (&self.running, identity) {
            (Some(running), Some(identity)) if running.identity == identity => running.order(Command::Look),
            (_, identity) => {
                let before = self.running.take();
                self.running = identity.map(|identity| {
                    Running::start(identity, Arc::clone(&self.view), self.requests.clone(), before)
                });
            }
        }
    }

    /// Clients hear of instances, not of sync groups.
    fn tell(&mut self, notification: &Notification) {
        let mut view = look(&self.view);
        let Some(seen) = notification.slot.and_then(|slot| view.get_mut(slot)) else { return };
        let status = match notification.event {
            Event::Master => Status::Master,
            Event::Backup => Status::Backup,
            Event::Fault => Status::Fault,
            Event::Stop => Status::Stopped,
            Event::Deleted => seen.on_delete,
            Event::MasterRxLowerPri | Event::MasterPriority | Event::BackupPriority => return,
        };
        seen.status = status;
        if let Some(running) = &self.running {
            running.order(Command::Tell(seen.path.clone(), status));
        }
    }

    /// Sends the signals that still wait, and leaves the bus.
    fn finish(&mut self, patience: Duration) -> Finishing {
        let running = self.running.take();
        Box::pin(async move {
            let Some(Running { orders, ended, .. }) = running else { return };
            drop(orders);
            if timeout_at(Instant::now() + patience, ended).await.is_err() {
                tracing::warn!("D-Bus: the bus did not take the last signals in time");
            }
        })
    }
}

impl Running {
    fn start(
        identity: Identity,
        view: View,
        requests: UnboundedSender<Request>,
        before: Option<Self>,
    ) -> Self {
        let (orders, queue) = channel(WAITING_MAX);
        let (ends, ended) = oneshot::channel::<()>();
        let of = identity.clone();
        let serving = async move {
            if let Some(Self { orders, ended, .. }) = before {
                drop(orders);
                let _closed = ended.await;
            }
            serve::run(&of, &view, &requests, queue).await;
        };
        let body = move || {
            // Dropped at the end of the thread, and also if there is no thread.
            let _ends = ends;
            let runtime = Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(serving),
                Err(error) => tracing::error!("D-Bus: cannot start the runtime of its thread: {error}"),
            }
        };
        if let Err(error) = std::thread::Builder::new().name("dbus".to_owned()).spawn(body) {
            tracing::error!("D-Bus: cannot start its thread: {error}");
        }
        Self { identity, orders, ended }
    }

    fn order(&self, order: Command) {
        // The thread only ends after the queue, or was never there.
        let _never = self.orders.send(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use crate::notify::Subject;
    use tokio::sync::mpsc::unbounded_channel;

    fn event_of(slot: Slot, event: Event) -> Notification {
        Notification { subject: Subject::Instance, name: String::new(), slot: Some(slot), event, priority: 0 }
    }

    fn config(instances: &[(&str, u8)]) -> Config {
        let instance = |(name, vrid): &(&str, u8)| {
            format!(
                "vrrp_instance {name} {{\ninterface eth0.1\nvirtual_router_id {vrid}\nvirtual_ipaddress {{\n192.0.2.{vrid}\n}}\n}}\n"
            )
        };
        let text: String = instances.iter().map(instance).collect();
        parse(&text).config.expect("a valid file")
    }

    fn seen(service: &Service) -> Vec<(String, String, Status)> {
        let view = look(&service.view);
        view.iter().map(|seen| (seen.name.clone(), seen.path.clone(), seen.status)).collect()
    }

    #[test]
    fn what_is_told_is_seen_and_a_reload_keeps_it() {
        let path = |vrid: u8| format!("/org/keepalived/Vrrp1/Instance/eth0_1/{vrid}/IPv4");
        let (requests, _asked) = unbounded_channel();
        let mut service = Service::new(&config(&[("A", 1), ("B", 2)]), requests);
        service.tell(&event_of(1, Event::Master));
        service.tell(&event_of(1, Event::MasterPriority));
        service.tell(&event_of(7, Event::Master));
        let expected =
            [("A".to_owned(), path(1), Status::Initialize), ("B".to_owned(), path(2), Status::Master)];
        assert_eq!(seen(&service), expected);
        service.tell(&event_of(0, Event::Deleted));
        service.change(&config(&[("C", 3), ("D", 2)]), &[None, Some(1)]);
        let expected =
            [("C".to_owned(), path(3), Status::Initialize), ("D".to_owned(), path(2), Status::Master)];
        assert_eq!(seen(&service), expected);
    }
}
