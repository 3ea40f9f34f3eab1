//! Where frames meet the program: in the driver, in the stack before anything else, in tc, or in a program array of somebody
//! else's program that calls it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::links::{FdLink, LinkOrder, LinkType, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, ProgramInfo, SchedClassifier, TcAttachType, Xdp};

use super::ebpf::EbpfError;
use super::load::brief;
use crate::net::links::Link;

/// What the pins of attachments begin with; the interface's name follows.
pub(super) const LINK: &str = "link-";
/// What the pin of a foreign program array begins with; the index of our entry follows.
pub(super) const ARRAY: &str = "array-";

/// Where the program is to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// On each interface where it works.
    Auto,
    /// Nowhere but there.
    Only(Mode),
    /// Into an array that another program calls from.
    Array(ArrayEntry),
}

/// An entry of an operator's own pinned program array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayEntry {
    /// Where the array is pinned.
    pub path: PathBuf,
    /// The entry.
    pub index: u32,
}

/// `PATH[:INDEX]`; without an index it is the first entry.
impl std::str::FromStr for ArrayEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, index) = match text.rsplit_once(':') {
            Some((path, index)) => (path, index.parse().map_err(|_| format!("`{index}` is no index"))?),
            None => (text, 0),
        };
        Ok(Self { path: path.into(), index })
    }
}

/// Where the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the stack, before anything else there.
    Generic,
    /// In tc, behind XDP: beside other programs, and seeing the tags of VLANs.
    Tcx,
    /// In another program's array.
    Array,
}

impl Mode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Array => "array",
        }
    }
}

/// The two programs for XDP. They cannot call each other, nor stand in one program array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buffers {
    /// A frame is one buffer.
    One,
    /// A jumbo frame may be several.
    Many,
}

impl Buffers {
    /// What the interfaces need.
    pub(super) fn of(links: &[Link]) -> Self {
        const ORDINARY: u32 = 1500;
        if links.iter().any(|link| link.mtu > ORDINARY) { Self::Many } else { Self::One }
    }

    fn other(self) -> Self {
        match self {
            Self::One => Self::Many,
            Self::Many => Self::One,
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::One => "vrrp",
            Self::Many => "vrrp_frags",
        }
    }
}

/// Attaches to an interface: where the program is already, in its place and without a gap.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    pins: &Path,
    link: &Link,
    hook: &Hook,
    buffers: Buffers,
) -> Result<Mode, EbpfError> {
    if let (true, Hook::Only(Mode::Native | Mode::Generic) | Hook::Array(_)) = (link.has_vlans, hook) {
        let why = "VLAN interfaces stand on it, and their frames reach XDP without their tag: it could not tell their \
                   virtual routers from its own; --xdp-mode tcx can";
        return Err(EbpfError::Attach { interface: link.name.clone(), why: why.to_owned() });
    }
    let path = pin_of(pins, link);
    // A veth hands what XDP sends back to its peer only if that listens in a special way (GRO or a program of its own), which
    // cannot be seen from here: there the program runs in the stack, from where it always arrives.
    let modes = match hook {
        Hook::Array(entry) => {
            unpin(&path)?;
            return enter_array(ebpf, pins, entry, buffers).map(|()| Mode::Array);
        }
        Hook::Only(mode) => std::slice::from_ref(mode),
        Hook::Auto if link.has_vlans => &[Mode::Tcx],
        Hook::Auto if link.is_veth => &[Mode::Generic],
        Hook::Auto => &[Mode::Native, Mode::Generic],
    };
    if let Some(mode) = replace(ebpf, pins, link, modes, buffers)? {
        return Ok(mode);
    }
    // Of an interface that had the name before, or attached otherwise than is wanted now.
    unpin(&path)?;
    let mut refusals = Vec::new();
    for &mode in modes {
        match attach_anew(ebpf, link, mode, buffers, pins)? {
            Ok(fd_link) => {
                fd_link.pin(&path).map_err(|e| pin_error(&path, &e))?;
                return Ok(mode);
            }
            Err(error) => refusals.push(format!("{}: {}", mode.name(), refusal(&error, mode, link))),
        }
    }
    Err(EbpfError::Attach { interface: link.name.clone(), why: refusals.join("; ") })
}

/// Puts the program in the place of an earlier run's, if that is attached to this very interface and as is wanted.
fn replace(
    ebpf: &mut Ebpf,
    pins: &Path,
    link: &Link,
    modes: &[Mode],
    buffers: Buffers,
) -> Result<Option<Mode>, EbpfError> {
    let Ok(pinned) = PinnedLink::from_pin(pin_of(pins, link)).map(FdLink::from) else { return Ok(None) };
    let Ok(info) = pinned.info() else { return Ok(None) };
    match info.link_type() {
        Ok(LinkType::Xdp) => {
            // Of an interface that is gone the number of its program would be another, or none.
            let Some(there) = link.xdp.filter(|there| there.program == info.program_id()) else {
                return Ok(None);
            };
            let mode = if there.native { Mode::Native } else { Mode::Generic };
            let Some(earlier) = XdpLink::try_from(pinned).ok().filter(|_| modes.contains(&mode)) else {
                return Ok(None);
            };
            let program = xdp(ebpf, buffers)?;
            let replaced = program.attach_to_link(earlier).and_then(|id| program.take_link(id));
            // It is pinned; what goes here is a descriptor.
            Ok(replaced.map(|_pinned| mode).ok())
        }
        Ok(LinkType::Tcx) if modes.contains(&Mode::Tcx) => {
            let Ok(earlier) = SchedClassifierLink::try_from(pinned) else { return Ok(None) };
            let program = classifier(ebpf)?;
            // The kernel refuses it for an interface that is gone.
            let replaced = program.attach_to_link(earlier).and_then(|id| program.take_link(id));
            Ok(replaced.map(|_pinned| Mode::Tcx).ok())
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The outer error is ours, the inner one the interface's, which may be tried otherwise.
fn attach_anew(
    ebpf: &mut Ebpf,
    link: &Link,
    mode: Mode,
    buffers: Buffers,
    pins: &Path,
) -> Result<Result<FdLink, ProgramError>, EbpfError> {
    let fd_link = match mode {
        Mode::Native | Mode::Generic => {
            let flags = if mode == Mode::Native { XdpMode::Driver } else { XdpMode::Skb };
            let program = xdp(ebpf, buffers)?;
            let attached = program.attach_to_if_index(link.index, flags).and_then(|id| program.take_link(id));
            attached.map(FdLink::try_from)
        }
        Mode::Tcx => {
            let program = classifier(ebpf)?;
            // Before others: they get what we leave.
            let options = TcAttachOptions::TcxOrder(LinkOrder::first());
            let attached = program
                .attach_with_options(&link.name, TcAttachType::Ingress, options)
                .and_then(|id| program.take_link(id));
            attached.map(FdLink::try_from)
        }
        Mode::Array => unreachable!("an array is no interface's"),
    };
    match fd_link {
        Ok(Ok(fd_link)) => Ok(Ok(fd_link)),
        Ok(Err(error)) => Err(pin_error(pins, &error)),
        Err(error) => Ok(Err(error)),
    }
}

/// Puts the program into an array of the operator's. The array is pinned beside our maps too, so that whoever cleans up knows
/// of the entry.
fn enter_array(ebpf: &mut Ebpf, pins: &Path, entry: &ArrayEntry, buffers: Buffers) -> Result<(), EbpfError> {
    let refused = |error: &dyn std::error::Error| EbpfError::Attach {
        interface: format!("the program array {}", entry.path.display()),
        why: chain(error),
    };
    let data = MapData::from_pin(&entry.path).map_err(|error| refused(&error))?;
    let pin = pins.join(format!("{ARRAY}{}", entry.index));
    unpin(&pin)?;
    data.pin(&pin).map_err(|error| pin_error(&pin, &error))?;
    let map = Map::from_map_data(data).map_err(|error| refused(&error))?;
    let mut array = ProgramArray::try_from(map).map_err(|error| refused(&error))?;
    let mut enter = |buffers| -> Result<(), EbpfError> {
        let program = xdp(ebpf, buffers)?;
        let fd = program.fd().map_err(EbpfError::Program)?;
        array.set(entry.index, fd, 0).map_err(|error| refused(&error))
    };
    // The array belongs to programs of the one kind or the other.
    enter(buffers).or_else(|error| enter(buffers.other()).map_err(|_| error))
}

/// Takes our program out of an array that is pinned at `path`, if it is the pin of one.
pub(super) fn leave_array(path: &Path) {
    let index = path.file_name().and_then(|name| name.to_str()?.strip_prefix(ARRAY)?.parse::<u32>().ok());
    let Some(index) = index else { return };
    let map = MapData::from_pin(path).and_then(Map::from_map_data);
    if let Ok(mut array) = map.and_then(ProgramArray::try_from) {
        // It may be empty already.
        let _empty = array.clear_index(&index);
    }
}

/// Loads the programs that the interfaces will need, so that attaching takes no time.
pub(super) fn load(ebpf: &mut Ebpf, links: &[Link], hook: &Hook, buffers: Buffers) -> Result<(), EbpfError> {
    let in_tc = |link: &Link| match hook {
        Hook::Auto => link.has_vlans,
        Hook::Only(mode) => *mode == Mode::Tcx,
        Hook::Array(_) => false,
    };
    if links.iter().any(in_tc) {
        classifier(ebpf)?;
    }
    if !links.iter().all(in_tc) {
        xdp(ebpf, buffers)?;
    }
    Ok(())
}

/// One of the programs for XDP, loaded.
fn xdp(ebpf: &mut Ebpf, buffers: Buffers) -> Result<&mut Xdp, EbpfError> {
    let program = ebpf.program_mut(buffers.program()).ok_or(EbpfError::Missing("program for XDP"))?;
    let program: &mut Xdp = program.try_into().map_err(EbpfError::Program)?;
    if program.fd().is_err() {
        program.load().map_err(EbpfError::Program)?;
    }
    Ok(program)
}

/// The program for tc, loaded.
fn classifier(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, EbpfError> {
    let program = ebpf.program_mut("vrrp_tc").ok_or(EbpfError::Missing("program for tc"))?;
    let program: &mut SchedClassifier = program.try_into().map_err(EbpfError::Program)?;
    if program.fd().is_err() {
        program.load().map_err(EbpfError::Program)?;
    }
    Ok(program)
}

/// Pins what is loaded, for people.
pub(super) fn pin_programs(ebpf: &mut Ebpf, pins: &Path) -> Result<(), EbpfError> {
    for (name, pin) in [("vrrp", "prog"), ("vrrp_frags", "prog"), ("vrrp_tc", "prog_tc")] {
        let path = pins.join(pin);
        let program = ebpf.program_mut(name).filter(|program| program.fd().is_ok());
        if let Some(program) = program {
            unpin(&path)?;
            program.pin(&path).map_err(|e| pin_error(&path, &e))?;
        }
    }
    Ok(())
}

/// Where the attachment to an interface is pinned.
fn pin_of(pins: &Path, link: &Link) -> PathBuf {
    pins.join(format!("{LINK}{}", link.name))
}

/// Nothing is there afterwards.
fn unpin(path: &Path) -> Result<(), EbpfError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(pin_error(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The name that a program has: what helps to find out who loaded it.
fn whose(id: u32) -> String {
    let is_it = |program: &ProgramInfo| program.id() == id;
    let program = aya::programs::loaded_programs().filter_map(Result::ok).find(is_it);
    match program.as_ref().and_then(ProgramInfo::name_as_str) {
        Some(name) => format!(" (`{name}`, number {id} of `bpftool prog`)"),
        None => format!(" (number {id} of `bpftool prog`)"),
    }
}

fn refusal(error: &ProgramError, mode: Mode, link: &Link) -> String {
    match error {
        ProgramError::SyscallError(error)
            if mode == Mode::Tcx && error.io_error.raw_os_error() == Some(nix::libc::EINVAL) =>
        {
            "this kernel has none; it came with Linux 6.6".to_owned()
        }
        ProgramError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::ResourceBusy => {
            let whose = link.xdp.map(|xdp| whose(xdp.program)).unwrap_or_default();
            format!(
                "another XDP program is there already{whose}; to have both, put it behind ours, in the map `next`, or ours \
                 behind it, with --xdp-mode tcx or --xdp-array"
            )
        }
        ProgramError::SyscallError(error) => error.io_error.to_string(),
        other => brief(other),
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

pub(super) fn pin_error(path: &Path, error: &dyn std::error::Error) -> EbpfError {
    EbpfError::Pin { path: path.display().to_string(), why: chain(error) }
}
