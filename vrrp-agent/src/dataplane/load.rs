//! The compiled object, the description of a kernel half to load, and the preparation of its timers.

use aya::Ebpf;
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use nix::fcntl::OFlag;

use super::error::EbpfError;
use super::{AttachPoint, VipEntry, VmacEntry};
use crate::net::links::Link;
use vrrp_ebpf::abi::InstanceKey;

/// The compiled eBPF half, for programs that run it without an interface: kernel tests and benchmarks.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/vrrp"));

/// The description of a kernel half.
#[derive(Clone, Debug)]
pub struct LoadOptions<'b> {
    /// The interfaces to attach to.
    pub links: &'b [Link],
    /// The instances, by slot.
    pub keys: &'b [InstanceKey],
    /// The virtual addresses of the instances.
    pub vips: Vec<VipEntry>,
    /// The virtual hardware addresses of those instances that have one.
    pub vmacs: Vec<VmacEntry>,
    /// The place for the program.
    pub attach_point: AttachPoint,
    /// The policy for an interface on which the program cannot be attached.
    pub on_refusal: OnRefusal,
    /// The maps to use.
    pub maps: MapSource,
}

/// The policy for an interface on which the program cannot be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    /// Its adverts go through sockets; the other interfaces keep their programs.
    Sockets,
    /// Loading fails, since the operator has asked for the kernel half (`--dataplane ebpf`).
    Fail,
}

/// The maps of a kernel half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapSource {
    /// New maps; all that is pinned is removed.
    Fresh,
    /// The maps of an earlier run, which [`super::PinnedState`] has found usable.
    Pinned,
    /// New maps beside those that are in use, until [`super::KernelHalf::publish`] puts them in their place. The operator's
    /// settings and the counts go on.
    Staged,
}

/// Makes the kernel's timers. The kernel takes the memory for each timer without waiting for it, so it may have to be asked
/// again; for a timer that still cannot be made, the agent watches the master itself.
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
            // The kernel looks for room only where it has some already. A pipe is an object of the timer's size (on 6.18 at
            // least: 168 and 192 bytes are one class) that is allocated in the usual way, which brings a page with room for
            // twenty more.
            drop(nix::unistd::pipe2(OFlag::O_CLOEXEC));
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
        }
        missing += u32::from(!made);
    }
    if missing > 0 {
        tracing::warn!(
            "the kernel has no memory for {missing} of {slots} timers; the agent itself watches the masters of these slots"
        );
    }
    Ok(())
}
