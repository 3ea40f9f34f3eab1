//! The loop that joins the modules: it reads the configuration, looks at the host, starts the engine and carries out its
//! effects. It decides nothing about the protocol.

mod announcements;
mod derive;
mod effects;
mod engine;
mod frames;
mod guards;
mod host_binding;
mod interfaces;
mod ipvs_sync;
mod lacks;
mod lifecycle_scripts;
mod locks;
mod master_resources;
mod namesakes;
mod network;
mod plane;
mod refusals;
mod reload;
mod scheduling;
mod service;
mod signals;
mod status;
mod supervise;
mod tracker_tasks;
mod unknown_vrids;
mod wire;

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
use crate::dataplane::{AttachPoint, bpffs, recovery};
use crate::host::{self, Capability};
use crate::net::{changes, links};
use crate::process::identity;
use crate::track::HealthTable;
use effects::{EffectRunner, EngineHandle};
use engine::reload::ActiveConfig;
use engine::{Command, Engine};
use host_binding::HostBinding;
use interfaces::Interfaces;
use locks::PidFile;
use network::{Listeners, Network};
pub use signals::NamedSignal;
use signals::Signals;
use status::StatusPage;
use supervise::{Sources, ask, needed, note_lacks, supervise};
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
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options { read, pid_file, choice, attach_point, on_exit } = options;
    let mut config = read()?;
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
    check_capabilities()?;
    reload::check_size(&config)?;
    let runtime_directory = host::make_runtime_directory().context("cannot make the runtime directory")?;
    let pid_file = pid_file.unwrap_or_else(|| runtime_directory.join("agent.pid"));
    let pid_file = PidFile::acquire(&pid_file)?;
    let namespace = PidFile::acquire(&runtime_directory.join("namespace.lock"))
        .context("one network namespace has one vrrp-agent; give each of several an `instance NAME`")?;
    identity::look_up(config.script_users().cloned()).await;
    lifecycle_scripts::run("startup_script", &config.host.startup, config.script_security).await;

    // Registered before the host is looked at and anything is started, so that no signal and no change is missed.
    let mut signals = Signals::register()?;
    let host_changes = changes::stream()?;
    let netlink = links::connect()?;
    let host_binding = HostBinding::look(&netlink, &mut config, &[]).await?;
    let (commands, command_queue) = mpsc::channel();
    let wake =
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).context("make an eventfd")?;
    let wake = Arc::new(wake);
    let engine = EngineHandle { commands, wake: Arc::clone(&wake) };
    let (refused, refusals) = unbounded_channel();
    let was = vec![None; config.instances.len()];
    let active = ActiveConfig {
        generation: 0,
        master_resources: host_binding.master_resources(&config),
        config: config.clone(),
        lacks: Vec::new(),
        was,
        carried_out: None,
    };
    let (unseen, unseens) = unbounded_channel();
    let (restored, restores) = unbounded_channel();
    let (question, questions) = unbounded_channel();
    let (dbus_request, dbus_requests) = unbounded_channel();
    let (told, mut told_queue) = unbounded_channel();
    let left_behind = bpffs::left_behind();
    let pinned = left_behind.as_ref().map(recovery::addresses).unwrap_or_default();
    let listeners = Listeners { engine: engine.clone(), refused, restored, told };
    let (network, effects) = Network::start(&active, pinned, listeners).await?;
    let runner = EffectRunner::new(netlink, active, unseen, question, dbus_request);
    let missing = network.set_statics().await?;
    let plane::Opened { plane, kernel, saved_states } =
        plane::open(&config, &host_binding, &network, left_behind, choice, &attach_point).await?;
    let mut interfaces = Interfaces::new(config, host_binding, kernel)?;
    tracing::info!("data plane: {}", plane.describe());
    interfaces.look_for_sources(&runner.handle).await;
    let usable: Vec<bool> =
        (0..interfaces.host_binding.len()).map(|slot| interfaces.usable(host::now(), slot)).collect();
    let Interfaces { config, host_binding, .. } = &interfaces;

    let mut health_table = HealthTable::new(config, &usable);
    let mut tracker_tasks = TrackerTasks::new();
    let started = tracker_tasks.run(config).await;
    started.news.into_iter().for_each(|news| health_table.hear(news));
    health_table.set_interfaces(|name| host_binding.tracked.is_running(name));
    for (slot, there) in needed(config, &missing) {
        health_table.set_statics(slot, there);
    }
    let mut routers = host_binding.routers(config, |slot| interfaces.program_hears(slot));
    for (router, saved) in routers.iter_mut().zip(saved_states) {
        router.saved = Some(saved);
    }
    for (slot, health) in health_table.changes() {
        let machine = &mut routers[slot].machine;
        machine.set_contributions(host::now(), health.contributions);
        machine.set_fault(host::now(), health.fault);
    }
    note_lacks(&health_table, &interfaces, &runner, &tracker_tasks.page());
    let pins_path = interfaces.pins().map(|pins| pins.path.display().to_string());
    let status =
        StatusPage { config: config.clone(), sources: host_binding.sources.clone(), pins: pins_path };
    let protocol = Engine::new(routers, plane, command_queue, effects, wake, status)?;
    let urgency = config.host.scheduling.clone();
    let thread = std::thread::Builder::new().name("vrrp".to_owned()).spawn(move || {
        scheduling::apply(&urgency);
        protocol.run()
    })?;

    let page = tracker_tasks.page();
    let (request, requests) = unbounded_channel();
    let sources = Sources {
        tracker_tasks,
        missing,
        restores,
        questions,
        host: host_changes,
        refusals,
        unseen: unseens,
        requests,
        dbus_requests,
    };
    let control_path = control::path();
    service::ready();
    // Poll the same future through shutdown, so that a half-done effect completes.
    let mut carrying_out = pin!(runner.run(&mut told_queue));
    let mut carried_out = false;
    let outcome = tokio::select! {
        () = &mut carrying_out => {
            carried_out = true;
            Ok(())
        }
        () = supervise(&engine, &mut health_table, &mut interfaces, &runner, &network, &read, sources) => Ok(()),
        () = signals.asked_to_stop(&request) => Ok(()),
        result = control::serve(&control_path, async || {
            ask(&engine, &page, &runner, &network.missing).await
        }) => {
            result.with_context(|| format!("control socket {}", control_path.display()))
        }
    };
    // The shutdown is the same whichever branch has ended: resign, give up the addresses, and only then take the fence down.
    tracing::info!("stopping");
    service::stopping();
    if on_exit == OnExit::Keep {
        tracing::warn!("the addresses are left where they are");
        let _gone = std::fs::remove_file(&control_path);
        outcome?;
        lifecycle_scripts::run(
            "shutdown_script",
            &interfaces.config.host.shutdown,
            interfaces.config.script_security,
        )
        .await;
        // End as if killed, on purpose: the kernel half goes on.
        std::process::exit(0);
    }
    let _ended = engine.tell(Command::Stop);
    tokio::select! {
        () = &mut carrying_out, if !carried_out => {}
        () = signals.asked_to_stop(&request), if !carried_out => {
            tracing::warn!("asked to stop again: not waiting for the engine");
        }
        else => {}
    }
    runner.finish().await;
    let left = network.end().await;
    let _gone = std::fs::remove_file(&control_path);
    let fence = interfaces.pins();
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
    lifecycle_scripts::run(
        "shutdown_script",
        &interfaces.config.host.shutdown,
        interfaces.config.script_security,
    )
    .await;
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
    // The last file that is removed lets the directory be removed too.
    drop(namespace);
    drop(pid_file);
    let _not_empty = std::fs::remove_dir(&runtime_directory);
    Ok(())
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
