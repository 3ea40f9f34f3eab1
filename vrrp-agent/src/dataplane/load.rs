//! Loading the program and attaching it: the ways of the kernel with both.

use std::io;

use aya::Ebpf;
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, ProgramInfo, TestRun as _, TestRunOptions, Xdp};
use nix::fcntl::OFlag;

use super::ebpf::EbpfError;
use super::{VipEntry, VmacEntry};
use crate::net::links::Link;
use vrrp_ebpf::abi::InstanceKey;

/// What the kernel half is made for.
#[derive(Clone, Debug)]
pub struct Blueprint<'b> {
    /// Interfaces to attach to.
    pub links: &'b [Link],
    /// The instances, by slot.
    pub keys: &'b [InstanceKey],
    /// Their addresses.
    pub vips: Vec<VipEntry>,
    /// Their hardware addresses, of those that have one.
    pub vmacs: Vec<VmacEntry>,
    /// How to attach; without it each interface gets what works.
    pub mode: Option<Mode>,
    /// Whether to go on with the maps of an earlier run, which [`super::Legacy`] has found fit for it.
    pub adopt: bool,
}

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the stack, before anything else there.
    Generic,
}

impl Mode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// Makes the kernel's timers. The kernel takes the memory for each without waiting for any, so it may have to be asked again;
/// where that does not help, the agent watches the master itself.
pub(super) fn prepare_timers(ebpf: &mut Ebpf, slots: u32) -> Result<(), EbpfError> {
    const TRIES: u32 = 200;
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(1);
    /// `XDP_PASS`.
    const MADE: u32 = 2;
    let program = ebpf.program_mut("prepare").ok_or(EbpfError::Missing("program `prepare`"))?;
    let program: &mut Xdp = program.try_into().map_err(EbpfError::Program)?;
    program.load().map_err(EbpfError::Program)?;
    let mut missing = 0;
    for slot in 0..slots {
        let mut frame = [0; 64];
        frame[..4].copy_from_slice(&slot.to_le_bytes());
        let mut made = false;
        for attempt in 0..TRIES {
            let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
            if program.test_run(options).map_err(EbpfError::Program)?.return_value == MADE {
                made = true;
                break;
            }
            // The kernel looks for room where there is some already. A pipe is an object of the timer's size (on 6.18 at least: 168
            // and 192 bytes are one class) that is made in the usual way, which brings a page with room for twenty more.
            drop(nix::unistd::pipe2(OFlag::O_CLOEXEC));
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
        }
        missing += u32::from(!made);
    }
    if missing > 0 {
        tracing::warn!(
            "the kernel has no memory for {missing} of {slots} timers; the agent watches those masters itself"
        );
    }
    Ok(())
}

/// A veth hands what XDP_TX sends to its peer only if the peer listens in a special way (GRO or a program of its own), which
/// cannot be seen from here: there the program runs in the stack, where XDP_TX always arrives.
pub(super) fn attach_one(
    program: &mut Xdp,
    link: &Link,
    mode: Option<Mode>,
) -> Result<(XdpLink, Mode), EbpfError> {
    let modes = match mode {
        Some(Mode::Native) => &[Mode::Native][..],
        Some(Mode::Generic) => &[Mode::Generic],
        None if link.is_veth => &[Mode::Generic],
        None => &[Mode::Native, Mode::Generic],
    };
    let mut refusals = Vec::new();
    for &mode in modes {
        let xdp_mode = match mode {
            Mode::Native => XdpMode::Driver,
            Mode::Generic => XdpMode::Skb,
        };
        match program.attach_to_if_index(link.index, xdp_mode).and_then(|id| program.take_link(id)) {
            Ok(xdp) => return Ok((xdp, mode)),
            Err(error) => refusals.push(format!("{} mode: {}", mode.name(), refusal(&error, link))),
        }
    }
    Err(EbpfError::Attach { interface: link.name.clone(), why: refusals.join("; ") })
}

/// The name that a program has, and when it was loaded: what helps to find out who loaded it.
fn whose(id: u32) -> String {
    let is_it = |program: &ProgramInfo| program.id() == id;
    let program = aya::programs::loaded_programs().filter_map(Result::ok).find(is_it);
    match program.as_ref().and_then(ProgramInfo::name_as_str) {
        Some(name) => format!(" (`{name}`, number {id} of `bpftool prog`)"),
        None => format!(" (number {id} of `bpftool prog`)"),
    }
}

fn refusal(error: &ProgramError, link: &Link) -> String {
    match error {
        ProgramError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::ResourceBusy => {
            let whose = link.xdp.map(|xdp| whose(xdp.program)).unwrap_or_default();
            format!(
                "another XDP program is there already{whose}; to have both, put it behind ours, in the map `next`"
            )
        }
        ProgramError::SyscallError(error) => error.io_error.to_string(),
        other => other.to_string(),
    }
}

/// The end of the verifier's log says what is wrong; all of it is thousands of lines.
pub(super) fn brief(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let lines: Vec<&str> = log.lines().collect();
            format!("{io_error}; the verifier said: {}", lines[lines.len().saturating_sub(6)..].join(" / "))
        }
        other => other.to_string(),
    }
}

pub(super) fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, EbpfError> {
    let program = ebpf.program_mut("vrrp").ok_or(EbpfError::Missing("program `vrrp`"))?;
    program.try_into().map_err(EbpfError::Program)
}
