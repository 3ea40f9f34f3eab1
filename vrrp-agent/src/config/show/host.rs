//! Writes the settings of the daemon itself, and of the interfaces of the host.

use super::super::host_settings::{HostSettings, MemoryUse, Place, Scheduling, UnknownVrids};
use super::super::model::{Config, LinkDelays};
use super::super::snmp::{MasterAgent, Snmp, Traps};
use super::super::sync_daemon::SyncDaemon;
use super::programs::show_program;
use super::{Lines, seconds};

/// Writes the keywords of the outermost level.
pub(super) fn show_place(lines: &mut Lines, place: &Place) {
    for (keyword, name) in [("net_namespace", &place.net_namespace), ("instance", &place.instance)] {
        if let Some(name) = name {
            lines.add(format_args!("{keyword} {name}"));
        }
    }
}

/// Writes the keywords of `global_defs`.
pub(super) fn show_host(lines: &mut Lines, host: &HostSettings) {
    let Scheduling { nice, real_time, processors, most_real_time, memory } = &host.scheduling;
    if let Some(mask) = host.umask {
        lines.add(format_args!("umask 0{mask:o}"));
    }
    if let Some(nice) = nice {
        lines.add(format_args!("vrrp_priority {nice}"));
    }
    if let Some(priority) = real_time {
        lines.add(format_args!("vrrp_rt_priority {priority}"));
    }
    if !processors.is_empty() {
        let numbers: Vec<String> = processors.iter().map(ToString::to_string).collect();
        lines.add(format_args!("vrrp_cpu_affinity {}", numbers.join(" ")));
    }
    if let Some(most) = most_real_time {
        lines.add(format_args!("vrrp_rlimit_rttime {}", most.as_micros()));
    }
    lines.flag("vrrp_no_swap", *memory == MemoryUse::Locked);
    lines.flag("log_unknown_vrids", host.unknown_vrids == UnknownVrids::Logged);
    for (keyword, once) in [("startup_script", &host.startup), ("shutdown_script", &host.shutdown)] {
        if let Some(program) = &once.program {
            show_program(lines, keyword, program);
            lines.add(format_args!("{keyword}_timeout {}", once.timeout.as_secs()));
        }
    }
}

pub(super) fn show_pace(lines: &mut Lines, config: &Config) {
    for group in &config.paced_together {
        lines.open("garp_group");
        lines.open("interfaces");
        for name in &group.interfaces {
            lines.add(format_args!("{name}"));
        }
        lines.close();
        for (keyword, spacing) in [("garp_interval", group.spacing.arp), ("gna_interval", group.spacing.na)] {
            if !spacing.is_zero() {
                lines.add(format_args!("{keyword} {}", seconds(spacing)));
            }
        }
        lines.close();
    }
    if !config.link_delays.is_empty() {
        lines.open("interface_up_down_delays");
        for (name, LinkDelays { down, up }) in &config.link_delays {
            lines.add(format_args!("{name} {} {}", seconds(*down), seconds(*up)));
        }
        lines.close();
    }
}

pub(super) fn show_snmp(lines: &mut Lines, snmp: &Snmp) {
    for mib in &snmp.mibs {
        lines.add(format_args!("{}", mib.keyword()));
    }
    lines.flag("enable_traps", snmp.traps == Traps::Sent);
    if snmp.master != MasterAgent::default() {
        lines.add(format_args!("snmp_socket \"{}\"", snmp.master));
    }
}

pub(super) fn show_sync_daemon(lines: &mut Lines, daemon: &SyncDaemon, instance: &str) {
    let SyncDaemon { interface, instance: _, id, max_length, port, ttl, group } = daemon;
    let mut line = format!("lvs_sync_daemon {interface} {instance} id {id}");
    let options = [
        ("maxlen", max_length.map(|length| length.to_string())),
        ("port", port.map(|port| port.to_string())),
        ("ttl", ttl.map(|ttl| ttl.to_string())),
        ("group", group.map(|group| group.to_string())),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            line += &format!(" {name} {value}");
        }
    }
    lines.add(format_args!("{line}"));
}
