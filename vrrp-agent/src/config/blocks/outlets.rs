//! Keywords of `global_defs` for notifications by other means than scripts: FIFOs and mail.

use std::path::PathBuf;
use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{Fifo, Mail, NotifyScripts, Program, ScriptUser};
use super::super::syntax::Statement;
use super::super::value;
use super::block;
use super::notify::{owner, program};

const SMTP_PORT: u16 = 25;

/// The values read so far.
#[derive(Clone, Debug)]
pub(super) struct Outlets {
    /// `notify_fifo`.
    all: FifoDraft,
    /// `vrrp_notify_fifo`.
    vrrp: FifoDraft,
    to: Vec<String>,
    from: Option<String>,
    server: Option<(String, u16)>,
    timeout: Duration,
    helo: Option<String>,
    faults: bool,
    /// `smtp_alert`. If `smtp_alert_vrrp` is set too, `smtp_alert_vrrp` has precedence.
    alert: Option<bool>,
    alert_vrrp: Option<bool>,
    priority_changes: bool,
}

#[derive(Clone, Debug, Default)]
struct FifoDraft {
    path: Option<(PathBuf, Option<ScriptUser>)>,
    reader: Option<Program>,
}

impl Default for Outlets {
    fn default() -> Self {
        Self {
            all: FifoDraft::default(),
            vrrp: FifoDraft::default(),
            to: Vec::new(),
            from: None,
            server: None,
            timeout: Duration::from_secs(30),
            helo: None,
            faults: true,
            alert: None,
            alert_vrrp: None,
            priority_changes: false,
        }
    }
}

impl Outlets {
    /// Returns the notification defaults of an instance or a group.
    pub(super) fn defaults(&self) -> NotifyScripts {
        let smtp_alert = self.alert_vrrp.or(self.alert).unwrap_or(false);
        NotifyScripts { priority_changes: self.priority_changes, smtp_alert, ..NotifyScripts::default() }
    }

    /// Returns the FIFOs, each path once.
    pub(super) fn fifos(&self) -> Vec<Fifo> {
        let fifo = |draft: &FifoDraft| {
            let (path, owner) = draft.path.clone()?;
            Some(Fifo { path, owner, reader: draft.reader.clone() })
        };
        let mut fifos: Vec<Fifo> = [&self.all, &self.vrrp].into_iter().filter_map(fifo).collect();
        fifos.dedup_by(|second, first| second.path == first.path);
        fifos
    }

    /// Returns the mail settings, or `None` if there is no recipient or no server.
    pub(super) fn mail(&self) -> Option<Mail> {
        let (server, port) = self.server.clone().filter(|_| !self.to.is_empty())?;
        let Self { to, from, timeout, helo, faults, .. } = self.clone();
        Some(Mail { to, from, server, port, timeout, helo, faults })
    }
}

/// Reads the keywords that also hold for the instances above them.
pub(super) fn read_ahead(statement: &Statement, outlets: &mut Outlets, diagnostics: &mut Vec<Diagnostic>) {
    match statement.keyword().text.as_str() {
        "smtp_alert" => outlets.alert = value::boolean(statement, diagnostics).or(outlets.alert),
        "smtp_alert_vrrp" => {
            outlets.alert_vrrp = value::boolean(statement, diagnostics).or(outlets.alert_vrrp);
        }
        "vrrp_notify_priority_changes" => {
            let on = value::boolean(statement, diagnostics);
            outlets.priority_changes = on.unwrap_or(outlets.priority_changes);
        }
        _ => {}
    }
}

/// Reads one of the notification keywords of `global_defs`. Returns false if the keyword is none of them.
pub(super) fn read(
    statement: &Statement,
    outlets: &mut Outlets,
    user: Option<&ScriptUser>,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let text = |diagnostics: &mut Vec<Diagnostic>| {
        value::argument(statement, diagnostics).map(|word| word.text.clone())
    };
    match statement.keyword().text.as_str() {
        // `read_ahead` has read these keywords.
        "smtp_alert" | "smtp_alert_vrrp" | "vrrp_notify_priority_changes" => {}
        "notify_fifo" => outlets.all.path = path(statement, diagnostics),
        "vrrp_notify_fifo" => outlets.vrrp.path = path(statement, diagnostics),
        "notify_fifo_script" => outlets.all.reader = program(statement, user, diagnostics),
        "vrrp_notify_fifo_script" => outlets.vrrp.reader = program(statement, user, diagnostics),
        "notification_email" => outlets.to.extend(addresses(statement, diagnostics)),
        "notification_email_from" => outlets.from = text(diagnostics),
        "smtp_server" => outlets.server = server(statement, diagnostics),
        "smtp_connect_timeout" => {
            let timeout = value::seconds(Block::Globals, statement, diagnostics);
            outlets.timeout = timeout.unwrap_or(outlets.timeout);
        }
        "smtp_helo_name" => outlets.helo = text(diagnostics),
        "no_email_faults" => outlets.faults = false,
        _ => return false,
    }
    true
}

/// Reports keywords that have no effect. Called when all of `global_defs` has been read.
pub(super) fn complain(statements: &[Statement], outlets: &Outlets, diagnostics: &mut Vec<Diagnostic>) {
    let Outlets { all, vrrp, to, server, .. } = outlets;
    let path = |draft: &FifoDraft| draft.path.as_ref().map(|(path, _)| path.clone());
    let blocks = statements.iter().filter(|statement| statement.keyword().text == "global_defs");
    for statement in blocks.flat_map(|statement| statement.block.as_deref().unwrap_or_default()) {
        let label = match statement.keyword().text.as_str() {
            "notification_email" if !to.is_empty() && server.is_none() => {
                "no mail is sent without `smtp_server`"
            }
            "smtp_server" if to.is_empty() => "no mail is sent without `notification_email`",
            "notify_fifo_script" if all.path.is_none() => "not run without `notify_fifo`",
            "vrrp_notify_fifo_script" if vrrp.path.is_none() => "not run without `vrrp_notify_fifo`",
            "vrrp_notify_fifo" if path(vrrp) == path(all) => {
                "the same as `notify_fifo`; each line is written once"
            }
            _ => continue,
        };
        let message = format!("`{}` has no effect", statement.keyword().text);
        diagnostics.push(Diagnostic::note(statement.span(), message).label(label));
    }
}

/// Reads `PATH [USER [GROUP]]`.
fn path(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<(PathBuf, Option<ScriptUser>)> {
    let [path, who @ ..] = statement.arguments() else {
        value::argument(statement, diagnostics);
        return None;
    };
    Some((PathBuf::from(&path.text), owner(statement, who, diagnostics)))
}

/// Reads mail addresses, one or several on each line. Users also separate them with commas.
fn addresses(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let lines = block(statement, diagnostics);
    let words = lines.iter().flat_map(|line| &line.words).flat_map(|word| word.text.split(','));
    let addresses: Vec<String> = words.filter(|text| !text.is_empty()).map(str::to_owned).collect();
    if addresses.is_empty() && statement.block.is_some() {
        let message = "`notification_email` has no address";
        diagnostics.push(Diagnostic::warning(statement.span(), message).label("no mail is sent"));
    }
    addresses
}

/// Reads `HOST [PORT]`.
fn server(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<(String, u16)> {
    let (host, port) = match statement.arguments() {
        [] => {
            value::argument(statement, diagnostics);
            return None;
        }
        [host] => return Some((host.text.clone(), SMTP_PORT)),
        [host, port, ..] => (host, port),
    };
    let number = port.text.parse().ok().filter(|port| *port != 0);
    if number.is_none() {
        diagnostics.push(
            Diagnostic::warning(port.span, "bad port of `smtp_server`")
                .label("expected a whole number from 1 to 65535; no mail is sent"),
        );
    }
    Some((host.text.clone(), number?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::super::model::{Config, Mail};
    use super::super::super::{Reading, parse};

    fn read(global: &str) -> Reading {
        parse(&format!(
            "global_defs {{\nenable_script_security\n{global}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n\
             virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        ))
    }

    fn config(global: &str) -> Config {
        let reading = read(global);
        assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
        reading.config.expect("a valid file")
    }

    #[test]
    fn mail_needs_somebody_and_a_server() {
        let mail = config(
            "notification_email {\nops@example.org\ntwo@example.org, three@example.org\n}\nsmtp_server 192.0.2.25",
        )
        .mail
        .unwrap();
        let expected = Mail {
            to: ["ops@example.org", "two@example.org", "three@example.org"].map(str::to_owned).to_vec(),
            from: None,
            server: "192.0.2.25".to_owned(),
            port: 25,
            timeout: Duration::from_secs(30),
            helo: None,
            faults: true,
        };
        assert_eq!(mail, expected);
        for half in ["notification_email {\nops@example.org\n}", "smtp_server 192.0.2.25 2525"] {
            let reading = read(half);
            assert_eq!(reading.diagnostics.len(), 1, "{half}");
            assert_eq!(reading.config.unwrap().mail, None);
        }
    }

    #[test]
    fn what_is_said_of_mail() {
        let mail = config(
            "notification_email {\nroot\n}\nnotification_email_from vrrp@example.org\nsmtp_server mail 2525\n\
             smtp_connect_timeout 3\nsmtp_helo_name lb1\nno_email_faults",
        );
        let mail = mail.mail.unwrap();
        assert_eq!((mail.server.as_str(), mail.port, mail.timeout), ("mail", 2525, Duration::from_secs(3)));
        assert_eq!((mail.from.as_deref(), mail.helo.as_deref()), (Some("vrrp@example.org"), Some("lb1")));
        assert!(!mail.faults);
    }

    #[test]
    fn two_fifos_each_with_its_reader() {
        let config = config(
            "notify_fifo /run/all haproxy\nnotify_fifo_script \"/bin/reader -v\"\nvrrp_notify_fifo /run/vrrp",
        );
        let [all, vrrp] = config.fifos.as_slice() else { panic!("{:?}", config.fifos) };
        assert_eq!(
            (all.path.as_path(), vrrp.path.as_path()),
            (Path::new("/run/all"), Path::new("/run/vrrp"))
        );
        assert_eq!(all.owner.as_ref().unwrap().user, "haproxy");
        assert_eq!(all.reader.as_ref().unwrap().command, ["/bin/reader", "-v"]);
        assert_eq!((&vrrp.owner, &vrrp.reader), (&None, &None));
    }

    #[test]
    fn one_fifo_is_written_once() {
        let reading = read("notify_fifo /run/f\nvrrp_notify_fifo /run/f");
        assert_eq!(reading.config.unwrap().fifos.len(), 1);
        assert_eq!(reading.diagnostics.len(), 1);
    }

    #[test]
    fn a_reader_of_nothing_is_said() {
        assert_eq!(read("notify_fifo_script /bin/reader").diagnostics.len(), 1);
    }
}
