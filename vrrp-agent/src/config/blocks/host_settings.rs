//! Keywords for the daemon itself, at the outermost level and in `global_defs`.

use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::host_settings::{HostSettings, LifecycleScript, MemoryUse, UnknownVrids};
use super::super::keywords::Block;
use super::super::model::{Program, ScriptUser};
use super::super::syntax::Statement;
use super::super::value;
use super::notify::program;
use super::umask;

/// Reads a keyword of the outermost level. Returns false if it is not one of these keywords.
pub(super) fn read_root(
    statement: &Statement,
    host: &mut HostSettings,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let place = match statement.keyword().text.as_str() {
        "net_namespace" => &mut host.place.net_namespace,
        "instance" => &mut host.place.instance,
        _ => return false,
    };
    let Some(word) = value::argument(statement, diagnostics) else { return true };
    // The name becomes a part of file paths.
    if word.text.contains('/') || matches!(word.text.as_str(), "" | "." | "..") {
        let message = format!("bad name for `{}`", statement.keyword().text);
        diagnostics
            .push(Diagnostic::warning(word.span, message).label("ignored: expected a name, not a path"));
    } else {
        *place = Some(word.text.clone());
    }
    true
}

/// Reads a keyword of `global_defs`. Returns false if it is not one of these keywords.
pub(super) fn read(
    statement: &Statement,
    host: &mut HostSettings,
    user: Option<&ScriptUser>,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let number =
        |diagnostics: &mut Vec<Diagnostic>| value::number::<u32>(Block::Globals, statement, diagnostics);
    let seconds = |number: u32| Duration::from_secs(number.into());
    match statement.keyword().text.as_str() {
        "startup_script" => {
            let first = host.startup.program.take();
            host.startup.program = script(statement, first, user, diagnostics);
        }
        "shutdown_script" => {
            let first = host.shutdown.program.take();
            host.shutdown.program = script(statement, first, user, diagnostics);
        }
        "startup_script_timeout" => limit(&mut host.startup, number(diagnostics).map(seconds)),
        "shutdown_script_timeout" => limit(&mut host.shutdown, number(diagnostics).map(seconds)),
        "umask" => host.umask = umask::read(statement, diagnostics).or(host.umask),
        "log_unknown_vrids" => host.unknown_vrids = UnknownVrids::Logged,
        "vrrp_no_swap" => host.scheduling.memory = MemoryUse::Locked,
        "vrrp_priority" => {
            let nice = value::integer(Block::Globals, statement, diagnostics);
            host.scheduling.nice = nice.or(host.scheduling.nice);
        }
        "vrrp_rt_priority" => {
            let priority = real_time(statement, diagnostics);
            host.scheduling.real_time = priority.or(host.scheduling.real_time);
        }
        "vrrp_rlimit_rttime" => {
            let most = number(diagnostics).map(|micros| Duration::from_micros(micros.into()));
            host.scheduling.most_real_time = most.or(host.scheduling.most_real_time);
        }
        "vrrp_cpu_affinity" => {
            host.scheduling.processors = processors(statement, diagnostics);
        }
        _ => return false,
    }
    true
}

fn limit(once: &mut LifecycleScript, timeout: Option<Duration>) {
    once.timeout = timeout.unwrap_or(once.timeout);
}

/// Reads a startup or shutdown script. As with keepalived, the first of two scripts is run.
fn script(
    statement: &Statement,
    first: Option<Program>,
    user: Option<&ScriptUser>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Program> {
    if first.is_none() {
        return program(statement, user, diagnostics);
    }
    let message = format!("a second `{}`", statement.keyword().text);
    diagnostics.push(Diagnostic::warning(statement.span(), message).label("ignored; the first one is run"));
    first
}

/// Reads `vrrp_rt_priority`. As with keepalived, a value out of range is limited to the range.
fn real_time(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Option<i32> {
    const LEAST: i32 = 1;
    const MOST: i32 = 99;
    let word = value::argument(statement, diagnostics)?;
    let said = word.text.parse::<i32>().ok();
    let used = said.map(|said| said.clamp(LEAST, MOST));
    if used.is_none() || used != said {
        let label = match used {
            Some(used) => format!("expected: whole number from {LEAST} to {MOST}; {used} is used"),
            None => format!("expected: whole number from {LEAST} to {MOST}; ignored"),
        };
        diagnostics.push(Diagnostic::warning(word.span, "bad value for `vrrp_rt_priority`").label(label));
    }
    used
}

/// Reads `vrrp_cpu_affinity`. Only the host knows which processors exist, so this is not checked here. As with keepalived, a
/// word that is not a number ends the list.
fn processors(statement: &Statement, diagnostics: &mut Vec<Diagnostic>) -> Vec<usize> {
    let mut numbers = Vec::new();
    if statement.arguments().is_empty() {
        value::argument(statement, diagnostics);
    }
    for word in statement.arguments() {
        match word.text.parse() {
            Ok(number) => numbers.push(number),
            Err(_) => {
                let message = format!("`{}` is not the number of a processor", word.text);
                diagnostics.push(
                    Diagnostic::warning(word.span, message)
                        .label("this word and the words after it are ignored"),
                );
                break;
            }
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Reading, parse};

    fn read(root: &str, global: &str) -> Reading {
        parse(&format!(
            "{root}\nglobal_defs {{\nenable_script_security\n{global}\n}}\nvrrp_instance V {{\ninterface eth0\n\
             virtual_router_id 1\nvirtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
        ))
    }

    fn host(root: &str, global: &str) -> HostSettings {
        let reading = read(root, global);
        assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
        reading.config.expect("a valid file").host
    }

    #[test]
    fn where_it_runs() {
        let place = host("net_namespace blue\ninstance one\nuse_pid_dir", "").place;
        assert_eq!((place.net_namespace.as_deref(), place.instance.as_deref()), (Some("blue"), Some("one")));
        for bad in ["net_namespace", "net_namespace ../x", "instance .", "instance a/b"] {
            let reading = read(bad, "");
            assert_eq!(reading.diagnostics.len(), 1, "{bad}");
            assert_eq!(reading.config.expect("usable").host, HostSettings::default(), "{bad}");
        }
    }

    #[test]
    fn how_it_is_scheduled() {
        let said = "vrrp_priority -20\nvrrp_rt_priority 50\nvrrp_cpu_affinity 0 2\nvrrp_rlimit_rttime 20000\nvrrp_no_swap";
        let scheduling = host("", said).scheduling;
        assert_eq!((scheduling.nice, scheduling.real_time), (Some(-20), Some(50)));
        assert_eq!((scheduling.processors, scheduling.memory), (vec![0, 2], MemoryUse::Locked));
        assert_eq!(scheduling.most_real_time, Some(Duration::from_millis(20)));
    }

    /// Observed with keepalived 2.2.7.
    #[test]
    fn real_time_is_brought_into_range() {
        for (said, used) in [("0", Some(1)), ("100", Some(99)), ("x", None)] {
            let reading = read("", &format!("vrrp_rt_priority {said}"));
            assert_eq!(reading.diagnostics.len(), 1, "{said}");
            assert_eq!(reading.config.expect("usable").host.scheduling.real_time, used);
        }
        for bad in ["vrrp_priority 20", "vrrp_priority -21", "vrrp_priority", "vrrp_cpu_affinity x"] {
            assert_eq!(read("", bad).diagnostics.len(), 1, "{bad}");
        }
    }

    #[test]
    fn what_runs_before_and_after() {
        let said =
            "startup_script_timeout 30\nstartup_script \"/bin/setup 'a b'\" ops\nshutdown_script /bin/down";
        let HostSettings { startup, shutdown, .. } = host("", said);
        assert_eq!(
            startup.program.as_ref().map(|p| p.command.clone()),
            Some(vec!["/bin/setup".into(), "a b".into()])
        );
        assert_eq!((startup.timeout, shutdown.timeout), (Duration::from_secs(30), Duration::from_secs(10)));
        assert!(shutdown.program.is_some());
        let twice = read("", "startup_script /bin/one\nstartup_script /bin/two");
        assert_eq!(twice.diagnostics.len(), 1);
        let program = twice.config.expect("usable").host.startup.program;
        assert_eq!(program.map(|program| program.command), Some(vec!["/bin/one".to_owned()]));
        for bad in [
            "startup_script",
            "startup_script_timeout 0",
            "shutdown_script_timeout 1001",
            "startup_script_timeout 1.5",
        ] {
            assert_eq!(read("", bad).diagnostics.len(), 1, "{bad}");
        }
    }
}
