//! `global_defs`: mostly the defaults of the instances below it.

use std::time::Duration;

use vrrp_ebpf::advert::Version;
use vrrp_ebpf::election::DOWN_ADVERTS;

use super::super::diagnostic::Diagnostic;
use super::super::model::ScriptUser;
use super::super::syntax::Statement;
use super::super::value;
use super::{not_yet, script, unknown};
use crate::vrrp::{GarpSchedule, OnHigher, OnLower};
use crate::wire::advert::V3Checksum;

/// What `global_defs` has said so far.
#[derive(Clone, Debug)]
pub(super) struct Globals {
    pub(super) router_id: Option<String>,
    pub(super) version: Version,
    pub(super) garp: GarpSchedule,
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
            },
            v3_checksum: V3Checksum::PseudoHeader,
            on_lower: OnLower::Advertise,
            on_higher: OnHigher::Yield,
            down_adverts: DOWN_ADVERTS,
            only_peers: false,
            script_user: None,
        }
    }
}

/// Keywords that a daemon without the feature may read over: mail, SNMP, security policies for scripts, process tuning.
const NOT_YET: [&str; 32] = [
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
    "vrrp_garp_interval",
    "vrrp_garp_lower_prio_delay",
    "vrrp_garp_lower_prio_repeat",
    "vrrp_gna_interval",
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

/// The four keywords of the announcement schedule, which differ in their prefix only. False if it is none of them.
pub(super) fn garp(
    keyword: &str,
    prefix: &str,
    statement: &Statement<'_>,
    garp: &mut GarpSchedule,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    const DAY: Duration = Duration::from_secs(86_400);
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
