//! What is run and told.

use std::path::PathBuf;
use std::time::Duration;

/// `user` or `script_user`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScriptUser {
    /// The user's name.
    pub user: String,
    /// The group's, if not the user's own.
    pub group: Option<String>,
}

/// A program that is started for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments, at least the program.
    pub command: Vec<String>,
    /// Whom it runs as; `None` is `keepalived_script` if there is such a user, else the agent's own.
    pub user: Option<ScriptUser>,
}

/// `enable_script_security`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScriptSecurity {
    /// Whatever the file names is run.
    #[default]
    Off,
    /// What runs as root must be changeable by root only, and nothing runs as root that does not say so.
    On,
}

/// What is run, and told, when an instance or a sync group changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyScripts {
    /// `notify_master`.
    pub master: Option<Program>,
    /// `notify_backup`.
    pub backup: Option<Program>,
    /// `notify_fault`.
    pub fault: Option<Program>,
    /// `notify_stop`.
    pub stop: Option<Program>,
    /// `notify`: after the others, with what has happened as arguments.
    pub any: Option<Program>,
    /// `notify_master_rx_lower_pri`; instances only.
    pub lower_heard: Option<Program>,
    /// What it is said to be when a reload takes it away.
    pub farewell: Farewell,
    /// Whether the FIFOs hear of changes of its priority (`notify_priority_changes`).
    pub priority_changes: bool,
    /// Whether its changes of state are mailed (`smtp_alert`).
    pub smtp_alert: bool,
}

/// What becomes of an instance or a group that a reload takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Farewell {
    /// It is said to be in fault.
    #[default]
    Fault,
    /// `notify_deleted`: it is said to be deleted, maybe by a program of its own.
    Deleted(Option<Program>),
}

/// `notify_fifo` or `vrrp_notify_fifo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is, if it has to be made; `None` is the agent's own user.
    pub owner: Option<ScriptUser>,
    /// Reads it, and is started again when it ends.
    pub reader: Option<Program>,
}

/// Where mail goes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// `notification_email`, at least one.
    pub to: Vec<String>,
    /// `notification_email_from`; `None` is the agent's user at this host.
    pub from: Option<String>,
    /// `smtp_server`: name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// `smtp_connect_timeout`.
    pub timeout: Duration,
    /// `smtp_helo_name`; `None` is the host's name.
    pub helo: Option<String>,
    /// Whether faults are mailed too; not with `no_email_faults`.
    pub faults: bool,
}
