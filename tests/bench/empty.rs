//! An XDP program of two instructions, `return XDP_PASS`: what any program costs.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::libc;
use vrrp_tests::bpf;

const PROG_TEST_RUN: libc::c_long = 10;

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
        Ok(Self(bpf::load_xdp(&bpf::PASS).context("load an empty program; needs root")?))
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
        // SAFETY: the frame lives through the call, and nothing is to be written elsewhere.
        unsafe { bpf::call(PROG_TEST_RUN, &mut attributes) }.context("run an empty program")?;
        Ok(Duration::from_nanos(attributes.duration.into()))
    }
}
