//! Reads `vrrp_instance`.

use std::net::IpAddr;

use vrrp_ebpf::advert::Family;

use super::super::diagnostic::Diagnostic;
use super::super::files::Files;
use super::super::keywords::Block;
use super::super::model::{
    Config, InitialState, InstanceConfig, Peer, Primary, Secondaries, SourceNeed, Vip,
};
use super::super::routing::Tables;
use super::super::sources::Span;
use super::super::syntax::Statement;
use super::super::value;
use super::authentication;
use super::draft::{Draft, PRIORITY_DEFAULT};
use super::globals::{self, Globals};
use super::validate::validate;
use super::{block, extra_refresh, name, notify, routing, sync_daemon, track, unrecognised};

pub(super) fn read(
    statement: &Statement,
    globals: &mut Globals,
    config: &Config,
    files: &dyn Files,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<InstanceConfig> {
    let name = name(statement, diagnostics)?;
    if config.instances.iter().any(|other| other.name == name) {
        let message = format!("a second vrrp_instance `{name}`");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("ignored, with its block")
                .help("each instance needs a name of its own"),
        );
        return None;
    }
    let mut draft = Draft::new(globals.inherited, globals.outlets.defaults());
    for line in block(statement, diagnostics) {
        if line.keyword().text == "lvs_sync_daemon_interface" {
            if let Some(name) = statement.arguments().first() {
                sync_daemon::read_of_instance(line, name, &mut globals.sync_daemon, diagnostics);
            }
            continue;
        }
        read_keyword(line, &mut draft, globals, config, files, diagnostics);
    }
    validate(name, statement, draft, config, diagnostics)
}

#[expect(clippy::too_many_lines, reason = "one arm for each keyword")]
fn read_keyword(
    statement: &Statement,
    draft: &mut Draft,
    globals: &mut Globals,
    config: &Config,
    files: &dyn Files,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let keyword = statement.keyword();
    if matches!(
        keyword.text.as_str(),
        "unicast_src_ip" | "unicast_peer" | "unicast_ttl" | "check_unicast_src"
    ) {
        draft.unicast.get_or_insert(statement.span());
    }
    match keyword.text.as_str() {
        "state" => (draft.hint, draft.state_said) = (hint(statement, diagnostics), true),
        "interface" => {
            draft.interface = value::argument(statement, diagnostics).map(|word| word.text.to_owned());
        }
        // As with keepalived, a bad number keeps the value set above it. The exception is the priority, for which the default
        // is used.
        "virtual_router_id" => {
            draft.vrid = value::number(Block::Instance, statement, diagnostics).or(draft.vrid);
        }
        "priority" => {
            let priority = value::number(Block::Instance, statement, diagnostics);
            draft.priority = Some(priority.unwrap_or(PRIORITY_DEFAULT));
        }
        "advert_int" => {
            if let Some(interval) = value::seconds(Block::Instance, statement, diagnostics) {
                draft.interval = Some((interval, statement.span()));
            }
        }
        "version" => {
            draft.inherited.version =
                globals::version(Block::Instance, statement, diagnostics).unwrap_or(draft.inherited.version);
        }
        "nopreempt" => draft.nopreempt = Some(statement.span()),
        "preempt" => draft.nopreempt = None,
        "preempt_delay" => {
            draft.preempt_delay = value::seconds(Block::Instance, statement, diagnostics).unwrap_or_default();
        }
        "lower_prio_no_advert" => draft.inherited.on_lower = globals::on_lower(statement, diagnostics),
        "higher_prio_send_advert" => draft.inherited.on_higher = globals::on_higher(statement, diagnostics),
        "mcast_dst_ip" => {
            if let Some(group) = value::address(statement, diagnostics)
                && fits(draft, group, statement.span(), diagnostics)
            {
                let family = crate::wire::advert::family(group);
                draft.group = globals::group(family, statement, diagnostics);
            }
        }
        "strict_mode" => {
            draft.inherited.strict = value::boolean(statement, diagnostics).unwrap_or(draft.inherited.strict);
        }
        "no_virtual_ipaddress" => draft.no_address = true,
        "mcast_src_ip" | "unicast_src_ip" => {
            if let Some(source) = value::address(statement, diagnostics)
                && fits(draft, source, statement.span(), diagnostics)
            {
                draft.source = Some(source);
            }
        }
        "unicast_peer" => {
            for statement in block(statement, diagnostics) {
                peer(statement, draft, diagnostics);
            }
        }
        "unicast_ttl" => {
            draft.unicast_ttl =
                value::number(Block::Instance, statement, diagnostics).unwrap_or(draft.unicast_ttl);
        }
        "use_vmac" => use_vmac(statement, draft, diagnostics),
        "vmac_xmit_base" => draft.xmit_base = true,
        "accept" => (draft.accept, draft.asks_to_accept) = (true, Some(statement.span())),
        "no_accept" => (draft.accept, draft.asks_to_accept) = (false, None),
        "native_ipv6" => native_ipv6(statement, draft, diagnostics),
        "v3_checksum_as_v2" => {
            draft.inherited.v3_checksum =
                globals::v3_checksum(statement, diagnostics).unwrap_or(draft.inherited.v3_checksum);
        }
        "authentication" => draft.authentication = authentication::read(statement, diagnostics),
        "auth_hmac" => draft.hmac = Some(authentication::read_hmac(statement, files, diagnostics)),
        "check_unicast_src" => {
            draft.inherited.only_peers =
                value::boolean(statement, diagnostics).unwrap_or(draft.inherited.only_peers);
        }
        "virtual_ipaddress" => {
            for (vip, span) in vips(statement, &draft.vips, diagnostics) {
                if fits(draft, vip.address, span, diagnostics) {
                    draft.vips.push(vip);
                }
            }
        }
        "virtual_ipaddress_excluded" => {
            let excluded = vips(statement, &draft.excluded, diagnostics);
            draft.excluded.extend(excluded.into_iter().map(|(vip, _)| vip));
        }
        "virtual_routes" => {
            let tables = Tables::new(files, &globals.directories);
            routing::routes(statement, &tables, &[], &mut draft.routes, diagnostics);
        }
        "virtual_rules" => {
            let Globals { directories, preferences, .. } = globals;
            let tables = Tables::new(files, directories);
            routing::rules(statement, &tables, &[], preferences, &mut draft.rules, diagnostics);
        }
        "promote_secondaries" => draft.secondaries = Secondaries::Promoted,
        "track_src_ip" => draft.source_need = SourceNeed::Tracked,
        "unicast_fault_no_peer" => draft.fault_without_peers = true,
        "owner_ignore_adverts" => {
            draft.inherited.owner_ignores =
                value::boolean(statement, diagnostics).unwrap_or(draft.inherited.owner_ignores);
        }
        "garp_extra_if" | "vmac_garp_intvl" => {
            draft.inherited.extra = extra_refresh::read(statement, diagnostics);
        }
        "old_unicast_checksum" => old_checksum(statement, diagnostics),
        "dont_track_primary" => draft.primary = Primary::Untracked,
        "track_script" | "track_interface" | "track_file" | "track_process" => {
            track::read(Block::Instance, statement, config, &mut draft.tracked, diagnostics);
        }
        "down_timer_adverts" => {
            if let Some(adverts) = value::number(Block::Instance, statement, diagnostics) {
                draft.inherited.down_adverts = adverts;
            }
        }
        _ if notify::read(
            Block::Instance,
            statement,
            &mut draft.notify,
            globals.script_user.as_ref(),
            diagnostics,
        ) => {}
        _ if globals::after_lower(Block::Instance, statement, &mut draft.inherited.lower, diagnostics) => {}
        _ if globals::garp(Block::Instance, statement, &mut draft.inherited.garp, diagnostics) => {}
        _ => unrecognised(Block::Instance, statement, diagnostics),
    }
}

/// Reports `old_unicast_checksum`. keepalived up to 1.3.6 includes the address of the multicast group in the checksum of a
/// unicast advert. This daemon never sends such a checksum.
fn old_checksum(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) {
    match statement.arguments() {
        [word, ..] if word.text == "never" => {}
        [] => diagnostics.push(
            Diagnostic::note(statement.span(), "`old_unicast_checksum` has no effect")
                .label("ignored: the checksum is always that of the standard, and adverts with another one are dropped")
                .help("update peers that run keepalived 1.3.6 or older"),
        ),
        [word, ..] => {
            let message = format!("unknown mode `{}` of `old_unicast_checksum`", word.text);
            diagnostics
                .push(Diagnostic::warning(word.span, message).label("ignored; expected `never` or no value"));
        }
    }
}

fn hint(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> InitialState {
    let Some(word) = value::argument(statement, diagnostics) else { return InitialState::Backup };
    match word.text.as_str() {
        "MASTER" => InitialState::Master,
        "BACKUP" => InitialState::Backup,
        _ => {
            let message = format!("unknown state `{}`", word.text);
            diagnostics.push(
                Diagnostic::warning(word.span, message).label("expected MASTER or BACKUP; BACKUP is used"),
            );
            InitialState::Backup
        }
    }
}

/// Reads the addresses of a block, each with its place, and leaves out the addresses that are already in the list `there`.
fn vips(statement: &Statement, there: &[Vip], diagnostics: &mut Vec<Diagnostic>) -> Vec<(Vip, Span)> {
    let mut new: Vec<(Vip, Span)> = Vec::new();
    for statement in block(statement, diagnostics) {
        let Some(vip) = value::vip(statement, diagnostics) else { continue };
        let mut others = there.iter().chain(new.iter().map(|(other, _)| other));
        if others.any(|other| other.address == vip.address) {
            diagnostics.push(Diagnostic::note(statement.span(), "the same address twice").label("ignored"));
        } else {
            new.push((vip, statement.keyword().span));
        }
    }
    new
}

/// Returns true if an address has the family of the adverts; the first address of the block sets that family. As with
/// keepalived, an address of another family is left out.
fn fits(draft: &mut Draft, address: IpAddr, span: Span, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let family = crate::wire::advert::family(address);
    let of_adverts = *draft.family.get_or_insert(family);
    if family != of_adverts {
        let (this, those) = match of_adverts {
            Family::V4 => ("IPv6", "IPv4"),
            Family::V6 => ("IPv4", "IPv6"),
        };
        diagnostics.push(
            Diagnostic::warning(span, format!("{address} is {this}, but the adverts of this instance are {those}"))
                .label("ignored")
                .help(
                    "an advert carries one family; put addresses of the other family into `virtual_ipaddress_excluded`, or \
                     into another instance",
                ),
        );
    }
    family == of_adverts
}

/// Reads `native_ipv6`: the adverts are IPv6, unless an address above has already set the family to IPv4.
fn native_ipv6(statement: &Statement, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) {
    match *draft.family.get_or_insert(Family::V6) {
        Family::V6 => {}
        Family::V4 => diagnostics.push(
            Diagnostic::warning(statement.span(), "`native_ipv6` in an instance with IPv4 addresses")
                .label("ignored"),
        ),
    }
}

/// Reads `use_vmac [[NAME] IF] [MAC] …`. With keepalived, the arguments name the interface that it creates and its hardware
/// address. This daemon creates no interface and always uses the hardware address of the RFC.
fn use_vmac(statement: &Statement, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) {
    draft.use_vmac = true;
    if let [first, ..] = statement.arguments() {
        let span = first.span.to(statement.span());
        diagnostics.push(
            Diagnostic::note(span, "`use_vmac` makes no interface here")
                .label("ignored; the addresses are on the interface of the instance")
                .help(
                    "in firewall rules and other settings, name the interface of the instance instead of this one",
                ),
        );
    }
}

/// Reads a peer: `IP [min_ttl N] [max_ttl N]`.
fn peer(statement: &Statement, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) {
    let word = statement.keyword();
    let Ok(address) = value::without_prefix(word, diagnostics).parse() else {
        diagnostics.push(
            Diagnostic::warning(word.span, "not the address of a peer")
                .label("ignored")
                .help("write one address on each line"),
        );
        return;
    };
    if !fits(draft, address, word.span, diagnostics) {
        return;
    }
    let (mut least, mut most) = (0, u8::MAX);
    let mut words = statement.arguments().iter();
    while let Some(keyword) = words.next() {
        let value = words.next().and_then(|value| value.text.parse().ok());
        match (keyword.text.as_str(), value) {
            ("min_ttl", Some(ttl)) => least = ttl,
            ("max_ttl", Some(ttl)) => most = ttl,
            _ => {
                let message = format!("bad `{}` of a peer", keyword.text);
                diagnostics.push(Diagnostic::warning(keyword.span, message).label(
                    "expected `min_ttl N` or `max_ttl N`; this word and the words after it are ignored",
                ));
                break;
            }
        }
    }
    if least > most {
        diagnostics.push(
            Diagnostic::warning(word.span, format!("`min_ttl {least}` is more than `max_ttl {most}`"))
                .label("no advert of this peer is accepted"),
        );
    }
    draft.peers.push(Peer { address, ttl: least..=most });
}
