//! An XDP program of two instructions, `return XDP_PASS`: what any program costs. Loaded by hand, since it comes from no
//! object file.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::libc;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_TYPE_XDP: u32 = 6;
/// `r0 = XDP_PASS; exit`.
const INSTRUCTIONS: [u64; 2] = [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095];

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_TEST_RUN`.
#[repr(C)]
struct TestRun {
    program: u32,
    result: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// The program, loaded.
pub(crate) struct Empty(OwnedFd);

impl Empty {
    pub(crate) fn load() -> Result<Self> {
        let attributes = Load {
            kind: BPF_PROG_TYPE_XDP,
            instructions: INSTRUCTIONS.len() as u32,
            code: INSTRUCTIONS.as_ptr() as u64,
            licence: c"GPL".as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
        };
        let fd = bpf(BPF_PROG_LOAD, &attributes).context("load an empty program; needs root")?;
        // SAFETY: the kernel has just given it to us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// How long a run takes on average.
    pub(crate) fn time(&self, frame: &[u8], repeat: u32) -> Result<Duration> {
        let mut attributes = TestRun {
            program: self.0.as_raw_fd().cast_unsigned(),
            result: 0,
            size_in: u32::try_from(frame.len())?,
            size_out: 0,
            data_in: frame.as_ptr() as u64,
            data_out: 0,
            repeat,
            duration: 0,
        };
        bpf_mut(BPF_PROG_TEST_RUN, &mut attributes).context("run an empty program")?;
        Ok(Duration::from_nanos(attributes.duration.into()))
    }
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads as many bytes as said, and what they point to lives through the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>() as libc::c_uint)
    };
    i32::try_from(result).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)
}

fn bpf_mut<T>(command: libc::c_long, attributes: &mut T) -> io::Result<()> {
    // SAFETY: as above, and it writes no more.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>() as libc::c_uint)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
