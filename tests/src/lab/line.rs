//! Bad lines: a port of the switch that loses, doubles and delays frames. The kernels that tests run on need not have netem, so
//! a few BPF instructions lose and double, and a token bucket with a low rate delays.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{BPFFS, Host, Lab, run};
use crate::bpf;

/// The effects of a bad line: losses and doublings in percent of the frames, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Frames that are lost.
    pub lost: u32,
    /// Of the others, frames that come twice.
    pub doubled: u32,
    /// The rate, in kbit/s, of what the port sends to its host, with up to 300 ms in the queue.
    pub drip: Option<u32>,
}

impl Lab {
    /// Makes the line at a port of the switch bad.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn spoil(&self, port: &str, line: BadLine) -> Result<()> {
        self.tc(&["qdisc", "replace", "dev", port, "clsact"])?;
        for (direction, again) in [("ingress", bpf::Again::Received), ("egress", bpf::Again::Sent)] {
            let pin = Path::new(BPFFS).join(format!("line-{}-{port}-{direction}", self.switch));
            let program = bpf::load_classifier(&bpf::lose_and_double(line.lost, line.doubled, again))?;
            bpf::pin(&program, &pin)?;
            let pinned = pin.to_str().context("a path that is text")?;
            let filter = [
                "filter",
                "replace",
                "dev",
                port,
                direction,
                "prio",
                "1",
                "handle",
                "1",
                "bpf",
                "direct-action",
            ];
            let attached = self.tc(&[&filter[..], &["object-pinned", pinned]].concat());
            // The filter keeps the program loaded.
            std::fs::remove_file(&pin)?;
            attached?;
        }
        if let Some(drip) = line.drip {
            let rate = format!("{drip}kbit");
            self.tc(&[
                "qdisc", "replace", "dev", port, "root", "tbf", "rate", &rate, "burst", "1600", "latency",
                "300ms",
            ])?;
        }
        Ok(())
    }

    /// Makes a line good again. A line that is good already stays so.
    ///
    /// # Errors
    /// If `tc` is not there.
    pub fn repair(&self, port: &str) -> Result<()> {
        for qdisc in [&["clsact"][..], &["root"]] {
            let _none = self.tc(&[&["qdisc", "del", "dev", port], qdisc].concat());
        }
        Ok(())
    }

    fn tc(&self, arguments: &[&str]) -> Result<()> {
        run(std::process::Command::new("tc").args(["-n", &self.switch]).args(arguments)).map(drop)
    }
}

impl Host {
    /// The port of its second interface on the switch.
    #[must_use]
    pub fn second_port(&self) -> String {
        format!("{}b", self.port())
    }
}
