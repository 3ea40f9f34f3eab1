//! `global_defs`: mostly defaults for the instances below it.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::{Family, Version};

use super::super::diagnostic::Diagnostic;
use super::super::host_settings::HostSettings;
use super::super::keywords::Block;
use super::super::model::{MissingInterfaces, ScriptSecurity, ScriptUser, Spacing, StartDelay};
use super::super::routing::{Directories, PreferenceNumbering};
use super::super::syntax::Statement;
use super::super::value;
use super::inherited::{AfterLower, Inherited};
use super::outlets::Outlets;
use super::{dbus, extra_refresh, host_settings, outlets, script, snmp, sync_daemon, unrecognised};
use crate::vrrp::{GarpSchedule, OnHigher, OnLower};
use crate::wire::advert::{V3Checksum, family as wire_family};

/// The values of `global_defs` read so far.
#[derive(Clone, Debug)]
pub(super) struct Globals {
    pub(super) router_id: Option<String>,
    /// The values that an instance takes from here unless it sets them itself.
    pub(super) inherited: Inherited,
    pub(super) spacing: Spacing,
    /// `script_user`, for scripts that set no user.
    pub(super) script_user: Option<ScriptUser>,
    /// `enable_script_security`.
    pub(super) script_security: ScriptSecurity,
    /// Settings of FIFOs and mail.
    pub(super) outlets: Outlets,
    /// Settings of SNMP.
    pub(super) snmp: snmp::Draft,
    /// Settings of the IPVS sync daemon.
    pub(super) sync_daemon: sync_daemon::Draft,
    /// Settings of D-Bus.
    pub(super) dbus: dbus::Draft,
    /// Settings of the daemon itself.
    pub(super) host: HostSettings,
    /// The directories with the names of routing tables.
    pub(super) directories: Directories,
    /// `dynamic_interfaces`.
    pub(super) missing: MissingInterfaces,
    pub(super) start_delay: StartDelay,
    /// `default_interface`: the interface of static addresses without `dev`.
    pub(super) default_interface: String,
    /// The numbering of rules without `preference`.
    pub(super) preferences: PreferenceNumbering,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            router_id: None,
            inherited: Inherited::default(),
            spacing: Spacing::default(),
            script_user: None,
            script_security: ScriptSecurity::Off,
            outlets: Outlets::default(),
            snmp: snmp::Draft::default(),
            dbus: dbus::Draft::default(),
            sync_daemon: sync_daemon::Draft::default(),
            host: HostSettings::default(),
            directories: Directories::default(),
            missing: MissingInterfaces::default(),
            start_delay: StartDelay::default(),
            default_interface: "eth0".to_owned(),
            preferences: PreferenceNumbering::default(),
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each keyword")]
pub(super) fn read(statements: &[Statement], globals: &mut Globals, diagnostics: &mut Vec<Diagnostic>) {
    for statement in statements {
        match statement.keyword().text.as_str() {
            "router_id" => {
                globals.router_id = value::argument(statement, diagnostics).map(|word| word.text.to_owned());
            }
            "vrrp_down_timer_adverts" => {
                if let Some(adverts) = value::number(Block::Globals, statement, diagnostics) {
                    globals.inherited.down_adverts = adverts;
                }
            }
            "v3_checksum_as_v2" => {
                globals.inherited.v3_checksum =
                    v3_checksum(statement, diagnostics).unwrap_or(globals.inherited.v3_checksum);
            }
            "vrrp_lower_prio_no_advert" => globals.inherited.on_lower = on_lower(statement, diagnostics),
            "vrrp_higher_prio_send_advert" => globals.inherited.on_higher = on_higher(statement, diagnostics),
            "vrrp_check_unicast_src" => {
                globals.inherited.only_peers =
                    value::boolean(statement, diagnostics).unwrap_or(globals.inherited.only_peers);
            }
            "vrrp_mcast_group4" => {
                globals.inherited.groups.0 =
                    group(Family::V4, statement, diagnostics).unwrap_or(globals.inherited.groups.0);
            }
            "vrrp_mcast_group6" => {
                globals.inherited.groups.1 =
                    group(Family::V6, statement, diagnostics).unwrap_or(globals.inherited.groups.1);
            }
            "vrrp_min_garp" => {
                if value::boolean(statement, diagnostics) == Some(true) {
                    (globals.inherited.garp.repeat, globals.inherited.garp.delay) = (1, None);
                }
            }
            "default_interface" => {
                if let Some(word) = value::argument(statement, diagnostics) {
                    globals.default_interface.clone_from(&word.text);
                }
            }
            "script_user" => globals.script_user = script::user(statement, diagnostics),
            // `vrrp_version` and `vrrp_strict` are read ahead of everything else, and the preprocessor applies `include_check`.
            // `vrrp_skip_check_adv_addr` has no effect, because lists of addresses are not compared.
            "vrrp_version" | "vrrp_strict" | "vrrp_skip_check_adv_addr" | "include_check" => {}
            "vrrp_garp_interval" => {
                globals.spacing.arp = spacing(statement, diagnostics).unwrap_or(globals.spacing.arp);
            }
            "vrrp_gna_interval" => {
                globals.spacing.na = spacing(statement, diagnostics).unwrap_or(globals.spacing.na);
            }
            "enable_script_security" => {
                globals.script_security = match value::boolean(statement, diagnostics) {
                    Some(true) => ScriptSecurity::On,
                    Some(false) => ScriptSecurity::Off,
                    None => globals.script_security,
                };
            }
            "vrrp_garp_extra_if" => globals.inherited.extra = extra_refresh::read(statement, diagnostics),
            "iproute_etc_dir" | "iproute_usr_dir" => {
                if let Some(word) = value::argument(statement, diagnostics) {
                    let Directories { etc, usr } = &mut globals.directories;
                    let place = if statement.keyword().text == "iproute_etc_dir" { etc } else { usr };
                    *place = word.text.clone().into();
                }
            }
            "vrrp_owner_ignore_adverts" => {
                globals.inherited.owner_ignores =
                    value::boolean(statement, diagnostics).unwrap_or(globals.inherited.owner_ignores);
            }
            _ if host_settings::read(
                statement,
                &mut globals.host,
                globals.script_user.as_ref(),
                diagnostics,
            ) => {}
            "dynamic_interfaces" => globals.missing = dynamic_interfaces(statement, diagnostics),
            "vrrp_startup_delay" => {
                let delay = value::seconds(Block::Globals, statement, diagnostics);
                globals.start_delay.from_start = delay.unwrap_or(globals.start_delay.from_start);
            }
            "vrrp_delay_after_boot" => {
                let delay = value::seconds(Block::Globals, statement, diagnostics);
                globals.start_delay.from_boot = delay.unwrap_or(globals.start_delay.from_boot);
            }
            "lvs_sync_daemon" => sync_daemon::read(statement, &mut globals.sync_daemon, diagnostics),
            _ if dbus::read(statement, &mut globals.dbus, diagnostics) => {}
            _ if snmp::read(statement, &mut globals.snmp, diagnostics) => {}
            _ if outlets::read(
                statement,
                &mut globals.outlets,
                globals.script_user.as_ref(),
                diagnostics,
            ) => {}
            _ if after_lower(Block::Globals, statement, &mut globals.inherited.lower, diagnostics) => {}
            _ if garp(Block::Globals, statement, &mut globals.inherited.garp, diagnostics) => {}
            _ => unrecognised(Block::Globals, statement, diagnostics),
        }
    }
}

/// Reads `dynamic_interfaces [allow_if_changes]`. The option has no effect: interfaces whose type or index changes are always
/// followed.
fn dynamic_interfaces(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> MissingInterfaces {
    match statement.arguments() {
        [] => {}
        [word] if word.text == "allow_if_changes" => {}
        [word, ..] => {
            let message = format!("unknown option `{}` of `dynamic_interfaces`", word.text);
            diagnostics.push(Diagnostic::warning(word.span, message).label("ignored"));
        }
    }
    MissingInterfaces::Awaited
}

/// Reads the address of a multicast group, which must be of this family.
pub(super) fn group(
    family: Family,
    statement: &Statement,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<IpAddr> {
    let group = value::address(statement, diagnostics)?;
    if !group.is_multicast() || wire_family(group) != family {
        let message = format!("`{group}` is not a multicast group for `{}`", statement.keyword().text);
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("the default is used"));
        return None;
    }
    Some(group)
}

/// Reads the keywords that also hold for the instances above them, such as the last `vrrp_version` of the file and
/// `vrrp_strict`.
pub(super) fn read_ahead(statements: &[Statement], globals: &mut Globals, diagnostics: &mut Vec<Diagnostic>) {
    let blocks = statements.iter().filter(|statement| statement.keyword().text == "global_defs");
    for statement in blocks.flat_map(|statement| statement.block.as_deref().unwrap_or_default()) {
        outlets::read_ahead(statement, &mut globals.outlets, diagnostics);
        if statement.keyword().text == "vrrp_version" {
            globals.inherited.version =
                version(Block::Globals, statement, diagnostics).unwrap_or(globals.inherited.version);
        }
        if statement.keyword().text == "vrrp_strict" {
            globals.inherited.strict =
                value::boolean(statement, diagnostics).unwrap_or(globals.inherited.strict);
        }
    }
}

/// Reads `lower_prio_no_advert [BOOL]`.
pub(super) fn on_lower(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> OnLower {
    match value::boolean(statement, diagnostics) {
        Some(true) => OnLower::Ignore,
        Some(false) | None => OnLower::Advertise,
    }
}

/// Reads `higher_prio_send_advert [BOOL]`.
pub(super) fn on_higher(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> OnHigher {
    match value::boolean(statement, diagnostics) {
        Some(true) => OnHigher::AdvertiseAndYield,
        Some(false) | None => OnHigher::Yield,
    }
}

/// Reads `v3_checksum_as_v2 [BOOL]`.
pub(super) fn v3_checksum(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<V3Checksum> {
    let as_v2 = value::boolean(statement, diagnostics)?;
    Some(if as_v2 { V3Checksum::MessageOnly } else { V3Checksum::PseudoHeader })
}

/// Reads the version, `2` or `3`. As with keepalived, a bad number counts up to its first character that is not a digit: `3.0`
/// is a warning and means 3.
pub(super) fn version(
    block: Block,
    statement: &Statement,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Version> {
    let whole: Option<u8> = value::number(block, statement, diagnostics);
    let digits = statement.arguments().first().map(|word| word.text.split(|c: char| !c.is_ascii_digit()));
    match whole.or_else(|| digits?.next()?.parse().ok())? {
        2 => Some(Version::V2),
        3 => Some(Version::V3),
        _ => None,
    }
}

/// Reads an interval of at least one microsecond. Many files contain 0: as with keepalived, this is a warning, and the interval
/// stays 0 if no other was set.
fn spacing(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<Duration> {
    value::seconds(Block::Globals, statement, diagnostics)
}

/// Reads `lower_prio_repeat` and `lower_prio_delay`. Returns false if the keyword is neither of them.
pub(super) fn after_lower(
    block: Block,
    statement: &Statement,
    lower: &mut AfterLower,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    match statement.keyword().text.strip_prefix(garp_prefix(block)) {
        Some("lower_prio_repeat") => lower.repeat = value::number(block, statement, diagnostics),
        Some("lower_prio_delay") => {
            lower.delay = value::seconds(block, statement, diagnostics);
        }
        Some(_) | None => return false,
    }
    true
}

/// Returns the prefix of the announcement keywords in this block.
fn garp_prefix(block: Block) -> &'static str {
    if block == Block::Globals { "vrrp_garp_" } else { "garp_" }
}

/// Reads the four keywords of the announcement schedule, which have another prefix in `global_defs` than in an instance.
/// Returns false if the keyword is none of them.
pub(super) fn garp(
    block: Block,
    statement: &Statement,
    garp: &mut GarpSchedule,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let optional = |duration: Duration| (!duration.is_zero()).then_some(duration);
    match statement
        .keyword()
        .text
        .strip_prefix(garp_prefix(block))
        .and_then(|rest| rest.strip_prefix("master_"))
    {
        Some("delay") => {
            if let Some(delay) = value::seconds(block, statement, diagnostics) {
                garp.delay = optional(delay);
            }
        }
        Some("repeat") => {
            if let Some(repeat) = value::number(block, statement, diagnostics) {
                garp.repeat = repeat;
            }
        }
        Some("refresh") => {
            if let Some(refresh) = value::seconds(block, statement, diagnostics) {
                garp.refresh = optional(refresh);
            }
        }
        Some("refresh_repeat") => {
            if let Some(repeat) = value::number(block, statement, diagnostics) {
                garp.refresh_repeat = repeat;
            }
        }
        Some(_) | None => return false,
    }
    true
}
