//! The command line: keepalived's own options, so that a service file can be kept, and ours.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::daemon::Choice;
use crate::dataplane::{ArrayEntry, Hook, Mode};

/// A virtual-IP daemon: VRRP with the urgent half in the kernel, reading keepalived.conf.
#[derive(Debug, Parser)]
#[command(version, disable_version_flag = true, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Command; without one the daemon runs, in the foreground.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// Commands that talk to a running daemon.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show each instance: state, priority, master, addresses, lease, data plane.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let tcpdump see the adverts that the XDP program judges, or hide them from the stack again.
    Adverts {
        /// Show or hide.
        visibility: Visibility,
    },
}

/// Whether adverts go on to the stack.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Visibility {
    /// They do.
    Show,
    /// They do not.
    Hide,
}

/// Options of the daemon.
#[derive(Debug, clap::Args)]
pub struct DaemonArguments {
    /// Configuration file.
    #[arg(
        short = 'f',
        long = "use-file",
        value_name = "FILE",
        default_value = "/etc/keepalived/keepalived.conf"
    )]
    pub file: PathBuf,
    /// Pid file; the default is in /run/vrrp-agent.
    #[arg(short = 'p', long = "pid", value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Interface for every instance, whatever the file says.
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,
    /// Log in more detail.
    #[arg(short = 'D', long = "log-detail")]
    pub log_detail: bool,
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
}

/// keepalived's options that are accepted: the daemon always stays in the foreground and logs to the console.
#[derive(Debug, clap::Args)]
pub struct Ignored {
    /// Stay in the foreground (it always does).
    #[arg(short = 'n', long)]
    dont_fork: bool,
    /// Log to the console (it always does).
    #[arg(short = 'l', long)]
    log_console: bool,
    /// Dump the configuration (not supported yet).
    #[arg(short = 'd', long)]
    dump_conf: bool,
    /// Only VRRP (there is nothing else).
    #[arg(short = 'P', long)]
    vrrp: bool,
    /// Syslog facility (not supported yet).
    #[arg(short = 'S', long, value_name = "0-7")]
    log_facility: Option<u8>,
}

impl Ignored {
    /// Those given that change less than keepalived's user would think.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        [
            (self.dump_conf, "-d: dumping the configuration is not supported yet"),
            (self.log_facility.is_some(), "-S: syslog is not supported yet; the log goes to the console"),
        ]
        .into_iter()
        .filter_map(|(given, what)| given.then_some(what))
        .collect()
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

impl From<DataPlaneArgument> for Choice {
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
    pub fn hook(&self) -> Hook {
        match (&self.xdp_array, self.xdp_mode) {
            (Some(entry), _) => Hook::Array(entry.clone()),
            (None, ModeArgument::Auto) => Hook::Auto,
            (None, ModeArgument::Native) => Hook::Only(Mode::Native),
            (None, ModeArgument::Generic) => Hook::Only(Mode::Generic),
            (None, ModeArgument::Tcx) => Hook::Only(Mode::Tcx),
        }
    }
}
