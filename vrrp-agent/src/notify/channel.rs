//! The one way through which programs outside of the daemon hear of events: notify scripts, FIFOs and mail, SNMP, D-Bus.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use super::Notification;
use crate::config::{Config, Slot};

/// The end of a channel: done when the last notifications have been told.
pub type Finishing = Pin<Box<dyn Future<Output = ()>>>;

/// A channel to programs that the daemon does not wait for. What is told goes into a queue with a bound; a queue that is full loses
/// its oldest entry, and the log says so.
pub trait Channel: fmt::Debug {
    /// Follows another configuration. `was` gives for each of its instances the slot in the one before.
    fn change(&mut self, config: &Config, was: &[Option<Slot>]);

    /// Tells of an event. Returns at once.
    fn tell(&mut self, notification: &Notification);

    /// Tells what still waits, for as long as `patience` allows. Nothing is told from now on.
    fn finish(&mut self, patience: Duration) -> Finishing;
}
