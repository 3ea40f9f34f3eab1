//! A network of hosts. Everything that a lab makes has its own name, and goes away with it.

mod capture;
mod devices;
mod frr;
mod hanging;
mod haproxy;
mod host;
mod line;
mod nginx;
mod process;
mod record;
mod tunnel;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

pub use capture::{Advert, Arp, Capture, Packet, now};
pub use frr::{Frr, FrrConfig};
pub use hanging::{HangingDirectory, NameService};
pub use haproxy::Haproxy;
pub use host::Host;
pub use line::BadLine;
pub use nginx::Nginx;
pub use process::Process;
pub use record::{Recorded, Recording};
pub use tunnel::{TUNNEL_NETWORK, tunnel};

/// The network of every lab, which no other network sees.
pub const NETWORK: &str = "192.168.1";

/// The network of a lab's second segment.
pub const SECOND_NETWORK: &str = "192.168.2";

/// The path where the machine mounts a bpffs that is seen inside `ip netns exec`.
pub const BPFFS: &str = "/run/vrrp-agent/bpf";

/// Hosts on one Ethernet segment.
#[derive(Debug)]
pub struct Lab {
    id: String,
    directory: PathBuf,
    switch: String,
    ports: AtomicU32,
}

static LABS: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// An empty segment.
    ///
    /// # Errors
    /// Without root, or without the programs that a lab is made of.
    pub fn new() -> Result<Self> {
        mount_bpffs()?;
        sweep()?;
        let id = format!("vl{}-{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(&id);
        std::fs::create_dir_all(&directory)?;
        let lab = Self { switch: format!("{id}-switch"), directory, ports: AtomicU32::new(0), id };
        ip(&["netns", "add", &lab.switch])?;
        ip(&["-n", &lab.switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0"])?;
        ip(&["-n", &lab.switch, "link", "set", "br0", "up"])?;
        Ok(lab)
    }

    /// Adds a host with an address `192.168.1.LAST` on `eth0`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn host(&self, name: &str, last: u8) -> Result<Host> {
        let host = self.bare_host(name, last)?;
        self.plug(&host)?;
        host.give_address()?;
        Ok(host)
    }

    /// Adds a host that has no interface but `lo` yet; [`Lab::plug`] and [`Lab::cable`] give it some.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn bare_host(&self, name: &str, last: u8) -> Result<Host> {
        let number = self.ports.fetch_add(1, Ordering::Relaxed);
        let (namespace, port) = (format!("{}-{name}", self.id), format!("port{number}"));
        ip(&["netns", "add", &namespace])?;
        let host = Host::new(self, name, namespace, port, last);
        ip(&["-n", host.namespace(), "link", "set", "lo", "up"])?;
        Ok(host)
    }

    /// Gives a host `eth0`, for the first time or after [`Host::unplug`], without an IPv4 address.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn plug(&self, host: &Host) -> Result<()> {
        let (switch, ns, port) = (&self.switch, host.namespace(), host.port());
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", ns];
        ip(&[&["link", "add", port, "netns", switch][..], &peer].concat())?;
        ip(&["-n", switch, "link", "set", port, "master", "br0", "up"])?;
        // A link-local address can be used at once, without duplicate address detection: no other program makes addresses here.
        host.run("sysctl", &["-qw", "net.ipv6.conf.eth0.accept_dad=0"])?;
        ip(&["-n", ns, "link", "set", "eth0", "up"]).map(drop)
    }

    /// Gives a host a second interface `eth1` with the address `192.168.2.LAST`, on a second segment.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn second_interface(&self, host: &Host) -> Result<()> {
        let (switch, ns, port) = (&self.switch, host.namespace(), format!("{}b", host.port()));
        let bridge = ip(&["-n", switch, "link", "add", "br1", "type", "bridge", "mcast_snooping", "0"]);
        if bridge.is_ok() {
            ip(&["-n", switch, "link", "set", "br1", "up"])?;
        }
        let peer = ["type", "veth", "peer", "name", "eth1", "netns", ns];
        ip(&[&["link", "add", &port, "netns", switch][..], &peer].concat())?;
        ip(&["-n", switch, "link", "set", &port, "master", "br1", "up"])?;
        ip(&["-n", ns, "link", "set", "eth1", "up"])?;
        let address = host.address().replace(NETWORK, SECOND_NETWORK);
        ip(&["-n", ns, "address", "add", &format!("{address}/24"), "dev", "eth1"]).map(drop)
    }

    /// Gives a host another card `eth9` in the segment of its `eth0`, with an address of the same network.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn second_card(&self, host: &Host, address: &str) -> Result<()> {
        let (switch, ns, port) = (&self.switch, host.namespace(), format!("{}c", host.port()));
        let peer = ["type", "veth", "peer", "name", "eth9", "netns", ns];
        ip(&[&["link", "add", &port, "netns", switch][..], &peer].concat())?;
        ip(&["-n", switch, "link", "set", &port, "master", "br0", "up"])?;
        ip(&["-n", ns, "link", "set", "eth9", "up"])?;
        ip(&["-n", ns, "address", "add", &format!("{address}/24"), "dev", "eth9"]).map(drop)
    }

    /// Has the switch take the frames that XDP in the driver of a host's `eth0` sends back: a veth takes such frames only
    /// while it has GRO or an XDP program itself.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn take_frames_of_native_xdp(&self, host: &Host) -> Result<()> {
        ip(&["netns", "exec", &self.switch, "ethtool", "-K", host.port(), "gro", "on"]).map(drop)
    }

    /// A file of this lab.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A script of this lab.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_script(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(name, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// The directory of this lab's files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The namespace of the switch, whose `port0`, `port1` … lead to the hosts in the order of their making.
    #[must_use]
    pub fn switch(&self) -> &str {
        &self.switch
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _already_gone = remove_namespace(&self.switch);
        let _already_gone = std::fs::remove_dir_all(&self.directory);
    }
}

/// Removes the namespaces of labs whose process was killed before it could remove them.
fn sweep() -> Result<()> {
    for line in ip(&["netns", "list"])?.lines() {
        let Some(namespace) = line.split_whitespace().next() else { continue };
        let maker = namespace.strip_prefix("vl").and_then(|rest| rest.split_once('-')).map(|(pid, _)| pid);
        if maker.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()) {
            // Another lab may be doing the same.
            let _already_gone = remove_namespace(namespace);
        }
    }
    Ok(())
}

/// Ends every program in a namespace of ours, and removes it.
fn remove_namespace(namespace: &str) -> Result<()> {
    for pid in ip(&["netns", "pids", namespace])?.lines() {
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse()?);
        let _already_gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
    let _none = std::fs::remove_dir_all(Path::new("/etc/netns").join(namespace));
    ip(&["netns", "del", namespace]).map(drop)
}

/// Runs `ip`, and fails with what it said.
///
/// # Errors
/// If it fails.
pub fn ip(arguments: &[&str]) -> Result<String> {
    run(Command::new("ip").args(arguments))
}

/// Runs a command to its end, and fails with what it said.
///
/// # Errors
/// If it cannot run or fails.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}; `cargo xtask setup` installs it"))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until something holds, looking every few milliseconds. False after `patience`.
#[must_use]
pub fn eventually(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A bpffs that stays: inside `ip netns exec` /sys is new and has none.
fn mount_bpffs() -> Result<()> {
    use nix::mount::{MsFlags, mount};
    let mounted = || std::fs::read_to_string("/proc/mounts").is_ok_and(|mounts| mounts.contains(BPFFS));
    if !mounted() {
        std::fs::create_dir_all(BPFFS)?;
        mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mount a bpffs on {BPFFS}; the lab needs root and a kernel with BPF"))?;
    }
    Ok(())
}

/// The path of the agent under test: `VRRP_AGENT`, or beside the program that asks.
///
/// # Errors
/// If the agent has not been built.
pub fn agent() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("VRRP_AGENT") {
        return Ok(path.into());
    }
    let program = std::env::current_exe()?;
    let found = program.ancestors().map(|directory| directory.join("vrrp-agent")).find(|path| path.is_file());
    found.context("the agent has not been built; run `cargo xtask build`")
}
