//! Writes programs and notification settings.

use super::super::command::quoted;
use super::super::model::{Config, NotifyScripts, OnDelete, Program, ScriptSecurity, ScriptUser};
use super::Lines;

pub(super) fn show_program(lines: &mut Lines, keyword: &str, program: &Program) {
    let user = program.user.as_ref().map_or_else(String::new, user);
    lines.add(format_args!("{keyword} {}{user}", quoted(&program.command)));
}

/// Returns ` USER [GROUP]`.
pub(super) fn user(user: &ScriptUser) -> String {
    let ScriptUser { user, group } = user;
    group.as_ref().map_or_else(|| format!(" {user}"), |group| format!(" {user} {group}"))
}

pub(super) fn show_notify(lines: &mut Lines, notify: &NotifyScripts) {
    let NotifyScripts { master, backup, fault, stop, any, lower_heard, on_delete, .. } = notify;
    for (keyword, program) in [
        ("notify_master", master),
        ("notify_backup", backup),
        ("notify_fault", fault),
        ("notify_stop", stop),
        ("notify_master_rx_lower_pri", lower_heard),
        ("notify", any),
    ] {
        if let Some(program) = program {
            show_program(lines, keyword, program);
        }
    }
    match on_delete {
        OnDelete::Fault => {}
        OnDelete::Deleted(None) => lines.flag("notify_deleted", true),
        OnDelete::Deleted(Some(program)) => show_program(lines, "notify_deleted", program),
    }
    lines.add(format_args!("notify_priority_changes {}", notify.priority_changes));
    lines.add(format_args!("smtp_alert {}", notify.smtp_alert));
}

/// Writes the keywords of `global_defs`.
pub(super) fn show_outlets(lines: &mut Lines, config: &Config) {
    lines.flag("enable_script_security", config.script_security == ScriptSecurity::On);
    // The first FIFO can be written with either keyword; a second one needs the other keyword.
    for (prefix, fifo) in ["", "vrrp_"].into_iter().zip(&config.fifos) {
        let owner = fifo.owner.as_ref().map_or_else(String::new, user);
        lines.add(format_args!("{prefix}notify_fifo \"{}\"{owner}", fifo.path.display()));
        if let Some(reader) = &fifo.reader {
            show_program(lines, &format!("{prefix}notify_fifo_script"), reader);
        }
    }
    let Some(mail) = &config.mail else { return };
    lines.open("notification_email");
    for to in &mail.to {
        lines.add(format_args!("{to}"));
    }
    lines.close();
    if let Some(from) = &mail.from {
        lines.add(format_args!("notification_email_from {from}"));
    }
    lines.add(format_args!("smtp_server {} {}", mail.server, mail.port));
    lines.add(format_args!("smtp_connect_timeout {}", mail.timeout.as_secs()));
    if let Some(helo) = &mail.helo {
        lines.add(format_args!("smtp_helo_name {helo}"));
    }
    lines.flag("no_email_faults", !mail.faults);
}
