//! Says in sentences what instances lack: for the log line of a fault, and for the status. The sentences are made when they are
//! asked for, outside of the protocol thread, from plain data.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use vrrp_ebpf::advert::Family;

use super::host_binding::HostBinding;
use super::tracker_tasks::TrackPage;
use crate::config::{Config, TrackProcess, TrackTarget};
use crate::dataplane::Slot;
use crate::track::script::Report;
use crate::track::{HealthTable, Lack, Seen};
use crate::vrrp::{Condition, Sense};

/// The facts about the host that sentences are made from.
pub(super) struct Facts<'a> {
    pub(super) config: &'a Config,
    pub(super) host_binding: &'a HostBinding,
    pub(super) page: &'a TrackPage,
    /// The instances whose source is not on this host, though they need it.
    pub(super) sourceless: &'a BTreeSet<Slot>,
    /// The reason why an interface cannot be used, by the interface's number in the host binding.
    pub(super) complaint: &'a dyn Fn(usize) -> Option<String>,
    pub(super) links: Links,
}

/// The interfaces of the host, looked up when they are first asked for.
#[derive(Debug, Default)]
pub(super) struct Links(OnceCell<BTreeMap<String, InterfaceFlags>>);

impl Links {
    fn flags(&self, name: &str) -> Option<InterfaceFlags> {
        let look = || {
            let links = getifaddrs().into_iter().flatten();
            links.map(|link| (link.interface_name, link.flags)).collect()
        };
        self.0.get_or_init(look).get(name).copied()
    }

    /// Returns why an interface carries no frames; none if nothing is wrong with it.
    fn fault(&self, name: &str) -> Option<String> {
        match self.flags(name) {
            None => Some(format!("interface {name} does not exist")),
            Some(flags) if !flags.contains(InterfaceFlags::IFF_UP) => {
                Some(format!("interface {name} is down"))
            }
            Some(flags) if !flags.contains(InterfaceFlags::IFF_RUNNING) => {
                Some(format!("interface {name} has no carrier"))
            }
            Some(_) => None,
        }
    }
}

/// Returns what each instance lacks.
pub(super) fn of_all(health_table: &HealthTable, facts: &Facts<'_>) -> Vec<Vec<String>> {
    (0..facts.config.instances.len()).map(|slot| of(slot, health_table, facts)).collect()
}

fn of(slot: Slot, health_table: &HealthTable, facts: &Facts<'_>) -> Vec<String> {
    let lacks = health_table.lacks(slot);
    let sentences = lacks.iter().flat_map(|lack| match lack {
        Lack::Link => of_link(slot, facts),
        Lack::Addresses => {
            vec!["the kernel refused its addresses, which is tried again every 10 s".to_owned()]
        }
        Lack::StaticResources => {
            vec!["a static address, route or rule of its track_group is missing".to_owned()]
        }
        Lack::Peers => vec!["it has no unicast_peer (unicast_fault_no_peer)".to_owned()],
        Lack::Tracked { target, sense, seen } => vec![of_thing(target, *sense, *seen, facts)],
    });
    sentences.collect()
}

/// Returns what is wrong with an instance's own interfaces.
fn of_link(slot: Slot, facts: &Facts<'_>) -> Vec<String> {
    let Facts { config, host_binding, .. } = facts;
    let instance = &config.instances[slot];
    let mut sentences = Vec::new();
    for number in host_binding.uses(slot) {
        let name = &host_binding.links[number].name;
        let is_needed = host_binding.needs(slot, config).any(|needed| needed == number);
        let fault = facts.links.fault(name).filter(|_| is_needed || facts.links.flags(name).is_none());
        let complaint = || (facts.complaint)(number);
        let sourceless = || {
            let kind = match instance.family {
                Family::V4 => "IPv4",
                Family::V6 => "link-local IPv6",
            };
            let has_none = host_binding.is_wire_of(slot, number) && !host_binding.has_source(slot);
            has_none.then(|| format!("interface {name} has no {kind} address to send adverts from"))
        };
        sentences.extend(fault.or_else(sourceless).or_else(complaint));
    }
    if let (true, Some(source)) = (facts.sourceless.contains(&slot), instance.source) {
        sentences.push(format!("the address {source} that it sends from is not on this host (track_src_ip)"));
    }
    if sentences.is_empty() {
        // Everything is there by now, but the change is not believed yet.
        sentences.push(format!("interface {} has yet to be up for long enough", instance.interface));
    }
    sentences
}

fn of_thing(target: &TrackTarget, sense: Sense, seen: Seen, facts: &Facts<'_>) -> String {
    const REVERSE: &str = "which is a fault here (reverse)";
    let Facts { config, page, links, .. } = facts;
    match (target, sense, seen) {
        (TrackTarget::Script(script), _, Seen::Condition(condition)) => {
            let script = &config.scripts[*script];
            of_script(&script.name, script.rise, condition, page.scripts.get(&script.name))
        }
        (TrackTarget::Interface(name), Sense::Straight, _) => {
            links.fault(name).unwrap_or_else(|| format!("interface {name} has yet to be up for long enough"))
        }
        (TrackTarget::Interface(name), Sense::Reverse, _) => format!("interface {name} is up, {REVERSE}"),
        (TrackTarget::File(file), _, Seen::Number(number)) => {
            let file = &config.files[*file];
            let (path, name) = (file.path.display(), &file.name);
            match number {
                0 => format!("file {path} says 0 or is missing (track_file {name})"),
                number => format!("file {path} says {number} (track_file {name})"),
            }
        }
        (TrackTarget::Process(process), _, Seen::Condition(condition)) => {
            of_process(&config.processes[*process], condition)
        }
        // These do not occur: scripts and processes are seen by a condition, and files by a number.
        (TrackTarget::Script(_) | TrackTarget::Process(_), _, Seen::Number(_))
        | (TrackTarget::File(_), _, Seen::Condition(_)) => {
            "a tracker reported of another kind of thing".to_owned()
        }
    }
}

fn of_script(name: &str, rise: u32, condition: Condition, report: Option<&Report>) -> String {
    let outcome = report.and_then(|report| report.outcome.as_ref());
    match (condition, outcome) {
        (Condition::Unknown, _) => format!("script {name} has not ended its first run"),
        (Condition::Up, _) => format!("script {name} succeeds, which is a fault here (reverse)"),
        (Condition::Down, None) => format!("script {name} counts as failed until it has run"),
        (Condition::Down, Some(outcome)) if outcome.is_success() => {
            format!("script {name} has yet to succeed {rise} times in a row")
        }
        (Condition::Down, Some(outcome)) => format!("script {name} failed ({outcome})"),
    }
}

fn of_process(process: &TrackProcess, condition: Condition) -> String {
    let TrackProcess { name, program, quorum, .. } = process;
    let program =
        if name == program { program.clone() } else { format!("{program} (vrrp_track_process {name})") };
    match condition {
        Condition::Unknown => format!("process {program} has not been looked for yet"),
        Condition::Up => format!("process {program} is running, which is a fault here (reverse)"),
        Condition::Down if *quorum == (1..=u32::MAX) => format!("process {program} is not running"),
        Condition::Down if *quorum.end() == u32::MAX => {
            format!("process {program} is not running {} times", quorum.start())
        }
        Condition::Down => {
            format!("process {program} is not running between {} and {} times", quorum.start(), quorum.end())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;
    use crate::config;
    use crate::track::script::Outcome;

    #[test]
    fn r13_a_script_is_named_with_how_it_ended() {
        let report = |outcome| Report { condition: Condition::Down, outcome, output: String::new() };
        let status = |raw| Some(Outcome::Ended(ExitStatus::from_raw(raw)));
        for (outcome, sentence) in [
            (status(1 << 8), "script chk failed (exit status 1)"),
            (status(9), "script chk failed (killed by signal 9, SIGKILL)"),
            (status(0), "script chk has yet to succeed 2 times in a row"),
            (None, "script chk counts as failed until it has run"),
        ] {
            assert_eq!(of_script("chk", 2, Condition::Down, Some(&report(outcome))), sentence);
        }
        assert_eq!(of_script("chk", 2, Condition::Unknown, None), "script chk has not ended its first run");
    }

    #[test]
    fn r13_a_process_is_named_with_how_often_it_must_run() {
        for (more, sentence) in [
            ("", "process nginx (vrrp_track_process p) is not running"),
            ("quorum 3", "process nginx (vrrp_track_process p) is not running 3 times"),
            ("quorum_max 2", "process nginx (vrrp_track_process p) is not running between 1 and 2 times"),
        ] {
            let text = format!("vrrp_track_process p {{\nprocess nginx\n{more}\n}}\n");
            let config = config::parse(&text).config.expect("it can be run");
            assert_eq!(of_process(&config.processes[0], Condition::Down), sentence);
        }
    }

    #[test]
    fn r13_an_interface_that_does_not_exist_is_told_from_one_that_is_there() {
        let links = Links::default();
        assert_eq!(links.fault("no-such-if").as_deref(), Some("interface no-such-if does not exist"));
        assert!(links.flags("lo").is_some());
    }
}
