//! The state that a killed agent has left in the kernel: programs and maps that still watch, hold and fence. The next agent
//! goes on with them, if they have its layout and are of the same instances.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use vrrp_ebpf::abi::{Instance, InstanceKey, LAYOUT, Lease, Role, Settings, Vip, VipKey, Watchdog};

use super::bpffs::PinDirectory;
use super::ebpf::{heard_by, lower_router};
use super::maps::{PodValue, slot_u32};
use crate::host;
use crate::vrrp::{Heard, Resume, SavedState, Time};
use crate::wire::advert::ip;

/// The result of looking at the pins of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinnedState {
    /// The past of each instance, by slot.
    Usable(Vec<SavedState>),
    /// There is nothing that the agent could go on with, for this reason.
    Useless(String),
}

impl PinnedState {
    /// Reads the pins. `keys` are the keys of today's instances, by slot.
    #[must_use]
    pub fn look(pins: &PinDirectory, keys: &[InstanceKey]) -> Self {
        match read(pins, keys) {
            Ok(recovery) => recovery,
            Err(error) => Self::Useless(format!("cannot be read: {error}")),
        }
    }
}

fn read(pins: &PinDirectory, keys: &[InstanceKey]) -> Result<PinnedState, MapError> {
    // The settings are read first: their size has never changed.
    let settings: Array<MapData, PodValue<Settings>> = Array::try_from(map(pins, "settings")?)?;
    let PodValue(Settings { layout, .. }) = settings.get(&0, 0)?;
    if layout != LAYOUT {
        let why = format!("have layout {layout}, and this agent's is {LAYOUT}");
        return Ok(PinnedState::Useless(why));
    }
    let instances: HashMap<MapData, PodValue<InstanceKey>, PodValue<Instance>> =
        HashMap::try_from(map(pins, "instances")?)?;
    let leases: Array<MapData, PodValue<Lease>> = Array::try_from(map(pins, "leases")?)?;
    let watchdogs: Array<MapData, PodValue<Watchdog>> = Array::try_from(map(pins, "watchdogs")?)?;
    let other = || Ok(PinnedState::Useless("are of other instances".to_owned()));
    if leases.len() as usize != keys.len() || watchdogs.len() as usize != keys.len() {
        return other();
    }
    let mut known: BTreeMap<InstanceKey, Instance> = BTreeMap::new();
    for entry in &instances {
        let (PodValue(key), PodValue(instance)) = entry?;
        if keys.get(instance.slot as usize) != Some(&key) {
            return other();
        }
        known.insert(key, instance);
    }
    let mut saved_states = Vec::new();
    for (slot, key) in keys.iter().enumerate() {
        let number = slot_u32(slot);
        let (PodValue(lease), PodValue(watchdog)) = (leases.get(&number, 0)?, watchdogs.get(&number, 0)?);
        let saved = match known.get(key) {
            Some(instance) if instance.slot == number => saved(instance, &lease, &watchdog),
            // The entry is of another instance with this key; for instances that share a key, the kernel has neither watched
            // nor fenced.
            Some(_) => leased(&lease),
            None => return other(),
        };
        saved_states.push(saved);
    }
    Ok(PinnedState::Usable(saved_states))
}

fn map(pins: &PinDirectory, name: &str) -> Result<Map, MapError> {
    Map::from_map_data(MapData::from_pin(pins.path.join(name))?)
}

/// Puts together the past of an instance from its entry in `instances`, and the lease and the watch of its slot.
fn saved(instance: &Instance, lease: &Lease, watchdog: &Watchdog) -> SavedState {
    // An agent that was killed between two writes may have begun an epoch with its lease only.
    let epoch = instance.epoch.max(lease.epoch);
    let resume = if epoch == instance.epoch { resume(instance, lease, watchdog) } else { Resume::Nothing };
    SavedState { epoch, resume }
}

/// Returns the past of an instance by its lease alone: only a master has a lease.
fn leased(lease: &Lease) -> SavedState {
    let resume = match lease.until_boot_ns {
        0 => Resume::Nothing,
        _ => Resume::Holding { until: end(lease) },
    };
    SavedState { epoch: lease.epoch, resume }
}

/// Returns the end of a lease on the clock of the state machine. It is never later than the real end, however long it takes to
/// read the two clocks.
fn end(lease: &Lease) -> Time {
    let now = host::now();
    now + Duration::from_nanos(lease.until_boot_ns).saturating_sub(host::uptime())
}

/// Returns the activity that goes on in the kernel's epoch of an instance, if any.
fn resume(instance: &Instance, lease: &Lease, watchdog: &Watchdog) -> Resume {
    match instance.role {
        Role::Master if lease.epoch == instance.epoch && watchdog.fenced_epoch != instance.epoch => {
            Resume::Holding { until: end(lease) }
        }
        Role::Backup if watchdog.epoch == instance.epoch => match heard_by(watchdog) {
            Some(advert) => Resume::Watching {
                heard: Heard { advert, at: Time::from_nanos(watchdog.last_advert_ns) },
                deadline: Time::from_nanos(watchdog.deadline_ns),
                outranked: lower_router(watchdog, instance.epoch),
            },
            None => Resume::Nothing,
        },
        Role::Idle | Role::Backup | Role::Master => Resume::Nothing,
    }
}

/// Returns the virtual addresses in the pins of an earlier run, each with its interface; none if they cannot be read.
#[must_use]
pub fn addresses(pins: &PinDirectory) -> Vec<(u32, IpAddr)> {
    let read = || -> Result<Vec<(u32, IpAddr)>, MapError> {
        let vips: HashMap<MapData, PodValue<VipKey>, PodValue<Vip>> = HashMap::try_from(map(pins, "vips")?)?;
        let keys: Result<Vec<_>, _> = vips.keys().collect();
        Ok(keys?.into_iter().map(|PodValue(key)| (key.ifindex, ip(key.family, &key.address))).collect())
    };
    read().unwrap_or_default()
}
