//! `lvs_sync_daemon` of `global_defs`, and its older form `lvs_sync_daemon_interface` of an instance.

use std::net::IpAddr;

use super::super::diagnostic::Diagnostic;
use super::super::model::InstanceConfig;
use super::super::sync_daemon::SyncDaemon;
use super::super::syntax::{Statement, Word};

const OPTIONS: [&str; 5] = ["id", "maxlen", "port", "ttl", "group"];

/// Largest payload of a UDP datagram, in bytes.
const LENGTH_MAX: u16 = 65_507;

/// The values read so far. The instance may stand below `global_defs`, so its name is resolved later.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    interface: Option<String>,
    instance: Option<Word>,
    id: Option<u8>,
    max_length: Option<u16>,
    port: Option<u16>,
    ttl: Option<u8>,
    group: Option<IpAddr>,
}

impl Draft {
    pub(super) fn finish(
        self,
        instances: &[InstanceConfig],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<SyncDaemon> {
        let Self { interface, instance, id, max_length, port, ttl, group } = self;
        let name = instance?;
        let Some(instance) = instances.iter().position(|instance| instance.name == name.text) else {
            let message = format!("no vrrp_instance `{}`", name.text);
            diagnostics.push(Diagnostic::note(name.span, message).label("the sync daemon is not started"));
            return None;
        };
        let id = id.unwrap_or(instances[instance].vrid);
        Some(SyncDaemon { interface: interface?, instance, id, max_length, port, ttl, group })
    }
}

/// Reads `lvs_sync_daemon INTERFACE [[inst] INSTANCE] [OPTION VALUE …]`.
pub(super) fn read(statement: &Statement, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) {
    let mut words = statement.arguments().iter().peekable();
    let Some(interface) = words.next() else {
        let message = "`lvs_sync_daemon` needs an interface";
        return diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored"));
    };
    if draft.interface.is_some() {
        let message = "a second sync daemon";
        return diagnostics
            .push(Diagnostic::warning(statement.span(), message).label("ignored; the first one is used"));
    }
    draft.interface = Some(interface.text.clone());
    let _word = words.next_if(|word| word.text == "inst");
    draft.instance = words.next_if(|word| !OPTIONS.contains(&word.text.as_str())).cloned();
    if draft.instance.is_none() {
        let message = "`lvs_sync_daemon` names no instance";
        diagnostics.push(Diagnostic::note(statement.span(), message).label("the sync daemon is not started"));
    }
    while let Some(option) = words.next() {
        let name = option.text.as_str();
        if !OPTIONS.contains(&name) {
            let message = format!("unknown option `{name}` of `lvs_sync_daemon`");
            let label = format!("ignored; options are {}", OPTIONS.join(", "));
            diagnostics.push(Diagnostic::warning(option.span, message).label(label));
            continue;
        }
        let value = words.next();
        if let Err(expected) = value.map_or(Err("a value"), |value| take(name, &value.text, draft)) {
            let message = format!("bad value for `{name}` of `lvs_sync_daemon`");
            let label = format!("expected: {expected}; ignored");
            let span = value.map_or(option.span, |value| value.span);
            diagnostics.push(Diagnostic::warning(span, message).label(label));
        }
    }
}

/// Sets one of [`OPTIONS`]. The error is the expected value.
fn take(name: &str, text: &str, draft: &mut Draft) -> Result<(), &'static str> {
    match name {
        "id" => draft.id = Some(text.parse().map_err(|_| "0 to 255")?),
        "maxlen" => {
            let length = text.parse().ok().filter(|length| (1..=LENGTH_MAX).contains(length));
            draft.max_length = Some(length.ok_or("1 to 65507")?);
        }
        "port" => {
            draft.port = Some(text.parse().ok().filter(|port| *port > 0).ok_or("1 to 65535")?);
        }
        "ttl" => draft.ttl = Some(text.parse().ok().filter(|ttl| *ttl > 0).ok_or("1 to 255")?),
        _ => {
            let group = text.parse().ok().filter(IpAddr::is_multicast);
            draft.group = Some(group.ok_or("a multicast address")?);
        }
    }
    Ok(())
}

/// Reads the older form, which always has the sync ID 0.
pub(super) fn read_of_instance(
    statement: &Statement,
    instance: &Word,
    draft: &mut Draft,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(interface) = statement.arguments().first() else {
        let message = "`lvs_sync_daemon_interface` needs an interface";
        return diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored"));
    };
    let help = format!("write `lvs_sync_daemon {} {} id 0` in global_defs", interface.text, instance.text);
    let obsolete =
        Diagnostic::warning(statement.span(), "`lvs_sync_daemon_interface` is obsolete").help(help);
    if draft.interface.is_some() {
        return diagnostics.push(obsolete.label("ignored; there is a sync daemon already"));
    }
    diagnostics.push(obsolete.label("it works all the same"));
    let (interface, instance) = (Some(interface.text.clone()), Some(instance.clone()));
    *draft = Draft { interface, instance, id: Some(0), ..Draft::default() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Severity, parse};

    fn read(global: &str, instance: &str) -> (Option<SyncDaemon>, usize) {
        let reading = parse(&format!(
            "global_defs {{\n{global}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 9\n{instance}\n\
             virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        ));
        let complaints = reading.count(Severity::Warning);
        (reading.config.expect("usable").sync_daemon, complaints)
    }

    /// Observed with keepalived 2.2.7: the warnings, and the sync ID of the daemon.
    #[test]
    fn as_keepalived_reads_it() {
        let plain = SyncDaemon {
            interface: "eth1".to_owned(),
            instance: 0,
            id: 9,
            max_length: None,
            port: None,
            ttl: None,
            group: None,
        };
        let whole = SyncDaemon {
            id: 7,
            max_length: Some(1400),
            port: Some(8850),
            ttl: Some(3),
            group: Some("224.0.0.90".parse().unwrap()),
            ..plain.clone()
        };
        let all = "lvs_sync_daemon eth1 V id 7 maxlen 1400 port 8850 ttl 3 group 224.0.0.90";
        for (line, expected, complaints) in [
            (all, Some(&whole), 0),
            ("lvs_sync_daemon eth1 V", Some(&plain), 0),
            ("lvs_sync_daemon eth1 inst V", Some(&plain), 0),
            ("lvs_sync_daemon eth1", None, 0),
            ("lvs_sync_daemon eth1 id 7", None, 0),
            ("lvs_sync_daemon eth1 W", None, 0),
            ("lvs_sync_daemon", None, 1),
            ("lvs_sync_daemon eth1 V id 256", Some(&plain), 1),
            ("lvs_sync_daemon eth1 V id", Some(&plain), 1),
            ("lvs_sync_daemon eth1 V maxlen 65508", Some(&plain), 1),
            ("lvs_sync_daemon eth1 V port 0", Some(&plain), 1),
            ("lvs_sync_daemon eth1 V ttl 0", Some(&plain), 1),
            ("lvs_sync_daemon eth1 V group 10.0.0.1", Some(&plain), 1),
            ("lvs_sync_daemon eth1 V 7", Some(&plain), 1),
        ] {
            assert_eq!(read(line, ""), (expected.cloned(), complaints), "{line}");
        }
        assert_eq!(read("", "lvs_sync_daemon_interface eth1"), (Some(SyncDaemon { id: 0, ..plain }), 1));
    }
}
