//! `vrrp_instance`.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::{AUTH_DATA, Family, PRIORITY_OWNER, Version};
use vrrp_ebpf::election::Preempt;

use super::super::diagnostic::Diagnostic;
use super::super::model::{Authentication, Config, Hint, InstanceConfig, Tracked, Vip};
use super::super::syntax::{Statement, Word};
use super::super::value;
use super::globals::{self, Globals};
use super::script::{no_reverse, read_weight};
use super::{block, name, not_yet, unknown};
use crate::vrrp::{OnHigher, OnLower};
use crate::wire::advert::V3Checksum;

/// Addresses that one advert can carry.
const VIPS_MAX: usize = 255;
const CENTISECOND: Duration = Duration::from_millis(10);

/// Keywords that may be read over without two routers owning an address.
const NOT_YET: [&str; 24] = [
    "accept",
    "check_unicast_src",
    "debug",
    "dont_track_primary",
    "garp_lower_prio_delay",
    "garp_lower_prio_repeat",
    "no_accept",
    "notify",
    "notify_backup",
    "notify_fault",
    "notify_master",
    "notify_master_rx_lower_pri",
    "notify_priority_changes",
    "notify_stop",
    "promote_secondaries",
    "skip_check_adv_addr",
    "smtp_alert",
    "track_bfd",
    "track_file",
    "track_interface",
    "track_process",
    "use_vmac",
    "virtual_routes",
    "virtual_rules",
];

/// Keywords whose absence would split the routers of one VRID into two that do not hear each other.
const CHANGES_WHO_IS_HEARD: [&str; 3] = ["auth_hmac", "mcast_dst_ip", "strict_mode"];

/// What has been read of an instance; what is required may still be missing.
struct Draft {
    interface: Option<String>,
    vrid: Option<u8>,
    priority: Option<u8>,
    interval: Option<(Duration, std::ops::Range<usize>)>,
    version: Version,
    hint: Hint,
    nopreempt: Option<std::ops::Range<usize>>,
    preempt_delay: Duration,
    on_lower: OnLower,
    on_higher: OnHigher,
    authentication: Option<Authentication>,
    native_ipv6: bool,
    source: Option<IpAddr>,
    peers: Vec<IpAddr>,
    unicast_ttl: u8,
    peer_ttl_min: u8,
    v3_checksum: V3Checksum,
    vips: Vec<Vip>,
    excluded: Vec<Vip>,
    tracked: Vec<Tracked>,
    garp: crate::vrrp::GarpSchedule,
    down_adverts: u32,
}

pub(super) fn read(
    statement: &Statement<'_>,
    globals: &Globals,
    config: &Config,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<InstanceConfig> {
    let name = name(statement, diagnostics)?;
    let mut draft = Draft {
        interface: None,
        vrid: None,
        priority: None,
        interval: None,
        version: globals.version,
        hint: Hint::Backup,
        nopreempt: None,
        preempt_delay: Duration::ZERO,
        on_lower: globals.on_lower,
        on_higher: globals.on_higher,
        authentication: None,
        native_ipv6: false,
        source: None,
        peers: Vec::new(),
        unicast_ttl: 255,
        peer_ttl_min: 0,
        v3_checksum: globals.v3_checksum,
        vips: Vec::new(),
        excluded: Vec::new(),
        tracked: Vec::new(),
        garp: globals.garp,
        down_adverts: globals.down_adverts,
    };
    for statement in block(statement, diagnostics) {
        read_keyword(statement, &mut draft, config, diagnostics);
    }
    finish(name, statement, draft, config, diagnostics)
}

fn read_keyword(
    statement: &Statement<'_>,
    draft: &mut Draft,
    config: &Config,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let keyword = statement.keyword();
    match keyword.text {
        "state" => draft.hint = hint(statement, diagnostics),
        "interface" => {
            draft.interface = value::argument(statement, diagnostics).map(|word| word.text.to_owned());
        }
        "virtual_router_id" => draft.vrid = value::number(statement, 1..=255, diagnostics),
        "priority" => draft.priority = value::number(statement, 1..=255, diagnostics),
        "advert_int" => {
            let range = CENTISECOND..=Duration::from_secs(255);
            draft.interval = value::seconds(statement, range, diagnostics).map(|i| (i, statement.span()));
        }
        "version" => draft.version = globals::version(statement, diagnostics).unwrap_or(draft.version),
        "nopreempt" => draft.nopreempt = Some(statement.span()),
        "preempt" => draft.nopreempt = None,
        "preempt_delay" => {
            let range = Duration::ZERO..=Duration::from_secs(1000);
            draft.preempt_delay = value::seconds(statement, range, diagnostics).unwrap_or_default();
        }
        "lower_prio_no_advert" => draft.on_lower = globals::on_lower(statement, diagnostics),
        "higher_prio_send_advert" => draft.on_higher = globals::on_higher(statement, diagnostics),
        "mcast_src_ip" | "unicast_src_ip" => {
            draft.source = value::address(statement, diagnostics).or(draft.source);
        }
        "unicast_peer" => {
            for statement in block(statement, diagnostics) {
                peer(statement, draft, diagnostics);
            }
        }
        "unicast_ttl" => {
            draft.unicast_ttl = value::number(statement, 1..=255, diagnostics).unwrap_or(draft.unicast_ttl);
        }
        "native_ipv6" => draft.native_ipv6 = true,
        "v3_checksum_as_v2" => {
            draft.v3_checksum = globals::v3_checksum(statement, diagnostics).unwrap_or(draft.v3_checksum);
        }
        "authentication" => draft.authentication = authentication(statement, diagnostics),
        "virtual_ipaddress" => vips(statement, &mut draft.vips, diagnostics),
        "virtual_ipaddress_excluded" => vips(statement, &mut draft.excluded, diagnostics),
        "track_script" => {
            for statement in block(statement, diagnostics) {
                draft.tracked.extend(tracked(statement, config, diagnostics));
            }
        }
        "down_timer_adverts" => {
            if let Some(adverts) = value::number(statement, 1..=100, diagnostics) {
                draft.down_adverts = adverts;
            }
        }
        keyword if globals::garp(keyword, "garp_master_", statement, &mut draft.garp, diagnostics) => {}
        keyword if CHANGES_WHO_IS_HEARD.contains(&keyword) => {
            diagnostics.push(super::changes_who_is_heard(statement, keyword));
        }
        keyword if NOT_YET.contains(&keyword) => diagnostics.push(not_yet(statement)),
        _ => diagnostics.push(unknown(keyword)),
    }
}

fn hint(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Hint {
    let Some(word) = value::argument(statement, diagnostics) else { return Hint::Backup };
    match word.text {
        "MASTER" => Hint::Master,
        "BACKUP" => Hint::Backup,
        _ => {
            let message = format!("unknown state `{}`", word.text);
            diagnostics.push(
                Diagnostic::warning(word.span.clone(), message)
                    .label("expected MASTER or BACKUP; BACKUP is used"),
            );
            Hint::Backup
        }
    }
}

fn authentication(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Authentication> {
    let (mut kind, mut password) = (None, None);
    for statement in block(statement, diagnostics) {
        match statement.keyword().text {
            "auth_type" => kind = value::argument(statement, diagnostics),
            "auth_pass" => password = value::argument(statement, diagnostics),
            _ => diagnostics.push(unknown(statement.keyword())),
        }
    }
    match (kind?.text, password) {
        ("PASS", Some(word)) => Some(Authentication::Pass(pad(word, diagnostics))),
        ("PASS", None) => {
            diagnostics.push(
                Diagnostic::warning(statement.span(), "authentication without a password")
                    .label("no authentication is used")
                    .help("add `auth_pass` on a line of its own"),
            );
            None
        }
        (other, _) => {
            let message = format!("authentication type `{other}` is not supported yet");
            diagnostics.push(
                Diagnostic::error(kind?.span.clone(), message)
                    .label("without it the routers would not hear each other, and each would become master"),
            );
            None
        }
    }
}

fn pad(word: &Word<'_>, diagnostics: &mut Vec<Diagnostic>) -> [u8; AUTH_DATA] {
    let bytes = word.text.as_bytes();
    if bytes.len() > AUTH_DATA {
        diagnostics.push(
            Diagnostic::warning(word.span.clone(), "a password longer than 8 bytes")
                .label("only the first 8 bytes are used, here as on the other routers"),
        );
    }
    let mut padded = [0; AUTH_DATA];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    padded
}

fn vips(statement: &Statement<'_>, vips: &mut Vec<Vip>, diagnostics: &mut Vec<Diagnostic>) {
    for statement in block(statement, diagnostics) {
        match value::vip(statement, diagnostics) {
            Some(vip) if vips.iter().any(|v| v.address == vip.address) => {
                diagnostics
                    .push(Diagnostic::warning(statement.span(), "the same address twice").label("ignored"));
            }
            Some(vip) => vips.push(vip),
            None => {}
        }
    }
}

/// `IP [min_ttl N] [max_ttl N]`.
fn peer(statement: &Statement<'_>, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) {
    let word = statement.keyword();
    let Ok(address) = word.text.parse() else {
        diagnostics.push(
            Diagnostic::error(word.span.clone(), "not the address of a peer")
                .help("write one address on each line"),
        );
        return;
    };
    draft.peers.push(address);
    match statement.arguments() {
        [] => draft.peer_ttl_min = 0,
        [keyword, value] if keyword.text == "min_ttl" => {
            let ttl: u8 = value.text.parse().unwrap_or(0);
            // The kernel half has one bound for all peers: the laxest.
            let first = draft.peers.len() == 1;
            draft.peer_ttl_min = if first { ttl } else { ttl.min(draft.peer_ttl_min) };
        }
        [keyword, ..] => {
            let message = format!("`{}` of a peer is not supported yet", keyword.text);
            diagnostics
                .push(Diagnostic::warning(keyword.span.clone(), message).label("ignored from here on"));
            draft.peer_ttl_min = 0;
        }
    }
}

/// `NAME [weight N]`.
fn tracked(statement: &Statement<'_>, config: &Config, diagnostics: &mut Vec<Diagnostic>) -> Option<Tracked> {
    let word = statement.keyword();
    let Some(script) = config.scripts.iter().position(|script| script.name == word.text) else {
        let message = format!("no vrrp_script `{}` above", word.text);
        diagnostics.push(
            Diagnostic::warning(word.span.clone(), message)
                .label("not tracked")
                .help("a script must be defined before the instance that tracks it"),
        );
        return None;
    };
    let mut weight = config.scripts[script].weight;
    no_reverse(statement.arguments(), diagnostics);
    match statement.arguments() {
        [] => {}
        [keyword, value] if keyword.text == "weight" => weight = read_weight(value, diagnostics),
        _ => diagnostics.push(
            Diagnostic::warning(statement.span(), "expected `NAME [weight N]`").label("the rest is ignored"),
        ),
    }
    Some(Tracked { script, weight })
}

/// Fills in the defaults and checks what only the whole shows.
fn finish(
    name: &str,
    statement: &Statement<'_>,
    mut draft: Draft,
    config: &Config,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<InstanceConfig> {
    let mut missing = |what: &str, help: &str| {
        let message = format!("vrrp_instance `{name}` has no valid {what}");
        diagnostics.push(Diagnostic::error(statement.span(), message).help(help));
    };
    let (Some(vrid), Some(interface)) = (draft.vrid, draft.interface.clone()) else {
        if draft.vrid.is_none() {
            missing(
                "virtual_router_id",
                "add `virtual_router_id N`, with the same N from 1 to 255 on all its routers",
            );
        }
        if draft.interface.is_none() {
            missing("interface", "add `interface NAME`");
        }
        return None;
    };
    if draft.vips.is_empty() && draft.version == Version::V3 {
        missing("virtual_ipaddress", "version 3 needs at least one address to advertise");
        return None;
    }
    if draft.vips.len() > VIPS_MAX {
        missing("number of addresses", "move those beyond 255 to `virtual_ipaddress_excluded`");
        return None;
    }
    let family = match draft.vips.first() {
        _ if draft.native_ipv6 => Family::V6,
        Some(vip) => crate::wire::advert::family(vip.address),
        None => draft.source.map_or(Family::V4, crate::wire::advert::family),
    };
    let of_family = |address: &IpAddr| crate::wire::advert::family(*address) == family;
    let addresses = draft.vips.iter().map(|vip| &vip.address).chain(&draft.source).chain(&draft.peers);
    if let Some(other) = addresses.copied().find(|address| !of_family(address)) {
        let message = format!("vrrp_instance `{name}` mixes IPv4 and IPv6: {other}");
        let help = "an advert carries one family; put the other's addresses into `virtual_ipaddress_excluded`, or into \
                    an instance of their own";
        diagnostics.push(Diagnostic::error(statement.span(), message).help(help));
        return None;
    }
    if let Some(other) =
        config.instances.iter().find(|o| o.vrid == vrid && o.interface == interface && o.family == family)
    {
        let message = format!("vrrp_instance `{name}` has the virtual_router_id of `{}`", other.name);
        let help = "two virtual routers on one interface need two identifiers";
        diagnostics.push(Diagnostic::error(statement.span(), message).help(help));
        return None;
    }
    if family == Family::V6 {
        // Version 2 has no IPv6.
        draft.version = Version::V3;
        link_local_first(name, statement, &mut draft.vips, diagnostics);
    }
    let interval = interval(&draft, diagnostics);
    let preempt = preempt(&draft, diagnostics);
    let authentication = draft.authentication.filter(|_| draft.version == Version::V2);
    if draft.authentication.is_some() && authentication.is_none() {
        let message = format!("vrrp_instance `{name}`: version 3 has no authentication");
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("the password is not used"));
    }
    Some(InstanceConfig {
        name: name.to_owned(),
        interface,
        vrid,
        version: draft.version,
        family,
        hint: draft.hint,
        priority: draft.priority.unwrap_or(match draft.hint {
            Hint::Master => PRIORITY_OWNER,
            Hint::Backup => 100,
        }),
        interval,
        preempt,
        // As keepalived: `state MASTER` clears it, and it means nothing with `nopreempt`.
        preempt_delay: match (draft.hint, preempt) {
            (Hint::Backup, Preempt::Yes) => draft.preempt_delay,
            (Hint::Master, _) | (Hint::Backup, Preempt::No) => Duration::ZERO,
        },
        on_lower: draft.on_lower,
        on_higher: draft.on_higher,
        authentication,
        source: draft.source,
        peers: draft.peers,
        unicast_ttl: draft.unicast_ttl,
        peer_ttl_min: draft.peer_ttl_min,
        v3_checksum: draft.v3_checksum,
        vips: draft.vips,
        excluded: draft.excluded,
        tracked: draft.tracked,
        garp: draft.garp,
        down_adverts: draft.down_adverts,
    })
}

/// The first IPv6 address of an advert is link-local (RFC 9568 section 5.2.9).
fn link_local_first(
    name: &str,
    statement: &Statement<'_>,
    vips: &mut [Vip],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let link_local =
        |vip: &Vip| matches!(vip.address, IpAddr::V6(address) if address.is_unicast_link_local());
    // Stable: the others keep their order.
    vips.sort_by_key(|vip| !link_local(vip));
    if !vips.first().is_some_and(link_local) {
        let message = format!("vrrp_instance `{name}` has no link-local address");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("the first IPv6 address of an advert should be one")
                .help("other routers may refuse the adverts; add one such as `fe80::10`"),
        );
    }
}

/// The interval as the version can say it.
fn interval(draft: &Draft, diagnostics: &mut Vec<Diagnostic>) -> Duration {
    let Some((asked, span)) = draft.interval.clone() else { return Duration::from_secs(1) };
    let said = match draft.version {
        Version::V2 => Duration::from_secs(asked.as_secs() + u64::from(asked.subsec_millis() >= 500))
            .max(Duration::from_secs(1)),
        Version::V3 => {
            let centiseconds = (asked.as_millis() + 5) / 10;
            let centiseconds = u32::try_from(centiseconds).unwrap_or(u32::MAX).clamp(1, 4095);
            CENTISECOND * centiseconds
        }
    };
    if said != asked {
        let message =
            format!("version {} cannot advertise every {} s", draft.version as u32, asked.as_secs_f64());
        diagnostics.push(
            Diagnostic::warning(span, message).label(format!("{} s is used", said.as_secs_f64())).help(
                "version 3 says 0.01 to 40.95 s, version 2 whole seconds; all routers must use the same",
            ),
        );
    }
    said
}

/// As keepalived: `state MASTER` clears `nopreempt`.
fn preempt(draft: &Draft, diagnostics: &mut Vec<Diagnostic>) -> Preempt {
    match (&draft.nopreempt, draft.hint) {
        (None, _) => Preempt::Yes,
        (Some(_), Hint::Backup) => Preempt::No,
        (Some(span), Hint::Master) => {
            diagnostics.push(
                Diagnostic::warning(span.clone(), "`nopreempt` has no effect with `state MASTER`")
                    .label("this router takes the addresses back when it returns")
                    .help("for no return, write `state BACKUP` on all routers"),
            );
            Preempt::Yes
        }
    }
}
