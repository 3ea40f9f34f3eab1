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
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use vrrp_ebpf::abi::{INSTANCES_MAX, InstanceKey};
use vrrp_ebpf::advert::{Auth, Cast, Family, Rules};

use crate::config::{Authentication, Config, InstanceConfig};
use crate::control;
use crate::dataplane::bpffs::{self, PinDirectory};
use crate::dataplane::{DataPlane, EbpfPlane, Mode, SocketPlane, VipEntry};
use crate::host::{self, Capability};
use crate::net::NetError;
use crate::net::changes::{self, Change};
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
    let pid_file = PidFile::acquire(&pid_file)?;
    let namespace = PidFile::acquire(&runtime_directory.join("namespace.lock"))
        .context("one network namespace has one vrrp-agent")?;

    // Before anything is looked at or started, so that nothing is missed.
    let mut signals = Signals::register()?;
    let host_changes = changes::stream()?;
    let netlink = links::connect()?;
    let host = Host::look(&netlink, &config).await?;
    let (commands, command_queue) = mpsc::channel();
    let wake =
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).context("make an eventfd")?;
    let wake = Arc::new(wake);
    let names: Arc<[String]> = config.instances.iter().map(|instance| instance.name.clone()).collect();
    let engineer = Engineer { commands, wake: Arc::clone(&wake), names };
    let (refused, refusals) = unbounded_channel();
    let placed = host.placed(&config);
    let executor = Executor { handle: netlink, placed, engineer: engineer.clone(), refused };
    // In this order: a fence that an earlier run left up stays until its addresses are gone.
    let left_behind = bpffs::left_behind();
    let earlier = left_behind.as_ref().map(EbpfPlane::addresses_of_earlier_run).unwrap_or_default();
    executor.remove_leftovers(&earlier).await?;
    if let Some(pins) = left_behind {
        pins.remove();
    }
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
    let (effects, mut effect_queue) = unbounded_channel();
    let pins_path = pins.as_ref().map(|pins| pins.path.display().to_string());
    let status = StatusPage { config: config.clone(), sources: host.sources.clone(), pins: pins_path };
    let engine = Engine::new(routers, plane, command_queue, effects, wake, status)?;
    let thread = std::thread::Builder::new().name("vrrp".to_owned()).spawn(move || engine.run())?;

    let news = News { scripts: start_scripts(&config), host: host_changes, refusals };
    let control_path = control::path();
    let outcome = tokio::select! {
        () = executor.run(&mut effect_queue) => Ok(()),
        () = supervise(&engineer, &mut tracker, &host, &executor, news) => Ok(()),
        () = signals.asked_to_stop() => Ok(()),
        result = control::serve(&control_path, async || ask(&engineer).await) => {
            result.with_context(|| format!("control socket {}", control_path.display()))
        }
    };
    // Whatever has ended, the rest is the same: resign, give up the addresses, and only then take the fence down.
    tracing::info!("stopping");
    let _ended = engineer.tell(Command::Stop);
    tokio::select! {
        () = executor.run(&mut effect_queue) => {}
        () = signals.asked_to_stop() => tracing::warn!("asked to stop again: not waiting for the engine"),
    }
    let mut all_gone = true;
    for slot in 0..executor.placed.len() {
        all_gone &= executor.withdraw(slot).await;
    }
    let _gone = std::fs::remove_file(&control_path);
    match (pins, all_gone) {
        (Some(pins), true) => pins.remove(),
        (Some(pins), false) => tracing::error!(
            "addresses are left, so the fence in {} stays up: remove them, then it",
            pins.path.display()
        ),
        (None, _) => {}
    }
    outcome?;
    match thread.join() {
        Ok(Ok(_plane)) => {}
        Ok(Err(error)) => {
            return Err(error).context("the protocol thread failed; the addresses were removed");
        }
        Err(_panic) => bail!("the protocol thread panicked; the addresses were removed"),
    }
    tracing::info!("stopped");
    // The directory goes with the last file in it.
    drop(namespace);
    drop(pid_file);
    let _not_empty = std::fs::remove_dir(&runtime_directory);
    Ok(())
}

/// The signals of a daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    dump_data: Signal,
    dump_statistics: Signal,
}

impl Signals {
    fn register() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            dump_data: signal(SignalKind::user_defined1())?,
            dump_statistics: signal(SignalKind::user_defined2())?,
        })
    }

    /// Until SIGTERM or SIGINT; the others are answered.
    async fn asked_to_stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP: reload is not supported yet; restart to read the file again");
                }
                _ = self.dump_data.recv() => tracing::warn!("SIGUSR1: use `vrrp-agent status --json`"),
                _ = self.dump_statistics.recv() => tracing::warn!("SIGUSR2: use `vrrp-agent status --json`"),
            }
        }
    }
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
    /// All interfaces of each instance, those of its addresses included.
    uses: Vec<Vec<usize>>,
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
        let virtual_addresses: Vec<IpAddr> =
            config.instances.iter().flat_map(InstanceConfig::addresses).map(|vip| vip.address).collect();
        let uses =
            |instance: &InstanceConfig| of_instance(instance).iter().map(|name| position(name)).collect();
        let uses: Vec<Vec<usize>> = config.instances.iter().map(uses).collect();
        let mut sources = Vec::new();
        for (instance, &link) in config.instances.iter().zip(&link_of) {
            let kind = match instance.family {
                Family::V4 => "IPv4",
                Family::V6 => "link-local IPv6",
            };
            let source = instance.source.or_else(|| links[link].primary(instance.family, &virtual_addresses));
            sources
                .push(source.ok_or_else(|| NetError::NoAddress { name: instance.interface.clone(), kind })?);
        }
        Ok(Self { links, link_of, uses, sources })
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

    fn uses(&self, slot: usize) -> impl Iterator<Item = usize> {
        self.uses[slot].iter().copied()
    }

    fn running(&self) -> Vec<bool> {
        (0..self.uses.len()).map(|slot| self.uses(slot).all(|link| self.links[link].running)).collect()
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
        preempt_delay: instance.preempt_delay,
        on_lower: instance.on_lower,
        on_higher: instance.on_higher,
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
) -> anyhow::Result<(DataPlane, Option<PinDirectory>)> {
    let sockets = || Ok((DataPlane::Socket(Box::new(SocketPlane::open(&host.links)?)), None));
    if choice == Choice::Socket {
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

fn open_ebpf(config: &Config, host: &Host, mode: Option<Mode>) -> anyhow::Result<(EbpfPlane, PinDirectory)> {
    if !Capability::Bpf.held() {
        bail!("{} is missing", Capability::Bpf.name());
    }
    if let Some(link) = host.links.iter().find(|link| link.has_vlans) {
        bail!(
            "VLAN interfaces stand on {}, and their frames reach its XDP program without their tag: it could not tell \
             their virtual routers from its own",
            link.name
        );
    }
    let pins = bpffs::directory().context("no bpffs to pin to")?;
    if !pins.lasting {
        tracing::warn!(
            "the bpffs at {} is private to this mount namespace: if the agent is killed, its fence goes with it; \
             mount one on the host (mount -t bpf bpf /sys/fs/bpf, or on /run/vrrp-agent/bpf for use in `ip netns exec`)",
            pins.path.display()
        );
    }
    let plane = EbpfPlane::load(&host.links, config.instances.len(), &host.vips(config), &pins, mode)?;
    Ok((plane, pins))
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

/// What happens on the host.
struct News<L> {
    scripts: UnboundedReceiver<(usize, ScriptState)>,
    host: L,
    refusals: UnboundedReceiver<usize>,
}

/// An instance whose addresses the kernel refused tries again after this long.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

/// Turns what happens on the host into commands, for ever.
async fn supervise(
    engineer: &Engineer,
    tracker: &mut Tracker,
    host: &Host,
    executor: &Executor,
    news: News<impl futures_util::Stream<Item = Change>>,
) {
    let News { mut scripts, host: changes, mut refusals } = news;
    let mut changes = std::pin::pin!(changes);
    let mut running: Vec<bool> = host.links.iter().map(|link| link.running).collect();
    let (over, mut pauses_over) = unbounded_channel();
    loop {
        tokio::select! {
            Some((script, state)) = scripts.recv() => tracker.set_script(script, state),
            Some(change) = changes.next() => match change {
                Change::AddressGone { index, address } => executor.check_address(index, address).await,
                Change::Link { index, running: runs } => {
                    for (link, running) in host.links.iter().zip(&mut running) {
                        if link.index == index && *running != runs {
                            *running = runs;
                            tracing::info!("interface {} is {}", link.name, if runs { "up" } else { "down" });
                        }
                    }
                    for slot in 0..host.link_of.len() {
                        tracker.set_link(slot, host.uses(slot).all(|link| running[link]));
                    }
                }
            },
            Some(slot) = refusals.recv() => {
                tracing::error!("{}: in fault until its addresses are tried again", engineer.names[slot]);
                tracker.set_addresses(slot, false);
                let over = over.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(REFUSAL_PAUSE).await;
                    let _ending = over.send(slot);
                });
            }
            Some(slot) = pauses_over.recv() => tracker.set_addresses(slot, true),
            else => return,
        }
        for (slot, health) in tracker.changes() {
            let _ended = engineer.tell(Command::Health { slot, health });
        }
    }
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
