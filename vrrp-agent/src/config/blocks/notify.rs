//! Notification keywords that `vrrp_instance` and `vrrp_sync_group` have in common: the programs to run and the events to
//! report.

use super::super::diagnostic::Diagnostic;
use super::super::keywords::Block;
use super::super::model::{NotifyScripts, OnDelete, Program, ScriptUser};
use super::super::syntax::{Statement, Word};
use super::super::value;

/// Reads one of these keywords. `user` runs programs for which the line names none. Returns false if the keyword is none of them.
pub(super) fn read(
    block: Block,
    statement: &Statement,
    notify: &mut NotifyScripts,
    user: Option<&ScriptUser>,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let place = match statement.keyword().text.as_str() {
        "notify" => &mut notify.any,
        "notify_master" => &mut notify.master,
        "notify_backup" => &mut notify.backup,
        "notify_fault" => &mut notify.fault,
        "notify_stop" => &mut notify.stop,
        "notify_master_rx_lower_pri" if block == Block::Instance => &mut notify.lower_heard,
        "notify_deleted" => {
            // Without a command, the keyword only changes the reported state to deleted.
            let program = match statement.arguments() {
                [] => None,
                [..] => program(statement, user, diagnostics),
            };
            notify.on_delete = OnDelete::Deleted(program);
            return true;
        }
        "notify_priority_changes" => {
            let on = value::boolean(statement, diagnostics);
            notify.priority_changes = on.unwrap_or(notify.priority_changes);
            return true;
        }
        "smtp_alert" => {
            let on = value::boolean(statement, diagnostics);
            notify.smtp_alert = on.unwrap_or(notify.smtp_alert);
            return true;
        }
        _ => return false,
    };
    match place {
        None => *place = program(statement, user, diagnostics),
        Some(_) => {
            let message = format!("a second `{}`", statement.keyword().text);
            diagnostics
                .push(Diagnostic::warning(statement.span(), message).label("ignored; the first one is run"));
        }
    }
    true
}

/// Reads `COMMAND [USER [GROUP]]`. Unlike in `script`, a command with arguments must stand in quotes.
pub(super) fn program(
    statement: &Statement,
    user: Option<&ScriptUser>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Program> {
    let [command, who @ ..] = statement.arguments() else {
        value::argument(statement, diagnostics);
        return None;
    };
    let Some(words) = value::command(&command.text) else {
        let message = "a quote in the command is not closed";
        diagnostics.push(Diagnostic::warning(command.span, message).label("ignored"));
        return None;
    };
    if words.is_empty() {
        diagnostics.push(Diagnostic::warning(command.span, "an empty command").label("ignored"));
        return None;
    }
    let user = owner(statement, who, diagnostics).or_else(|| user.cloned());
    Some(Program { command: words, user })
}

/// Reads `[USER [GROUP]]` at the end of a line.
pub(super) fn owner(
    statement: &Statement,
    words: &[Word],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ScriptUser> {
    if let [_, _, surplus, ..] = words {
        let span = surplus.span.to(statement.span());
        let message = format!("`{}` takes a user and a group only", statement.keyword().text);
        diagnostics.push(
            Diagnostic::note(span, message)
                .label("ignored")
                .help("a command and its arguments stand together in one pair of quotes"),
        );
    }
    let mut words = words.iter().map(|word| word.text.clone());
    words.next().map(|user| ScriptUser { user, group: words.next() })
}

#[cfg(test)]
mod tests {
    use super::super::super::model::{Config, OnDelete, ScriptUser};
    use super::super::super::{Reading, parse};

    fn read(global: &str, instance: &str) -> Reading {
        parse(&format!(
            "global_defs {{\nenable_script_security\n{global}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n\
             virtual_ipaddress {{\n192.0.2.1\n}}\n{instance}\n}}\n"
        ))
    }

    fn config(global: &str, instance: &str) -> Config {
        let reading = read(global, instance);
        assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
        reading.config.expect("a valid file")
    }

    fn user(user: &str, group: Option<&str>) -> Option<ScriptUser> {
        Some(ScriptUser { user: user.to_owned(), group: group.map(str::to_owned) })
    }

    #[test]
    fn a_command_and_whom_it_runs_as() {
        let config = config(
            "script_user ops",
            "notify_master \"/bin/to_master 'a b' c\" haproxy nogroup\nnotify_backup /bin/to_backup\n\
             notify \"/bin/any\" haproxy",
        );
        let notify = &config.instances[0].notify;
        let master = notify.master.as_ref().unwrap();
        assert_eq!(master.command, ["/bin/to_master", "a b", "c"]);
        assert_eq!(master.user, user("haproxy", Some("nogroup")));
        assert_eq!(notify.backup.as_ref().unwrap().user, user("ops", None));
        assert_eq!(notify.any.as_ref().unwrap().user, user("haproxy", None));
        assert_eq!((&notify.fault, &notify.stop, &notify.lower_heard), (&None, &None, &None));
        assert_eq!(notify.on_delete, OnDelete::Fault);
    }

    #[test]
    fn deletion_may_have_a_command() {
        let on_delete = |text: &str| config("", text).instances[0].notify.on_delete.clone();
        assert_eq!(on_delete("notify_deleted"), OnDelete::Deleted(None));
        assert!(matches!(on_delete("notify_deleted /bin/gone"), OnDelete::Deleted(Some(_))));
    }

    #[test]
    fn the_first_of_two_is_run() {
        let reading = read("", "notify_master /bin/one\nnotify_master /bin/two");
        assert_eq!(reading.diagnostics.len(), 1);
        let config = reading.config.unwrap();
        assert_eq!(config.instances[0].notify.master.as_ref().unwrap().command, ["/bin/one"]);
    }

    #[test]
    fn what_cannot_be_run_is_complained_of() {
        for bad in
            ["notify_master", "notify_master \"/bin/x 'a\"", "notify_master \"\"", "notify /bin/x a b c"]
        {
            assert_eq!(read("", bad).diagnostics.len(), 1, "{bad}");
        }
    }

    #[test]
    fn alerts_have_three_levels() {
        let mailed = |global: &str, own: &str| config(global, own).instances[0].notify.smtp_alert;
        assert!(!mailed("", ""));
        assert!(mailed("smtp_alert", ""));
        assert!(!mailed("smtp_alert\nsmtp_alert_vrrp off", ""));
        assert!(mailed("smtp_alert off\nsmtp_alert_vrrp", ""));
        assert!(!mailed("smtp_alert", "smtp_alert off"));
        assert!(mailed("", "smtp_alert"));
    }

    #[test]
    fn a_group_has_its_own() {
        let text = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n\
            vrrp_instance B {\ninterface eth0\nvirtual_router_id 2\nvirtual_ipaddress {\n192.0.2.2\n}\n}\n\
            vrrp_sync_group G {\ngroup {\nA\nB\n}\nnotify_master /bin/both\nsmtp_alert\n}\n";
        let config = parse(text).config.unwrap();
        let notify = &config.groups[0].notify;
        assert_eq!(notify.master.as_ref().unwrap().command, ["/bin/both"]);
        assert!(notify.smtp_alert && !config.instances[0].notify.smtp_alert);
    }
}
