//! The daemon's entry, and its commands.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use vrrp_agent::check::{self, Source};
use vrrp_agent::cli::{Cli, Command, DaemonArguments, Visibility, Which};
use vrrp_agent::config::{self, Config, MasterAgent, Mib, Reading, Secrets, Severity};
use vrrp_agent::control;
use vrrp_agent::daemon::{self, OnExit, Options};
use vrrp_agent::dataplane::{bpffs, show_adverts};
use vrrp_agent::{init, log};

/// The time for threads that still do something at the end.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let result = match cli.command {
        Some(Command::Status { which, json }) => status(&which, json),
        Some(Command::Check { source, json }) => return check(&source.source(), json),
        Some(Command::ShowConfig { source, secrets }) => show_config(&source.source(), secrets),
        Some(Command::Keywords) => print(&config::markdown()),
        Some(Command::Adverts { which, visibility }) => adverts(&which, visibility),
        None => match (&cli.daemon.test, cli.daemon.signum) {
            (_, Some(signal)) => print(&format!("{}\n", signal.number())),
            (Some(to), None) => return test(&cli.daemon, to.as_deref()),
            (None, None) => match init::run_if_first() {
                Ok(Some(code)) => return code,
                Ok(None) => daemon(&cli.daemon),
                Err(error) => Err(error).context("cannot start the daemon as a child of process 1"),
            },
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vrrp-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn status(which: &Which, json: bool) -> anyhow::Result<()> {
    which.find()?;
    let path = control::path();
    let snapshot = control::query(&path).with_context(|| {
        format!(
            "no vrrp-agent answers at {}: it does not run, or runs in another network namespace (see --namespace)",
            path.display()
        )
    })?;
    let text =
        if json { serde_json::to_string_pretty(&snapshot)? + "\n" } else { control::render(&snapshot) };
    print(&text)
}

fn print(text: &str) -> anyhow::Result<()> {
    // A reader that has left, as in `| head`, is not an error.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn check(source: &Source, json: bool) -> ExitCode {
    let mut reading = source.read();
    check::look_at_host(&mut reading);
    let said = if json {
        check::json(&source.file, &reading).map_err(Into::into).and_then(|text| print(&text))
    } else {
        check::complain(&reading);
        print(&(check::summary(&source.file, &reading) + "\n"))
    };
    match (said, &reading.config) {
        (Ok(()), Some(_)) => ExitCode::SUCCESS,
        (Ok(()), None) | (Err(_), _) => ExitCode::FAILURE,
    }
}

/// keepalived's `-t`.
fn test(arguments: &DaemonArguments, to: Option<&Path>) -> ExitCode {
    let mut reading = arguments.source.source().read();
    if arguments.namespace.is_none() && arguments.interface.is_none() {
        check::look_at_host(&mut reading);
    }
    match to {
        None => check::complain(&reading),
        Some(path) => {
            if let Err(error) = std::fs::write(path, check::render(&reading, false)) {
                eprintln!("vrrp-agent: {}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::from(check::exit_code(&reading))
}

fn show_config(source: &Source, secrets: bool) -> anyhow::Result<()> {
    let reading = source.read();
    check::complain(&reading);
    let config = reading.config.as_ref().with_context(|| check::summary(&source.file, &reading))?;
    print(&config::show(config, if secrets { Secrets::Shown } else { Secrets::Hidden }))
}

fn adverts(which: &Which, visibility: Visibility) -> anyhow::Result<()> {
    which.find()?;
    let pins = bpffs::left_behind()
        .context("found no maps of a vrrp-agent: it does not run, runs on sockets, or in another network namespace (see --namespace)")?;
    let show = match visibility {
        Visibility::Show => true,
        Visibility::Hide => false,
    };
    Ok(show_adverts(&pins, show)?)
}

fn daemon(arguments: &DaemonArguments) -> anyhow::Result<()> {
    // Lines of the log that still wait are written when this is dropped.
    let _log = log::start(arguments.log_target(), arguments.log_detail).context("cannot open the log")?;
    for note in arguments.ignored.given() {
        tracing::warn!("{note}");
    }
    if !arguments.strays.is_empty() {
        tracing::warn!(
            "the command line has words that belong to no option, which are ignored: {}",
            arguments.strays.join(" ")
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let source = arguments.source.source();
    let beside = BesideTheFile {
        interface: arguments.interface.clone(),
        snmp: arguments.snmp,
        master: arguments.snmp_agent_socket.clone(),
        umask: arguments.umask,
        namespace: arguments.namespace.clone(),
        dump: arguments.dump_conf,
    };
    let result = runtime.block_on(daemon::run(Options {
        read: Arc::new(move || read(&source, &beside)),
        pid_file: arguments.pid_file.clone(),
        choice: arguments.dataplane.into(),
        attach_point: arguments.attach_point(),
        on_exit: if arguments.keep_addresses { OnExit::Keep } else { OnExit::Release },
    }));
    // The daemon has done its work; a thread that is stuck in the kernel is not waited for any longer than this.
    runtime.shutdown_timeout(EXIT_TIMEOUT);
    result
}

/// The options of the command line that change the configuration.
struct BesideTheFile {
    /// The interface of every instance.
    interface: Option<String>,
    /// True if managers see all MIBs.
    snmp: bool,
    /// The address at which the SNMP master agent listens.
    master: Option<MasterAgent>,
    /// The network namespace to run in.
    namespace: Option<String>,
    /// The permissions that new files do not get (the umask).
    umask: Option<u32>,
    /// True if the whole configuration is logged.
    dump: bool,
}

/// Reads the configuration, and reports the complaints about it.
fn read(source: &Source, beside: &BesideTheFile) -> anyhow::Result<Config> {
    let mut reading = source.read();
    say(&reading);
    let usable = reading.config.take();
    let mut config = usable.with_context(|| check::summary(&source.file, &reading))?;
    if let Some(interface) = &beside.interface {
        for instance in &mut config.instances {
            interface.clone_into(&mut instance.interface);
        }
        let vrids: HashSet<u8> = config.instances.iter().map(|instance| instance.vrid).collect();
        ensure!(
            vrids.len() == config.instances.len(),
            "--interface {interface}: two instances have the same virtual_router_id, and cannot be on one interface"
        );
    }
    if beside.snmp {
        config.snmp.mibs = Mib::ALL.into();
    }
    if let Some(master) = &beside.master {
        config.snmp.master.clone_from(master);
    }
    if let Some(name) = &beside.namespace {
        config.host.place.net_namespace = Some(name.clone());
    }
    config.host.umask = beside.umask.or(config.host.umask);
    if beside.dump {
        config::show(&config, Secrets::Hidden).lines().for_each(|line| tracing::info!("{line}"));
    }
    Ok(config)
}

/// Reports complaints. A daemon's complaints go to its log; on a console they look like those of a compiler.
fn say(reading: &Reading) {
    if std::io::stderr().is_terminal() {
        return check::complain(reading);
    }
    for diagnostic in &reading.diagnostics {
        let text = diagnostic.render(&reading.sources, false);
        match diagnostic.severity {
            Severity::Note => tracing::info!("{text}"),
            Severity::Warning => tracing::warn!("{text}"),
            Severity::Error => tracing::error!("{text}"),
        }
    }
}
