//! Writes a configuration as it was understood, with all defaults, in keepalived's language. The output is read as the same
//! configuration.

mod host;
mod programs;
mod tracking;

use std::fmt::Write as _;
use std::time::Duration;

use vrrp_ebpf::advert::{Family, Version};
use vrrp_ebpf::election::Preempt;

use super::model::{
    Authentication, Config, HmacMode, InitialState, InstanceConfig, MissingInterfaces, Primary, Replay,
    Secondaries, SourceNeed, Usability, Vip, Vmac,
};
use super::routing::{Route, RouteLine, Rule, RuleLine};
use host::{show_host, show_pace, show_place, show_snmp, show_sync_daemon};
use programs::{show_notify, show_outlets};
use tracking::{show_file, show_process, show_script, show_tracked};

use crate::vrrp::{GarpSchedule, OnHigher, OnLower};
use crate::wire::advert::V3Checksum;

/// The treatment of passwords and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are written as they are.
    Shown,
    /// They are written as asterisks.
    Hidden,
}

/// Returns the configuration as text.
#[must_use]
pub fn show(config: &Config, secrets: Secrets) -> String {
    let mut lines = Lines::default();
    show_place(&mut lines, &config.host.place);
    lines.open("global_defs");
    if let Some(id) = &config.router_id {
        lines.add(format_args!("router_id \"{id}\""));
    }
    for (keyword, spacing) in
        [("vrrp_garp_interval", config.spacing.arp), ("vrrp_gna_interval", config.spacing.na)]
    {
        if !spacing.is_zero() {
            lines.add(format_args!("{keyword} {}", seconds(spacing)));
        }
    }
    lines.flag("dynamic_interfaces", config.missing == MissingInterfaces::Awaited);
    for (keyword, delay) in [
        ("vrrp_startup_delay", config.start_delay.from_start),
        ("vrrp_delay_after_boot", config.start_delay.from_boot),
    ] {
        if !delay.is_zero() {
            lines.add(format_args!("{keyword} {}", seconds(delay)));
        }
    }
    show_host(&mut lines, &config.host);
    show_outlets(&mut lines, config);
    show_snmp(&mut lines, &config.snmp);
    if let Some(daemon) = &config.sync_daemon {
        show_sync_daemon(&mut lines, daemon, &config.instances[daemon.instance].name);
    }
    if let Some(name) = &config.dbus {
        lines.add(format_args!("enable_dbus"));
        lines.add(format_args!("dbus_service_name {name}"));
    }
    lines.close();
    show_pace(&mut lines, config);
    for group in &config.track_groups {
        lines.open(&format!("track_group {}", group.name));
        lines.open("group");
        for &member in &group.members {
            lines.add(format_args!("{}", config.instances[member].name));
        }
        lines.close();
        lines.close();
    }
    show_addresses(&mut lines, "static_ipaddress", &config.statics.addresses);
    show_routing(&mut lines, "static", &config.statics.routes, &config.statics.rules);
    for script in &config.scripts {
        show_script(&mut lines, script);
    }
    for file in &config.files {
        show_file(&mut lines, file);
    }
    for process in &config.processes {
        show_process(&mut lines, process);
    }
    for instance in &config.instances {
        show_instance(&mut lines, config, instance, secrets);
    }
    for group in &config.groups {
        lines.open(&format!("vrrp_sync_group {}", group.name));
        lines.open("group");
        for &member in &group.members {
            lines.add(format_args!("{}", config.instances[member].name));
        }
        lines.close();
        show_notify(&mut lines, &group.notify);
        // Without this keyword the weights would be removed; where that was to be done, it has already been done.
        lines.add(format_args!("sync_group_tracking_weight"));
        lines.close();
    }
    lines.text
}

#[derive(Default)]
struct Lines {
    text: String,
    depth: usize,
}

impl Lines {
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.text, "{:1$}{line}", "", self.depth * 4);
    }

    fn open(&mut self, head: &str) {
        if self.depth == 0 && !self.text.is_empty() {
            self.text.push('\n');
        }
        self.add(format_args!("{head} {{"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.add(format_args!("}}"));
    }

    fn flag(&mut self, keyword: &str, on: bool) {
        if on {
            self.add(format_args!("{keyword}"));
        }
    }
}

/// Returns decimal seconds, exactly.
fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn show_instance(lines: &mut Lines, config: &Config, instance: &InstanceConfig, secrets: Secrets) {
    lines.open(&format!("vrrp_instance {}", instance.name));
    let state = match instance.hint {
        InitialState::Master => "MASTER",
        InitialState::Backup => "BACKUP",
    };
    lines.add(format_args!("state {state}"));
    if instance.names_interface() {
        lines.add(format_args!("interface {}", instance.interface));
    }
    lines.add(format_args!("virtual_router_id {}", instance.vrid));
    lines.add(format_args!("priority {}", instance.priority));
    lines.add(format_args!("version {}", instance.version as u8));
    lines.add(format_args!("advert_int {}", seconds(instance.interval)));
    lines.add(format_args!("down_timer_adverts {}", instance.down_adverts));
    lines.flag("native_ipv6", instance.family == Family::V6);
    lines.flag("nopreempt", instance.preempt == Preempt::No);
    if !instance.preempt_delay.is_zero() {
        lines.add(format_args!("preempt_delay {}", seconds(instance.preempt_delay)));
    }
    lines.add(format_args!("lower_prio_no_advert {}", instance.on_lower == OnLower::Ignore));
    lines.add(format_args!("higher_prio_send_advert {}", instance.on_higher == OnHigher::AdvertiseAndYield));
    let as_v2 = instance.v3_checksum == V3Checksum::MessageOnly;
    if instance.version == Version::V3 {
        lines.add(format_args!("v3_checksum_as_v2 {as_v2}"));
    }
    show_peers(lines, instance);
    match instance.vmac {
        None => {}
        Some(Vmac::All) => lines.flag("use_vmac", true),
        Some(Vmac::AddressesOnly) => {
            lines.flag("use_vmac", true);
            lines.flag("vmac_xmit_base", true);
        }
    }
    lines.flag("no_accept", !instance.accept);
    if instance.peers.is_empty() {
        lines.add(format_args!("mcast_dst_ip {}", instance.group));
    }
    lines.flag("no_virtual_ipaddress", instance.vips.is_empty());
    show_seals(lines, instance, secrets);
    show_garp(lines, &instance.garp);
    show_addresses(lines, "virtual_ipaddress", &instance.vips);
    show_addresses(lines, "virtual_ipaddress_excluded", &instance.excluded);
    show_routing(lines, "virtual", &instance.routes, &instance.rules);
    lines.flag("promote_secondaries", instance.secondaries == Secondaries::Promoted);
    lines.flag("track_src_ip", instance.source_need == SourceNeed::Tracked);
    lines.flag("unicast_fault_no_peer", instance.usability == Usability::NoPeers);
    lines.flag("dont_track_primary", instance.primary == Primary::Untracked);
    show_tracked(lines, config, &instance.tracked);
    show_notify(lines, &instance.notify);
    lines.close();
}

fn show_peers(lines: &mut Lines, instance: &InstanceConfig) {
    if let Some(source) = instance.source {
        let keyword = if instance.peers.is_empty() { "mcast_src_ip" } else { "unicast_src_ip" };
        lines.add(format_args!("{keyword} {source}"));
    }
    if !instance.peers.is_empty() {
        lines.add(format_args!("unicast_ttl {}", instance.unicast_ttl));
        lines.open("unicast_peer");
        for peer in &instance.peers {
            let (least, most) = (peer.ttl.start(), peer.ttl.end());
            lines.add(format_args!("{} min_ttl {least} max_ttl {most}", peer.address));
        }
        lines.close();
    }
    lines.add(format_args!("check_unicast_src {}", instance.only_peers));
}

fn show_seals(lines: &mut Lines, instance: &InstanceConfig, secrets: Secrets) {
    if let Some(authentication) = &instance.authentication {
        let (kind, password) = match authentication {
            Authentication::Pass(password) => ("PASS", password),
            Authentication::Ah(password) => ("AH", password),
        };
        lines.open("authentication");
        lines.add(format_args!("auth_type {kind}"));
        let text = String::from_utf8_lossy(password);
        let text = match secrets {
            Secrets::Shown => text.trim_end_matches('\0'),
            Secrets::Hidden => "********",
        };
        lines.add(format_args!("auth_pass \"{text}\""));
        lines.close();
    }
    if let Some(hmac) = &instance.hmac {
        lines.open("auth_hmac");
        for key in &hmac.keys {
            let secret: String = match secrets {
                Secrets::Shown => key.secret.iter().map(|byte| format!("{byte:02x}")).collect(),
                Secrets::Hidden => "********".to_owned(),
            };
            lines.add(format_args!("key {} hex:{secret}", key.id));
        }
        lines.add(format_args!("active_key {}", hmac.active));
        match hmac.replay {
            Replay::Window(window) => lines.add(format_args!("time_window {}", seconds(window))),
            Replay::Monotonic => lines.flag("anti_replay monotonic", true),
        }
        let mode = match hmac.mode {
            HmacMode::ReceiveOnly => "receive-only",
            HmacMode::Permissive => "permissive",
            HmacMode::Enforce => "enforce",
        };
        lines.add(format_args!("mode {mode}"));
        lines.close();
    }
}

fn show_garp(lines: &mut Lines, garp: &GarpSchedule) {
    let delay = |delay: Option<Duration>| seconds(delay.unwrap_or_default());
    lines.add(format_args!("garp_master_delay {}", delay(garp.delay)));
    lines.add(format_args!("garp_master_repeat {}", garp.repeat));
    lines.add(format_args!("garp_master_refresh {}", delay(garp.refresh)));
    lines.add(format_args!("garp_master_refresh_repeat {}", garp.refresh_repeat));
    lines.add(format_args!("garp_lower_prio_delay {}", delay(garp.lower_delay)));
    lines.add(format_args!("garp_lower_prio_repeat {}", garp.lower_repeat));
}

/// Writes routes and rules. `kind` is the beginning of the block names.
fn show_routing(lines: &mut Lines, kind: &str, routes: &[Route], rules: &[Rule]) {
    if !routes.is_empty() {
        lines.open(&format!("{kind}_routes"));
        for route in routes {
            lines.add(format_args!("{}", RouteLine(route)));
        }
        lines.close();
    }
    if !rules.is_empty() {
        lines.open(&format!("{kind}_rules"));
        for rule in rules {
            lines.add(format_args!("{}", RuleLine(rule)));
        }
        lines.close();
    }
}

fn show_addresses(lines: &mut Lines, block: &str, vips: &[Vip]) {
    if vips.is_empty() {
        return;
    }
    lines.open(block);
    for vip in vips {
        let Vip { address, prefix, dev, label, broadcast, scope, peer, preferred, track_group, traits } = vip;
        let mut line = format!("{address}/{prefix}");
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                line += &format!(" {name} {value}");
            }
        };
        option("brd", broadcast.map(|broadcast| broadcast.to_string()));
        option("dev", dev.clone());
        option("scope", scope.map(|scope| scope.to_string()));
        option("label", label.clone());
        option(
            "preferred_lft",
            preferred.map(|seconds| match seconds {
                u32::MAX => "forever".to_owned(),
                seconds => seconds.to_string(),
            }),
        );
        option("peer", peer.map(|peer| peer.to_string()));
        option("track_group", track_group.clone());
        for said in traits {
            line += &format!(" {}", said.word());
        }
        lines.add(format_args!("{line}"));
    }
    lines.close();
}
