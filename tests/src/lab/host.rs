//! A host: a network namespace with one interface, and the programs on it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket};
use nix::{getsockopt_impl, libc, sockopt_impl};

use super::{BPFFS, Capture, Lab, Process, Recording, agent, eventually, ip, run};

/// Longer than an agent takes to start, in an emulated machine too.
const START: Duration = Duration::from_secs(40);

/// A host of a lab.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespace: String,
    switch: String,
    port: String,
    last: u8,
    directory: PathBuf,
    environment: Vec<(String, String)>,
}

impl Host {
    pub(super) fn new(lab: &Lab, name: &str, namespace: String, port: String, last: u8) -> Self {
        let (name, switch) = (name.to_owned(), lab.switch().to_owned());
        let (directory, environment) = (lab.directory().to_owned(), Vec::new());
        Self { name, namespace, switch, port, last, directory, environment }
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The port of the switch that it is plugged into.
    #[must_use]
    pub fn port(&self) -> &str {
        &self.port
    }

    /// Its name in the lab.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}.{}", super::NETWORK, self.last)
    }

    /// Its hardware address.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn mac(&self) -> Result<String> {
        self.mac_of("eth0")
    }

    /// The hardware address of an interface of this host.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn mac_of(&self, interface: &str) -> Result<String> {
        Ok(self.run("cat", &[&format!("/sys/class/net/{interface}/address")])?.trim().to_owned())
    }

    /// Runs `ip` with this host's interfaces.
    ///
    /// # Errors
    /// If it fails, with what it said.
    pub fn ip(&self, arguments: &[&str]) -> Result<String> {
        ip(&[&["-n", &self.namespace], arguments].concat())
    }

    /// Sets a variable in the environment of the host's commands from now on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A command that runs on this host.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        run(self.command(program).args(arguments))
    }

    /// Starts a command that goes on, with its output in a log of this host's.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&self, command: &mut Command, log: &str) -> Result<Process> {
        Process::spawn(command, &self.directory.join(format!("{}-{log}.log", self.name)))
    }

    /// Starts our agent with a configuration.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn agent(&self, config: &str) -> Result<Process> {
        self.agent_with(config, &[])
    }

    /// Starts our agent with a configuration and options, and waits until it answers.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn agent_with(&self, config: &str, options: &[&str]) -> Result<Process> {
        let file = self.directory.join(format!("{}.conf", self.name));
        std::fs::write(&file, config)?;
        self.agent_on(&file, options)
    }

    /// Starts our agent on a file, and waits until it answers. Unless the options say otherwise the agent must use the kernel
    /// half: a test that quietly ran on sockets would prove nothing.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn agent_on(&self, file: &Path, options: &[&str]) -> Result<Process> {
        let mut command = self.command(agent()?);
        if !options.contains(&"--dataplane") {
            command.args(["--dataplane", "ebpf"]);
        }
        let mut process = self.spawn(command.arg("-f").arg(file).args(options), "agent")?;
        let up = eventually(START, || process.has_ended() || self.status().is_ok());
        if !up || process.has_ended() {
            bail!("the agent on {} did not come up:\n{}", self.name, process.log());
        }
        Ok(process)
    }

    /// Puts a script at a path of `/etc` that only this host sees: `ip netns exec` lays /etc/netns/NAME over /etc.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn install_etc_script(&self, path: &str, text: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = Path::new("/etc/netns").join(&self.namespace).join(path);
        let directory = path.parent().context("a path below /etc")?;
        std::fs::create_dir_all(directory)?;
        // The directory over which another one is laid must exist.
        std::fs::create_dir_all(Path::new("/etc").join(directory.file_name().unwrap_or_default()))?;
        std::fs::write(&path, text)?;
        Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?)
    }

    /// Starts keepalived with a configuration.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn keepalived(&self, config: &str) -> Result<Process> {
        let path = |what: &str| self.directory.join(format!("{}-keepalived.{what}", self.name));
        std::fs::write(path("conf"), config)?;
        let mut command = self.command("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--dont-respawn", "--vrrp", "-f"]);
        command.arg(path("conf"));
        for (option, what) in [("-p", "pid"), ("-r", "vrrp.pid"), ("-c", "checkers.pid")] {
            // A pid file that an earlier keepalived of this host left would keep this one from starting.
            let _none = std::fs::remove_file(path(what));
            command.arg(option).arg(path(what));
        }
        self.spawn(&mut command, "keepalived")
    }

    /// The output of `vrrp-agent status --json` on this host.
    ///
    /// # Errors
    /// If no agent answers.
    pub fn status(&self) -> Result<serde_json::Value> {
        let text = run(self.command(agent()?).args(["status", "--json"]))?;
        serde_json::from_str(&text).context("status is not JSON")
    }

    /// The state of an instance of the agent here; empty if none answers.
    #[must_use]
    pub fn state(&self, instance: usize) -> String {
        let status = self.status().unwrap_or_default();
        status["instances"][instance]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// True if an address is on an interface here.
    ///
    /// # Errors
    /// If the addresses cannot be read.
    pub fn has_address(&self, address: &str) -> Result<bool> {
        let text = ip(&["-n", &self.namespace, "-o", "address", "show"])?;
        Ok(text.contains(&format!(" {address}/")))
    }

    /// Waits until an address is on an interface here, or gone.
    ///
    /// # Errors
    /// If it is not so in time.
    pub fn wait_for_address(&self, address: &str, present: bool, patience: Duration) -> Result<()> {
        if eventually(patience, || self.has_address(address).is_ok_and(|has| has == present)) {
            return Ok(());
        }
        bail!("{address} is{} on {} after {patience:?}", if present { " not" } else { " still" }, self.name)
    }

    /// The hardware addresses that answer an ARP request for an address, up to the first answer. This is quick, but does not
    /// see a second answer that comes later. [`Host::who_has`] waits for all.
    ///
    /// # Errors
    /// If the question cannot be asked.
    pub fn arping(&self, address: &str) -> Result<Vec<String>> {
        self.ask(&["-c", "1", "-I", "eth0", address])
    }

    /// Every hardware address that answers ARP requests for an address within a second, in their order.
    ///
    /// # Errors
    /// If the question cannot be asked.
    pub fn who_has(&self, interface: &str, address: &str) -> Result<Vec<String>> {
        // With `-c 1`, arping would end with the first answer. It sends the second question when the first second is over.
        let mut answers = self.ask(&["-c", "2", "-I", interface, address])?;
        answers.sort();
        answers.dedup();
        Ok(answers)
    }

    fn ask(&self, arguments: &[&str]) -> Result<Vec<String>> {
        // The command fails when no host answers, which is an answer too. Without -b the second question would be unicast.
        let output = self.command("arping").args(["-b", "-w", "1"]).args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        let mac = |line: &str| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned());
        Ok(text.lines().filter(|line| line.contains("reply from")).filter_map(mac).collect())
    }

    /// Takes `eth0` away, with all its addresses; [`Lab::plug`] brings another.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn unplug(&self) -> Result<()> {
        ip(&["-n", &self.namespace, "link", "del", "eth0"]).map(drop)
    }

    /// Puts its own IPv4 address on `eth0`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn give_address(&self) -> Result<()> {
        let address = format!("{}/24", self.address());
        ip(&["-n", &self.namespace, "address", "add", &address, "dev", "eth0"]).map(drop)
    }

    /// Cuts the link at the switch, or joins it again.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_link(&self, up: bool) -> Result<()> {
        ip(&["-n", &self.switch, "link", "set", &self.port, if up { "up" } else { "down" }]).map(drop)
    }

    /// Makes the switch of the second segment pass no multicast on to this host any more.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn deafen_second_interface(&self) -> Result<()> {
        let port = format!("{}b", self.port);
        let mut command = Command::new("bridge");
        run(command.args(["-n", &self.switch, "link", "set", "dev", &port, "mcast_flood", "off"])).map(drop)
    }

    /// Starts to record adverts and ARP as seen here.
    ///
    /// # Errors
    /// If tcpdump does not start.
    pub fn capture(&self) -> Result<Capture> {
        Capture::start(self)
    }

    /// Starts to record what a filter of tcpdump's lets through.
    ///
    /// # Errors
    /// If tcpdump does not start.
    pub fn capture_of(&self, filter: &str) -> Result<Capture> {
        Capture::of(self, filter)
    }

    /// Starts to record the frames seen here that a filter of tcpdump's lets through.
    ///
    /// # Errors
    /// If tcpdump does not start.
    pub fn record(&self, filter: &str) -> Result<Recording> {
        self.record_on("eth0", filter)
    }

    /// The same on another interface.
    ///
    /// # Errors
    /// If tcpdump does not start.
    pub fn record_on(&self, interface: &str, filter: &str) -> Result<Recording> {
        Recording::start(self, interface, filter, self.directory.join(format!("{}.pcap", self.name)))
    }

    /// Shows a map of the agent here, as an operator would.
    ///
    /// # Errors
    /// If there is none.
    pub fn map(&self, name: &str) -> Result<serde_json::Value> {
        let text =
            run(Command::new("bpftool").args(["--json", "map", "dump", "pinned"]).arg(self.pin(name)?))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The path of one of the agent's pins.
    ///
    /// # Errors
    /// If it cannot be found out.
    pub fn pin(&self, name: &str) -> Result<PathBuf> {
        Ok(Path::new(BPFFS).join("vrrp-agent").join(self.suffix()?).join(name))
    }

    /// The directory in which the agent here has its files.
    ///
    /// # Errors
    /// If it cannot be found out.
    pub fn runtime_directory(&self) -> Result<PathBuf> {
        Ok(Path::new("/run/vrrp-agent").join(self.suffix()?))
    }

    /// The name that tells the agent here apart from those of other network namespaces, made as by the agent itself: from the
    /// cookie of the namespace.
    fn suffix(&self) -> Result<String> {
        let namespace = File::open(Path::new("/run/netns").join(&self.namespace))?;
        let cookie = || -> Result<u64> {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::empty(), None)?;
            Ok(getsockopt(&socket, NetnsCookie)?)
        };
        // Only this thread enters the namespace.
        let cookie = std::thread::scope(|scope| scope.spawn(cookie).join());
        Ok(format!("netns-{}", cookie.ok().context("the thread panicked")??))
    }
}

sockopt_impl!(
    /// `SO_NETNS_COOKIE`.
    NetnsCookie,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_NETNS_COOKIE,
    u64
);

impl Drop for Host {
    fn drop(&mut self) {
        for directory in [self.pin(""), self.runtime_directory()].into_iter().flatten() {
            let _none = std::fs::remove_dir_all(directory);
        }
        let _already_gone = super::remove_namespace(&self.namespace);
    }
}
