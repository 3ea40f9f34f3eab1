//! The data plane in the kernel: loads the XDP program, keeps its maps as wanted, reads its events.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::ProgramError;
use aya::programs::links::{FdLink, LinkError};
use aya::{Ebpf, EbpfLoader};
use vrrp_ebpf::abi::{
    Counters, Event, EventKind, Instance, InstanceKey, Lease, Plain, Role, Settings, Vip, VipKey, Vmac,
    VmacKey, Watchdog,
};
use vrrp_ebpf::advert::{Advert, Judge, List};

use super::bpffs::PinDirectory;
use super::load::{Blueprint, Mode, attach_one, brief, prepare_timers, program};
use super::{Desired, KernelWatch, Signal, Slot, SocketPlane, VipEntry, VmacEntry};
use crate::net::links::Link;
use crate::vrrp::{Time, Watch};
use crate::wire::advert::{address, family, ip};

/// How late the kernel's report of a lost master may be before the sweep takes it for lost too.
const SWEEP_GRACE: std::time::Duration = std::time::Duration::from_millis(20);

/// The compiled eBPF half, for whoever wants to run it without an interface: kernel tests and benchmarks.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/vrrp"));

/// A value of the maps. The crate that defines them knows nothing of aya, hence the wrapper.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Cell<T>(pub T);

// SAFETY: Plain promises what Pod asks for.
unsafe impl<T: Plain> aya::Pod for Cell<T> {}

/// Why the kernel half cannot be used, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EbpfError {
    /// The object is not what this agent was built with.
    #[error("the eBPF object has no {0}")]
    Missing(&'static str),
    /// Loading failed: no BPF, no capability, or the verifier said no.
    #[error("load the eBPF program: {0}")]
    Load(#[from] aya::EbpfError),
    /// The verifier said no, or the program could not be handled.
    #[error("load the XDP program: {}", brief(.0))]
    Program(ProgramError),
    /// The interface did not take it.
    #[error("attach to {interface}: {why}")]
    Attach {
        /// Which.
        interface: String,
        /// What is in the way.
        why: String,
    },
    /// A map operation failed.
    #[error("map `{map}`: {source}")]
    Map {
        /// Which.
        map: &'static str,
        /// What the kernel said.
        source: MapError,
    },
    /// Pinning failed.
    #[error("pin to {path}: {why}")]
    Pin {
        /// Where.
        path: String,
        /// What the kernel said.
        why: String,
    },
}

/// The loaded program and its maps.
pub struct EbpfPlane {
    ebpf: Ebpf,
    instances: HashMap<MapData, Cell<InstanceKey>, Cell<Instance>>,
    leases: Array<MapData, Cell<Lease>>,
    watchdogs: Array<MapData, Cell<Watchdog>>,
    counters: PerCpuArray<MapData, Cell<Counters>>,
    events: RingBuf<MapData>,
    /// Hears what the kernel passes because only the agent can judge it.
    listener: SocketPlane,
    attached: Vec<(String, Mode)>,
    pins: PinDirectory,
    desired: Vec<Option<Desired>>,
}

impl fmt::Debug for EbpfPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EbpfPlane").field("attached", &self.attached).field("pins", &self.pins).finish()
    }
}

impl EbpfPlane {
    /// Loads the program, fills in the addresses, pins everything and attaches to the interfaces. Nothing is left attached if
    /// it fails. `listener` hears what only the agent can judge.
    ///
    /// # Errors
    /// [`EbpfError`], with what is in the way.
    pub fn load(
        blueprint: &Blueprint<'_>,
        pins: &PinDirectory,
        listener: SocketPlane,
    ) -> Result<Self, EbpfError> {
        pins.clear().map_err(|e| pin_error(pins, "", &e))?;
        let result = Self::load_and_attach(blueprint, pins.clone(), listener);
        if result.is_err() {
            pins.remove();
        }
        result
    }

    fn load_and_attach(
        blueprint: &Blueprint<'_>,
        pins: PinDirectory,
        listener: SocketPlane,
    ) -> Result<Self, EbpfError> {
        let &Blueprint { links, slots, ref vips, ref vmacs, mode } = blueprint;
        let refusing = u32::from(vips.iter().any(|vip| !vip.accept));
        // As many slots as there are instances, so that a dump shows them and no others.
        let entries = u32::try_from(slots).unwrap_or(u32::MAX).max(1);
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("leases", entries)
            .map_max_entries("watchdogs", entries)
            .override_global("REFUSING", &refusing, true)
            .load(OBJECT)?;
        // Before the maps are taken out: the program refers to them by descriptors that go with them.
        let program = program(&mut ebpf)?;
        program.load().map_err(EbpfError::Program)?;
        program.pin(pins.path.join("prog")).map_err(|e| pin_error(&pins, "prog", &e))?;
        prepare_timers(&mut ebpf, entries)?;
        for (name, map) in ebpf.maps() {
            if name.starts_with(char::is_lowercase) && !["scratch", "current"].contains(&name) {
                let path = pins.path.join(name);
                map.pin(&path).map_err(|e| pin_error(&pins, name, &e))?;
            }
        }
        let mut plane = Self {
            instances: HashMap::try_from(take(&mut ebpf, "instances")?).map_err(map_error("instances"))?,
            leases: Array::try_from(take(&mut ebpf, "leases")?).map_err(map_error("leases"))?,
            watchdogs: Array::try_from(take(&mut ebpf, "watchdogs")?).map_err(map_error("watchdogs"))?,
            counters: PerCpuArray::try_from(take(&mut ebpf, "counters")?).map_err(map_error("counters"))?,
            events: RingBuf::try_from(take(&mut ebpf, "events")?).map_err(map_error("events"))?,
            listener,
            attached: Vec::new(),
            desired: vec![None; slots],
            pins,
            ebpf,
        };
        plane.write_vips(vips)?;
        plane.write_vmacs(vmacs)?;
        plane.attach(links, mode)?;
        Ok(plane)
    }

    fn write_vips(&mut self, vips: &[VipEntry]) -> Result<(), EbpfError> {
        let mut map: HashMap<MapData, Cell<VipKey>, Cell<Vip>> =
            HashMap::try_from(take(&mut self.ebpf, "vips")?).map_err(map_error("vips"))?;
        for vip in vips {
            let key =
                VipKey { ifindex: vip.ifindex, family: family(vip.address), address: address(vip.address) };
            let value = Vip { slot: slot_u32(vip.slot), mac: vip.mac, accept: vip.accept.into() };
            map.insert(Cell(key), Cell(value), 0).map_err(map_error("vips"))?;
        }
        Ok(())
    }

    fn write_vmacs(&mut self, vmacs: &[VmacEntry]) -> Result<(), EbpfError> {
        let mut map: HashMap<MapData, Cell<VmacKey>, Cell<Vmac>> =
            HashMap::try_from(take(&mut self.ebpf, "vmacs")?).map_err(map_error("vmacs"))?;
        for &VmacEntry { slot, ifindex, mac, own } in vmacs {
            let key = VmacKey { ifindex, mac, reserved: 0 };
            let value = Vmac { slot: slot_u32(slot), mac: own, reserved: 0 };
            map.insert(Cell(key), Cell(value), 0).map_err(map_error("vmacs"))?;
        }
        Ok(())
    }

    fn attach(&mut self, links: &[Link], mode: Option<Mode>) -> Result<(), EbpfError> {
        let pins = &self.pins;
        let program = program(&mut self.ebpf)?;
        for link in links {
            let (xdp, mode) = attach_one(program, link, mode)?;
            let name = format!("link-{}", link.name);
            let fd_link = FdLink::try_from(xdp).map_err(|e: LinkError| pin_error(pins, &name, &e))?;
            fd_link.pin(pins.path.join(&name)).map_err(|e| pin_error(pins, &name, &e))?;
            self.attached.push((link.name.clone(), mode));
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, desired: &Desired) -> Result<(), EbpfError> {
        let before = self.desired[desired.slot];
        if before.as_ref() == Some(desired) {
            return Ok(());
        }
        // Any other epoch starts without a lease: the addresses are answered for after an advert, not before.
        if before.is_none_or(|before| before.epoch != desired.epoch) {
            self.write_lease(desired.slot, Lease { heartbeat_ns: 0, until_ns: 0, epoch: desired.epoch })?;
        }
        let instance = Instance {
            epoch: desired.epoch,
            rules: desired.rules,
            candidate: desired.candidate,
            slot: slot_u32(desired.slot),
            role: desired.role,
            key: desired.key,
            reserved: 0,
        };
        self.instances.insert(Cell(desired.key), Cell(instance), 0).map_err(map_error("instances"))?;
        match desired.rules.judge {
            Judge::Kernel => {}
            Judge::Agent => self.listener.apply(desired),
        }
        self.desired[desired.slot] = Some(*desired);
        Ok(())
    }

    pub(super) fn renew(&mut self, slot: Slot, heartbeat: Time, until: Time) -> Result<(), EbpfError> {
        match self.desired[slot] {
            Some(Desired { role: Role::Master, epoch, .. }) => {
                let lease = Lease { heartbeat_ns: heartbeat.as_nanos(), until_ns: until.as_nanos(), epoch };
                self.write_lease(slot, lease)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn write_lease(&mut self, slot: Slot, lease: Lease) -> Result<(), EbpfError> {
        self.leases.set(slot_u32(slot), Cell(lease), 0).map_err(map_error("leases"))
    }

    pub(super) fn next_signal(&mut self) -> Option<Signal> {
        while let Some(event) = self.events.next().and_then(|entry| read_event(&entry)) {
            if let Some(signal) = self.signal(&event) {
                return Some(signal);
            }
        }
        self.listener.next_signal()
    }

    /// What an event means now; `None` if the instance has moved on since.
    fn signal(&self, event: &Event) -> Option<Signal> {
        let time = Time::from_nanos(event.time_ns);
        let slot = event.slot as usize;
        let desired = self.desired.get(slot).copied().flatten()?;
        if desired.epoch != event.epoch {
            return None;
        }
        let advert = Advert {
            source: event.address,
            priority: event.priority.try_into().ok()?,
            interval_ns: event.interval_ns,
            list: event.list,
        };
        match event.kind {
            EventKind::MasterSeen | EventKind::Resigned => {
                Some(Signal::Advert { slot, advert, watch: Watch::Kernel })
            }
            EventKind::Outranked | EventKind::Rival | EventKind::Unwatched => {
                Some(Signal::Advert { slot, advert, watch: Watch::Here })
            }
            EventKind::Superior => Some(Signal::Advert { slot, advert, watch: Watch::Fenced }),
            // An advert may have arrived since: then the deadline has moved past the event, and the watch goes on. Not past
            // *our* clock, which may be older than the event.
            EventKind::MasterLost if self.kernel_watch(slot).is_some_and(|watch| watch.deadline > time) => {
                None
            }
            EventKind::MasterLost => Some(Signal::MasterDown {
                slot,
                deadline: Time::from_nanos(event.deadline_ns),
                noticed: Some(time),
            }),
            EventKind::Conflict => Some(Signal::Conflict {
                slot,
                address: ip(desired.key.family, &event.address),
                mac: event.mac,
            }),
        }
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        // SAFETY: the ring owns the descriptor and is borrowed for as long as it is used.
        let events = unsafe { BorrowedFd::borrow_raw(self.events.as_raw_fd()) };
        [events].into_iter().chain(self.listener.descriptors()).collect()
    }

    fn watchdog(&self, slot: Slot) -> Option<Watchdog> {
        let Cell(watchdog) = self.watchdogs.get(&slot_u32(slot), 0).ok()?;
        let desired = self.desired.get(slot).copied().flatten()?;
        (watchdog.epoch == desired.epoch && desired.role == Role::Backup).then_some(watchdog)
    }

    pub(super) fn kernel_watch(&self, slot: Slot) -> Option<KernelWatch> {
        let watchdog = self.watchdog(slot)?;
        Some(KernelWatch {
            deadline: Time::from_nanos(watchdog.deadline_ns),
            advert: heard_by(&watchdog)?,
            heard: Time::from_nanos(watchdog.last_advert_ns),
            adverts: watchdog.adverts,
        })
    }

    pub(super) fn sweep(&self, now: Time) -> Vec<Signal> {
        let overdue = |slot: Slot| {
            let deadline = Time::from_nanos(self.watchdog(slot)?.deadline_ns);
            (deadline + SWEEP_GRACE < now).then_some(Signal::MasterDown { slot, deadline, noticed: None })
        };
        let fenced = |slot: Slot| {
            let desired = self.desired[slot].filter(|desired| desired.role == Role::Master)?;
            let Cell(watchdog) = self.watchdogs.get(&slot_u32(slot), 0).ok()?;
            let advert = heard_by(&watchdog)?;
            (watchdog.fenced_epoch == desired.epoch).then_some(Signal::Advert {
                slot,
                advert,
                watch: Watch::Fenced,
            })
        };
        (0..self.desired.len()).filter_map(|slot| overdue(slot).or_else(|| fenced(slot))).collect()
    }

    pub(super) fn counters(&self) -> Counters {
        let mut total = Counters::default();
        let Ok(values) = self.counters.get(&0, 0) else { return total };
        for Cell(cpu) in values.iter() {
            total.add(cpu);
        }
        // The kernel has counted what is nobody's already.
        total.add(&Counters { advert_not_ours: 0, ..*self.listener.counters() });
        total
    }

    pub(super) fn describe(&self) -> String {
        let attached: Vec<String> =
            self.attached.iter().map(|(name, mode)| format!("{name}: {}", mode.name())).collect();
        format!("ebpf ({})", attached.join(", "))
    }

    /// The program's messages, for a task that waits for them and logs.
    ///
    /// # Errors
    /// If the program has none.
    pub fn logger(&mut self) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>, aya_log::Error> {
        aya_log::EbpfLogger::init(&mut self.ebpf)
    }

    /// Whether adverts that the program has judged go on to the stack, where tcpdump sees them; of the agent that has these pins,
    /// running or not.
    ///
    /// # Errors
    /// If there is no such map.
    pub fn show_adverts(pins: &PinDirectory, show: bool) -> Result<(), EbpfError> {
        let set = || -> Result<(), MapError> {
            let map = Map::from_map_data(MapData::from_pin(pins.path.join("settings"))?)?;
            let mut settings: Array<MapData, Cell<Settings>> = Array::try_from(map)?;
            settings.set(0, Cell(Settings { show_adverts: show.into(), reserved: 0 }), 0)
        };
        set().map_err(map_error("settings"))
    }

    /// The virtual addresses that the pins of an earlier run know, by interface; none if it left nothing.
    #[must_use]
    pub fn addresses_of_earlier_run(pins: &PinDirectory) -> Vec<(u32, IpAddr)> {
        let read = || -> Result<Vec<(u32, IpAddr)>, MapError> {
            let map = Map::from_map_data(MapData::from_pin(pins.path.join("vips"))?)?;
            let vips: HashMap<MapData, Cell<VipKey>, Cell<Vip>> = HashMap::try_from(map)?;
            let keys: Result<Vec<_>, _> = vips.keys().collect();
            Ok(keys?.into_iter().map(|Cell(key)| (key.ifindex, ip(key.family, &key.address))).collect())
        };
        // No pin, or one of another layout: nothing to be learned.
        read().unwrap_or_default()
    }
}

fn heard_by(watchdog: &Watchdog) -> Option<Advert> {
    Some(Advert {
        source: watchdog.master,
        priority: watchdog.master_priority.try_into().ok()?,
        interval_ns: watchdog.master_interval_ns,
        list: if watchdog.master_list == List::Other as u32 { List::Other } else { List::Same },
    })
}

/// An event from the ring. One of another size than ours cannot come from our program.
fn read_event(bytes: &[u8]) -> Option<Event> {
    if bytes.len() < size_of::<Event>() {
        return None;
    }
    // SAFETY: written by our own program as this type, and long enough; the ring aligns to 8 bytes at most.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, EbpfError> {
    ebpf.take_map(name).ok_or(EbpfError::Missing(name))
}

fn map_error(map: &'static str) -> impl Fn(MapError) -> EbpfError {
    move |source| EbpfError::Map { map, source }
}

fn pin_error(pins: &PinDirectory, name: &str, error: &dyn std::error::Error) -> EbpfError {
    EbpfError::Pin { path: pins.path.join(name).display().to_string(), why: error.to_string() }
}

fn slot_u32(slot: Slot) -> u32 {
    u32::try_from(slot).expect("at most 1024 instances")
}
