//! The loop that joins the rooms: reads the file, looks at the host, starts the engine, carries out its effects. Decides
//! nothing about the protocol.

mod effects;
mod engine;
mod frames;
mod locks;
mod status;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use vrrp_ebpf::abi::{INSTANCES_MAX, InstanceKey};
use vrrp_ebpf::advert::{Auth, Cast, Family, Rules};

use crate::config::{Authentication, Config, InstanceConfig};
use crate::control;
use crate::dataplane::{DataPlane, EbpfPlane, Mode, SocketPlane, VipEntry, bpffs};
use crate::host::{self, Capability};
use crate::net::NetError;
use crate::net::links::{self, Link};
use crate::net::receive::Membership;
use crate::track::{ScriptState, Tracker, script};
use crate::vrrp::{Instance, Params};
use crate::wire::advert::address;
use effects::{Engineer, Executor, place};
use engine::{Command, Engine, Router};
use frames::Frames;
use locks::PidFile;
use status::StatusPage;

/// Which data plane to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The kernel half, or sockets where it cannot run.
    Auto,
    /// The kernel half, or nothing.
    Ebpf,
    /// Sockets.
    Socket,
}

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration, read and valid.
    pub config: Config,
    /// Pid file; the default is in the runtime directory.
    pub pid_file: Option<PathBuf>,
    /// Data plane.
    pub choice: Choice,
    /// How the XDP program is attached.
    pub mode: Option<Mode>,
}

/// Runs until SIGTERM or SIGINT. Must be called in a tokio runtime of one thread.
///
/// # Errors
/// Whatever stands in the way of starting, with what to do about it; nothing is left half installed.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options { config, pid_file, choice, mode } = options;
    check_capabilities()?;
    if config.instances.len() > INSTANCES_MAX {
        bail!("{} instances are more than the {INSTANCES_MAX} that one agent runs", config.instances.len());
    }
    let runtime_directory = host::make_runtime_directory().context("cannot make the runtime directory")?;
    let pid_file = pid_file.unwrap_or_else(|| runtime_directory.join("agent.pid"));
    let _pid_file = PidFile::acquire(&pid_file)?;
    let _namespace = PidFile::acquire(&runtime_directory.join("namespace.lock"))
        .context("one network namespace has one vrrp-agent")?;

    let netlink = links::connect()?;
    let host = Host::look(&netlink, &config).await?;
    let (commands, command_queue) = mpsc::channel();
    let wake =
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).context("make an eventfd")?;
    let wake = Arc::new(wake);
    let names: Arc<[String]> = config.instances.iter().map(|instance| instance.name.clone()).collect();
    let engineer = Engineer { commands, wake: Arc::clone(&wake), names };
    let executor = Executor { handle: netlink, placed: host.placed(&config), engineer: engineer.clone() };
    // In this order: a fence that an earlier run left up stays until its addresses are gone.
    executor.remove_leftovers().await?;
    let (mut plane, pins) = open_plane(&config, &host, choice, mode)?;
    let _memberships = host.join_groups()?;
    tracing::info!("data plane: {}", plane.describe());
    log_program_messages(&mut plane);

    let mut tracker = Tracker::new(&config, &host.running());
    let mut routers = host.routers(&config);
    for (slot, health) in tracker.changes() {
        let machine = &mut routers[slot].machine;
        machine.set_contributions(host::now(), health.contributions);
        machine.set_fault(host::now(), health.fault);
    }
    let (effects, effect_queue) = unbounded_channel();
    let status = StatusPage { config: config.clone(), sources: host.sources.clone(), pins };
    let engine = Engine::new(routers, plane, command_queue, effects, wake, status)?;
    let thread = std::thread::Builder::new().name("vrrp".to_owned()).spawn(move || engine.run())?;

    let scripts = start_scripts(&config);
    let control_path = control::path();
    tokio::select! {
        () = executor.run(effect_queue) => {}
        result = supervise(&engineer, &mut tracker, &host, scripts) => result?,
        result = control::serve(&control_path, async || ask(&engineer).await) => {
            result.with_context(|| format!("control socket {}", control_path.display()))?;
        }
    }
    // The engine has ended, by request or not: whatever it still holds is given up before the fence comes down.
    for slot in 0..executor.placed.len() {
        executor.withdraw(slot).await;
    }
    let _gone = std::fs::remove_file(&control_path);
    match thread.join() {
        Ok(Ok(DataPlane::Ebpf(plane))) => plane.unload(),
        Ok(Ok(DataPlane::Socket(_))) => {}
        Ok(Err(error)) => {
            return Err(error).context("the protocol thread failed; the addresses were removed");
        }
        Err(_panic) => bail!("the protocol thread panicked; the addresses were removed"),
    }
    tracing::info!("stopped");
    Ok(())
}

fn check_capabilities() -> anyhow::Result<()> {
    for capability in [Capability::NetAdmin, Capability::NetRaw] {
        if !capability.held() {
            bail!(
                "{} is missing: run as root, or grant CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF (systemd: AmbientCapabilities=)",
                capability.name()
            );
        }
    }
    Ok(())
}

/// What the configuration meets on this host.
struct Host {
    /// Every interface that an instance or an address uses, once.
    links: Vec<Link>,
    /// Each instance's interface, as an index into `links`.
    link_of: Vec<usize>,
    /// Each instance's primary address.
    sources: Vec<IpAddr>,
}

impl Host {
    async fn look(netlink: &rtnetlink::Handle, config: &Config) -> Result<Self, NetError> {
        let mut names: Vec<String> = Vec::new();
        let of_instance = |instance: &InstanceConfig| {
            let devs = instance.addresses().filter_map(|vip| vip.dev.clone());
            std::iter::once(instance.interface.clone()).chain(devs).collect::<Vec<_>>()
        };
        for name in config.instances.iter().flat_map(of_instance) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let links = links::find(netlink, &names).await?;
        let position = |name: &str| links.iter().position(|link| link.name == name).expect("all were found");
        let link_of: Vec<usize> =
            config.instances.iter().map(|instance| position(&instance.interface)).collect();
        let mut sources = Vec::new();
        for (instance, &link) in config.instances.iter().zip(&link_of) {
            let (own, kind) = match instance.family {
                Family::V4 => (links[link].address.map(IpAddr::V4), "IPv4"),
                Family::V6 => (links[link].link_local.map(IpAddr::V6), "link-local IPv6"),
            };
            let source = instance.source.or(own);
            sources
                .push(source.ok_or_else(|| NetError::NoAddress { name: instance.interface.clone(), kind })?);
        }
        Ok(Self { links, link_of, sources })
    }

    fn link(&self, slot: usize) -> &Link {
        &self.links[self.link_of[slot]]
    }

    fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    fn placed(&self, config: &Config) -> Vec<Vec<effects::Placed>> {
        let place = |(slot, instance)| place(instance, self.link(slot), &self.links);
        config.instances.iter().enumerate().map(place).collect()
    }

    fn running(&self) -> Vec<bool> {
        self.link_of.iter().map(|&link| self.links[link].running).collect()
    }

    fn join_groups(&self) -> Result<Vec<Membership>, NetError> {
        self.links.iter().map(Membership::join).collect()
    }

    fn vips(&self, config: &Config) -> Vec<VipEntry> {
        let mut entries = Vec::new();
        for (slot, placed) in self.placed(config).into_iter().enumerate() {
            for effects::Placed { vip, ifindex } in placed {
                let mac =
                    self.links.iter().find(|link| link.index == ifindex).map_or([0; 6], |link| link.mac);
                entries.push(VipEntry { slot, ifindex, address: vip.address, mac });
            }
        }
        entries
    }

    fn routers(&self, config: &Config) -> Vec<Router> {
        let router = |(slot, instance): (usize, &InstanceConfig)| {
            let (link, source) = (self.link(slot), self.sources[slot]);
            let machine = Instance::new(params(instance, source), host::now());
            let key =
                InstanceKey { ifindex: link.index, family: instance.family, vrid: instance.vrid.into() };
            let frames = Frames::new(instance, link, source, |name| self.named(name));
            Router::new(machine, key, rules(instance, source), frames)
        };
        config.instances.iter().enumerate().map(router).collect()
    }
}

fn params(instance: &InstanceConfig, source: IpAddr) -> Params {
    Params {
        version: instance.version,
        priority: instance.priority,
        interval: instance.interval,
        preempt: instance.preempt,
        down_adverts: instance.down_adverts,
        address: address(source),
        garp: instance.garp,
    }
}

fn rules(instance: &InstanceConfig, source: IpAddr) -> Rules {
    let (auth, password) = match instance.authentication {
        Some(Authentication::Pass(password)) => (Auth::Pass, password),
        None => (Auth::None, [0; 8]),
    };
    let interval_ns = u64::try_from(instance.interval.as_nanos()).expect("read as at most 255 seconds");
    let cast = instance.cast();
    let ttl_min = match cast {
        Cast::Multicast => 255,
        Cast::Unicast => instance.peer_ttl_min.into(),
    };
    Rules { version: instance.version, auth, password, interval_ns, address: address(source), cast, ttl_min }
}

/// The kernel half, or sockets: losing it costs speed, never correctness.
fn open_plane(
    config: &Config,
    host: &Host,
    choice: Choice,
    mode: Option<Mode>,
) -> anyhow::Result<(DataPlane, Option<String>)> {
    let sockets = || Ok((DataPlane::Socket(Box::new(SocketPlane::open(&host.links)?)), None));
    if choice == Choice::Socket {
        clear_stale_pins();
        return sockets();
    }
    match open_ebpf(config, host, mode) {
        Ok((plane, pins)) => Ok((DataPlane::Ebpf(Box::new(plane)), Some(pins))),
        Err(error) if choice == Choice::Ebpf => Err(error),
        Err(error) => {
            tracing::warn!("the kernel half cannot be used, so adverts go through sockets: {error:#}");
            sockets()
        }
    }
}

/// A fence that an earlier run left up would swallow what the sockets' agent must answer.
fn clear_stale_pins() {
    if let Ok(pins) = bpffs::directory() {
        pins.remove();
    }
}

fn open_ebpf(config: &Config, host: &Host, mode: Option<Mode>) -> anyhow::Result<(EbpfPlane, String)> {
    if !Capability::Bpf.held() {
        bail!("{} is missing", Capability::Bpf.name());
    }
    let pins = bpffs::directory().context("no bpffs to pin to")?;
    if !pins.lasting {
        tracing::warn!(
            "the bpffs at {} is private to this mount namespace: if the agent is killed, its fence goes with it; \
             mount one on the host (mount -t bpf bpf /sys/fs/bpf, or on /run/vrrp-agent/bpf for use in `ip netns exec`)",
            pins.path.display()
        );
    }
    let path = pins.path.display().to_string();
    let plane = EbpfPlane::load(&host.links, config.instances.len(), &host.vips(config), &pins, mode)?;
    Ok((plane, path))
}

/// The XDP program's own messages go to the log.
fn log_program_messages(plane: &mut DataPlane) {
    let DataPlane::Ebpf(plane) = plane else { return };
    let logger = plane.logger().map_err(anyhow::Error::from);
    let logger = logger.and_then(|logger| {
        let interest = tokio::io::Interest::READABLE;
        // SAFETY: the logger owns its descriptor for as long as it lives.
        Ok(unsafe { tokio::io::unix::AsyncFd::register_with_interest(logger, interest) }?)
    });
    match logger {
        Ok(mut logger) => {
            tokio::spawn(async move {
                while let Ok(mut ready) = logger.readable_mut().await {
                    ready.get_inner_mut().flush();
                    ready.clear_ready();
                }
            });
        }
        Err(error) => tracing::warn!("messages of the XDP program are not logged: {error}"),
    }
}

fn start_scripts(config: &Config) -> UnboundedReceiver<(usize, ScriptState)> {
    let (reports, queue) = unbounded_channel();
    for (index, script) in config.scripts.iter().enumerate() {
        let used = config.instances.iter().any(|i| i.tracked.iter().any(|tracked| tracked.script == index));
        if !used {
            continue;
        }
        let (reports, name) = (reports.clone(), script.name.clone());
        tokio::spawn(script::run(script.clone(), move |state| {
            tracing::info!("script {name} is now {state:?}");
            let _ending = reports.send((index, state));
        }));
    }
    queue
}

/// Turns what happens on the host into commands, until a signal asks to stop; then asks the engine to, and waits for ever:
/// the executor ends when the engine's last effect is done.
async fn supervise(
    engineer: &Engineer,
    tracker: &mut Tracker,
    host: &Host,
    mut scripts: UnboundedReceiver<(usize, ScriptState)>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut dumps = [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?];
    let [dump_data, dump_statistics] = &mut dumps;
    let mut links = std::pin::pin!(links::changes()?);
    loop {
        tokio::select! {
            Some((script, state)) = scripts.recv() => tracker.set_script(script, state),
            Some(change) = links.next() => {
                for slot in 0..host.link_of.len() {
                    if host.link(slot).index == change.index && tracker.set_link(slot, change.running) {
                        let (name, state) = (&host.link(slot).name, if change.running { "up" } else { "down" });
                        tracing::info!("{}: interface {name} is {state}", engineer.names[slot]);
                    }
                }
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => tracing::warn!("SIGHUP: reload is not supported yet; restart to read the file again"),
            _ = dump_data.recv() => tracing::warn!("SIGUSR1: use `vrrp-agent status --json`"),
            _ = dump_statistics.recv() => tracing::warn!("SIGUSR2: use `vrrp-agent status --json`"),
        }
        for (slot, health) in tracker.changes() {
            let _ended = engineer.tell(Command::Health { slot, health });
        }
    }
    tracing::info!("stopping");
    let _ended = engineer.tell(Command::Stop);
    std::future::pending().await
}

async fn ask(engineer: &Engineer) -> Option<control::Snapshot> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    if !engineer.tell(Command::Status(reply)) {
        return std::future::pending().await;
    }
    match answer.await {
        Ok(snapshot) => Some(snapshot),
        Err(_ending) => std::future::pending().await,
    }
}
