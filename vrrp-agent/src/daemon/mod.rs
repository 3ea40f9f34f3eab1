//! The loop that joins the modules: it reads the configuration, looks at the host, starts the engine and carries out its
//! effects. It decides nothing about the protocol.

mod announcements;
mod assemble;
mod derive;
mod effects;
mod engine;
mod explain;
mod frames;
mod guards;
mod host_binding;
mod interfaces;
mod ipvs_sync;
mod lacks;
mod lifecycle_scripts;
mod locks;
mod master_resources;
mod messages;
mod namesakes;
mod network;
mod plane;
mod reload;
mod scheduling;
mod service;
mod signals;
mod status;
mod supervisor;
mod tracker_tasks;
mod unknown_vrids;
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;

use anyhow::{Context as _, bail};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::{Mode, umask};
use tokio::sync::mpsc::unbounded_channel;

use crate::config::{Config, Place};
use crate::control;
use crate::dataplane::bpffs::PinDirectory;
use crate::dataplane::{AttachPoint, Slot, bpffs, recovery};
use crate::host::{self, Capability};
use crate::net::{changes, links};
use crate::process::identity;
use assemble::{Assembly, Before, assemble};
use effects::EffectRunner;
use engine::Engine;
use host_binding::HostBinding;
use interfaces::{Interfaces, Interfacing};
use locks::PidFile;
use messages::{ActiveConfig, Command, EngineHandle};
use network::{Listeners, Network};
pub use signals::NamedSignal;
use signals::Signals;
use status::StatusSources;
use supervisor::{Peers, Reports, Supervisor, note_lacks};
use tracker_tasks::TrackerTasks;

/// The choice of the data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaneChoice {
    /// The kernel half, or sockets where it cannot run.
    Auto,
    /// The kernel half, or nothing.
    Ebpf,
    /// Sockets.
    Socket,
}

/// The treatment of the virtual addresses when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// The addresses are given up, with a resignation.
    Release,
    /// The addresses stay where they are, without a resignation (`-V`): with the kernel half they are answered for as long as
    /// the lease lasts.
    Keep,
}

/// Reads the configuration, and reports what is wrong with it.
pub type Read = Arc<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;

/// The options of the command line.
pub struct Options {
    /// Reads the configuration: at the start, and again when asked to reload.
    pub read: Read,
    /// Pid file; the default is in the runtime directory.
    pub pid_file: Option<PathBuf>,
    /// Data plane.
    pub choice: PlaneChoice,
    /// The place where the kernel half is attached.
    pub attach_point: AttachPoint,
    /// The treatment of the virtual addresses at the end.
    pub on_exit: OnExit,
}

/// Runs until SIGTERM or SIGINT. Must be called in a tokio runtime of one thread.
///
/// # Errors
/// If the daemon cannot start: the error says what to do about it, and nothing is left half installed. Later, if the control
/// socket or the protocol thread fails.
#[expect(clippy::too_many_lines, reason = "the order of its steps is what a reader looks for here")]
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options { read, pid_file, choice, attach_point, on_exit } = options;
    let mut config = read()?;
    enter_place(&config)?;
    check_capabilities()?;
    reload::check_size(&config)?;
    let locks = Locks::acquire(pid_file)?;
    identity::look_up(config.script_users().cloned()).await;
    lifecycle_scripts::run("startup_script", &config.host.startup, config.script_security).await;

    // Registered before the host is looked at and anything is started, so that no signal and no change is missed.
    let mut signals = Signals::register()?;
    let host_changes = changes::stream()?;
    let netlink = links::connect()?;
    let host_binding = HostBinding::look(&netlink, &mut config, &[]).await?;
    let config = Arc::new(config);
    let (engine, command_queue) = engine_handle()?;
    let active = ActiveConfig {
        generation: 0,
        master_resources: host_binding.master_resources(&config),
        config: Arc::clone(&config),
        lacks: Vec::new(),
        was: vec![None; config.instances.len()],
        carried_out: None,
    };
    // Queues of reports to the supervisor. Each is as long as what happens in the time that the supervisor takes for one thing: a
    // few entries for each instance, interface or client. An unbounded queue keeps the sender, which may not wait, free.
    let (refused_to, refused) = unbounded_channel();
    let (restored_to, restored) = unbounded_channel();
    let (unseen_to, unseen) = unbounded_channel();
    let (questions_to, questions) = unbounded_channel();
    let (dbus_to, dbus_requests) = unbounded_channel();
    let (requests_to, requests) = unbounded_channel();
    // Effects that change nothing on the network: as many as the engine has, see `messages`.
    let (told, mut told_queue) = unbounded_channel();
    let left_behind = bpffs::left_behind();
    let pinned = left_behind.as_ref().map(recovery::addresses).unwrap_or_default();
    let listeners = Listeners { engine: engine.clone(), refused: refused_to, restored: restored_to, told };
    let (network, effects) = Network::start(&active, pinned, listeners).await?;
    let runner = EffectRunner::new(netlink, active, unseen_to, questions_to, dbus_to);
    let missing = network.set_statics().await?;
    let plane::Opened { plane, kernel, saved_states } =
        plane::open(&config, &host_binding, &network, left_behind, choice, &attach_point).await?;
    tracing::info!("data plane: {}", plane.describe());

    let mut tracker_tasks = TrackerTasks::new();
    let before = Before::Nothing { missing: &missing };
    let assembly = assemble(config, host_binding, before, &mut tracker_tasks, &runner.handle).await;
    let Assembly { config, host_binding, debounce, sourceless, health_table, health, lacks: _ } = assembly;
    let interfacing = Interfacing { config: Arc::clone(&config), host_binding, debounce, sourceless };
    let mut interfaces = Interfaces::new(interfacing, kernel)?;
    let mut routers = interfaces.host_binding.routers(&config, |slot| interfaces.program_hears(slot));
    for (router, saved) in routers.iter_mut().zip(saved_states) {
        router.saved = Some(saved);
    }
    for (router, health) in routers.iter_mut().zip(health) {
        router.machine.set_contributions(host::now(), health.contributions);
        router.machine.set_fault(host::now(), health.fault);
    }
    note_lacks(&health_table, &interfaces, &runner, &tracker_tasks.page());
    let wake = Arc::clone(&engine.wake);
    let protocol = Engine::new(routers, plane, command_queue, effects, wake, Arc::clone(&config))?;
    let urgency = config.host.scheduling.clone();
    let thread = std::thread::Builder::new().name("vrrp".to_owned()).spawn(move || {
        scheduling::apply(&urgency);
        protocol.run()
    })?;

    let status = StatusSources {
        engine: &engine,
        runner: &runner,
        page: tracker_tasks.page(),
        missing: &network.missing,
        pins: interfaces.pins().map(|pins| pins.path.display().to_string()),
    };
    let peers = Peers { engine: &engine, runner: &runner, network: &network, status: &status, read: &read };
    let reports = Reports { restored, questions, refused, unseen, requests, dbus_requests };
    let control_path = control::path();
    service::ready();
    // Poll the same future through shutdown, so that a half-done effect completes.
    let mut carrying_out = pin!(runner.run(&mut told_queue));
    let mut carried_out = false;
    let outcome = {
        let mut supervisor =
            Supervisor::new(peers, &mut interfaces, health_table, tracker_tasks, missing, reports);
        tokio::select! {
            () = &mut carrying_out => {
                carried_out = true;
                Ok(())
            }
            () = supervisor.run(host_changes) => Ok(()),
            () = signals.asked_to_stop(&requests_to) => Ok(()),
            result = control::serve(&control_path, async || Some(status.ask().await)) => {
                result.with_context(|| format!("control socket {}", control_path.display()))
            }
        }
    };
    // The shutdown is the same whichever branch has ended: resign, give up the addresses, and only then take the fence down.
    tracing::info!("stopping");
    service::stopping();
    if on_exit == OnExit::Keep {
        tracing::warn!("the addresses are left where they are");
        let _gone = std::fs::remove_file(&control_path);
        outcome?;
        shutdown_script(&interfaces.config).await;
        // End as if killed, on purpose: the kernel half goes on.
        std::process::exit(0);
    }
    let _ended = engine.tell(Command::Stop);
    tokio::select! {
        () = &mut carrying_out, if !carried_out => {}
        () = signals.asked_to_stop(&requests_to), if !carried_out => {
            tracing::warn!("asked to stop again: not waiting for the engine");
        }
        else => {}
    }
    runner.finish().await;
    take_fence_down(network.end().await, interfaces.pins());
    let _gone = std::fs::remove_file(&control_path);
    shutdown_script(&interfaces.config).await;
    outcome?;
    match thread.join() {
        Ok(Ok(_plane)) => {}
        Ok(Err(error)) => {
            return Err(error).context("the protocol thread failed; the addresses were removed");
        }
        Err(_panic) => bail!("the protocol thread panicked; the addresses were removed"),
    }
    tracing::info!("stopped");
    service::remove_dumps();
    locks.release();
    Ok(())
}

/// Enters the network namespace that the file names, and takes the name and the umask that it gives.
fn enter_place(config: &Config) -> anyhow::Result<()> {
    let Place { net_namespace, instance } = &config.host.place;
    if let Some(name) = net_namespace {
        host::enter(name)?;
    }
    if let Some(name) = instance {
        host::name_instance(name);
    }
    if let Some(mask) = config.host.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    Ok(())
}

/// The files that say that an agent runs here.
struct Locks {
    runtime_directory: PathBuf,
    // Removed in this order if the start fails.
    namespace: PidFile,
    pid_file: PidFile,
}

impl Locks {
    fn acquire(pid_file: Option<PathBuf>) -> anyhow::Result<Self> {
        let runtime_directory =
            host::make_runtime_directory().context("cannot make the runtime directory")?;
        let pid_file = pid_file.unwrap_or_else(|| runtime_directory.join("agent.pid"));
        let pid_file = PidFile::acquire(&pid_file)?;
        let namespace = PidFile::acquire(&runtime_directory.join("namespace.lock"))
            .context("one network namespace has one vrrp-agent; give each of several an `instance NAME`")?;
        Ok(Self { runtime_directory, pid_file, namespace })
    }

    fn release(self) {
        // The last file that is removed lets the directory be removed too.
        drop(self.namespace);
        drop(self.pid_file);
        let _not_empty = std::fs::remove_dir(&self.runtime_directory);
    }
}

/// Makes the way to the protocol thread, and the end that the thread reads.
fn engine_handle() -> anyhow::Result<(EngineHandle, mpsc::Receiver<Command>)> {
    let (commands, queue) = mpsc::channel();
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let wake = EventFd::from_flags(flags).context("make an eventfd")?;
    Ok((EngineHandle { commands, wake: Arc::new(wake) }, queue))
}

/// Returns for each instance true if nothing static that the instance needs is missing.
fn statics_needed(config: &Config, missing: &BTreeSet<String>) -> Vec<(Slot, bool)> {
    let lacks = |slot| {
        let mut groups = config.track_groups.iter();
        groups.any(|group| group.members.contains(&slot) && missing.contains(&group.name))
    };
    (0..config.instances.len()).map(|slot| (slot, !lacks(slot))).collect()
}

async fn shutdown_script(config: &Config) {
    lifecycle_scripts::run("shutdown_script", &config.host.shutdown, config.script_security).await;
}

/// Removes the fence if no virtual address is left on the host; otherwise says what is left.
fn take_fence_down(left: anyhow::Result<Vec<String>>, fence: Option<&PinDirectory>) {
    let kept =
        fence.map(|pins| format!("; the fence in {} stays up: remove them, then it", pins.path.display()));
    match (left, fence) {
        (Ok(left), Some(pins)) if left.is_empty() => pins.remove(),
        (Ok(left), None) if left.is_empty() => {}
        (Ok(left), _) => tracing::error!(
            "virtual addresses are left on this host: {}{}",
            left.join(", "),
            kept.unwrap_or_default()
        ),
        (Err(error), _) => tracing::error!(
            "it is not known whether virtual addresses are left on this host: {error:#}{}",
            kept.unwrap_or_default()
        ),
    }
}

fn check_capabilities() -> anyhow::Result<()> {
    for capability in [Capability::NetAdmin, Capability::NetRaw] {
        if !capability.held() {
            bail!(
                "{} is missing: run as root, or grant CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON (systemd: AmbientCapabilities=)",
                capability.name()
            );
        }
    }
    Ok(())
}
