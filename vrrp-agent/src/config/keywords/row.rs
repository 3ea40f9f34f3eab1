//! The parts of the rows of the table of keywords: values, grammars and texts that several keywords have.

use super::Value::*;
use super::{Block, Keyword, Support, Value};

pub(super) const MS: u64 = 1_000_000;
pub(super) const S: u64 = 1000 * MS;

// Values that several keywords have.
pub(super) const ANY_INTEGER: Value = Integer { min: i32::MIN, max: i32::MAX };
pub(super) const ANY_NUMBER: Value = Number { min: 0, max: u32::MAX };
pub(super) const BURST: Value = Number { min: 1, max: 1000 };
pub(super) const BYTE: Value = Number { min: 1, max: 255 };
pub(super) const BYTES: Value = Quantity { min: 0, max: u32::MAX, unit: "bytes" };
pub(super) const DAY: Value = Seconds { min_ns: 0, max_ns: 86_400 * S };
pub(super) const DELAY: Value = Seconds { min_ns: 1000, max_ns: 3600 * S };
pub(super) const DOWN_ADVERTS: Value = Number { min: 1, max: 100 };
pub(super) const IN_A_ROW: Value = Number { min: 1, max: 10_000 };
pub(super) const LATENESS: Value = Quantity { min: 1, max: 10_000_000, unit: "microseconds" };
pub(super) const NICE: Value = Integer { min: -20, max: 19 };
pub(super) const QUORUM: Value = Number { min: 1, max: 65_535 };
pub(super) const QUORUM_MAX: Value = Number { min: 0, max: 65_535 };
pub(super) const REAL_TIME: Value = Number { min: 1, max: 99 };
pub(super) const RT_TIME: Value = Quantity { min: 2, max: u32::MAX, unit: "microseconds" };
pub(super) const SCRIPT_SECONDS: Value = Seconds { min_ns: MS, max_ns: 86_400 * S };
pub(super) const SCRIPT_TIMEOUT: Value = Quantity { min: 1, max: 1000, unit: "seconds" };
pub(super) const SPACING: Value = Seconds { min_ns: 1000, max_ns: 60 * S };
pub(super) const TRACKED: Value = Lines("`NAME [weight N [reverse]]`");
pub(super) const WHOLE_SECONDS: Value = Quantity { min: 1, max: u32::MAX, unit: "seconds" };

// Grammars that several keywords have.
pub(super) const ADDRESS: &str = "`IP[/PREFIX] [OPTION …]`, one on each line";
pub(super) const CPUS: &str = "numbers of processors";
pub(super) const FIFO: &str = "`PATH [USER [GROUP]]`";
pub(super) const GLOB: &str = "path, wildcards allowed";
pub(super) const MILLISECONDS: &str = "milliseconds, decimals allowed";
pub(super) const ROUTE: &str = "route as for `ip route add`, optionally with `no_track`";
pub(super) const RULE: &str = "rule as for `ip rule add`, optionally with `no_track`";

// Texts that several keywords have.
pub(super) const BFD: &str = "there is no BFD; track a script that checks the path";
pub(super) const BUFFERS: &str = "buffers have the system's size; set the sysctl `net.core.rmem_default`";
pub(super) const LATE: &str = "not needed: with the kernel half, a master that is late loses its lease";
pub(super) const LVS: &str =
    "belongs to virtual servers (IPVS); run keepalived's checker for them beside this daemon";
pub(super) const DBUS_PATHS: &str = "names of objects on D-Bus contain the interface, as in keepalived 2.2";
pub(super) const NO_DUMP: &str = "SIGUSR1 and SIGUSR2 write to `data` and `stats.json` in /run/vrrp-agent";
pub(super) const NO_FIREWALL: &str = "not needed: no_accept is enforced in XDP, without firewall rules";
pub(super) const NO_RELOAD: &str =
    "a reload with a bad file changes nothing; keep copies of the file by other means";
pub(super) const NO_VMAC_INTERFACE: &str = "not needed: use_vmac makes no interface";
pub(super) const ONE_PROCESS: &str = "not needed: there is one process, vrrp-agent";
pub(super) const POLLING: &str = "not needed: netlink reports each change of a link";

/// A row whose support and purpose are not set yet.
pub(super) struct Row(Keyword);

pub(super) const fn row(block: Block, name: &'static str, value: Value, default: &'static str) -> Row {
    Row(Keyword { block, name, value, default, support: Support::Works, what: "" })
}

impl Row {
    pub(super) const fn works(self, what: &'static str) -> Keyword {
        Keyword { what, ..self.0 }
    }

    pub(super) const fn accepted(self, what: &'static str, why: &'static str) -> Keyword {
        Keyword { what, support: Support::Accepted(why), ..self.0 }
    }

    pub(super) const fn warned(self, what: &'static str, instead: &'static str) -> Keyword {
        Keyword { what, support: Support::Warned(instead), ..self.0 }
    }

    pub(super) const fn mistaken(self, what: &'static str, instead: &'static str) -> Keyword {
        Keyword { what, support: Support::Mistaken(instead), ..self.0 }
    }
}
