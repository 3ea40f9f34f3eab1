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

/// A VRRP daemon that reads keepalived.conf, with its time-critical half in the kernel (eBPF).
#[derive(Debug, Parser)]
#[command(
    version,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    infer_long_args = true
)]
pub struct Cli {
    /// Command; without one, the daemon runs in the foreground.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

impl Cli {
    /// Parses the command line of this process, in any spelling that keepalived accepts. Ends the process if the command line is
    /// not valid, or if it asks for help or the version.
    #[must_use]
    pub fn of_process() -> Self {
        Self::try_from_words(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Parses a command line, whose first word is the name of the program.
    ///
    /// # Errors
    /// If the command line is not valid.
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
        /// The daemon to ask.
        #[command(flatten)]
        which: Which,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check a configuration file, without changing anything on this host.
    Check {
        /// The file.
        #[command(flatten)]
        source: SourceArguments,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a configuration as the daemon reads it, with all default values.
    ShowConfig {
        /// The file.
        #[command(flatten)]
        source: SourceArguments,
        /// Show passwords and keys too.
        #[arg(long)]
        secrets: bool,
    },
    /// List every keyword of keepalived.conf: value, unit, range, default, and whether it has an effect here.
    Keywords,
    /// Show adverts to tcpdump on this host, or hide them again (the XDP program drops each advert after it has judged it).
    Adverts {
        /// The daemon to ask.
        #[command(flatten)]
        which: Which,
        /// Show adverts to the network stack, or hide them from it.
        visibility: Visibility,
    },
}

/// The choice between several daemons.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    /// Ask the daemon whose file says `instance NAME`.
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// Ask the daemon in the network namespace NAME.
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

/// The fate of an advert that the XDP program has judged.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Visibility {
    /// Adverts go to the network stack, so that tcpdump sees them.
    Show,
    /// Adverts are dropped before the network stack.
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
    /// Value for the `@id` conditions in the file; the default is the host name up to its first dot.
    #[arg(short = 'i', long = "config-id", value_name = "ID")]
    pub id: Option<String>,
    /// Report an error if an `include` does not find or cannot read its files.
    #[arg(short = 'e', long)]
    pub all_config: bool,
}

impl SourceArguments {
    /// Returns the file to read, and how to read it.
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
    /// Only check the configuration, with keepalived's exit status: 0 if there is no error or warning, 5 if there is one, 4 if
    /// the file cannot be read, 6 if scripts would run without `enable_script_security`. Messages go to FILE, or to standard error.
    #[arg(short = 't', long = "config-test", value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub test: Option<Option<PathBuf>>,
    /// Pid file; the default is in /run/vrrp-agent.
    #[arg(short = 'p', long = "pid", value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Answer SNMP managers with all MIBs, even if the file does not enable SNMP.
    #[arg(short = 'x', long)]
    pub snmp: bool,
    /// Address of the SNMP master agent; overrides `snmp_socket` in the file.
    #[arg(short = 'A', long, value_name = "unix:PATH|tcp:HOST:PORT")]
    pub snmp_agent_socket: Option<MasterAgent>,
    /// Network namespace to run in, by its name in `ip netns`; overrides `net_namespace` in the file.
    #[arg(short = 's', long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Interface of every instance; overrides `interface` in the file.
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,
    /// Log in more detail.
    #[arg(short = 'D', long = "log-detail")]
    pub log_detail: bool,
    /// Log to the console. Without this option the log goes to syslog with -S, else to the journal if systemd has started the
    /// daemon, else to the console.
    #[arg(short = 'l', long = "log-console")]
    pub log_console: bool,
    /// Log to syslog, with this facility.
    #[arg(short = 'S', long = "log-facility", value_name = "0-7|local0-local7|user|daemon")]
    pub log_facility: Option<Facility>,
    /// Permissions that new files do not get, as a number (`022` is octal) or as bits such as `IWGRP|IWOTH`; overrides `umask` in
    /// the file.
    #[arg(short = 'u', long, value_name = "MASK", value_parser = mask)]
    pub umask: Option<u32>,
    /// Print the number of keepalived's signal of this name: STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON.
    #[arg(long, value_name = "NAME")]
    pub signum: Option<NamedSignal>,
    /// Log the configuration, with all default values, each time that it is read.
    #[arg(short = 'd', long = "dump-conf")]
    pub dump_conf: bool,
    /// When the daemon stops, leave the virtual addresses on their interfaces, and do not resign.
    #[arg(short = 'V', long = "dont-release-vrrp")]
    pub keep_addresses: bool,
    /// Data plane to use: the kernel half or sockets.
    #[arg(long, value_enum, default_value = "auto")]
    pub dataplane: DataPlaneArgument,
    /// Place where the kernel half is attached to each interface.
    #[arg(long, value_enum, default_value = "auto")]
    pub xdp_mode: ModeArgument,
    /// Put the XDP program into this entry of a pinned program array, from which your own XDP program calls it.
    #[arg(long, value_name = "PATH[:INDEX]", conflicts_with = "xdp_mode")]
    pub xdp_array: Option<ArrayEntry>,
    /// Print the version.
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub version: Option<bool>,
    /// Options of keepalived that have no effect here.
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

/// Options of keepalived that are accepted but have no effect, so that the options of its service file can stay.
#[derive(Debug, clap::Args)]
pub struct Ignored {
    /// Stay in the foreground (the daemon always does).
    #[arg(short = 'n', long)]
    dont_fork: bool,
    /// Run VRRP only (the daemon runs nothing else).
    #[arg(short = 'P', long)]
    vrrp: bool,
    /// Run health checks of virtual servers only (no effect: there are none).
    #[arg(short = 'C', long)]
    check: bool,
    /// Do not run BFD (there is none).
    #[arg(short = 'B', long)]
    no_bfd: bool,
    /// Run all subsystems (there is only VRRP).
    #[arg(long)]
    all: bool,
    /// Log to a file (no effect: the log goes to the console, syslog or the journal).
    #[arg(short = 'g', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    log_file: Option<Option<PathBuf>>,
    /// Flush the log file after each line (no effect: there is no log file).
    #[arg(long)]
    flush_log_file: bool,
    /// Do not log to syslog (the daemon does so only with -S).
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
    /// Pid file of the checker process (there is none, see -p).
    #[arg(short = 'c', long, value_name = "FILE")]
    checkers_pid: Option<PathBuf>,
    /// Pid file of the BFD process (there is none, see -p).
    #[arg(short = 'b', long, value_name = "FILE")]
    bfd_pid: Option<PathBuf>,
    /// Log each address that is added or removed (no effect: `ip monitor address` shows them).
    #[arg(short = 'a', long)]
    address_monitoring: bool,
    /// Compute the hash of a web page (no effect: use keepalived's own genhash).
    #[arg(short = 'T', long)]
    genhash: bool,
    /// Write core dumps (no effect: use `LimitCORE=` in the unit).
    #[arg(short = 'm', long)]
    core_dump: bool,
    /// Pattern of the names of core dumps (no effect: set the sysctl `kernel.core_pattern`).
    #[arg(short = 'M', long, value_name = "PATTERN", num_args = 0..=1, require_equals = true)]
    core_dump_pattern: Option<Option<String>>,
    /// Ignore SIGINT (no effect: SIGINT stops the daemon).
    #[arg(long)]
    ignore_sigint: bool,
    /// Log for keepalived's developers (no effect: use -D, or VRRP_AGENT_LOG in the environment).
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true)]
    debug: Option<Option<String>>,
    /// Run perf on the daemon (no effect: attach `perf record -p` to it).
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true)]
    perf: Option<Option<String>>,
    /// Do not check the use of memory (the daemon never does).
    #[arg(long)]
    no_mem_check: bool,
}

impl Ignored {
    /// Returns a sentence for each option that was given and that a user of keepalived may expect to have an effect.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        [
            (self.check, "-C: no effect; vrrp-agent has no virtual servers, and runs VRRP all the same"),
            (
                self.log_file.is_some(),
                "-g: no effect; for a log file, use -S with a syslog daemon that writes one",
            ),
            (self.dont_release_ipvs, "-I: no effect; vrrp-agent has no virtual servers"),
            (self.vrrp_pid.is_some(), "-r: there is one process, whose pid file -p names"),
            (self.checkers_pid.is_some(), "-c: there is one process, whose pid file -p names"),
            (self.bfd_pid.is_some(), "-b: there is one process, whose pid file -p names"),
            (self.address_monitoring, "-a: no effect; `ip monitor address` shows changes of addresses"),
            (self.genhash, "-T: no effect; use keepalived's own genhash"),
            (
                self.core_dump || self.core_dump_pattern.is_some(),
                "-m, -M: no effect; use `LimitCORE=` in the unit",
            ),
            (self.ignore_sigint, "--ignore-sigint: no effect; SIGINT stops the daemon"),
            (self.debug.is_some(), "--debug: no effect; use -D, or VRRP_AGENT_LOG in the environment"),
            (self.perf.is_some(), "--perf: no effect; attach `perf record -p` to this process"),
        ]
        .into_iter()
        .filter_map(|(given, what)| given.then_some(what))
        .collect()
    }
}

impl DaemonArguments {
    /// Returns the target of the log: syslog if a facility is named, the journal if systemd has started the daemon, and the console
    /// otherwise or if the option for it is given.
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
    /// The kernel half; the daemon ends where it cannot run.
    Ebpf,
    /// Sockets only, without the kernel half.
    Socket,
}

/// `--xdp-mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeArgument {
    /// native where it is right for the interface, tcx elsewhere (a filter of clsact before Linux 6.6); never generic.
    Auto,
    /// XDP in the driver of the network card.
    Native,
    /// XDP in the network stack.
    Generic,
    /// tc, behind all XDP programs (tcx, or a filter of clsact before Linux 6.6).
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
    /// Returns the place where the kernel half is to be attached.
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
