//! The command line: keepalived's own options, so that a service file can be kept, and ours.

mod spelling;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::check::Source;
use crate::config::{self, Includes, MasterAgent};
use crate::daemon::{NamedSignal, PlaneChoice};
use crate::dataplane::{ArrayEntry, AttachPoint, Mode};
use crate::host::{self, EnterError};
use crate::log::{self, Facility, Target};

/// A virtual-IP daemon: VRRP with the urgent half in the kernel, reading keepalived.conf.
#[derive(Debug, Parser)]
#[command(
    version,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    infer_long_args = true
)]
pub struct Cli {
    /// Command; without one the daemon runs, in the foreground.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

impl Cli {
    /// What the command line of this process says, in any spelling that keepalived takes. Ends the process if it says nothing that
    /// can be understood, or asks for help.
    #[must_use]
    pub fn of_process() -> Self {
        Self::try_from_words(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// What a command line says, the program's name first.
    ///
    /// # Errors
    /// If it cannot be understood.
    pub fn try_from_words(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let spelling::Spelled { arguments, strays } = spelling::spelled(&Self::command(), words);
        let mut cli = Self::try_parse_from(arguments)?;
        cli.daemon.strays = strays;
        Ok(cli)
    }
}

/// Commands that talk to a running daemon.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show each instance: state, priority, master, addresses, lease, data plane.
    Status {
        /// Of which daemon.
        #[command(flatten)]
        which: Which,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check a configuration file, without touching the system.
    Check {
        /// The file.
        #[command(flatten)]
        source: SourceArguments,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a configuration file as it is understood, defaults filled in.
    ShowConfig {
        /// The file.
        #[command(flatten)]
        source: SourceArguments,
        /// Passwords and keys too.
        #[arg(long)]
        secrets: bool,
    },
    /// List every keyword of a configuration file: default, unit, range, and what becomes of it here.
    Keywords,
    /// Let tcpdump see the adverts that the XDP program judges, or hide them from the stack again.
    Adverts {
        /// Of which daemon.
        #[command(flatten)]
        which: Which,
        /// Show or hide.
        visibility: Visibility,
    },
}

/// Which of several daemons is meant.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    /// The one that its file calls `instance NAME`.
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// The one in the network namespace of this name.
    #[arg(short = 's', long, value_name = "NAME")]
    pub namespace: Option<String>,
}

impl Which {
    /// Puts this process where that daemon is.
    ///
    /// # Errors
    /// If there is no such network namespace, or it may not be entered.
    pub fn find(&self) -> Result<(), EnterError> {
        if let Some(name) = &self.namespace {
            host::enter(name)?;
        }
        if let Some(name) = &self.instance {
            host::name_instance(name);
        }
        Ok(())
    }
}

/// Whether adverts go on to the stack.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Visibility {
    /// They do.
    Show,
    /// They do not.
    Hide,
}

/// A configuration file.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceArguments {
    /// Configuration file.
    #[arg(
        short = 'f',
        long = "use-file",
        value_name = "FILE",
        default_value = "/etc/keepalived/keepalived.conf"
    )]
    pub file: PathBuf,
    /// What `@id` in the file is compared with; the default is the host's name up to the first dot.
    #[arg(short = 'i', long = "config-id", value_name = "ID")]
    pub id: Option<String>,
    /// Every file that is included must be there.
    #[arg(short = 'e', long)]
    pub all_config: bool,
}

impl SourceArguments {
    /// What is to be read.
    #[must_use]
    pub fn source(&self) -> Source {
        let includes = if self.all_config { Includes::AllOfThem } else { Includes::AsWritten };
        Source { file: self.file.clone(), id: self.id.clone(), includes }
    }
}

/// Options of the daemon.
#[derive(Debug, clap::Args)]
pub struct DaemonArguments {
    /// Configuration file.
    #[command(flatten)]
    pub source: SourceArguments,
    /// Only check the configuration, as keepalived does: 0 if it is right, 5 if not, 6 if scripts would run without
    /// `enable_script_security`, 4 if it cannot be read. Complaints go to FILE, or to the standard error output.
    #[arg(short = 't', long = "config-test", value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub test: Option<Option<PathBuf>>,
    /// Pid file; the default is in /run/vrrp-agent.
    #[arg(short = 'p', long = "pid", value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Answer SNMP managers, with all MIBs, whatever the file says.
    #[arg(short = 'x', long)]
    pub snmp: bool,
    /// Where the SNMP master agent listens, before the file's.
    #[arg(short = 'A', long, value_name = "unix:PATH|tcp:HOST:PORT")]
    pub snmp_agent_socket: Option<MasterAgent>,
    /// Network namespace to run in, as `ip netns` knows it.
    #[arg(short = 's', long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Interface for every instance, whatever the file says.
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,
    /// Log in more detail.
    #[arg(short = 'D', long = "log-detail")]
    pub log_detail: bool,
    /// Log to the console, whatever else is said; otherwise to the journal if systemd has started it.
    #[arg(short = 'l', long = "log-console")]
    pub log_console: bool,
    /// Log to syslog, with this facility.
    #[arg(short = 'S', long = "log-facility", value_name = "0-7|local0-local7|user|daemon")]
    pub log_facility: Option<Facility>,
    /// Permissions that files which it makes are not given, before the file's: a number as C writes it, or bits as in `umask`.
    #[arg(short = 'u', long, value_name = "MASK", value_parser = mask)]
    pub umask: Option<u32>,
    /// Print the number of keepalived's signal of this name: STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON.
    #[arg(long, value_name = "NAME")]
    pub signum: Option<NamedSignal>,
    /// Log the configuration as it is understood, when it is read.
    #[arg(short = 'd', long = "dump-conf")]
    pub dump_conf: bool,
    /// At the end leave the addresses, and do not resign.
    #[arg(short = 'V', long = "dont-release-vrrp")]
    pub keep_addresses: bool,
    /// Which data plane to use.
    #[arg(long, value_enum, default_value = "auto")]
    pub dataplane: DataPlaneArgument,
    /// Where the kernel half is attached.
    #[arg(long, value_enum, default_value = "auto")]
    pub xdp_mode: ModeArgument,
    /// Put the XDP program into an entry of your own pinned program array instead, for your own program to call.
    #[arg(long, value_name = "PATH[:INDEX]", conflicts_with = "xdp_mode")]
    pub xdp_array: Option<ArrayEntry>,
    /// Print the version.
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub version: Option<bool>,
    /// keepalived's options without meaning here.
    #[command(flatten)]
    pub ignored: Ignored,
    /// Words that belong to no option.
    #[arg(skip)]
    pub strays: Vec<String>,
}

fn mask(text: &str) -> Result<u32, String> {
    config::umask(text)
        .ok_or_else(|| "expected: a number up to 0777, or bits such as `IWGRP|IWOTH`".to_owned())
}

/// keepalived's options that are accepted, so that its service's options can be kept. What they would do is done otherwise, or by
/// nobody.
#[derive(Debug, clap::Args)]
pub struct Ignored {
    /// Stay in the foreground (it always does).
    #[arg(short = 'n', long)]
    dont_fork: bool,
    /// Only VRRP (there is nothing else).
    #[arg(short = 'P', long)]
    vrrp: bool,
    /// Only health checks of virtual servers (there are none).
    #[arg(short = 'C', long)]
    check: bool,
    /// No BFD (there is none).
    #[arg(short = 'B', long)]
    no_bfd: bool,
    /// All subsystems.
    #[arg(long)]
    all: bool,
    /// Log to a file (the log goes to the console, syslog or the journal).
    #[arg(short = 'g', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    log_file: Option<Option<PathBuf>>,
    /// Flush that file.
    #[arg(long)]
    flush_log_file: bool,
    /// No syslog (it is used only with -S).
    #[arg(short = 'G', long)]
    no_syslog: bool,
    /// Release virtual servers when stopped (there are none).
    #[arg(short = 'X', long)]
    release_vips: bool,
    /// Keep virtual servers when stopped (there are none).
    #[arg(short = 'I', long)]
    dont_release_ipvs: bool,
    /// Do not start child processes again (there are none).
    #[arg(short = 'R', long)]
    dont_respawn: bool,
    /// Pid file of the VRRP process (there is one process, see -p).
    #[arg(short = 'r', long, value_name = "FILE")]
    vrrp_pid: Option<PathBuf>,
    /// Pid file of the checker process.
    #[arg(short = 'c', long, value_name = "FILE")]
    checkers_pid: Option<PathBuf>,
    /// Pid file of the BFD process.
    #[arg(short = 'b', long, value_name = "FILE")]
    bfd_pid: Option<PathBuf>,
    /// Log each address that is added or removed (`ip monitor address` shows them).
    #[arg(short = 'a', long)]
    address_monitoring: bool,
    /// Hash a page of a web server (keepalived's genhash does).
    #[arg(short = 'T', long)]
    genhash: bool,
    /// Core dumps (`LimitCORE=` of the unit).
    #[arg(short = 'm', long)]
    core_dump: bool,
    /// Pattern of their names.
    #[arg(short = 'M', long, value_name = "PATTERN", num_args = 0..=1, require_equals = true)]
    core_dump_pattern: Option<Option<String>>,
    /// Ignore SIGINT.
    #[arg(long)]
    ignore_sigint: bool,
    /// What keepalived's own developers look at (use -D, and VRRP_AGENT_LOG).
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true)]
    debug: Option<Option<String>>,
    /// Have perf record it (attach `perf record -p` to it).
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true)]
    perf: Option<Option<String>>,
    /// No check of memory (there is none).
    #[arg(long)]
    no_mem_check: bool,
}

impl Ignored {
    /// Those given that change less than keepalived's user would think.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        [
            (self.check, "-C: there are no virtual servers here; VRRP runs all the same"),
            (self.log_file.is_some(), "-g: there is no log file; use -S with a syslog that writes one"),
            (self.dont_release_ipvs, "-I: there are no virtual servers here"),
            (self.vrrp_pid.is_some(), "-r: there is one process, whose pid file -p names"),
            (self.checkers_pid.is_some(), "-c: there is one process, whose pid file -p names"),
            (self.bfd_pid.is_some(), "-b: there is one process, whose pid file -p names"),
            (self.address_monitoring, "-a: addresses are not logged; `ip monitor address` shows them"),
            (self.genhash, "-T: there is no genhash here; keepalived's own does it"),
            (self.core_dump || self.core_dump_pattern.is_some(), "-m, -M: use `LimitCORE=` in the unit"),
            (self.ignore_sigint, "--ignore-sigint: SIGINT stops the daemon"),
            (self.debug.is_some(), "--debug: use -D, or VRRP_AGENT_LOG in the environment"),
            (self.perf.is_some(), "--perf: attach `perf record -p` to this process"),
        ]
        .into_iter()
        .filter_map(|(given, what)| given.then_some(what))
        .collect()
    }
}

impl DaemonArguments {
    /// Where the log goes: to syslog if a facility is named, to the journal if systemd has started us, and to the console otherwise
    /// or if that is asked for.
    #[must_use]
    pub fn log_target(&self) -> Target {
        match (self.log_console, self.log_facility) {
            (false, Some(facility)) => Target::Syslog(facility),
            (false, None) if log::journal_is_listening() => Target::Journal,
            (true, _) | (false, None) => Target::Console,
        }
    }
}

/// `--dataplane`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DataPlaneArgument {
    /// The kernel half, or sockets where it cannot run.
    Auto,
    /// The kernel half, or fail.
    Ebpf,
    /// Raw sockets.
    Socket,
}

/// `--xdp-mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeArgument {
    /// Native where that works, generic elsewhere, tcx where VLAN interfaces stand on the interface.
    Auto,
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
    /// In tc, behind other XDP programs (Linux 6.6).
    Tcx,
}

impl From<DataPlaneArgument> for PlaneChoice {
    fn from(argument: DataPlaneArgument) -> Self {
        match argument {
            DataPlaneArgument::Auto => Self::Auto,
            DataPlaneArgument::Ebpf => Self::Ebpf,
            DataPlaneArgument::Socket => Self::Socket,
        }
    }
}

impl DaemonArguments {
    /// Where the kernel half is to be put.
    #[must_use]
    pub fn attach_point(&self) -> AttachPoint {
        match (&self.xdp_array, self.xdp_mode) {
            (Some(entry), _) => AttachPoint::Array(entry.clone()),
            (None, ModeArgument::Auto) => AttachPoint::Auto,
            (None, ModeArgument::Native) => AttachPoint::Only(Mode::Native),
            (None, ModeArgument::Generic) => AttachPoint::Only(Mode::Generic),
            (None, ModeArgument::Tcx) => AttachPoint::Only(Mode::Tcx),
        }
    }
}
