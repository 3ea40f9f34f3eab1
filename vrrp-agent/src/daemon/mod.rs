//! The loop that joins the rooms: reads the file, looks at the host, starts the engine, carries out its effects. Decides
//! nothing about the protocol.

mod announcements;
mod effects;
mod engine;
mod errands;
mod fixtures;
mod frames;
mod holdings;
mod interfaces;
mod lacks;
mod locks;
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
use crate::dataplane::Hook;
use crate::host::{self, Capability};
use crate::net::{changes, links};
use crate::track::Tracker;
use effects::{Engineer, Executor};
use engine::reload::Roster;
use engine::{Command, Engine};
use interfaces::Interfaces;
use locks::PidFile;
pub use signals::NamedSignal;
use signals::Signals;
use site::Site;
use status::StatusPage;
use supervise::{Sources, ask, needed, note_lacks, supervise};
use trackers::Trackers;

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

/// What becomes of the addresses when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// Given up, with a resignation.
    Release,
    /// Left where they are, without one (`-V`): with the kernel half they are answered for as long as the lease lasts.
    Keep,
}

/// Reads the configuration, and says what is to be said of it.
pub type Read = Box<dyn Fn() -> anyhow::Result<Config>>;

/// What the command line says.
pub struct Options {
    /// Reads the configuration: at the start, and again when asked to reload.
    pub read: Read,
    /// Pid file; the default is in the runtime directory.
    pub pid_file: Option<PathBuf>,
    /// Data plane.
    pub choice: Choice,
    /// Where the kernel half is put.
    pub hook: Hook,
    /// What becomes of the addresses at the end.
    pub at_end: AtEnd,
}

/// Runs until SIGTERM or SIGINT. Must be called in a tokio runtime of one thread.
///
/// # Errors
/// Whatever stands in the way of starting, with what to do about it; nothing is left half installed.
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
    errands::run("startup_script", &config.host.startup, config.script_security).await;

    // Before anything is looked at or started, so that nothing is missed.
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
    let executor = Executor::new(netlink, roster, engineer.clone(), refused, unseen, mended, question, wish);
    let missing = executor.set_fixtures().await;
    let plane::Opened { plane, kernel, pasts } =
        plane::open(&config, &site, &executor, choice, &hook).await?;
    let mut interfaces = Interfaces::new(config, site, kernel)?;
    tracing::info!("data plane: {}", plane.describe());
    interfaces.look_for_sources(&executor.handle).await;
    let usable: Vec<bool> =
        (0..interfaces.site.len()).map(|slot| interfaces.usable(host::now(), slot)).collect();
    let Interfaces { config, site, .. } = &interfaces;

    let mut tracker = Tracker::new(config, &usable);
    let mut trackers = Trackers::new();
    let started = trackers.run(config);
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
    let (effects, mut effect_queue) = unbounded_channel();
    // It does not keep the queue open: that ends with the engine.
    let asking = effects.downgrade();
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
        effects: asking,
        host: host_changes,
        refusals,
        unseen: unseens,
        requests,
        wishes,
    };
    let control_path = control::path();
    service::ready();
    // One and the same from here to the end: an effect that a stop finds half done is not left so.
    let mut carrying_out = pin!(executor.run(&mut effect_queue));
    let mut carried_out = false;
    let outcome = tokio::select! {
        () = &mut carrying_out => {
            carried_out = true;
            Ok(())
        }
        () = supervise(&engineer, &mut tracker, &mut interfaces, &executor, &read, sources) => Ok(()),
        () = signals.asked_to_stop(&request) => Ok(()),
        result = control::serve(&control_path, async || ask(&engineer, &page, &executor).await) => {
            result.with_context(|| format!("control socket {}", control_path.display()))
        }
    };
    // Whatever has ended, the rest is the same: resign, give up the addresses, and only then take the fence down.
    tracing::info!("stopping");
    service::stopping();
    if at_end == AtEnd::Keep {
        tracing::warn!("the addresses are left where they are");
        let _gone = std::fs::remove_file(&control_path);
        outcome?;
        errands::run("shutdown_script", &interfaces.config.host.shutdown, interfaces.config.script_security)
            .await;
        // As if killed, on purpose: the kernel half goes on.
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
    let mut all_gone = true;
    for slot in 0..interfaces.site.len() {
        all_gone &= executor.withdraw(slot).await;
    }
    executor.remove_fixtures().await;
    let _gone = std::fs::remove_file(&control_path);
    match (interfaces.pins(), all_gone) {
        (Some(pins), true) => pins.remove(),
        (Some(pins), false) => tracing::error!(
            "addresses are left, so the fence in {} stays up: remove them, then it",
            pins.path.display()
        ),
        (None, _) => {}
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
    // The directory goes with the last file in it.
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
