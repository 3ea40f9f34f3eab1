//! The service's work: it connects to the bus, again whenever the connection is lost, shows objects and sends signals.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};
use zbus::connection::{Builder, Connection};
use zbus::fdo::Properties;
use zbus::names::InterfaceName;
use zbus::object_server::{Interface as _, SignalEmitter};
use zbus::zvariant::Variant;

use super::objects::{self, Daemon, Instance, Status};
use super::{Command, Identity, Request, View, look};

/// The pause from one try to reach the bus to the next: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The time that a bus may take for anything before the connection is given up.
const BUS_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why the service is not on the bus, or not any more.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Bus(#[from] zbus::Error),
    #[error("the bus has closed the connection")]
    Closed,
    #[error("the bus does not answer")]
    Slow,
}

/// Serves until the orders end.
pub(super) async fn run(
    identity: &Identity,
    view: &View,
    requests: &UnboundedSender<Request>,
    mut orders: Receiver<Command>,
) {
    let mut pause = PAUSE_MIN;
    let mut said = None;
    loop {
        let lost = match Bus::reach(identity, view, requests, &mut orders).await {
            Ok(mut bus) => {
                (pause, said) = (PAUSE_MIN, None);
                let served = bus.serve(&mut orders).await;
                // A call that still waits for its answer must not keep the connection, and with it the name.
                let _lost_already = in_time(bus.connection.close()).await;
                let Err(lost) = served else { return };
                lost
            }
            Err(lost) => lost,
        };
        // A reason that repeats itself is logged once.
        let now = Some(lost.to_string());
        if now != said {
            tracing::warn!(
                "D-Bus: {} is not available: {lost}; the connection is tried again",
                identity.name
            );
            said = now;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = over(&mut orders) => return,
        }
        pause = PAUSE_MAX.min(2 * pause);
    }
}

/// Waits until the orders end. Changes that happen while there is no bus are seen when there is one.
async fn over(orders: &mut Receiver<Command>) {
    loop {
        match orders.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn in_time<T>(doing: impl Future<Output = zbus::Result<T>>) -> Result<T, Lost> {
    Ok(timeout(BUS_TIMEOUT, doing).await.map_err(|_elapsed| Lost::Slow)??)
}

/// A connection, and the objects on it.
struct Bus<'b> {
    connection: Connection,
    daemon: SignalEmitter<'static>,
    /// The name and the status that were last told of each object.
    told: BTreeMap<String, (String, Status)>,
    view: &'b View,
    requests: &'b UnboundedSender<Request>,
}

impl<'b> Bus<'b> {
    /// Connects to the bus, shows all objects, and only then requests the name: no client finds half of them.
    async fn reach(
        identity: &Identity,
        view: &'b View,
        requests: &'b UnboundedSender<Request>,
        orders: &mut Receiver<Command>,
    ) -> Result<Self, Lost> {
        let path = objects::daemon_path(&identity.root);
        let daemon = Daemon { requests: requests.clone() };
        let connecting =
            Builder::system().method_timeout(BUS_TIMEOUT).serve_at(path.as_str(), daemon).build();
        let connection = in_time(connecting).await?;
        let daemon = SignalEmitter::new(&connection, path)?.into_owned();
        let mut bus = Self { connection, daemon, told: BTreeMap::new(), view, requests };
        match bus.show_all(identity, orders).await {
            Ok(()) => Ok(bus),
            Err(lost) => {
                let _lost_already = in_time(bus.connection.close()).await;
                Err(lost)
            }
        }
    }

    async fn show_all(&mut self, identity: &Identity, orders: &mut Receiver<Command>) -> Result<(), Lost> {
        // The orders from before are part of what is seen now.
        *orders = orders.resubscribe();
        let unsaid = self.show().await?;
        in_time(self.connection.request_name(identity.name.as_str())).await?;
        tracing::info!("D-Bus: {} is available", identity.name);
        in_time(Daemon::vrrp_started(&self.daemon)).await?;
        self.tell_all(unsaid).await
    }

    async fn serve(&mut self, orders: &mut Receiver<Command>) -> Result<(), Lost> {
        let connection = self.connection.clone();
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    // The status may have been told already, when the objects were last looked at.
                    Ok(Command::Tell(path, status)) if self.told.get(&path).is_some_and(|(_, told)| *told == status) => {}
                    Ok(Command::Tell(path, status)) => self.tell(&path, status).await?,
                    Ok(Command::Look) => {
                        let unsaid = self.show().await?;
                        self.tell_all(unsaid).await?;
                        in_time(Daemon::vrrp_reloaded(&self.daemon)).await?;
                    }
                    Err(RecvError::Lagged(lost)) => {
                        tracing::warn!("D-Bus: signals come faster than the bus takes them, so the oldest are lost ({lost} of them); the last of each instance follows");
                        let unsaid = self.show().await?;
                        self.tell_all(unsaid).await?;
                    }
                    Err(RecvError::Closed) => return in_time(Daemon::vrrp_stopped(&self.daemon)).await,
                },
                () = connection.closed() => return Err(Lost::Closed),
            }
        }
    }

    /// Shows all instances that there are, and no others. Returns the statuses that are still to be told, since they differ
    /// from what was told. Of two instances whose names of interfaces differ in a dot or a dash only, the first is shown.
    async fn show(&mut self) -> Result<Vec<(String, Status)>, Lost> {
        let mut seen: BTreeMap<String, (String, Status)> = BTreeMap::new();
        for instance in look(self.view).iter() {
            let entry = seen.entry(instance.path.clone());
            entry.or_insert_with(|| (instance.name.clone(), instance.status));
        }
        let server = self.connection.object_server();
        for path in self.told.keys().filter(|path| !seen.contains_key(*path)) {
            in_time(server.remove::<Instance, _>(path.as_str())).await?;
        }
        let mut unsaid = Vec::new();
        for (path, (name, status)) in &seen {
            match self.told.get(path) {
                None => {
                    let (view, requests) = (View::clone(self.view), self.requests.clone());
                    let instance = Instance { path: path.clone(), view, requests };
                    in_time(server.at(path.as_str(), instance)).await?;
                    unsaid.push((path.clone(), *status));
                }
                Some((name_before, before)) => {
                    if name_before != name {
                        self.changed(path, "Name", Variant::from(name.as_str())).await?;
                    }
                    if before != status {
                        unsaid.push((path.clone(), *status));
                    }
                }
            }
        }
        self.told = seen;
        Ok(unsaid)
    }

    async fn tell_all(&mut self, unsaid: Vec<(String, Status)>) -> Result<(), Lost> {
        for (path, status) in unsaid {
            self.tell(&path, status).await?;
        }
        Ok(())
    }

    /// Sends keepalived's signal, and the signal of D-Bus's own convention for properties.
    async fn tell(&mut self, path: &str, status: Status) -> Result<(), Lost> {
        let emitter = SignalEmitter::new(&self.connection, path)?;
        in_time(Instance::vrrp_status_change(&emitter, status.number())).await?;
        self.changed(path, "State", Variant::from((status.number(), status.word()))).await?;
        if let Some((_, told)) = self.told.get_mut(path) {
            *told = status;
        }
        Ok(())
    }

    async fn changed(&self, path: &str, property: &str, value: Variant<'_>) -> Result<(), Lost> {
        let emitter = SignalEmitter::new(&self.connection, path)?;
        let interface: InterfaceName<'_> = Instance::name();
        let changed = HashMap::from([(property, value)]);
        in_time(Properties::properties_changed(&emitter, interface, changed, Cow::Borrowed(&[]))).await
    }
}
