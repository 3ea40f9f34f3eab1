//! The unit file: systemd finds nothing wrong with it, and it is closed as tightly as `config/README.md` says.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use vrrp_tests::lab::run;

const UNIT: &str = "vrrp-agent.service";
const DROP_IN: &str = "vrrp-agent-scripts.conf";

/// The unit in a directory of its own, as a package installs it; it is removed with this.
struct Installed {
    directory: PathBuf,
}

impl Installed {
    fn new(name: &str, drop_in: bool) -> Result<Self> {
        let config = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config"));
        let directory = std::env::temp_dir().join(format!("vrrp-unit-{}-{name}", std::process::id()));
        let drop_ins = directory.join(format!("{UNIT}.d"));
        std::fs::create_dir_all(&drop_ins)?;
        // `verify` looks whether the program is there; the agent is not installed where it is built.
        let text = std::fs::read_to_string(config.join(UNIT))?.replace("/usr/sbin/vrrp-agent", "/bin/true");
        std::fs::write(directory.join(UNIT), text)?;
        if drop_in {
            std::fs::copy(config.join(DROP_IN), drop_ins.join(DROP_IN))?;
        }
        Ok(Self { directory })
    }

    fn analyze(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("systemd-analyze");
        command.arg("--no-pager").args(arguments).arg(self.directory.join(UNIT));
        command
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn systemd_finds_nothing_wrong() -> Result<()> {
    for drop_in in [false, true] {
        let installed = Installed::new(&format!("verify-{drop_in}"), drop_in)?;
        let output = installed.analyze(&["verify", "--man=no", "--recursive-errors=no"]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        // systemd only warns of an option that it does not know. Complaints about other units of this host do not count.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("vrrp-agent")).collect();
        assert!(output.status.success() && ours.is_empty(), "with the drop-in: {drop_in}\n{said}");
    }
    Ok(())
}

/// The exposure in tenths: at most 2.5 for the unit alone, and at most 4.8 with the drop-in for scripts.
#[test]
fn it_is_closed_tightly() -> Result<()> {
    for (drop_in, most) in [(false, 25), (true, 48)] {
        let installed = Installed::new(&format!("security-{drop_in}"), drop_in)?;
        let threshold = format!("--threshold={most}");
        let table = run(&mut installed.analyze(&["security", "--offline=yes", &threshold]))?;
        println!("with the drop-in: {drop_in}: {}", table.lines().last().unwrap_or_default());
    }
    Ok(())
}

/// The unit must not close anything that the agent needs: without these it would run on sockets, or not at all.
#[test]
fn what_the_agent_needs_is_open() -> Result<()> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/vrrp-agent.service"))?;
    let values = |key: &str| -> Vec<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.flat_map(str::split_whitespace).collect()
    };
    for (key, needed) in [
        ("CapabilityBoundingSet", &["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"][..]),
        ("RestrictAddressFamilies", &["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"]),
        ("SystemCallFilter", &["@system-service", "bpf"]),
        // The paths that stay writable under ProtectKernelTunables: those of arp_announce and of the pins.
        ("ReadWritePaths", &["/proc/sys/net", "-/sys/fs/bpf/vrrp-agent"]),
        ("RuntimeDirectory", &["vrrp-agent"]),
    ] {
        let found = values(key);
        assert!(needed.iter().all(|value| found.contains(value)), "{key}={found:?}, needed: {needed:?}");
    }
    // `ProcSubset` would hide /proc/sys.
    assert!(values("ProcSubset").is_empty());
    Ok(())
}
