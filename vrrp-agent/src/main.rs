//! The daemon's entry, and its commands.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Parser as _;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use vrrp_agent::cli::{Cli, Command, DaemonArguments, Visibility};
use vrrp_agent::config::{self, Severity};
use vrrp_agent::control;
use vrrp_agent::daemon::{self, Options};
use vrrp_agent::dataplane::{bpffs, show_adverts};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Status { json }) => status(json),
        Some(Command::Adverts { visibility }) => adverts(visibility),
        None => daemon(&cli.daemon),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vrrp-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn status(json: bool) -> anyhow::Result<()> {
    let path = control::path();
    let snapshot = control::query(&path).with_context(|| {
        format!(
            "no vrrp-agent answers at {} (it runs in another network namespace, or not at all)",
            path.display()
        )
    })?;
    let text =
        if json { serde_json::to_string_pretty(&snapshot)? + "\n" } else { control::render(&snapshot) };
    // A reader that has left, as in `| head`, is not an error.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn adverts(visibility: Visibility) -> anyhow::Result<()> {
    let pins = bpffs::left_behind()
        .context("no vrrp-agent has pinned its maps here (it runs on sockets, in another network namespace, or not at all)")?;
    let show = match visibility {
        Visibility::Show => true,
        Visibility::Hide => false,
    };
    Ok(show_adverts(&pins, show)?)
}

fn daemon(arguments: &DaemonArguments) -> anyhow::Result<()> {
    // What is still to be written is written when this is dropped.
    let _log = start_log(arguments);
    for note in arguments.ignored.given() {
        tracing::warn!("{note}");
    }
    let text = config::read(&arguments.file)?;
    let path = arguments.file.display().to_string();
    let reading = config::parse(&text);
    for diagnostic in &reading.diagnostics {
        eprintln!("{}\n", diagnostic.render(&path, &text, std::io::stderr().is_terminal()));
    }
    let errors = reading.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let mut config =
        reading.config.with_context(|| format!("{path}: {errors} errors, nothing was started"))?;
    if let Some(interface) = &arguments.interface {
        for instance in &mut config.instances {
            instance.interface.clone_from(interface);
        }
        let vrids: HashSet<u8> = config.instances.iter().map(|instance| instance.vrid).collect();
        ensure!(
            vrids.len() == config.instances.len(),
            "--interface {interface}: two instances have one virtual_router_id, and would be on one interface"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(daemon::run(Options {
        config,
        pid_file: arguments.pid_file.clone(),
        choice: arguments.dataplane.into(),
        hook: arguments.hook(),
    }))
}

/// The log is written by a thread of its own, and lines are dropped when it cannot keep up: a terminal or journal that hangs
/// must not hold up an address.
fn start_log(arguments: &DaemonArguments) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let level = if arguments.log_detail { LevelFilter::DEBUG } else { LevelFilter::INFO };
    // netlink's crates tell every message at debug level.
    let quiet =
        ["netlink_proto=warn", "rtnetlink=warn", "netlink_packet_route=error", "aya=info", "aya_obj=info"];
    let mut filter = EnvFilter::builder()
        .with_env_var("VRRP_AGENT_LOG")
        .with_default_directive(level.into())
        .from_env_lossy();
    for directive in quiet {
        filter = filter.add_directive(directive.parse().expect("a valid directive"));
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer)
        .init();
    guard
}
