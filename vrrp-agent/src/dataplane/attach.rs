//! Attaching the programs to interfaces: the program for frames that arrive, where [`super::placement`] says, and the program
//! for frames that leave, in tc.
//!
//! An attachment is held by its descriptor and by its pin. The pin keeps it when the agent is killed, the descriptor when
//! another program removes the pin.

use std::io;
use std::path::Path;

use aya::Ebpf;
use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::links::{FdLink, LinkOrder, LinkType, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, qdisc_add_clsact};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, ProgramInfo, SchedClassifier, TcAttachType, Xdp};

use super::error::{EbpfError, brief, chain, pin_error};
use super::pins::{
    ARRAY, FILTER_HANDLE, FILTER_PRIORITY, FILTERS, LINK, OUT, earlier_filter, pin_of, remove_filters, unpin,
};
use super::placement::{ArrayEntry, AttachPoint, Mode, cost, modes, objection};
use crate::net::links::{Link, Purpose};

/// The two programs for XDP. They cannot call each other, nor stand in one program array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FragSupport {
    /// A frame is one buffer.
    SingleBuffer,
    /// A jumbo frame may be several.
    MultiBuffer,
}

impl FragSupport {
    /// Returns the kind that the interfaces need.
    pub(super) fn of(links: &[Link]) -> Self {
        const ORDINARY: u32 = 1500;
        if links.iter().any(|link| link.mtu > ORDINARY) { Self::MultiBuffer } else { Self::SingleBuffer }
    }

    fn other(self) -> Self {
        match self {
            Self::SingleBuffer => Self::MultiBuffer,
            Self::MultiBuffer => Self::SingleBuffer,
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::SingleBuffer => "vrrp",
            Self::MultiBuffer => "vrrp_frags",
        }
    }
}

/// The programs on an interface. They stay for as long as this lives or they are pinned.
#[derive(Debug)]
pub(super) struct Attachment {
    /// The interface's name.
    pub(super) name: String,
    /// Its number.
    pub(super) ifindex: u32,
    /// The reason for which it has the program.
    pub(super) purpose: Purpose,
    /// The place of the program that sees what arrives.
    pub(super) mode: Mode,
    /// `None` in an operator's array, which holds the program itself.
    arriving: Option<Holder>,
    /// `None` if the kernel has refused the program.
    leaving: Option<Holder>,
}

/// The holder of an attachment in the kernel.
#[derive(Debug)]
enum Holder {
    /// A link, which is pinned.
    Link(FdLink),
    /// A filter of tc, which nothing holds and which stays until it is removed. A pin of its program says that it is there.
    Filter,
}

impl Attachment {
    /// True if the kernel still has the programs on this interface, whatever has become of the pins.
    pub(super) fn is_in_force(&self, link: &Link) -> bool {
        let Some(Holder::Link(fd_link)) = &self.arriving else { return self.ifindex == link.index };
        let Ok(info) = fd_link.info() else { return false };
        let there = match self.mode {
            Mode::Native | Mode::Generic => link.xdp.is_some_and(|xdp| xdp.program == info.program_id()),
            Mode::Tcx => SchedClassifier::query_tcx(&link.name, TcAttachType::Ingress)
                .is_ok_and(|(_, programs)| programs.iter().any(|program| program.id() == info.program_id())),
            Mode::Clsact | Mode::Array => true,
        };
        there && self.ifindex == link.index
    }

    /// True if the program is in a place where it would be put today.
    pub(super) fn is_right(&self, link: &Link, attach_point: &AttachPoint) -> bool {
        modes(link, attach_point).contains(&self.mode) && objection(link, self.mode).is_none()
    }

    /// Pins those attachments again whose pins another program has removed.
    pub(super) fn keep_pinned(&mut self, pins: &Path) -> Result<(), EbpfError> {
        for (prefix, holder) in [(LINK, &mut self.arriving), (OUT, &mut self.leaving)] {
            let path = pin_of(pins, prefix, &self.name);
            if path.exists() {
                continue;
            }
            *holder = match holder.take() {
                Some(Holder::Link(link)) => Some(pin(link, &path)?),
                other => other,
            };
        }
        Ok(())
    }
}

/// Attaches to an interface. If the program is attached there already, the new one takes its place without a gap.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    pins: &Path,
    link: &Link,
    attach_point: &AttachPoint,
    avoided: &[Mode],
    frag_support: FragSupport,
) -> Result<Attachment, EbpfError> {
    let mut refusals = Vec::new();
    for mode in modes(link, attach_point) {
        if avoided.contains(&mode) {
            refusals.push(format!("{}: the program does not see the frames there", mode.name()));
            continue;
        }
        if let Some(why) = objection(link, mode) {
            refusals.push(why);
            continue;
        }
        let arriving = match (mode, attach_point) {
            (Mode::Array, AttachPoint::Array(entry)) => {
                unpin(&pin_of(pins, LINK, &link.name))?;
                enter_array(ebpf, pins, entry, frag_support).map(|()| Ok(None))?
            }
            (Mode::Native | Mode::Generic, _) => attach_xdp(ebpf, pins, link, mode, frag_support)?,
            (Mode::Tcx, _) => attach_tcx(ebpf, pins, link, Direction::Arriving)?,
            (Mode::Clsact, _) => attach_filter(ebpf, pins, link, Direction::Arriving)?,
            (Mode::Array, _) => continue,
        };
        match arriving {
            Ok(arriving) => {
                if let Some(cost) = cost(link, mode) {
                    tracing::info!("{cost}");
                }
                let leaving = attach_leaving(ebpf, pins, link)?;
                if !matches!((&arriving, &leaving), (Some(Holder::Filter), _) | (_, Some(Holder::Filter))) {
                    // An earlier run may have had filters, which are not needed any more.
                    let filters = pin_of(pins, FILTERS, &link.name);
                    remove_filters(&filters);
                    unpin(&filters)?;
                }
                return Ok(Attachment {
                    name: link.name.clone(),
                    ifindex: link.index,
                    purpose: link.purpose,
                    mode,
                    arriving,
                    leaving,
                });
            }
            Err(error) => refusals.push(format!("{}: {}", mode.name(), refusal(&error, mode, link))),
        }
    }
    Err(EbpfError::Attach { interface: link.name.clone(), why: refusals.join("; ") })
}

/// The side of an interface on which a program of tc sees frames.
#[derive(Clone, Copy)]
enum Direction {
    Arriving,
    Leaving,
}

impl Direction {
    fn program(self) -> &'static str {
        match self {
            Self::Arriving => "vrrp_tc",
            Self::Leaving => "vrrp_out",
        }
    }

    fn pin(self) -> &'static str {
        match self {
            Self::Arriving => LINK,
            Self::Leaving => OUT,
        }
    }

    fn attach_type(self) -> TcAttachType {
        match self {
            Self::Arriving => TcAttachType::Ingress,
            Self::Leaving => TcAttachType::Egress,
        }
    }
}

/// After the inner error the interface may be tried in another place; the outer error is the agent's own and ends the attempt.
type Attached = Result<Result<Option<Holder>, ProgramError>, EbpfError>;

/// Attaches the program that lets nothing of a virtual address leave without a lease. If the kernel refuses it, frames that
/// arrive are still fenced, and a warning is logged.
fn attach_leaving(ebpf: &mut Ebpf, pins: &Path, link: &Link) -> Result<Option<Holder>, EbpfError> {
    let by_link = attach_tcx(ebpf, pins, link, Direction::Leaving)?;
    let attached = match by_link {
        Ok(holder) => Ok(holder),
        Err(_before_linux_6_6) => attach_filter(ebpf, pins, link, Direction::Leaving)?,
    };
    match attached {
        Ok(holder) => Ok(holder),
        Err(error) => {
            tracing::warn!(
                "{}: the program for outgoing frames cannot be attached, so if the agent stalls, this host may still claim its virtual addresses by frames that it sends: {}",
                link.name,
                brief(&error)
            );
            Ok(None)
        }
    }
}

fn attach_xdp(ebpf: &mut Ebpf, pins: &Path, link: &Link, mode: Mode, frag_support: FragSupport) -> Attached {
    let path = pin_of(pins, LINK, &link.name);
    let earlier = PinnedLink::from_pin(&path).map(FdLink::from).ok();
    // If the earlier link is of an interface that is gone, its program's number is another, or none.
    let is_ours = |earlier: &FdLink| {
        let info = earlier.info().ok();
        let program = info.filter(|info| matches!(info.link_type(), Ok(LinkType::Xdp)));
        let there = link.xdp.filter(|there| there.native == (mode == Mode::Native));
        program.zip(there).is_some_and(|(info, there)| info.program_id() == there.program)
    };
    let program = xdp(ebpf, frag_support)?;
    if let Some(earlier) = earlier.filter(is_ours).and_then(|earlier| XdpLink::try_from(earlier).ok())
        && let Ok(id) = program.attach_to_link(earlier)
    {
        let replaced = program.take_link(id).map_err(EbpfError::Program)?;
        let replaced = FdLink::try_from(replaced).map_err(|error| pin_error(&path, &error))?;
        return Ok(Ok(Some(Holder::Link(replaced))));
    }
    let flags = if mode == Mode::Native { XdpMode::Driver } else { XdpMode::Skb };
    let attach = |program: &mut Xdp| {
        program.attach_to_if_index(link.index, flags).and_then(|id| program.take_link(id))
    };
    let mut attached = attach(program);
    if attached.is_err() && path.exists() {
        // An attachment of an earlier run, in another mode, stands in the way.
        unpin(&path)?;
        attached = attach(program);
    }
    match attached {
        Ok(attached) => {
            let fd_link = FdLink::try_from(attached).map_err(|error| pin_error(&path, &error))?;
            unpin(&path)?;
            Ok(Ok(Some(pin(fd_link, &path)?)))
        }
        Err(error) => Ok(Err(error)),
    }
}

fn attach_tcx(ebpf: &mut Ebpf, pins: &Path, link: &Link, direction: Direction) -> Attached {
    let path = pin_of(pins, direction.pin(), &link.name);
    let program = classifier(ebpf, direction.program())?;
    let earlier = PinnedLink::from_pin(&path).map(FdLink::from).ok();
    // The kernel would also let a program take the place of one on an interface that has gone.
    let is_here = |earlier: &FdLink| {
        let programs = SchedClassifier::query_tcx(&link.name, direction.attach_type());
        let info = earlier.info().ok();
        info.zip(programs.ok()).is_some_and(|(info, (_, programs))| {
            programs.iter().any(|program| program.id() == info.program_id())
        })
    };
    if let Some(earlier) =
        earlier.filter(is_here).and_then(|earlier| SchedClassifierLink::try_from(earlier).ok())
        && let Ok(id) = program.attach_to_link(earlier)
    {
        let replaced = program.take_link(id).map_err(EbpfError::Program)?;
        let replaced = FdLink::try_from(replaced).map_err(|error| pin_error(&path, &error))?;
        return Ok(Ok(Some(Holder::Link(replaced))));
    }
    // Before other programs, which get the frames that ours leaves.
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let attached = program
        .attach_with_options(&link.name, direction.attach_type(), options)
        .and_then(|id| program.take_link(id));
    match attached {
        Ok(attached) => {
            let fd_link = FdLink::try_from(attached).map_err(|error| pin_error(&path, &error))?;
            // The earlier link is let go when the new one is in its place: no frame passes between them.
            unpin(&path)?;
            Ok(Ok(Some(pin(fd_link, &path)?)))
        }
        Err(error) => Ok(Err(error)),
    }
}

/// Attaches a filter, on kernels without tcx. A filter cannot be pinned; it stays on the interface until it is removed, and is
/// replaced in its place.
fn attach_filter(ebpf: &mut Ebpf, pins: &Path, link: &Link, direction: Direction) -> Attached {
    let path = pin_of(pins, FILTERS, &link.name);
    let program = classifier(ebpf, direction.program())?;
    // The queueing discipline may be there already.
    let _already = qdisc_add_clsact(&link.name);
    let replaced = match earlier_filter(&link.name, direction.attach_type()) {
        Ok(earlier) => program.attach_to_link(earlier),
        Err(error) => return Ok(Err(aya::programs::tc::TcError::from(error).into())),
    };
    let options = NlOptions { priority: FILTER_PRIORITY, handle: FILTER_HANDLE, classid: None };
    let attached = replaced.or_else(|_none| {
        program.attach_with_options(&link.name, direction.attach_type(), TcAttachOptions::Netlink(options))
    });
    match attached.and_then(|id| program.take_link(id)) {
        Ok(filter) => {
            // If it were dropped, it would remove the filter.
            std::mem::forget(filter);
            unpin(&path)?;
            program.pin(&path).map_err(|error| pin_error(&path, &error))?;
            Ok(Ok(Some(Holder::Filter)))
        }
        Err(error) => Ok(Err(error)),
    }
}

/// Pins a link, and keeps its descriptor.
fn pin(link: FdLink, path: &Path) -> Result<Holder, EbpfError> {
    let pinned = link.pin(path).map_err(|error| pin_error(path, &error))?;
    Ok(Holder::Link(pinned.into()))
}

/// Puts the program into an operator's array. The array is pinned beside our maps too, so that a program that cleans up knows
/// of the entry.
fn enter_array(
    ebpf: &mut Ebpf,
    pins: &Path,
    entry: &ArrayEntry,
    frag_support: FragSupport,
) -> Result<(), EbpfError> {
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
    let mut enter = |frag_support| -> Result<(), EbpfError> {
        let program = xdp(ebpf, frag_support)?;
        let fd = program.fd().map_err(EbpfError::Program)?;
        array.set(entry.index, fd, 0).map_err(|error| refused(&error))
    };
    // The array takes programs of one kind or of the other.
    enter(frag_support).or_else(|error| enter(frag_support.other()).map_err(|_| error))
}

/// Loads the programs that the interfaces will need, so that attaching takes no time.
pub(super) fn load(
    ebpf: &mut Ebpf,
    links: &[Link],
    attach_point: &AttachPoint,
    frag_support: FragSupport,
) -> Result<(), EbpfError> {
    let first = |link: &Link| modes(link, attach_point).first().copied();
    if links.iter().filter_map(first).any(Mode::is_tc) {
        classifier(ebpf, Direction::Arriving.program())?;
    }
    if links.iter().filter_map(first).any(|mode| !mode.is_tc()) {
        xdp(ebpf, frag_support)?;
    }
    classifier(ebpf, Direction::Leaving.program()).map(drop)
}

/// Returns one of the programs for XDP, loaded.
fn xdp(ebpf: &mut Ebpf, frag_support: FragSupport) -> Result<&mut Xdp, EbpfError> {
    let program = ebpf.program_mut(frag_support.program()).ok_or(EbpfError::Missing("program for XDP"))?;
    let program: &mut Xdp = program.try_into().map_err(EbpfError::Program)?;
    if program.fd().is_err() {
        program.load().map_err(EbpfError::Program)?;
    }
    Ok(program)
}

/// Returns one of the programs for tc, loaded.
fn classifier<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut SchedClassifier, EbpfError> {
    let program = ebpf.program_mut(name).ok_or(EbpfError::Missing("program for tc"))?;
    let program: &mut SchedClassifier = program.try_into().map_err(EbpfError::Program)?;
    if program.fd().is_err() {
        program.load().map_err(EbpfError::Program)?;
    }
    Ok(program)
}

/// Pins the programs that are loaded, for people to find.
pub(super) fn pin_programs(ebpf: &mut Ebpf, pins: &Path) -> Result<(), EbpfError> {
    for (name, pin) in
        [("vrrp", "prog"), ("vrrp_frags", "prog"), ("vrrp_tc", "prog_tc"), ("vrrp_out", "prog_out")]
    {
        let path = pins.join(pin);
        let program = ebpf.program_mut(name).filter(|program| program.fd().is_ok());
        if let Some(program) = program {
            unpin(&path)?;
            program.pin(&path).map_err(|e| pin_error(&path, &e))?;
        }
    }
    Ok(())
}

/// Describes a program by its name and number, which helps to find out what loaded it.
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
            "this kernel does not have tcx, which needs Linux 6.6".to_owned()
        }
        ProgramError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::ResourceBusy => {
            let whose = link.xdp.map(|xdp| whose(xdp.program)).unwrap_or_default();
            format!(
                "another XDP program is there already{whose}; to run both, put it into the map `next`, which runs it after \
                 ours, or run ours after it with --xdp-mode tcx or --xdp-array"
            )
        }
        ProgramError::SyscallError(error) => error.io_error.to_string(),
        other => brief(other),
    }
}
