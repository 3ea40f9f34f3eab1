//! Keywords of `global_defs` for SNMP.

use super::super::diagnostic::Diagnostic;
use super::super::snmp::{MasterAgent, Mib, Snmp, Traps};
use super::super::syntax::Statement;
use super::super::value;

/// The values read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    said: Snmp,
    /// The address in the first `snmp_socket`. Later ones are ignored.
    socket: Option<MasterAgent>,
}

impl Draft {
    pub(super) fn finish(self) -> Snmp {
        Snmp { master: self.socket.unwrap_or_default(), ..self.said }
    }
}

/// Reads a keyword of `global_defs`. Returns false if the keyword is not about SNMP.
pub(super) fn read(statement: &Statement, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let mibs: &[Mib] = match statement.keyword().text.as_str() {
        "enable_snmp_vrrp" | "enable_snmp_keepalived" => &[Mib::Keepalived],
        "enable_snmp_rfc" => &[Mib::Rfc2787, Mib::Rfc6527],
        "enable_snmp_rfcv2" => &[Mib::Rfc2787],
        "enable_snmp_rfcv3" => &[Mib::Rfc6527],
        "enable_traps" => {
            draft.said.traps = Traps::Sent;
            &[]
        }
        "snmp_socket" => {
            socket(statement, &mut draft.socket, diagnostics);
            &[]
        }
        _ => return false,
    };
    draft.said.mibs.extend(mibs);
    true
}

fn socket(statement: &Statement, first: &mut Option<MasterAgent>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(word) = value::argument(statement, diagnostics) else { return };
    if let Some(first) = first {
        // keepalived also uses the first one.
        let label = format!("ignored; the first one, {first}, is used");
        diagnostics.push(Diagnostic::warning(statement.span(), "a second `snmp_socket`").label(label));
        return;
    }
    match word.text.parse() {
        Ok(agent) => *first = Some(agent),
        Err(error) => {
            let label = format!("{error}; {} is used", MasterAgent::default());
            diagnostics.push(Diagnostic::warning(word.span, "bad value for `snmp_socket`").label(label));
        }
    }
}

/// Reports keywords that have no effect. Called when all of `global_defs` has been read.
pub(super) fn complain(statements: &[Statement], snmp: &Snmp, diagnostics: &mut Vec<Diagnostic>) {
    if !snmp.mibs.is_empty() {
        return;
    }
    let blocks = statements.iter().filter(|statement| statement.keyword().text == "global_defs");
    for statement in blocks.flat_map(|statement| statement.block.as_deref().unwrap_or_default()) {
        let keyword = &statement.keyword().text;
        if matches!(keyword.as_str(), "enable_traps" | "snmp_socket") {
            let message = format!("`{keyword}` has no effect");
            let label = "there is no SNMP without `enable_snmp_vrrp`, or -x on the command line";
            diagnostics.push(Diagnostic::note(statement.span(), message).label(label));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Reading, parse};

    fn read(global: &str) -> Reading {
        parse(&format!(
            "global_defs {{\n{global}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n\
             virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        ))
    }

    fn snmp(global: &str) -> Snmp {
        let reading = read(global);
        assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
        reading.config.expect("a valid file").snmp
    }

    #[test]
    fn what_managers_see() {
        assert_eq!(snmp(""), Snmp::default());
        assert_eq!(snmp("enable_snmp_keepalived").mibs, [Mib::Keepalived].into());
        assert_eq!(snmp("enable_snmp_rfc").mibs, [Mib::Rfc2787, Mib::Rfc6527].into());
        let all = snmp(
            "enable_snmp_vrrp\nenable_snmp_rfcv2\nenable_snmp_rfcv3\nenable_traps\nsnmp_socket tcp:7050",
        );
        let expected = Snmp {
            mibs: Mib::ALL.into(),
            traps: Traps::Sent,
            master: MasterAgent::Tcp("localhost".to_owned(), 7050),
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_complained_of() {
        for (global, complaints) in [
            ("enable_traps", 1),
            ("enable_traps\nsnmp_socket unix:/run/x", 2),
            ("enable_snmp_vrrp\nsnmp_socket", 1),
            ("enable_snmp_vrrp\nsnmp_socket udp:x", 1),
        ] {
            let reading = read(global);
            assert_eq!(reading.diagnostics.len(), complaints, "{global}: {:?}", reading.diagnostics);
            assert_eq!(reading.config.expect("usable").snmp.master.to_string().get(..5), Some("unix:"));
        }
        let twice = read("enable_snmp_vrrp\nsnmp_socket unix:/run/a\nsnmp_socket unix:/run/b");
        assert_eq!(twice.diagnostics.len(), 1);
        assert_eq!(twice.config.expect("usable").snmp.master, MasterAgent::Unix("/run/a".into()));
    }
}
