//! The loop that joins the rooms: reads the file, looks at the host, starts the engine, carries out its effects. Decides
//! nothing about the protocol.

mod announcements;
mod effects;
mod engine;
mod frames;
mod interfaces;
mod locks;
mod plane;
mod site;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use vrrp_ebpf::abi::INSTANCES_MAX;

use crate::config::Config;
use crate::control;
use crate::dataplane::Hook;
use crate::host::{self, Capability};
use crate::net::changes::{self, Change};
use crate::net::links;
use crate::track::{ScriptState, Tracker, script};
use effects::{Engineer, Executor};
use engine::{Command, Engine};
use interfaces::Interfaces;
use locks::PidFile;
use site::Site;
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
    /// Where the kernel half is put.
    pub hook: Hook,
}

/// Runs until SIGTERM or SIGINT. Must be called in a tokio runtime of one thread.
///
/// # Errors
/// Whatever stands in the way of starting, with what to do about it; nothing is left half installed.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options { mut config, pid_file, choice, hook } = options;
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
    let site = Site::look(&netlink, &mut config).await?;
    let (commands, command_queue) = mpsc::channel();
    let wake =
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).context("make an eventfd")?;
    let wake = Arc::new(wake);
    let names: Arc<[String]> = config.instances.iter().map(|instance| instance.name.clone()).collect();
    let engineer = Engineer { commands, wake: Arc::clone(&wake), names };
    let (refused, refusals) = unbounded_channel();
    let placed = site.placed(&config);
    let executor = Executor::new(netlink, placed, engineer.clone(), refused);
    let plane::Opened { plane, kernel, pasts } =
        plane::open(&config, &site, &executor, choice, &hook).await?;
    let mut interfaces = Interfaces::new(config, site, kernel)?;
    let Interfaces { config, site, .. } = &interfaces;
    tracing::info!("data plane: {}", plane.describe());

    let usable: Vec<bool> = (0..site.len()).map(|slot| interfaces.usable(slot)).collect();
    let mut tracker = Tracker::new(config, &usable);
    let mut routers = site.routers(config, interfaces.has_vmacs());
    for (router, past) in routers.iter_mut().zip(pasts) {
        router.past = Some(past);
    }
    for (slot, health) in tracker.changes() {
        let machine = &mut routers[slot].machine;
        machine.set_contributions(host::now(), health.contributions);
        machine.set_fault(host::now(), health.fault);
    }
    let (effects, mut effect_queue) = unbounded_channel();
    let pins_path = interfaces.pins().map(|pins| pins.path.display().to_string());
    let status = StatusPage { config: config.clone(), sources: site.sources.clone(), pins: pins_path };
    let engine = Engine::new(routers, plane, command_queue, effects, wake, status)?;
    let thread = std::thread::Builder::new().name("vrrp".to_owned()).spawn(move || engine.run())?;

    let news = News { scripts: start_scripts(config), host: host_changes, refusals };
    let control_path = control::path();
    let outcome = tokio::select! {
        () = executor.run(&mut effect_queue) => Ok(()),
        () = supervise(&engineer, &mut tracker, &mut interfaces, &executor, news) => Ok(()),
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
    for slot in 0..interfaces.site.len() {
        all_gone &= executor.withdraw(slot).await;
    }
    let _gone = std::fs::remove_file(&control_path);
    match (interfaces.pins(), all_gone) {
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
    interfaces: &mut Interfaces,
    executor: &Executor,
    news: News<impl futures_util::Stream<Item = Change>>,
) {
    let News { mut scripts, host: changes, mut refusals } = news;
    let mut changes = std::pin::pin!(changes);
    let (over, mut pauses_over) = unbounded_channel();
    loop {
        tokio::select! {
            Some((script, state)) = scripts.recv() => tracker.set_script(script, state),
            Some(change) = changes.next() => {
                if interfaces.note(&change) {
                    // Who has lost an interface hears of that before it hears of another.
                    tell_health(engineer, tracker, interfaces);
                    interfaces.look_again(executor, engineer).await;
                }
                match change {
                    Change::AddressGone { index, address } => executor.check_address(index, address).await,
                    Change::Missed => executor.check_addresses().await,
                    Change::Link { .. } | Change::LinkGone { .. } | Change::AddressNew { .. } => {}
                }
            }
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
        tell_health(engineer, tracker, interfaces);
    }
}

fn tell_health(engineer: &Engineer, tracker: &mut Tracker, interfaces: &Interfaces) {
    for slot in 0..interfaces.site.len() {
        tracker.set_link(slot, interfaces.usable(slot));
    }
    for (slot, health) in tracker.changes() {
        let _ended = engineer.tell(Command::Health { slot, health });
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
