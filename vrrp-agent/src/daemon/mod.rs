//! The loop that joins the modules: it reads the configuration, looks at the host, starts the engine and carries out its
//! effects. It decides nothing about the protocol.

mod announcements;
mod derive;
mod effects;
mod engine;
mod errands;
mod frames;
mod guards;
mod holdings;
mod interfaces;
mod lacks;
mod locks;
mod namesakes;
mod network;
mod plane;
mod refusals;
mod reload;
mod scheduling;
mod service;
mod signals;
mod site;
mod status;
mod strangers;
mod supervise;
mod synchroniser;
mod trackers;
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
use crate::dataplane::{Hook, bpffs, legacy};
use crate::host::{self, Capability};
use crate::net::{changes, links};
use crate::process::identity;
use crate::track::Tracker;
use effects::{Engineer, Executor};
use engine::reload::Roster;
use engine::{Command, Engine};
use interfaces::Interfaces;
use locks::PidFile;
use network::{Listeners, Network};
pub use signals::NamedSignal;
use signals::Signals;
use site::Site;
use status::StatusPage;
use supervise::{Sources, ask, needed, note_lacks, supervise};
use trackers::Trackers;

/// The choice of the data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The kernel half, or sockets where it cannot run.
    Auto,
    /// The kernel half, or nothing.
    Ebpf,
    /// Sockets.
    Socket,
}

/// The treatment of the virtual addresses when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
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
    pub choice: Choice,
    /// The place where the kernel half is attached.
    pub hook: Hook,
    /// The treatment of the virtual addresses at the end.
    pub at_end: AtEnd,
}

/// Runs until SIGTERM or SIGINT. Must be called in a tokio runtime of one thread.
///
/// # Errors
/// If the daemon cannot start: the error says what to do about it, and nothing is left half installed. Later, if the control
/// socket or the protocol thread fails.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options { read, pid_file, choice, hook, at_end } = options;
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
    errands::run("startup_script", &config.host.startup, config.script_security).await;

    // Registered before the host is looked at and anything is started, so that no signal and no change is missed.
    let mut signals = Signals::register()?;
    let host_changes = changes::stream()?;
    let netlink = links::connect()?;
    let site = Site::look(&netlink, &mut config, &[]).await?;
    let (commands, command_queue) = mpsc::channel();
    let wake =
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).context("make an eventfd")?;
    let wake = Arc::new(wake);
    let engineer = Engineer { commands, wake: Arc::clone(&wake) };
    let (refused, refusals) = unbounded_channel();
    let was = vec![None; config.instances.len()];
    let roster = Roster {
        generation: 0,
        holdings: site.holdings(&config),
        config: config.clone(),
        lacks: Vec::new(),
        was,
        carried_out: None,
    };
    let (unseen, unseens) = unbounded_channel();
    let (mended, mends) = unbounded_channel();
    let (question, questions) = unbounded_channel();
    let (wish, wishes) = unbounded_channel();
    let (told, mut told_queue) = unbounded_channel();
    let left_behind = bpffs::left_behind();
    let pinned = left_behind.as_ref().map(legacy::addresses).unwrap_or_default();
    let listeners = Listeners { engineer: engineer.clone(), refused, mended, told };
    let (network, effects) = Network::start(&roster, pinned, listeners).await?;
    let executor = Executor::new(netlink, roster, unseen, question, wish);
    let missing = network.set_fixtures().await?;
    let plane::Opened { plane, kernel, pasts } =
        plane::open(&config, &site, &network, left_behind, choice, &hook).await?;
    let mut interfaces = Interfaces::new(config, site, kernel)?;
    tracing::info!("data plane: {}", plane.describe());
    interfaces.look_for_sources(&executor.handle).await;
    let usable: Vec<bool> =
        (0..interfaces.site.len()).map(|slot| interfaces.usable(host::now(), slot)).collect();
    let Interfaces { config, site, .. } = &interfaces;

    let mut tracker = Tracker::new(config, &usable);
    let mut trackers = Trackers::new();
    let started = trackers.run(config).await;
    started.news.into_iter().for_each(|news| tracker.hear(news));
    tracker.set_interfaces(|name| site.tracked.is_running(name));
    for (slot, there) in needed(config, &missing) {
        tracker.set_fixtures(slot, there);
    }
    let mut routers = site.routers(config, |slot| interfaces.program_hears(slot));
    for (router, past) in routers.iter_mut().zip(pasts) {
        router.past = Some(past);
    }
    for (slot, health) in tracker.changes() {
        let machine = &mut routers[slot].machine;
        machine.set_contributions(host::now(), health.contributions);
        machine.set_fault(host::now(), health.fault);
    }
    note_lacks(&tracker, &interfaces, &executor, &trackers.page());
    let pins_path = interfaces.pins().map(|pins| pins.path.display().to_string());
    let status = StatusPage { config: config.clone(), sources: site.sources.clone(), pins: pins_path };
    let engine = Engine::new(routers, plane, command_queue, effects, wake, status)?;
    let urgency = config.host.scheduling.clone();
    let thread = std::thread::Builder::new().name("vrrp".to_owned()).spawn(move || {
        scheduling::apply(&urgency);
        engine.run()
    })?;

    let page = trackers.page();
    let (request, requests) = unbounded_channel();
    let sources = Sources {
        trackers,
        missing,
        mends,
        questions,
        host: host_changes,
        refusals,
        unseen: unseens,
        requests,
        wishes,
    };
    let control_path = control::path();
    service::ready();
    // Poll the same future through shutdown, so that a half-done effect completes.
    let mut carrying_out = pin!(executor.run(&mut told_queue));
    let mut carried_out = false;
    let outcome = tokio::select! {
        () = &mut carrying_out => {
            carried_out = true;
            Ok(())
        }
        () = supervise(&engineer, &mut tracker, &mut interfaces, &executor, &network, &read, sources) => Ok(()),
        () = signals.asked_to_stop(&request) => Ok(()),
        result = control::serve(&control_path, async || {
            ask(&engineer, &page, &executor, &network.missing).await
        }) => {
            result.with_context(|| format!("control socket {}", control_path.display()))
        }
    };
    // The shutdown is the same whichever branch has ended: resign, give up the addresses, and only then take the fence down.
    tracing::info!("stopping");
    service::stopping();
    if at_end == AtEnd::Keep {
        tracing::warn!("the addresses are left where they are");
        let _gone = std::fs::remove_file(&control_path);
        outcome?;
        errands::run("shutdown_script", &interfaces.config.host.shutdown, interfaces.config.script_security)
            .await;
        // End as if killed, on purpose: the kernel half goes on.
        std::process::exit(0);
    }
    let _ended = engineer.tell(Command::Stop);
    tokio::select! {
        () = &mut carrying_out, if !carried_out => {}
        () = signals.asked_to_stop(&request), if !carried_out => {
            tracing::warn!("asked to stop again: not waiting for the engine");
        }
        else => {}
    }
    executor.finish().await;
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
    errands::run("shutdown_script", &interfaces.config.host.shutdown, interfaces.config.script_security)
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
