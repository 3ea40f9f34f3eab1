//! The kernel half as it is loaded: the programs, the maps that the configuration fills, the places where it is attached, the
//! pins. The maps that change while the daemon runs are [`super::EbpfPlane`]'s.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use aya::maps::{Array, MapData};
use aya::{Ebpf, EbpfLoader};
use vrrp_ebpf::abi::{Counters, InstanceKey, LAYOUT, Settings, Vip, VipKey, VipUse, Vmac, VmacKey, Watchdog};

use super::attach::{self, Attachment, FragSupport};
use super::bpffs::PinDirectory;
use super::error::{EbpfError, map_error, pin_error};
use super::load::{LoadOptions, MapSource, OBJECT, OnRefusal, prepare_timers};
use super::maps::{PodValue, open, reconcile, slot_u32};
use super::pins::{self, ARRAY, pin_name};
use super::{AttachPoint, Mode, VipEntry, VmacEntry};
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
    attach_point: AttachPoint,
    frag_support: FragSupport,
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
    pub fn load(options: &LoadOptions<'_>, pins: &PinDirectory) -> Result<Self, EbpfError> {
        let mut result = Self::load_and_attach(options, pins);
        // A program array takes programs of one kind only, and an MTU that has grown needs the other kind.
        if let (Err(EbpfError::Program(_)), MapSource::Pinned | MapSource::Staged) = (&result, options.maps)
            && fs::remove_file(pins.path.join(NEXT)).is_ok()
        {
            tracing::warn!(
                "the map `{NEXT}` is replaced, because the XDP program is now of the other kind (with or without `xdp.frags`); put \
                 your own program there again, loaded as `xdp.frags` if an interface has an MTU above 1500"
            );
            result = Self::load_and_attach(options, pins);
        }
        match (&result, options.maps) {
            (Err(_), MapSource::Fresh) => pins.remove(),
            (Err(_), MapSource::Staged) => pins.staged().remove(),
            (Err(_), MapSource::Pinned) | (Ok(_), _) => {}
        }
        result
    }

    fn load_and_attach(options: &LoadOptions<'_>, pins: &PinDirectory) -> Result<Self, EbpfError> {
        let &LoadOptions { links, keys, ref vips, ref vmacs, ref attach_point, on_refusal, maps } = options;
        let of_configuration = match maps {
            MapSource::Fresh => {
                pins.clear().map_err(|e| pin_error(&pins.path, &e))?;
                pins.clone()
            }
            MapSource::Pinned => pins.clone(),
            MapSource::Staged => {
                let staged = pins.staged();
                fs::create_dir_all(&staged.path).map_err(|e| pin_error(&staged.path, &e))?;
                staged.clear().map_err(|e| pin_error(&staged.path, &e))?;
                staged
            }
        };
        drop_counters_of_another_build(&pins.path);
        let no_accept_used = u32::from(vips.iter().any(|vip| vip.usage == VipUse::NoAccept));
        // There are as many slots as instances, so that a dump of the map shows the instances and nothing else.
        let entries = u32::try_from(keys.len()).unwrap_or(u32::MAX).max(1);
        let mut loader = EbpfLoader::new();
        loader.map_max_entries("leases", entries).map_max_entries("watchdogs", entries).override_global(
            "NO_ACCEPT_USED",
            &no_accept_used,
            true,
        );
        // Each map is opened if its pin is there, and made and pinned if not.
        for name in OF_A_CONFIGURATION {
            loader.map_pin_path(name, of_configuration.path.join(name));
        }
        for name in OF_A_RUN {
            loader.map_pin_path(name, pins.path.join(name));
        }
        let ebpf = loader.load(OBJECT)?;
        let (attach_point, frag_support) = (attach_point.clone(), FragSupport::of(links));
        let mut half = Self {
            ebpf,
            attach_point,
            frag_support,
            on_refusal,
            attached: Vec::new(),
            refused: BTreeMap::new(),
            avoided: Vec::new(),
            pins: pins.clone(),
            logger: None,
        };
        match maps {
            MapSource::Fresh => half.begin(keys)?,
            MapSource::Staged => half.begin_watchdogs(keys)?,
            MapSource::Pinned => {}
        }
        prepare_timers(&mut half.ebpf, entries)?;
        half.write_vips(vips)?;
        half.write_vmacs(vmacs)?;
        attach::load(&mut half.ebpf, links, &half.attach_point, half.frag_support)?;
        match maps {
            MapSource::Fresh | MapSource::Pinned => half.publish(links)?,
            MapSource::Staged => {}
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
        let staged = self.pins.staged();
        for name in OF_A_CONFIGURATION {
            let (from, to) = (staged.path.join(name), self.pins.path.join(name));
            if from.exists() {
                fs::rename(&from, &to).map_err(|e| pinned(&to, &e))?;
            }
        }
        let _none = fs::remove_dir(&staged.path);
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
        let right = attachment.is_right(link, &self.attach_point) && !avoided.contains(&attachment.mode);
        if !right || !attachment.is_in_force(link) {
            return false;
        }
        if let Err(error) = attachment.keep_pinned(&self.pins.path) {
            tracing::error!("{error}: if the agent is killed, the fence on {} is lost", link.name);
        }
        true
    }

    /// Takes the program off an interface, whose adverts go through sockets from here on.
    pub fn give_up(&mut self, link: &Link, why: String) {
        self.attached.retain(|attachment| attachment.name != link.name);
        pins::detach(&self.pins.path, &link.name);
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
        let mut settings: Array<&mut MapData, PodValue<Settings>> = open(&mut self.ebpf, "settings")?;
        let first = Settings { show_adverts: 0, layout: LAYOUT };
        settings.set(0, PodValue(first), 0).map_err(map_error("settings"))?;
        self.begin_watchdogs(keys)
    }

    fn begin_watchdogs(&mut self, keys: &[InstanceKey]) -> Result<(), EbpfError> {
        let mut watchdogs: Array<&mut MapData, PodValue<Watchdog>> = open(&mut self.ebpf, "watchdogs")?;
        for (slot, key) in keys.iter().enumerate() {
            watchdogs.set(slot_u32(slot), PodValue(Watchdog::of(*key)), 0).map_err(map_error("watchdogs"))?;
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
            let elsewhere = match (pins::interface_of(name), &self.attach_point) {
                (Some(interface), _) => links.iter().all(|link| pin_name(&link.name) != interface),
                (None, AttachPoint::Array(entry)) => {
                    name.starts_with(ARRAY) && name != format!("{ARRAY}{}", entry.index)
                }
                (None, AttachPoint::Auto | AttachPoint::Only(_)) => name.starts_with(ARRAY),
            };
            if elsewhere {
                pins::leave_array(&path);
                pins::remove_filters(&path);
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
        match attach::attach(
            &mut self.ebpf,
            &self.pins.path,
            link,
            &self.attach_point,
            &avoided,
            self.frag_support,
        ) {
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
    pub fn attach_point(&self) -> &AttachPoint {
        &self.attach_point
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
        let frags = match self.frag_support {
            FragSupport::SingleBuffer => "",
            FragSupport::MultiBuffer => " with frags",
        };
        let place = |Attachment { name, mode, purpose, .. }: &Attachment| match (mode, &self.attach_point) {
            _ if *purpose == Purpose::Guard => format!("{name}: {}, guards", mode.name()),
            (Mode::Native | Mode::Generic, _) => format!("{name}: {}{frags}", mode.name()),
            (Mode::Array, AttachPoint::Array(entry)) => {
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

/// Removes a pinned map of counters that has another number of counters than this build. An upgrade goes on with all other maps of
/// the earlier run, and counts from zero: a version that counts more must not cost a mastership.
fn drop_counters_of_another_build(pins: &Path) {
    let path = pins.join("counters");
    let Ok(counters) = MapData::from_pin(&path) else { return };
    let size = counters.info().map(|info| info.value_size() as usize);
    if size.is_ok_and(|size| size != size_of::<Counters>()) && fs::remove_file(&path).is_ok() {
        tracing::info!("the counters begin at zero: the earlier run had another number of them");
    }
}
