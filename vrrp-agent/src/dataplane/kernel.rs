//! The kernel half as it is loaded: the programs, the maps that the configuration fills, the places where it is attached, the
//! pins. The maps that change while the daemon runs are [`super::EbpfPlane`]'s.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use aya::{Ebpf, EbpfLoader};
use vrrp_ebpf::abi::{InstanceKey, LAYOUT, Plain, Settings, Vip, VipKey, VipUse, Vmac, VmacKey, Watchdog};

use super::attach::{self, ARRAY, Attachment, Buffers, pin_error};
use super::bpffs::{PinDirectory, pin_name};
use super::ebpf::{Cell, EbpfError, OBJECT, map_error, slot_u32};
use super::load::{Blueprint, Maps, OnRefusal, prepare_timers};
use super::{Hook, Mode, VipEntry, VmacEntry};
use crate::net::links::{Link, Purpose};
use crate::wire::advert::{address, family};

/// The maps of one configuration, which an operator reads and the next agent goes on with. Maps that only hold values that a
/// program is about to use are not among them.
const OF_A_CONFIGURATION: [&str; 6] = ["instances", "vips", "vmacs", "leases", "watchdogs", "events"];
/// The maps that outlive a reload too.
const OF_A_RUN: [&str; 4] = ["agent", "counters", "settings", NEXT];

/// The program array for the operator's program that runs behind ours.
const NEXT: &str = "next";

/// An interface without a program: its adverts go through sockets, or it is not guarded.
struct Refusal {
    purpose: Purpose,
    /// The reason, for people.
    why: String,
}

/// The loaded programs and where they are attached.
pub struct KernelHalf {
    pub(super) ebpf: Ebpf,
    hook: Hook,
    buffers: Buffers,
    on_refusal: OnRefusal,
    attached: Vec<Attachment>,
    /// The interfaces without a program, by name.
    refused: BTreeMap<String, Refusal>,
    /// The places in which the program was found not to see the frames of an interface (name, number).
    avoided: Vec<(String, u32, Mode)>,
    pins: PinDirectory,
    /// Logs the programs' messages.
    logger: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for KernelHalf {
    fn drop(&mut self) {
        if let Some(logger) = &self.logger {
            logger.abort();
        }
    }
}

impl fmt::Debug for KernelHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelHalf").field("attached", &self.attached).field("pins", &self.pins).finish()
    }
}

impl KernelHalf {
    /// Loads the programs, fills in the addresses, pins everything and attaches to the interfaces. If it fails, nothing is left
    /// except what it was to adopt.
    ///
    /// # Errors
    /// [`EbpfError`], with what is in the way.
    pub fn load(blueprint: &Blueprint<'_>, pins: &PinDirectory) -> Result<Self, EbpfError> {
        let mut result = Self::load_and_attach(blueprint, pins);
        // A program array takes programs of one kind only, and an MTU that has grown needs the other kind.
        if let (Err(EbpfError::Program(_)), Maps::Adopted | Maps::Beside) = (&result, blueprint.maps)
            && fs::remove_file(pins.path.join(NEXT)).is_ok()
        {
            tracing::warn!(
                "the map `{NEXT}` is made anew, for programs for XDP of another kind; a program of your own has to be put there \
                 again, loaded as `xdp.frags` if an interface has an MTU above 1500"
            );
            result = Self::load_and_attach(blueprint, pins);
        }
        match (&result, blueprint.maps) {
            (Err(_), Maps::New) => pins.remove(),
            (Err(_), Maps::Beside) => pins.beside().remove(),
            (Err(_), Maps::Adopted) | (Ok(_), _) => {}
        }
        result
    }

    fn load_and_attach(blueprint: &Blueprint<'_>, pins: &PinDirectory) -> Result<Self, EbpfError> {
        let &Blueprint { links, keys, ref vips, ref vmacs, ref hook, on_refusal, maps } = blueprint;
        let of_configuration = match maps {
            Maps::New => {
                pins.clear().map_err(|e| pin_error(&pins.path, &e))?;
                pins.clone()
            }
            Maps::Adopted => pins.clone(),
            Maps::Beside => {
                let beside = pins.beside();
                fs::create_dir_all(&beside.path).map_err(|e| pin_error(&beside.path, &e))?;
                beside.clear().map_err(|e| pin_error(&beside.path, &e))?;
                beside
            }
        };
        let refusing = u32::from(vips.iter().any(|vip| vip.usage == VipUse::NoAccept));
        // There are as many slots as instances, so that a dump of the map shows the instances and nothing else.
        let entries = u32::try_from(keys.len()).unwrap_or(u32::MAX).max(1);
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries("leases", entries)
            .map_max_entries("watchdogs", entries)
            .override_global("REFUSING", &refusing, true);
        // Each map is opened if its pin is there, and made and pinned if not.
        for name in OF_A_CONFIGURATION {
            loader.map_pin_path(name, of_configuration.path.join(name));
        }
        for name in OF_A_RUN {
            loader.map_pin_path(name, pins.path.join(name));
        }
        let ebpf = loader.load(OBJECT)?;
        let (hook, buffers) = (hook.clone(), Buffers::of(links));
        let mut half = Self {
            ebpf,
            hook,
            buffers,
            on_refusal,
            attached: Vec::new(),
            refused: BTreeMap::new(),
            avoided: Vec::new(),
            pins: pins.clone(),
            logger: None,
        };
        match maps {
            Maps::New => half.begin(keys)?,
            Maps::Beside => half.begin_watchdogs(keys)?,
            Maps::Adopted => {}
        }
        prepare_timers(&mut half.ebpf, entries)?;
        half.write_vips(vips)?;
        half.write_vmacs(vmacs)?;
        attach::load(&mut half.ebpf, links, &half.hook, half.buffers)?;
        match maps {
            Maps::New | Maps::Adopted => half.publish(links)?,
            Maps::Beside => {}
        }
        Ok(half)
    }

    /// Attaches to these interfaces and to no others, in the place of whatever was attached before, and pins. An attachment
    /// that exists already stays.
    ///
    /// # Errors
    /// [`EbpfError`], with what is in the way.
    pub fn publish(&mut self, links: &[Link]) -> Result<(), EbpfError> {
        let pinned = |path: &Path, error: &io::Error| pin_error(path, error);
        let beside = self.pins.beside();
        for name in OF_A_CONFIGURATION {
            let (from, to) = (beside.path.join(name), self.pins.path.join(name));
            if from.exists() {
                fs::rename(&from, &to).map_err(|e| pinned(&to, &e))?;
            }
        }
        let _none = fs::remove_dir(&beside.path);
        // The first error is returned, but the other interfaces are attached.
        let missing: Vec<&Link> = links
            .iter()
            .filter(|link| !self.is_attached(link) && !self.refused.contains_key(&link.name))
            .collect();
        let mut failures = Vec::new();
        for link in missing {
            match (self.attach(link), link.purpose) {
                (Err(error), Purpose::Instances) => failures.push(error),
                // A guard is not what the program was loaded for; its refusal is remembered, and logged by the daemon.
                (Ok(()), _) | (Err(_), Purpose::Guard) => {}
            }
        }
        self.detach_others(links).map_err(|e| pinned(&self.pins.path, &e))?;
        attach::pin_programs(&mut self.ebpf, &self.pins.path)?;
        let hears = |link: &Link| link.purpose == Purpose::Instances && self.is_attached(link);
        match (self.on_refusal, links.iter().any(hears)) {
            // One interface without the program costs no other its program; if no interface has the program, there is no kernel
            // half.
            (OnRefusal::Sockets, true) => Ok(()),
            (OnRefusal::Fail, _) | (OnRefusal::Sockets, false) => {
                failures.into_iter().next().map_or(Ok(()), Err)
            }
        }
    }

    /// True if the program sees what arrives on an interface.
    #[must_use]
    pub fn is_attached(&self, link: &Link) -> bool {
        self.attached
            .iter()
            .any(|attachment| attachment.name == link.name && attachment.ifindex == link.index)
    }

    /// True if the program is attached to an interface in a place that is right today, as the kernel says and not as the agent
    /// remembers. A pin that another program has removed is made again.
    pub fn is_in_place(&mut self, link: &Link) -> bool {
        let avoided = self.avoided_on(link);
        let Some(attachment) = self.attached.iter_mut().find(|attachment| attachment.name == link.name)
        else {
            return false;
        };
        let right = attachment.is_right(link, &self.hook) && !avoided.contains(&attachment.mode);
        if !right || !attachment.is_in_force(link) {
            return false;
        }
        if let Err(error) = attachment.keep_pinned(&self.pins.path) {
            tracing::error!("{error}: if the agent is killed, the fence on {} goes with it", link.name);
        }
        true
    }

    /// Takes the program off an interface, whose adverts go through sockets from here on.
    pub fn give_up(&mut self, link: &Link, why: String) {
        self.attached.retain(|attachment| attachment.name != link.name);
        attach::detach(&self.pins.path, &link.name);
        self.refused.insert(link.name.clone(), Refusal { purpose: link.purpose, why });
    }

    /// Takes from `earlier`, whose place this kernel half takes, the interfaces that have to go without a program, and the
    /// places to avoid.
    pub(crate) fn inherit_refusals(&mut self, earlier: &Self, links: &[Link]) {
        for link in links {
            if let Some(why) = earlier.refusal(link).map(str::to_owned) {
                self.refused.insert(link.name.clone(), Refusal { purpose: link.purpose, why });
            }
        }
        self.avoided = earlier.avoided.clone();
    }

    /// Notes that the program does not see the frames of an interface in its present place: another place is tried from here
    /// on.
    pub fn avoid_present_mode(&mut self, link: &Link) {
        if let Some(attachment) = self.attached.iter().find(|attachment| attachment.name == link.name) {
            self.avoided.push((link.name.clone(), link.index, attachment.mode));
        }
    }

    /// The places not to be tried on an interface.
    fn avoided_on(&self, link: &Link) -> Vec<Mode> {
        let on_it = self.avoided.iter().filter(|(name, index, _)| *name == link.name && *index == link.index);
        on_it.map(|(_, _, mode)| *mode).collect()
    }

    /// Returns the reason why an interface has no program, if attaching was tried.
    #[must_use]
    pub fn refusal(&self, link: &Link) -> Option<&str> {
        self.refused.get(&link.name).map(|refusal| refusal.why.as_str())
    }

    /// Writes the first values of new maps. This must be done before there are timers: a write to a watchdog frees its timer.
    fn begin(&mut self, keys: &[InstanceKey]) -> Result<(), EbpfError> {
        let mut settings: Array<&mut MapData, Cell<Settings>> = open(&mut self.ebpf, "settings")?;
        let first = Settings { show_adverts: 0, layout: LAYOUT };
        settings.set(0, Cell(first), 0).map_err(map_error("settings"))?;
        self.begin_watchdogs(keys)
    }

    fn begin_watchdogs(&mut self, keys: &[InstanceKey]) -> Result<(), EbpfError> {
        let mut watchdogs: Array<&mut MapData, Cell<Watchdog>> = open(&mut self.ebpf, "watchdogs")?;
        for (slot, key) in keys.iter().enumerate() {
            watchdogs.set(slot_u32(slot), Cell(Watchdog::of(*key)), 0).map_err(map_error("watchdogs"))?;
        }
        Ok(())
    }

    /// Makes `vips` contain the wanted entries, and nothing else.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn write_vips(&mut self, vips: &[VipEntry]) -> Result<(), EbpfError> {
        let wanted = vips.iter().map(|vip| {
            let key =
                VipKey { ifindex: vip.ifindex, family: family(vip.address), address: address(vip.address) };
            let slot = slot_u32(vip.slot);
            (key, Vip { slot, mac: vip.mac, usage: vip.usage, key_fold: key.fold() })
        });
        reconcile(&mut self.ebpf, "vips", wanted)
    }

    /// Makes `vmacs` contain the wanted entries, and nothing else.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn write_vmacs(&mut self, vmacs: &[VmacEntry]) -> Result<(), EbpfError> {
        let wanted = vmacs.iter().map(|&VmacEntry { slot, ifindex, mac, own }| {
            let key = VmacKey { ifindex, mac, reserved: 0 };
            (key, Vmac { slot: slot_u32(slot), mac: own, reserved: 0, key_fold: key.fold() })
        });
        reconcile(&mut self.ebpf, "vmacs", wanted)
    }

    /// Removes the pins of attachments elsewhere, and with them the attachments.
    fn detach_others(&self, links: &[Link]) -> io::Result<()> {
        for entry in fs::read_dir(&self.pins.path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let elsewhere = match (attach::interface_of(name), &self.hook) {
                (Some(interface), _) => links.iter().all(|link| pin_name(&link.name) != interface),
                (None, Hook::Array(entry)) => {
                    name.starts_with(ARRAY) && name != format!("{ARRAY}{}", entry.index)
                }
                (None, Hook::Auto | Hook::Only(_)) => name.starts_with(ARRAY),
            };
            if elsewhere {
                attach::leave_array(&path);
                attach::remove_filters(&path);
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Attaches to an interface. If the program is attached there already, the new one takes its place without a gap.
    ///
    /// # Errors
    /// [`EbpfError`], with what is in the way.
    pub fn attach(&mut self, link: &Link) -> Result<(), EbpfError> {
        let avoided = self.avoided_on(link);
        match attach::attach(&mut self.ebpf, &self.pins.path, link, &self.hook, &avoided, self.buffers) {
            Ok(attachment) => {
                self.attached.retain(|other| other.name != link.name);
                self.attached.push(attachment);
                self.refused.remove(&link.name);
                Ok(())
            }
            Err(error) => {
                self.give_up(link, error.to_string());
                Err(error)
            }
        }
    }

    /// The policy for an interface on which the program cannot be attached.
    #[must_use]
    pub fn on_refusal(&self) -> OnRefusal {
        self.on_refusal
    }

    /// Returns the place for the programs.
    #[must_use]
    pub fn hook(&self) -> &Hook {
        &self.hook
    }

    /// Keeps the task that logs the programs' messages, which ends with the programs.
    pub fn end_with_it(&mut self, logger: tokio::task::JoinHandle<()>) {
        self.logger = Some(logger);
    }

    /// Returns the directory of its pins.
    #[must_use]
    pub fn pins(&self) -> &PinDirectory {
        &self.pins
    }

    /// Describes for people where it is attached, and how.
    #[must_use]
    pub fn describe(&self) -> String {
        let frags = match self.buffers {
            Buffers::One => "",
            Buffers::Many => " with frags",
        };
        let place = |Attachment { name, mode, purpose, .. }: &Attachment| match (mode, &self.hook) {
            _ if *purpose == Purpose::Guard => format!("{name}: {}, guards", mode.name()),
            (Mode::Native | Mode::Generic, _) => format!("{name}: {}{frags}", mode.name()),
            (Mode::Array, Hook::Array(entry)) => {
                format!("{name}: entry {} of {}", entry.index, entry.path.display())
            }
            (Mode::Tcx | Mode::Clsact | Mode::Array, _) => format!("{name}: {}", mode.name()),
        };
        let attached = self.attached.iter().map(place);
        let refused = self.refused.iter().map(|(name, refusal)| match refusal.purpose {
            Purpose::Instances => format!("{name}: sockets"),
            Purpose::Guard => format!("{name}: not guarded"),
        });
        format!("ebpf ({})", attached.chain(refused).collect::<Vec<_>>().join(", "))
    }

    /// Returns the program's messages, for a task that waits for them and logs.
    ///
    /// # Errors
    /// If the program has none.
    pub fn logger(&mut self) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>, aya_log::Error> {
        aya_log::EbpfLogger::init(&mut self.ebpf)
    }
}

fn open<'e, M: TryFrom<&'e mut Map, Error = MapError>>(
    ebpf: &'e mut Ebpf,
    name: &'static str,
) -> Result<M, EbpfError> {
    ebpf.map_mut(name).ok_or(EbpfError::Missing(name))?.try_into().map_err(map_error(name))
}

/// Makes a map contain the wanted entries, and nothing else. The wanted entries are written before any others are removed: an
/// address is never without its fence.
fn reconcile<K: Plain + PartialEq, V: Plain>(
    ebpf: &mut Ebpf,
    name: &'static str,
    wanted: impl Iterator<Item = (K, V)>,
) -> Result<(), EbpfError> {
    let mut map: HashMap<&mut MapData, Cell<K>, Cell<V>> = open(ebpf, name)?;
    let mut keys = Vec::new();
    for (key, value) in wanted {
        map.insert(Cell(key), Cell(value), 0).map_err(map_error(name))?;
        keys.push(key);
    }
    let there: Vec<K> =
        map.keys().map(|key| key.map(|Cell(key)| key)).collect::<Result<_, _>>().map_err(map_error(name))?;
    for key in there.into_iter().filter(|key| !keys.contains(key)) {
        map.remove(&Cell(key)).map_err(map_error(name))?;
    }
    Ok(())
}
