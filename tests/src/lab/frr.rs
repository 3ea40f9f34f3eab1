//! FRR's vrrpd on a host. It advertises from a macvlan device that carries the virtual MAC and the virtual addresses.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Host, Lab, Process, ip};

const DAEMONS: &str = "/usr/lib/frr";

/// The configuration of FRR.
#[derive(Clone, Copy, Debug)]
pub struct FrrConfig {
    /// Virtual router.
    pub vrid: u8,
    /// Version.
    pub version: u8,
    /// Priority.
    pub priority: u8,
    /// The virtual address; its family is the router's.
    pub vip: &'static str,
}

/// A running zebra and vrrpd.
#[derive(Debug)]
pub struct Frr {
    // The daemons end in this order.
    vrrpd: Process,
    _zebra: Process,
}

impl Frr {
    /// Makes the macvlan device and starts the daemons.
    ///
    /// # Errors
    /// If the system or FRR refuses.
    pub fn start(lab: &Lab, host: &Host, config: &FrrConfig) -> Result<Self> {
        let FrrConfig { vrid, version, priority, vip } = *config;
        let (ns, v6) = (host.namespace(), vip.contains(':'));
        // Removes the device of an earlier FRR on this host.
        let _none = ip(&["-n", ns, "link", "del", "vrrp0"]);
        ip(&["-n", ns, "link", "add", "vrrp0", "link", "eth0", "type", "macvlan", "mode", "bridge"])?;
        ip(&["-n", ns, "link", "set", "vrrp0", "addrgenmode", "none"])?;
        let family = if v6 { 2 } else { 1 };
        ip(&["-n", ns, "link", "set", "vrrp0", "address", &format!("00:00:5e:00:0{family}:{vrid:02x}")])?;
        if v6 {
            host.run("sysctl", &["-qw", "net.ipv6.conf.vrrp0.accept_dad=0"])?;
            ip(&["-n", ns, "address", "add", &format!("fe80::{priority}/64"), "dev", "vrrp0"])?;
        }
        let prefix = if v6 { 128 } else { 32 };
        ip(&["-n", ns, "address", "add", &format!("{vip}/{prefix}"), "dev", "vrrp0"])?;
        ip(&["-n", ns, "link", "set", "vrrp0", "up"])?;
        let keyword = if v6 { "ipv6" } else { "ip" };
        let text = format!(
            "interface eth0\n vrrp {vrid} version {version}\n vrrp {vrid} priority {priority}\n \
             vrrp {vrid} advertisement-interval 1000\n vrrp {vrid} {keyword} {vip}\n"
        );
        // FRR drops its privileges and must reach its files still.
        let directory = lab.directory().join(format!("frr-{}", host.name()));
        std::fs::create_dir_all(&directory)?;
        super::run(std::process::Command::new("chown").arg("frr:frr").arg(&directory))?;
        let file = directory.join("vrrpd.conf");
        std::fs::write(&file, text)?;
        let empty = directory.join("zebra.conf");
        std::fs::write(&empty, "")?;
        let daemon = |name: &str, file: &PathBuf| {
            let mut command = host.command(format!("{DAEMONS}/{name}"));
            command.arg("-f").arg(file).arg("-i").arg(directory.join(format!("{name}.pid")));
            command.arg("--vty_socket").arg(&directory).arg("-z").arg(directory.join("zserv.api"));
            command.args(["-u", "frr", "-g", "frr", "--log", "stdout"]);
            host.spawn(&mut command, name)
        };
        let zebra = daemon("zebra", &empty)?;
        if !super::eventually(Duration::from_secs(10), || directory.join("zserv.api").exists()) {
            bail!("zebra does not come up: {}", zebra.log());
        }
        let vrrpd = daemon("vrrpd", &file).context("start vrrpd")?;
        Ok(Self { vrrpd, _zebra: zebra })
    }

    /// Ends vrrpd by SIGKILL, without a resignation.
    ///
    /// # Errors
    /// If vrrpd cannot be ended.
    pub fn kill(self) -> Result<()> {
        self.vrrpd.kill()
    }

    /// Asks vrrpd to end.
    ///
    /// # Errors
    /// If vrrpd does not end.
    pub fn stop(self) -> Result<()> {
        self.vrrpd.stop().map(drop)
    }
}
