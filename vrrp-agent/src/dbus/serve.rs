//! The service's work: comes to the bus and back to it, shows objects, tells.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, timeout};
use zbus::connection::{Builder, Connection};
use zbus::fdo::Properties;
use zbus::names::InterfaceName;
use zbus::object_server::{Interface as _, SignalEmitter};
use zbus::zvariant::Variant;

use super::objects::{self, Daemon, Instance, Status};
use super::{Identity, Order, View, Wish, look};

/// From one try to reach the bus to the next: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A bus that takes longer for anything is left.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why we are not on the bus, or not any more.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Bus(#[from] zbus::Error),
    #[error("it has closed the connection")]
    Closed,
    #[error("it does not answer")]
    Slow,
}

/// Serves until the orders end.
pub(super) async fn run(
    identity: &Identity,
    view: &View,
    wishes: &UnboundedSender<Wish>,
    mut orders: Receiver<Order>,
) {
    let mut pause = PAUSE_MIN;
    let mut said = String::new();
    loop {
        let began = Instant::now();
        let Err(lost) = serve(identity, view, wishes, &mut orders).await else { return };
        // The same again and again is said once.
        let now = lost.to_string();
        if now != said {
            tracing::warn!("D-Bus: {}: {now}; it is tried again", identity.name);
            said = now;
        }
        if began.elapsed() > PAUSE_MAX {
            pause = PAUSE_MIN;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = over(&mut orders) => return,
        }
        pause = PAUSE_MAX.min(2 * pause);
    }
}

/// Until the orders end. What happens while there is no bus is seen when there is one.
async fn over(orders: &mut Receiver<Order>) {
    loop {
        match orders.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Comes to the bus and stays until the orders end.
async fn serve(
    identity: &Identity,
    view: &View,
    wishes: &UnboundedSender<Wish>,
    orders: &mut Receiver<Order>,
) -> Result<(), Lost> {
    let daemon_path = objects::daemon_path(&identity.root);
    let daemon = Daemon { wishes: wishes.clone() };
    let connecting =
        Builder::system().method_timeout(PATIENCE).serve_at(daemon_path.as_str(), daemon).build();
    let bus = in_time(connecting).await?;
    let mut bus = Bus { connection: bus, shown: BTreeSet::new(), view, wishes };
    bus.show().await?;
    // Only now, so that nobody finds half of it.
    in_time(bus.connection.request_name(identity.name.as_str())).await?;
    tracing::info!("D-Bus: {} answers", identity.name);
    let daemon = SignalEmitter::new(&bus.connection, daemon_path.as_str())?.into_owned();
    in_time(Daemon::vrrp_started(&daemon)).await?;
    let seen: Vec<(String, Status)> =
        look(view).iter().map(|seen| (seen.path.clone(), seen.status)).collect();
    for (path, status) in seen {
        bus.tell(&path, status).await?;
    }
    let closing = bus.connection.clone();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Ok(Order::Tell(path, status)) => bus.tell(&path, status).await?,
                Ok(Order::Look) => {
                    bus.show().await?;
                    in_time(Daemon::vrrp_reloaded(&daemon)).await?;
                }
                Err(RecvError::Lagged(lost)) => {
                    tracing::warn!("D-Bus: the oldest {lost} signals are lost: they come faster than they are taken");
                    bus.show().await?;
                }
                Err(RecvError::Closed) => {
                    in_time(Daemon::vrrp_stopped(&daemon)).await?;
                    return in_time(bus.connection.close()).await;
                }
            },
            () = closing.closed() => return Err(Lost::Closed),
        }
    }
}

async fn in_time<T>(doing: impl Future<Output = zbus::Result<T>>) -> Result<T, Lost> {
    Ok(timeout(PATIENCE, doing).await.map_err(|_elapsed| Lost::Slow)??)
}

/// A connection, and the objects on it.
struct Bus<'b> {
    connection: Connection,
    shown: BTreeSet<String>,
    view: &'b View,
    wishes: &'b UnboundedSender<Wish>,
}

impl Bus<'_> {
    /// Shows what there is to see, and no more. Of two instances whose names of interfaces differ in a dot or a dash only, the
    /// first is shown.
    async fn show(&mut self) -> Result<(), Lost> {
        let wanted: BTreeSet<String> = look(self.view).iter().map(|seen| seen.path.clone()).collect();
        let server = self.connection.object_server();
        for path in self.shown.difference(&wanted) {
            in_time(server.remove::<Instance, _>(path.as_str())).await?;
        }
        for path in wanted.difference(&self.shown) {
            let (view, wishes) = (View::clone(self.view), self.wishes.clone());
            let instance = Instance { path: path.clone(), view, wishes };
            in_time(server.at(path.as_str(), instance)).await?;
        }
        self.shown = wanted;
        Ok(())
    }

    /// What keepalived tells, and what D-Bus's own convention for properties wants told beside.
    async fn tell(&self, path: &str, status: Status) -> Result<(), Lost> {
        let emitter = SignalEmitter::new(&self.connection, path)?;
        in_time(Instance::vrrp_status_change(&emitter, status.number())).await?;
        let state = Variant::from((status.number(), status.word()));
        let changed = HashMap::from([("State", state)]);
        let interface: InterfaceName<'_> = Instance::name();
        in_time(Properties::properties_changed(&emitter, interface, changed, Cow::Borrowed(&[]))).await
    }
}
