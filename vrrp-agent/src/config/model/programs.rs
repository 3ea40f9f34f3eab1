//! Programs that are run, and notifications.

use std::path::PathBuf;
use std::time::Duration;

/// `user` or `script_user`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScriptUser {
    /// The user's name.
    pub user: String,
    /// The name of the group, if it is not the user's own.
    pub group: Option<String>,
}

/// A program that is run for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments. The list is never empty.
    pub command: Vec<String>,
    /// The user that the program runs as. `None` means `keepalived_script` if that user exists, otherwise the agent's own user.
    pub user: Option<ScriptUser>,
}

/// `enable_script_security`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScriptSecurity {
    /// All programs that the file names are run.
    #[default]
    Off,
    /// Programs that run as root must be writable by root only, and a program runs as root only if the file says so.
    On,
}

/// The programs to run and the events to report when the state of an instance or a sync group changes.
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
    /// `notify`: runs after the others, with the event as arguments.
    pub any: Option<Program>,
    /// `notify_master_rx_lower_pri`; for instances only.
    pub lower_heard: Option<Program>,
    /// The state that is reported when a reload removes the instance or group.
    pub on_delete: OnDelete,
    /// True if changes of the priority are written to the FIFOs (`notify_priority_changes`).
    pub priority_changes: bool,
    /// True if changes of the state are mailed (`smtp_alert`).
    pub smtp_alert: bool,
}

/// The report about an instance or a group that a reload removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnDelete {
    /// The state is reported as fault.
    #[default]
    Fault,
    /// `notify_deleted`: the state is reported as deleted, and the program is run, if there is one.
    Deleted(Option<Program>),
}

/// `notify_fifo` or `vrrp_notify_fifo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// The path of the FIFO.
    pub path: PathBuf,
    /// The owner of the FIFO, if the daemon has to create it. `None` is the agent's own user.
    pub owner: Option<ScriptUser>,
    /// The program that reads the FIFO. It is started again when it ends.
    pub reader: Option<Program>,
}

/// Mail settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// `notification_email`, at least one.
    pub to: Vec<String>,
    /// `notification_email_from`; `None` is the agent's user name at this host.
    pub from: Option<String>,
    /// `smtp_server`: a name or an address.
    pub server: String,
    /// The port of the server.
    pub port: u16,
    /// `smtp_connect_timeout`.
    pub timeout: Duration,
    /// `smtp_helo_name`; `None` is the host's name.
    pub helo: Option<String>,
    /// True if faults are mailed too; false with `no_email_faults`.
    pub faults: bool,
}
