//! `global_defs`: mostly the defaults of the instances below it.

use std::time::Duration;

use vrrp_ebpf::advert::Version;
use vrrp_ebpf::election::DOWN_ADVERTS;

use super::super::diagnostic::Diagnostic;
use super::super::model::{ScriptUser, Spacing};
use super::super::syntax::Statement;
use super::super::value;
use super::{not_yet, script, unknown};
use crate::vrrp::{GarpSchedule, OnHigher, OnLower};
use crate::wire::advert::V3Checksum;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

/// What `global_defs` has said so far.
#[derive(Clone, Debug)]
pub(super) struct Globals {
    pub(super) router_id: Option<String>,
    pub(super) version: Version,
    pub(super) garp: GarpSchedule,
    pub(super) lower: AfterLower,
    pub(super) spacing: Spacing,
    pub(super) v3_checksum: V3Checksum,
    pub(super) on_lower: OnLower,
    pub(super) on_higher: OnHigher,
    pub(super) down_adverts: u32,
    /// `vrrp_check_unicast_src`.
    pub(super) only_peers: bool,
    /// `script_user`, for scripts that name none.
    pub(super) script_user: Option<ScriptUser>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            router_id: None,
            version: Version::V2,
            garp: GarpSchedule {
                repeat: 5,
                delay: Some(Duration::from_secs(5)),
                refresh: None,
                refresh_repeat: 1,
                lower_repeat: 5,
                lower_delay: Some(Duration::from_secs(5)),
            },
            lower: AfterLower::default(),
            spacing: Spacing::default(),
            v3_checksum: V3Checksum::PseudoHeader,
            on_lower: OnLower::Advertise,
            on_higher: OnHigher::Yield,
            down_adverts: DOWN_ADVERTS,
            only_peers: false,
            script_user: None,
        }
    }
}

/// `garp_lower_prio_*`, as far as said; the master's own schedule is the default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AfterLower {
    repeat: Option<u32>,
    delay: Option<Duration>,
}

impl AfterLower {
    pub(super) fn complete(self, garp: &mut GarpSchedule) {
        garp.lower_repeat = self.repeat.unwrap_or(garp.repeat);
        garp.lower_delay = match self.delay {
            Some(delay) => (!delay.is_zero()).then_some(delay),
            None => garp.delay,
        };
    }
}

/// Keywords that a daemon without the feature may read over: mail, SNMP, security policies for scripts, process tuning.
const NOT_YET: [&str; 28] = [
    "default_interface",
    "dynamic_interfaces",
    "enable_dbus",
    "enable_script_security",
    "enable_snmp_vrrp",
    "enable_traps",
    "log_unknown_vrids",
    "lvs_id",
    "max_auto_priority",
    "nftables",
    "notification_email",
    "notification_email_from",
    "notify_fifo",
    "notify_fifo_script",
    "shutdown_script",
    "smtp_alert",
    "smtp_alert_vrrp",
    "smtp_connect_timeout",
    "smtp_helo_name",
    "smtp_server",
    "startup_script",
    "umask",
    "vrrp_iptables",
    "vrrp_min_garp",
    "vrrp_notify_fifo",
    "vrrp_notify_fifo_script",
    "vrrp_notify_priority_changes",
    "vrrp_startup_delay",
];

pub(super) fn read(statements: &[Statement<'_>], globals: &mut Globals, diagnostics: &mut Vec<Diagnostic>) {
    for statement in statements {
        match statement.keyword().text {
            "router_id" => {
                globals.router_id = value::argument(statement, diagnostics).map(|word| word.text.to_owned());
            }
            "vrrp_down_timer_adverts" => {
                if let Some(adverts) = value::number(statement, 1..=100, diagnostics) {
                    globals.down_adverts = adverts;
                }
            }
            "v3_checksum_as_v2" => {
                globals.v3_checksum = v3_checksum(statement, diagnostics).unwrap_or(globals.v3_checksum);
            }
            "vrrp_lower_prio_no_advert" => globals.on_lower = on_lower(statement, diagnostics),
            "vrrp_higher_prio_send_advert" => globals.on_higher = on_higher(statement, diagnostics),
            "vrrp_check_unicast_src" => {
                globals.only_peers = value::boolean(statement, diagnostics).unwrap_or(globals.only_peers);
            }
            "script_user" => globals.script_user = script::user(statement, diagnostics),
            keyword @ ("vrrp_strict" | "vrrp_mcast_group4" | "vrrp_mcast_group6") => {
                diagnostics.push(super::changes_who_is_heard(statement, keyword));
            }
            // The version was read before everything else; lists of addresses are not compared, so there is nothing to skip.
            "vrrp_version" | "vrrp_skip_check_adv_addr" => {}
            "vrrp_garp_interval" => {
                globals.spacing.arp = spacing(statement, diagnostics).unwrap_or(globals.spacing.arp);
            }
            "vrrp_gna_interval" => {
                globals.spacing.na = spacing(statement, diagnostics).unwrap_or(globals.spacing.na);
            }
            keyword if after_lower(keyword, "vrrp_garp_", statement, &mut globals.lower, diagnostics) => {}
            keyword if garp(keyword, "vrrp_garp_master_", statement, &mut globals.garp, diagnostics) => {}
            keyword if NOT_YET.contains(&keyword) => diagnostics.push(not_yet(statement)),
            _ => diagnostics.push(unknown(statement.keyword())),
        }
    }
}

/// The last `vrrp_version` of the file.
pub(super) fn read_version(
    statements: &[Statement<'_>],
    globals: &mut Globals,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let blocks = statements.iter().filter(|statement| statement.keyword().text == "global_defs");
    for statement in blocks.flat_map(|statement| statement.block.as_deref().unwrap_or_default()) {
        if statement.keyword().text == "vrrp_version" {
            globals.version = version(statement, diagnostics).unwrap_or(globals.version);
        }
    }
}

/// `lower_prio_no_advert [BOOL]`.
pub(super) fn on_lower(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> OnLower {
    match value::boolean(statement, diagnostics) {
        Some(true) => OnLower::Ignore,
        Some(false) | None => OnLower::Advertise,
    }
}

/// `higher_prio_send_advert [BOOL]`.
pub(super) fn on_higher(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> OnHigher {
    match value::boolean(statement, diagnostics) {
        Some(true) => OnHigher::AdvertiseAndYield,
        Some(false) | None => OnHigher::Yield,
    }
}

/// `v3_checksum_as_v2 [BOOL]`.
pub(super) fn v3_checksum(
    statement: &Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<V3Checksum> {
    let as_v2 = value::boolean(statement, diagnostics)?;
    Some(if as_v2 { V3Checksum::MessageOnly } else { V3Checksum::PseudoHeader })
}

/// `2` or `3`.
pub(super) fn version(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Version> {
    value::number(statement, 2..=3u8, diagnostics).map(|n| if n == 2 { Version::V2 } else { Version::V3 })
}

/// A microsecond at least; the literal 0 that many files have is refused with a warning, as by keepalived, and means the same.
fn spacing(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Duration> {
    value::seconds(statement, Duration::from_micros(1)..=MINUTE, diagnostics)
}

/// `lower_prio_repeat` and `lower_prio_delay`. False if it is neither.
pub(super) fn after_lower(
    keyword: &str,
    prefix: &str,
    statement: &Statement<'_>,
    lower: &mut AfterLower,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    match keyword.strip_prefix(prefix) {
        Some("lower_prio_repeat") => lower.repeat = value::number(statement, 0..=1000, diagnostics),
        Some("lower_prio_delay") => {
            lower.delay = value::seconds(statement, Duration::ZERO..=DAY, diagnostics);
        }
        Some(_) | None => return false,
    }
    true
}

/// The four keywords of the announcement schedule, which differ in their prefix only. False if it is none of them.
pub(super) fn garp(
    keyword: &str,
    prefix: &str,
    statement: &Statement<'_>,
    garp: &mut GarpSchedule,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let optional = |duration: Duration| (!duration.is_zero()).then_some(duration);
    match keyword.strip_prefix(prefix) {
        Some("delay") => {
            if let Some(delay) = value::seconds(statement, Duration::ZERO..=DAY, diagnostics) {
                garp.delay = optional(delay);
            }
        }
        Some("repeat") => {
            if let Some(repeat) = value::number(statement, 1..=1000, diagnostics) {
                garp.repeat = repeat;
            }
        }
        Some("refresh") => {
            if let Some(refresh) = value::seconds(statement, Duration::ZERO..=DAY, diagnostics) {
                garp.refresh = optional(refresh);
            }
        }
        Some("refresh_repeat") => {
            if let Some(repeat) = value::number(statement, 1..=1000, diagnostics) {
                garp.refresh_repeat = repeat;
            }
        }
        Some(_) | None => return false,
    }
    true
}
