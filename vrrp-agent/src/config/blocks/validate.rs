//! Finishes a `vrrp_instance`: fills in the defaults and makes the checks that need the whole block.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_ebpf::advert::{Family, PRIORITY_OWNER, Version};
use vrrp_ebpf::election::Preempt;

use super::super::diagnostic::{Diagnostic, Severity};
use super::super::model::{
    Authentication, Config, InitialState, InstanceConfig, TrackTarget, Tracked, Usability, Vip, Vmac,
};
use super::super::syntax::Statement;
use super::draft::{Draft, PRIORITY_DEFAULT};
use crate::vrrp::OnLower;

/// Largest number of addresses in one advert.
const VIPS_MAX: usize = 255;
const CENTISECOND: Duration = Duration::from_millis(10);

/// Fills in the defaults and makes the checks that need the whole block.
#[expect(clippy::too_many_lines, reason = "one line for each value of the instance")]
pub(super) fn validate(
    name: &str,
    statement: &Statement,
    mut draft: Draft,
    config: &Config,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<InstanceConfig> {
    let (vrid, interface) = required(name, statement, &draft, diagnostics)?;
    let family = draft.family.unwrap_or(Family::V4);
    if family == Family::V6 {
        // Version 2 has no IPv6, so version 3 is used.
        draft.inherited.version = Version::V3;
    }
    if draft.vips.is_empty() && !no_addresses(name, statement, &draft, diagnostics) {
        return None;
    }
    if draft.inherited.strict {
        strict(name, statement, &mut draft, diagnostics);
    }
    let usability = match (draft.fault_without_peers, draft.peers.is_empty()) {
        (true, true) => Usability::NoPeers,
        (true, false) | (false, _) => Usability::Usable,
    };
    if let (Some(span), true, Usability::Usable) = (draft.unicast, draft.peers.is_empty(), usability) {
        diagnostics.push(
            Diagnostic::warning(span, "a unicast keyword without peers")
                .label("adverts go to the multicast group")
                .help("add a block `unicast_peer` with the address of each of the other routers"),
        );
    }
    check_vmac(name, statement, &mut draft, diagnostics);
    exclude_beyond_an_advert(name, statement, &mut draft, diagnostics);
    if family == Family::V6 {
        link_local_first(name, statement, draft.inherited.strict, &mut draft.vips, diagnostics);
    }
    let vmac = draft.use_vmac.then_some(if draft.xmit_base { Vmac::AddressesOnly } else { Vmac::All });
    if let Some(extra) = draft.inherited.extra {
        extra.fill(&mut draft.inherited.garp, vmac);
    }
    draft.inherited.lower.fill(&mut draft.inherited.garp);
    let interval = interval(&draft, diagnostics);
    let preempt = preempt(&draft, diagnostics);
    let authentication = authentication(name, statement, &mut draft, diagnostics);
    let priority = priority_of(&draft);
    own_interface(name, &interface, statement, &mut draft.tracked, diagnostics);
    if priority == PRIORITY_OWNER {
        owner(name, statement, &mut draft.tracked, diagnostics);
    }
    let instance = InstanceConfig {
        name: name.to_owned(),
        interface,
        vrid,
        version: draft.inherited.version,
        family,
        hint: draft.hint,
        priority,
        interval,
        preempt,
        // As with keepalived, `state MASTER` clears `preempt_delay`, and with `nopreempt` the delay has no meaning.
        preempt_delay: match (draft.hint, preempt) {
            (InitialState::Backup, Preempt::Yes) => draft.preempt_delay,
            (InitialState::Master, _) | (InitialState::Backup, Preempt::No) => Duration::ZERO,
        },
        // An owner that ignores adverts does not answer an advert with a lower priority.
        on_lower: if draft.inherited.owner_ignores && priority == PRIORITY_OWNER {
            OnLower::Ignore
        } else {
            draft.inherited.on_lower
        },
        on_higher: draft.inherited.on_higher,
        authentication,
        source: draft.source,
        group: draft.group.unwrap_or(match family {
            Family::V4 => draft.inherited.groups.0,
            Family::V6 => draft.inherited.groups.1,
        }),
        hmac: draft.hmac.map(|hmac| hmac.finish(interval)),
        peers: draft.peers,
        only_peers: draft.inherited.only_peers,
        vmac,
        accept: draft.accept || priority == PRIORITY_OWNER,
        unicast_ttl: draft.unicast_ttl,
        v3_checksum: draft.inherited.v3_checksum,
        vips: draft.vips,
        excluded: draft.excluded,
        routes: draft.routes,
        rules: draft.rules,
        source_need: draft.source_need,
        usability,
        secondaries: draft.secondaries,
        notify: draft.notify,
        primary: draft.primary,
        tracked: draft.tracked,
        garp: draft.inherited.garp,
        down_adverts: draft.inherited.down_adverts,
    };
    if let Some(clash) = clash(&instance, config, statement) {
        diagnostics.push(clash);
        return None;
    }
    Some(instance)
}

/// The error if an earlier instance of the same interface, family and number cannot be told apart from this one.
fn clash(instance: &InstanceConfig, config: &Config, statement: &Statement) -> Option<Diagnostic> {
    let shares_number = |other: &&InstanceConfig| {
        (other.vrid, other.family) == (instance.vrid, instance.family)
            && other.interface == instance.interface
    };
    let (other, what, help) = config.instances.iter().filter(shares_number).find_map(|other| {
        if other.shares_destination(instance) {
            let help = "two virtual routers on one interface need different `virtual_router_id`s, or different multicast groups";
            Some((other, "virtual_router_id", help))
        } else if other.vmac.is_some() && instance.vmac.is_some() {
            let help = "with `use_vmac`, each instance on an interface needs its own `virtual_router_id`";
            Some((other, "virtual hardware address", help))
        } else {
            None
        }
    })?;
    let message = format!("vrrp_instance `{}` has the {what} of `{}`", instance.name, other.name);
    Some(Diagnostic::error(statement.span(), message).help(help))
}

/// Removes the instance's own interface from `track_interface`, as keepalived does, also with `dont_track_primary`.
fn own_interface(
    name: &str,
    interface: &str,
    statement: &Statement,
    tracked: &mut Vec<Tracked>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let before = tracked.len();
    tracked.retain(|tracked| tracked.target != TrackTarget::Interface(interface.to_owned()));
    if tracked.len() < before {
        let message = format!("vrrp_instance `{name}` tracks its own interface `{interface}`");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("ignored")
                .help("an instance tracks its own interface anyway, unless `dont_track_primary` is set"),
        );
    }
}

/// Removes the weights of the address owner, as keepalived does, because its priority does not change: scripts and interfaces
/// with a weight are not tracked, and a tracked file counts as with weight 0, so that any number but 0 in it is a fault.
fn owner(name: &str, statement: &Statement, tracked: &mut Vec<Tracked>, diagnostics: &mut Vec<Diagnostic>) {
    let mut dropped = false;
    tracked.retain_mut(|tracked| match tracked.target {
        _ if tracked.weight.value == 0 => true,
        TrackTarget::Script(_) | TrackTarget::Interface(_) => {
            dropped = true;
            false
        }
        TrackTarget::File(_) => {
            dropped = true;
            tracked.weight.value = 0;
            true
        }
        // keepalived does not report these weights; the priority does not change in any case.
        TrackTarget::Process(_) => true,
    });
    if dropped {
        let message = format!("vrrp_instance `{name}` has weights, but priority 255 does not change");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("scripts and interfaces with weights are not tracked; files are tracked with weight 0")
                .help("write `weight 0` if a failure is to put the instance in fault"),
        );
    }
}

/// Reports an instance without addresses. Returns false if such an instance is not allowed; version 2 allows it.
fn no_addresses(name: &str, statement: &Statement, draft: &Draft, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let message = format!("vrrp_instance `{name}` has no valid virtual_ipaddress");
    let (needed, why) = match draft.inherited.version {
        _ if draft.inherited.strict => (true, "`vrrp_strict` needs at least one address"),
        Version::V3 => (!draft.no_address, "version 3 needs at least one address to advertise"),
        Version::V2 => (false, "the instance holds no address: add at least one"),
    };
    if needed {
        diagnostics.push(Diagnostic::error(statement.span(), message).help(why));
    } else if !draft.no_address {
        diagnostics.push(Diagnostic::warning(statement.span(), message).help(why));
    }
    !needed
}

/// Applies keepalived's `vrrp_strict`: the instance follows the RFC to the letter.
fn strict(name: &str, statement: &Statement, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) {
    if !draft.peers.is_empty() {
        let message = format!("vrrp_instance `{name}`: `unicast_peer` with `vrrp_strict`");
        diagnostics.push(
            Diagnostic::note(statement.span(), message)
                .label("the standard has no unicast; newer versions of keepalived refuse this"),
        );
    }
    let mut reset = |what: &str| {
        let message = format!("vrrp_instance `{name}`: {what}, because of `vrrp_strict`");
        diagnostics.push(Diagnostic::warning(statement.span(), message));
    };
    let owner = priority_of(draft) == PRIORITY_OWNER;
    match (draft.hint, owner) {
        (InitialState::Master, false) if draft.priority.is_some() => {
            reset("`state` is BACKUP, since the priority is not 255");
            draft.hint = InitialState::Backup;
        }
        (InitialState::Backup, true) => {
            if draft.state_said {
                reset("`state` is MASTER, since the priority is 255");
            }
            draft.hint = InitialState::Master;
        }
        (InitialState::Master | InitialState::Backup, _) => {}
    }
    if draft.authentication.take().is_some() {
        reset("no authentication");
    }
    if !std::mem::take(&mut draft.preempt_delay).is_zero() {
        reset("no `preempt_delay`");
    }
    if std::mem::take(&mut draft.xmit_base) {
        reset("no `vmac_xmit_base`");
    }
    (draft.inherited.garp.repeat, draft.inherited.garp.delay, draft.inherited.garp.refresh) = (1, None, None);
    draft.inherited.on_lower = OnLower::Ignore;
    if !owner {
        strict_without_accept(name, statement, draft, diagnostics);
    }
}

/// Applies the rule of `vrrp_strict` that only the address owner accepts packets sent to the virtual addresses.
fn strict_without_accept(
    name: &str,
    statement: &Statement,
    draft: &mut Draft,
    diagnostics: &mut Vec<Diagnostic>,
) {
    // With version 3, the keyword `accept` of the file decides.
    if draft.inherited.version == Version::V3 && draft.asks_to_accept.is_some() {
        return;
    }
    draft.accept = false;
    let message =
        format!("vrrp_instance `{name}`: clients cannot reach the addresses, because of `vrrp_strict`");
    let (severity, span) = match draft.asks_to_accept {
        Some(span) => (Severity::Warning, span),
        // keepalived also drops the packets, but does not report it.
        None => (Severity::Note, statement.span()),
    };
    let complaint = Diagnostic::warning(span, message)
        .label("as with `no_accept`, the kernel half of a master whose priority is not 255 drops packets to these addresses")
        .help("remove `vrrp_strict`, which is useful only for tests of the protocol, or write `strict_mode off` here");
    diagnostics.push(Diagnostic { severity, ..complaint });
}

/// Moves link-local addresses to the front: the first IPv6 address of an advert must be link-local (RFC 9568 section 5.2.9).
fn link_local_first(
    name: &str,
    statement: &Statement,
    strict: bool,
    vips: &mut [Vip],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let link_local =
        |vip: &Vip| matches!(vip.address, IpAddr::V6(address) if address.is_unicast_link_local());
    if vips.first().is_none_or(link_local) {
        return;
    }
    let message = format!("the first address of vrrp_instance `{name}` is not link-local");
    let label = if vips.iter().any(link_local) {
        "as the first IPv6 address of an advert should be: the link-local one is moved to the front"
    } else {
        "as the first IPv6 address of an advert should be: other routers may refuse the adverts"
    };
    // keepalived counts this as a configuration error only with `vrrp_strict`.
    let severity = if strict { Severity::Warning } else { Severity::Note };
    let help = "write a link-local address such as `fe80::10` before the others";
    let complaint = Diagnostic::warning(statement.span(), message).label(label).help(help);
    diagnostics.push(Diagnostic { severity, ..complaint });
    // The sort is stable: the other addresses keep their order.
    vips.sort_by_key(|vip| !link_local(vip));
}

/// Returns the advertisement interval, rounded and limited to a value that the protocol version can express.
fn interval(draft: &Draft, diagnostics: &mut Vec<Diagnostic>) -> Duration {
    let Some((asked, span)) = draft.interval else { return Duration::from_secs(1) };
    let said = match draft.inherited.version {
        Version::V2 => Duration::from_secs(asked.as_secs() + u64::from(asked.subsec_millis() >= 500))
            .max(Duration::from_secs(1)),
        Version::V3 => {
            let centiseconds = (asked.as_millis() + 5) / 10;
            let centiseconds = u32::try_from(centiseconds).unwrap_or(u32::MAX).clamp(1, 4095);
            CENTISECOND * centiseconds
        }
    };
    if said != asked {
        let message = format!(
            "version {} cannot advertise every {} s",
            draft.inherited.version as u32,
            asked.as_secs_f64()
        );
        diagnostics.push(
            Diagnostic::warning(span, message).label(format!("{} s is used", said.as_secs_f64())).help(
                "version 3 allows 0.01 to 40.95 s, version 2 whole seconds; all routers must use the same interval",
            ),
        );
    }
    said
}

/// Returns the virtual_router_id and the interface, without which there is no instance.
fn required(
    name: &str,
    statement: &Statement,
    draft: &Draft,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(u8, String)> {
    let missing = |what: &str, help: &str, diagnostics: &mut Vec<Diagnostic>| {
        let message = format!("vrrp_instance `{name}` has no valid {what}");
        diagnostics.push(Diagnostic::error(statement.span(), message).help(help));
    };
    // Without `interface`, an instance with peers uses the interface that has the source address of its adverts.
    let of_source = draft.source.filter(|_| !draft.peers.is_empty()).map(|source| source.to_string());
    let interface = draft.interface.clone().or(of_source);
    let (Some(vrid), Some(interface)) = (draft.vrid, interface.clone()) else {
        if draft.vrid.is_none() {
            missing(
                "virtual_router_id",
                "add `virtual_router_id N`, with the same N from 1 to 255 on all its routers",
                diagnostics,
            );
        }
        if interface.is_none() {
            let help = "add `interface NAME`; without it, `unicast_peer` and `unicast_src_ip` are needed";
            missing("interface", help, diagnostics);
        }
        return None;
    };
    if interface == "lo" {
        missing(
            "interface",
            "adverts cannot leave by the loopback interface `lo`: name the interface to the network",
            diagnostics,
        );
        return None;
    }
    Some((vrid, interface))
}

/// Makes `use_vmac` and `vmac_xmit_base` fit each other and the peers.
fn check_vmac(name: &str, statement: &Statement, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) {
    if draft.xmit_base && !draft.use_vmac {
        let message = format!("vrrp_instance `{name}`: `vmac_xmit_base` without `use_vmac`");
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("it has no effect"));
    }
    if draft.use_vmac && !draft.peers.is_empty() && !draft.xmit_base {
        let message = format!("vrrp_instance `{name}`: `use_vmac` and `unicast_peer` need `vmac_xmit_base`");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("adverts leave from the interface's own hardware address"),
        );
        draft.xmit_base = true;
    }
}

/// Makes addresses for which an advert has no room excluded ones.
fn exclude_beyond_an_advert(
    name: &str,
    statement: &Statement,
    draft: &mut Draft,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if draft.vips.len() > VIPS_MAX {
        let message = format!("vrrp_instance `{name}` has more addresses than an advert can carry");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("those beyond 255 are held, but not advertised")
                .help("move them into `virtual_ipaddress_excluded`"),
        );
        let beyond = draft.vips.split_off(VIPS_MAX);
        draft.excluded.splice(0..0, beyond);
    }
}

/// Returns the authentication that the version has; of two seals one is used.
fn authentication(
    name: &str,
    statement: &Statement,
    draft: &mut Draft,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Authentication> {
    let authentication = draft.authentication.filter(|_| draft.inherited.version == Version::V2);
    if draft.authentication.is_some() && authentication.is_none() {
        let message = format!("vrrp_instance `{name}`: version 3 has no authentication");
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("the password is not used"));
    }
    if let (Some(Authentication::Ah(_)), Some(_)) = (authentication, &draft.hmac) {
        let message = format!("vrrp_instance `{name}` has both `auth_type AH` and `auth_hmac`");
        diagnostics.push(
            Diagnostic::warning(statement.span(), message)
                .label("`auth_hmac` is not used")
                .help("an advert carries only one of them; remove `authentication` to use `auth_hmac`"),
        );
        draft.hmac = None;
    }
    authentication
}

/// Returns the priority: without the keyword it follows from `state`.
fn priority_of(draft: &Draft) -> u8 {
    draft.priority.unwrap_or(match draft.hint {
        InitialState::Master => PRIORITY_OWNER,
        InitialState::Backup => PRIORITY_DEFAULT,
    })
}

/// Returns the preemption mode. As with keepalived, `state MASTER` and priority 255 clear `nopreempt`.
fn preempt(draft: &Draft, diagnostics: &mut Vec<Diagnostic>) -> Preempt {
    match (&draft.nopreempt, draft.hint) {
        (None, _) => Preempt::Yes,
        (Some(span), InitialState::Backup) if priority_of(draft) == PRIORITY_OWNER => {
            diagnostics.push(
                Diagnostic::warning(*span, "`nopreempt` has no effect with `priority 255`")
                    .label("the owner of the addresses takes them back when it returns")
                    .help("for no return, give all routers a priority below 255"),
            );
            Preempt::Yes
        }
        (Some(_), InitialState::Backup) => Preempt::No,
        (Some(span), InitialState::Master) => {
            diagnostics.push(
                Diagnostic::warning(*span, "`nopreempt` has no effect with `state MASTER`")
                    .label("this router takes the addresses back when it returns")
                    .help("to prevent that, write `state BACKUP` on all routers"),
            );
            Preempt::Yes
        }
    }
}
