//! The table itself, sorted by block and name.

use super::Block::*;
use super::Value::*;
use super::{Block, Keyword, Support, Value};

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

// Values that several keywords have.
const ANY_INTEGER: Value = Integer { min: i32::MIN, max: i32::MAX };
const ANY_NUMBER: Value = Number { min: 0, max: u32::MAX };
const BURST: Value = Number { min: 1, max: 1000 };
const BYTE: Value = Number { min: 1, max: 255 };
const BYTES: Value = Quantity { min: 0, max: u32::MAX, unit: "bytes" };
const DAY: Value = Seconds { min_ns: 0, max_ns: 86_400 * S };
const DELAY: Value = Seconds { min_ns: 1000, max_ns: 3600 * S };
const DOWN_ADVERTS: Value = Number { min: 1, max: 100 };
const IN_A_ROW: Value = Number { min: 1, max: 10_000 };
const LATENESS: Value = Quantity { min: 1, max: 10_000_000, unit: "microseconds" };
const NICE: Value = Integer { min: -20, max: 19 };
const QUORUM: Value = Number { min: 1, max: 65_535 };
const QUORUM_MAX: Value = Number { min: 0, max: 65_535 };
const REAL_TIME: Value = Number { min: 1, max: 99 };
const RT_TIME: Value = Quantity { min: 2, max: u32::MAX, unit: "microseconds" };
const SCRIPT_SECONDS: Value = Seconds { min_ns: MS, max_ns: 86_400 * S };
const SCRIPT_TIMEOUT: Value = Quantity { min: 1, max: 1000, unit: "seconds" };
const SPACING: Value = Seconds { min_ns: 1000, max_ns: 60 * S };
const TRACKED: Value = Lines("`NAME [weight N [reverse]]`");
const WHOLE_SECONDS: Value = Quantity { min: 1, max: u32::MAX, unit: "seconds" };

// Grammars that several keywords have.
const ADDRESS: &str = "`IP[/PREFIX] [OPTION …]`, one on each line";
const CPUS: &str = "numbers of processors";
const FIFO: &str = "`PATH [USER [GROUP]]`";
const GLOB: &str = "path, maybe with wildcards";
const MILLISECONDS: &str = "milliseconds, maybe with decimals";
const ROUTE: &str = "route as for `ip route add`, maybe with `no_track`";
const RULE: &str = "rule as for `ip rule add`, maybe with `no_track`";

// Texts that several keywords have.
const BFD: &str = "there is no BFD; track a script that looks whether the path works";
const BUFFERS: &str = "buffers have the system's size; set the sysctl `net.core.rmem_default`";
const LATE: &str = "not needed: with the kernel half, a master that is late loses its lease";
const LVS: &str = "belongs to IPVS, another subsystem; run it beside this daemon";
const DBUS_PATHS: &str = "objects on D-Bus keep it, as keepalived 2.2's do";
const NO_DUMP: &str = "SIGUSR1 and SIGUSR2 write to `data` and `stats.json` in /run/vrrp-agent";
const NO_FIREWALL: &str = "not needed: no_accept is enforced in XDP, without firewall rules";
const NO_RELOAD: &str = "a reload with a bad file changes nothing; keep copies by other means";
const NO_VMAC_INTERFACE: &str = "not needed: use_vmac makes no interface";
const ONE_PROCESS: &str = "not needed: there is one process, vrrp-agent";
const POLLING: &str = "not needed: changes of a link are told by netlink";

/// A row whose support and purpose are not set yet.
struct Row(Keyword);

const fn row(block: Block, name: &'static str, value: Value, default: &'static str) -> Row {
    Row(Keyword { block, name, value, default, support: Support::Works, what: "" })
}

impl Row {
    const fn works(self, what: &'static str) -> Keyword {
        Keyword { what, ..self.0 }
    }

    const fn accepted(self, what: &'static str, why: &'static str) -> Keyword {
        Keyword { what, support: Support::Accepted(why), ..self.0 }
    }

    const fn warned(self, what: &'static str, instead: &'static str) -> Keyword {
        Keyword { what, support: Support::Warned(instead), ..self.0 }
    }

    const fn mistaken(self, what: &'static str, instead: &'static str) -> Keyword {
        Keyword { what, support: Support::Mistaken(instead), ..self.0 }
    }
}

/// Every keyword, sorted by block and name.
pub(crate) static KEYWORDS: &[Keyword] = &[
    row(Root, "SSL", Lines("of `virtual_server`'s checks"), "")
        .warned("certificates of the SSL checks of virtual servers", LVS),
    row(Root, "bfd_instance", Named(Bfd), "").warned("a BFD session with a neighbour", BFD),
    row(Root, "child_wait_time", ANY_NUMBER, "5").accepted("time for children to end at a stop", "there are no child processes but scripts, each with a time of its own"),
    row(Root, "garp_group", Section(GarpGroup), "").works("pace of announcements on some interfaces"),
    row(Root, "global_defs", Section(Globals), "")
        .works("settings of the daemon, and defaults of the instances below"),
    row(Root, "include", Rest(GLOB), "").works("reads other files here; may stand in any block"),
    row(Root, "includea", Rest(GLOB), "").works("as `include`, with all checks of `include_check`"),
    row(Root, "includeb", Rest(GLOB), "").works("as `include`; each brace alternative must match"),
    row(Root, "includem", Rest(GLOB), "").works("as `include`; a name must match"),
    row(Root, "includer", Rest(GLOB), "").works("as `include`; what matches must be readable"),
    row(Root, "includew", Rest(GLOB), "").works("as `include`; a pattern must match"),
    row(Root, "instance", Text, "").works("name of this daemon among several in one network namespace; two on one interface need `--xdp-mode tcx`, or the second is on sockets"),
    row(Root, "interface_up_down_delays", Lines("`INTERFACE DOWN [UP]`, seconds up to 255"), "0").works("how long a change of a link must last to count"),
    row(Root, "linkbeat_interfaces", Lines("`INTERFACE [MII|ETHTOOL|IOCTL]`"), "")
        .warned("interfaces whose link is polled", POLLING),
    row(Root, "linkbeat_use_polling", Nothing, "").warned("polls the links of all interfaces", POLLING),
    row(Root, "namespace_with_ipsets", Nothing, "")
        .accepted("lets ipsets be used in a namespace on kernels before 3.13", NO_FIREWALL),
    row(Root, "net_namespace", Text, "the one it is started in").works("network namespace to run in; needs CAP_SYS_ADMIN"),
    row(Root, "net_namespace_ipvs", Text, "the default namespace").warned("network namespace of IPVS", "virtual servers are skipped, and `lvs_sync_daemon` uses the agent's own"),
    row(Root, "static_ipaddress", Lines(ADDRESS), "").works("addresses that are there in every state"),
    row(Root, "static_routes", Lines(ROUTE), "").works("routes that are there in every state"),
    row(Root, "static_rules", Lines(RULE), "").works("routing rules that are there in every state"),
    row(Root, "track_file", Named(TrackFile), "").works("a file with a number that changes priorities"),
    row(Root, "track_group", Named(TrackGroup), "").works("instances that are in fault while something static cannot be there"),
    row(Root, "use_pid_dir", Nothing, "").accepted("puts pid files into /run/keepalived", "the pid file is in /run/vrrp-agent anyway; `-p` names another"),
    row(Root, "virtual_server", Rest("address and port, `fwmark N` or `group NAME`, and block"), "")
        .warned("a service balanced by IPVS", LVS),
    row(Root, "virtual_server_group", Rest("`NAME` and block"), "")
        .warned("addresses of a service balanced by IPVS", LVS),
    row(Root, "vrrp_instance", Named(Instance), "").works("a virtual router"),
    row(Root, "vrrp_script", Named(Script), "").works("a check that runs again and again"),
    row(Root, "vrrp_sync_group", Named(SyncGroup), "")
        .works("instances that are master together or not at all"),
    row(Root, "vrrp_track_file", Named(TrackFile), "").works("older name of `track_file`"),
    row(Root, "vrrp_track_process", Named(TrackProcess), "").works("processes that must run"),
    row(Globals, "bfd_cpu_affinity", Rest(CPUS), "all").warned("processors of the BFD process", BFD),
    row(Globals, "bfd_no_swap", Nothing, "off").warned("keeps the BFD process in memory", BFD),
    row(Globals, "bfd_priority", NICE, "0").warned("niceness of the BFD process", BFD),
    row(Globals, "bfd_process_name", Text, "keepalived_bfd").warned("name of the BFD process", BFD),
    row(Globals, "bfd_rlimit_rttime", RT_TIME, "10000")
        .warned("real-time work of the BFD process between two waits", BFD),
    row(Globals, "bfd_rt_priority", REAL_TIME, "none").warned("real-time priority of the BFD process", BFD),
    row(Globals, "checker_cpu_affinity", Rest(CPUS), "all").warned("processors of the checker process", LVS),
    row(Globals, "checker_log_all_failures", Switch, "off")
        .warned("logs every failed check of a real server", LVS),
    row(Globals, "checker_no_swap", Nothing, "off").warned("keeps the checker process in memory", LVS),
    row(Globals, "checker_priority", NICE, "0").warned("niceness of the checker process", LVS),
    row(Globals, "checker_process_name", Text, "keepalived_ipvs").warned("name of the checker process", LVS),
    row(Globals, "checker_rlimit_rttime", RT_TIME, "10000")
        .warned("real-time work of the checker process between two waits", LVS),
    row(Globals, "checker_rt_priority", REAL_TIME, "none")
        .warned("real-time priority of the checker process", LVS),
    row(Globals, "config_save_dir", Text, "off")
        .warned("where configurations are kept at a reload", NO_RELOAD),
    row(Globals, "data_use_instance", Switch, "off")
        .warned("puts the instance's name into names of dump files", NO_DUMP),
    row(Globals, "dbus_no_interface_name", Nothing, "off")
        .warned("leaves the interface out of names on D-Bus", DBUS_PATHS),
    row(Globals, "dbus_service_name", Text, "org.keepalived.Vrrp1").works("name on the system bus"),
    row(Globals, "default_interface", Text, "eth0").works("interface of static addresses"),
    row(Globals, "disable_local_igmp", Nothing, "off").warned(
        "sends no IGMP reports for local groups",
        "not needed: use_vmac makes no interface that would send any",
    ),
    row(Globals, "dynamic_interfaces", Rest("`[allow_if_changes]`"), "off").works("waits for interfaces that are not there at the start"),
    row(Globals, "enable_dbus", Nothing, "off").works("answers on D-Bus"),
    row(Globals, "enable_script_security", Switch, "off").works("refuses scripts run by root that others can change"),
    row(Globals, "enable_snmp_checker", Nothing, "off")
        .warned("answers for the virtual servers of KEEPALIVED-MIB", LVS),
    row(Globals, "enable_snmp_keepalived", Nothing, "off").works("older name of `enable_snmp_vrrp`"),
    row(Globals, "enable_snmp_rfc", Nothing, "off").works("answers for both MIBs of the standard"),
    row(Globals, "enable_snmp_rfcv2", Nothing, "off").works("answers for the MIB of version 2 (RFC 2787)"),
    row(Globals, "enable_snmp_rfcv3", Nothing, "off").works("answers for the MIB of version 3 (RFC 6527)"),
    row(Globals, "enable_snmp_vrrp", Nothing, "off").works("answers for KEEPALIVED-MIB, by AgentX"),
    row(Globals, "enable_traps", Nothing, "off").works("sends SNMP traps"),
    row(Globals, "fifo_write_vrrp_states_on_reload", Nothing, "off").warned("writes all states to the FIFO after a reload", "a FIFO stays open over a reload, so that its reader has lost nothing"),
    row(Globals, "include_check", Rest("`[[+|-]readable|match|wildcard_match|brace_match …]`"), "off")
        .works("which includes must be there"),
    row(Globals, "iproute_etc_dir", Text, "/etc/iproute2").works("where names of routing tables are"),
    row(Globals, "iproute_usr_dir", Text, "/usr/share/iproute2").works("where they are if not there"),
    row(Globals, "json_dump_file", Text, "/tmp/keepalived.json")
        .warned("file that the JSON signal writes", NO_DUMP),
    row(Globals, "json_version", Number { min: 1, max: 2 }, "1").warned("shape of the JSON dump", NO_DUMP),
    row(Globals, "log_unknown_vrids", Nothing, "off").works("logs adverts of virtual routers that are not configured, each once"),
    row(Globals, "lvs_flush", Nothing, "off").warned("clears IPVS at the start", LVS),
    row(Globals, "lvs_flush_on_stop", Rest("`[VS]`"), "off").warned("clears IPVS at the stop", LVS),
    row(Globals, "lvs_id", Text, "")
        .mistaken("name of this host in very old files", "it names the host to nobody; write `router_id`"),
    row(Globals, "lvs_netlink_cmd_rcv_bufs", BYTES, "")
        .warned("receive buffer of a netlink socket of the checker process", LVS),
    row(Globals, "lvs_netlink_cmd_rcv_bufs_force", Switch, "off")
        .warned("lets it exceed the system's limit", LVS),
    row(Globals, "lvs_netlink_monitor_rcv_bufs", BYTES, "")
        .warned("receive buffer of a netlink socket of the checker process", LVS),
    row(Globals, "lvs_netlink_monitor_rcv_bufs_force", Switch, "off")
        .warned("lets it exceed the system's limit", LVS),
    row(Globals, "lvs_notify_fifo", Rest(FIFO), "").warned("FIFO that gets changes of real servers", LVS),
    row(Globals, "lvs_notify_fifo_script", CommandAs, "").warned("reader of that FIFO", LVS),
    row(Globals, "lvs_sync_daemon", Rest("`INTERFACE [[inst] INSTANCE] [OPTION N …]`"), "")
        .works("the kernel's synchronisation of IPVS tells while the instance is master, and listens while it is not"),
    row(Globals, "lvs_timeouts", Rest("`[tcp N] [tcpfin N] [udp N]`, seconds"), "")
        .warned("timeouts of connections of IPVS", LVS),
    row(Globals, "max_auto_priority", Rest("`[-1 to 99]`"), "0").accepted("highest real-time priority a late process gives itself", LATE),
    row(Globals, "min_auto_priority_delay", LATENESS, "1000000").accepted("how late it must be for that", LATE),
    row(Globals, "nftables", Rest("`[TABLE]`"), "keepalived")
        .accepted("table of nftables for no_accept", NO_FIREWALL),
    row(Globals, "nftables_counters", Nothing, "off").accepted("counts what its rules match", NO_FIREWALL),
    row(Globals, "nftables_ifindex", Nothing, "off")
        .accepted("names interfaces in its rules by number", NO_FIREWALL),
    row(Globals, "nftables_ipvs", Rest("`[TABLE]`"), "off")
        .warned("table of nftables for virtual servers", LVS),
    row(Globals, "nftables_ipvs_priority", ANY_INTEGER, "-1").warned("priority of its chains", LVS),
    row(Globals, "nftables_ipvs_start_fwmark", ANY_NUMBER, "1000")
        .warned("first mark for groups of virtual servers", LVS),
    row(Globals, "nftables_priority", ANY_INTEGER, "-1").accepted("priority of its chains", NO_FIREWALL),
    row(Globals, "no_checker_emails", Nothing, "off").warned("sends no mail of checks of real servers", LVS),
    row(Globals, "no_email_faults", Nothing, "off").works("sends no mail of faults"),
    row(Globals, "notification_email", Lines("mail address"), "").works("who gets mail; needs smtp_server"),
    row(Globals, "notification_email_from", Text, "root@ and the host name").works("sender of mail"),
    row(Globals, "notify_fifo", Rest(FIFO), "").works("FIFO that gets all changes of state; made if there is none"),
    row(Globals, "notify_fifo_script", CommandAs, "").works("reader of that FIFO, which is its last argument; started again when it ends"),
    row(Globals, "process_monitor_rcv_bufs", BYTES, "the system's")
        .warned("receive buffer of news about processes", BUFFERS),
    row(Globals, "process_monitor_rcv_bufs_force", Switch, "off")
        .warned("lets it exceed the system's limit", BUFFERS),
    row(Globals, "process_name", Text, "keepalived").warned("name of the parent process", ONE_PROCESS),
    row(Globals, "process_names", Nothing, "off").warned("names processes by what they do", ONE_PROCESS),
    row(Globals, "random_seed", ANY_NUMBER, "the time")
        .warned("seed of `${_RANDOM}`", "`${_RANDOM}` is seeded by the system"),
    row(Globals, "reload_check_config", Rest("`[LOG]`"), "off")
        .accepted("checks a file before it reloads", NO_RELOAD),
    row(Globals, "reload_file", Rest("`[PATH]`"), "off")
        .warned("file that is there while a configuration is read", NO_RELOAD),
    row(Globals, "reload_repeat", Nothing, "off").warned("keeps that file after the reload", NO_RELOAD),
    row(Globals, "reload_time_file", Text, "").warned("file with the time of the next reload", NO_RELOAD),
    row(Globals, "router_id", Text, "host name").works("name of this host, for people"),
    row(Globals, "rs_init_notifies", Nothing, "off").warned("tells of real servers at the start", LVS),
    row(Globals, "script_user", Rest("`USER [GROUP]`"), "keepalived_script, else the daemon's own")
        .works("whom scripts run as"),
    row(Globals, "set_supplementary_groups", Switch, "off").warned(
        "gives scripts all groups of their user",
        "scripts have the group of their user only; name another with `script_user`",
    ),
    row(Globals, "shutdown_script", CommandAs, "").works("runs once, after all else"),
    row(Globals, "shutdown_script_timeout", SCRIPT_TIMEOUT, "10").works("time for it to end"),
    row(Globals, "smtp_alert", Switch, "off").works("whether changes of state are mailed"),
    row(Globals, "smtp_alert_checker", Switch, "unset")
        .warned("whether changes of real servers are mailed", LVS),
    row(Globals, "smtp_alert_vrrp", Switch, "smtp_alert").works("whether changes of state of instances are mailed"),
    row(Globals, "smtp_connect_timeout", WHOLE_SECONDS, "30").works("time for the mail server to answer"),
    row(Globals, "smtp_helo_name", Text, "host name").works("name this host gives to the mail server"),
    row(Globals, "smtp_server", Rest("`HOST [PORT]`"), "port 25").works("server that takes mail"),
    row(Globals, "snmp_socket", Text, "unix:/var/agentx/master").works("where the SNMP master agent listens: unix:PATH or tcp:HOST:PORT"),
    row(Globals, "startup_script", CommandAs, "").works("runs once, before all else"),
    row(Globals, "startup_script_timeout", SCRIPT_TIMEOUT, "10").works("time for it to end"),
    row(Globals, "state_dump_file", Text, "/tmp/keepalived.data").warned("file that SIGUSR1 writes", NO_DUMP),
    row(Globals, "stats_dump_file", Text, "/tmp/keepalived.stats")
        .warned("file that SIGUSR2 writes", NO_DUMP),
    row(Globals, "tmp_config_directory", Text, "memory").warned(
        "where the configuration is kept while read",
        "not needed: the file is read once, by one process",
    ),
    row(Globals, "umask", Rest("number, or bits such as `IWGRP|IWOTH`"), "as started").works("permissions that files do not get"),
    row(Globals, "use_symlink_paths", Switch, "off").accepted("runs scripts by the path as written, not as resolved", "they are, unless enable_script_security looks where links lead"),
    row(Globals, "v3_checksum_as_v2", Switch, "off")
        .works("leaves the pseudo-header out of the checksum of version 3 over IPv4"),
    row(Globals, "vmac_addr_prefix", Text, "vmac_prefix")
        .warned("beginning of names of interfaces of addresses", NO_VMAC_INTERFACE),
    row(Globals, "vmac_prefix", Text, "vrrp")
        .warned("beginning of names of interfaces of use_vmac", NO_VMAC_INTERFACE),
    row(Globals, "vrrp_check_unicast_src", Switch, "off").works("believes only the peers of `unicast_peer`"),
    row(Globals, "vrrp_cpu_affinity", Rest(CPUS), "all").works("processors of the protocol's thread"),
    row(Globals, "vrrp_delay_after_boot", DAY, "0").works("how long elections wait when the host starts"),
    row(Globals, "vrrp_down_timer_adverts", DOWN_ADVERTS, "3")
        .works("adverts that may be missed; the same on all routers"),
    row(Globals, "vrrp_garp_extra_if", Rest("`[all] SECONDS`, up to 86400"), "0").works("refreshes what has a virtual hardware address that nothing is sent from; with `all`, everything"),
    row(Globals, "vrrp_garp_interval", SPACING, "0")
        .works("least time between two gratuitous ARP packets on an interface"),
    row(Globals, "vrrp_garp_lower_prio_delay", DAY, "vrrp_garp_master_delay")
        .works("second burst of announcements after the advert of a lower master"),
    row(Globals, "vrrp_garp_lower_prio_repeat", Number { min: 0, max: 1000 }, "vrrp_garp_master_repeat")
        .works("announcements after the advert of a lower master"),
    row(Globals, "vrrp_garp_master_delay", DAY, "5")
        .works("from becoming master to the second burst of announcements; 0 is no second"),
    row(Globals, "vrrp_garp_master_refresh", DAY, "0").works("between announcements while master; 0 is none"),
    row(Globals, "vrrp_garp_master_refresh_repeat", BURST, "1")
        .works("announcements of each address at each refresh"),
    row(Globals, "vrrp_garp_master_repeat", BURST, "5").works("announcements of each address in a burst"),
    row(Globals, "vrrp_gna_interval", SPACING, "0")
        .works("least time between two unsolicited neighbour advertisements on an interface"),
    row(Globals, "vrrp_higher_prio_send_advert", Switch, "off")
        .works("a master that hears a higher one advertises once more"),
    row(Globals, "vrrp_ipsets", Rest("up to five names"), "off")
        .accepted("sets of addresses for iptables", NO_FIREWALL),
    row(Globals, "vrrp_iptables", Rest("`[IN [OUT]]`"), "INPUT")
        .accepted("chains of iptables for no_accept", NO_FIREWALL),
    row(Globals, "vrrp_lower_prio_no_advert", Switch, "off")
        .works("a master does not answer the advert of a lower one"),
    row(Globals, "vrrp_mcast_group4", Ip, "224.0.0.18").works("group of adverts over IPv4"),
    row(Globals, "vrrp_mcast_group6", Ip, "ff02::12").works("group of adverts over IPv6"),
    row(Globals, "vrrp_min_garp", Switch, "off").works("announces each address once"),
    row(Globals, "vrrp_netlink_cmd_rcv_bufs", BYTES, "the system's")
        .warned("receive buffer of the netlink socket of commands", BUFFERS),
    row(Globals, "vrrp_netlink_cmd_rcv_bufs_force", Switch, "off")
        .warned("lets it exceed the system's limit", BUFFERS),
    row(Globals, "vrrp_netlink_monitor_rcv_bufs", BYTES, "the system's")
        .warned("receive buffer of the netlink socket of news", BUFFERS),
    row(Globals, "vrrp_netlink_monitor_rcv_bufs_force", Switch, "off")
        .warned("lets it exceed the system's limit", BUFFERS),
    row(Globals, "vrrp_no_swap", Nothing, "off").works("keeps the process in memory"),
    row(Globals, "vrrp_notify_fifo", Rest(FIFO), "").works("FIFO that gets changes of state of instances and groups"),
    row(Globals, "vrrp_notify_fifo_script", CommandAs, "").works("reader of that FIFO"),
    row(Globals, "vrrp_notify_priority_changes", Switch, "off").works("writes changes of priority to the FIFO"),
    row(Globals, "vrrp_owner_ignore_adverts", Switch, "off").works("an owner of its addresses answers no advert"),
    row(Globals, "vrrp_priority", NICE, "0").works("niceness of the protocol's thread"),
    row(Globals, "vrrp_process_name", Text, "keepalived_vrrp").warned("name of the process", ONE_PROCESS),
    row(Globals, "vrrp_rlimit_rttime", Quantity { min: 0, max: u32::MAX, unit: "microseconds" }, "none").works("real-time work between two waits that is logged as too much"),
    row(Globals, "vrrp_rt_priority", Integer { min: 1, max: 99 }, "none").works("real-time priority of the protocol's thread"),
    row(Globals, "vrrp_rx_bufs_multiplier", ANY_NUMBER, "3")
        .warned("adverts that these buffers hold", BUFFERS),
    row(Globals, "vrrp_rx_bufs_policy", Rest("`MTU`, `ADVERT` or bytes"), "the system's")
        .warned("receive buffers of adverts", BUFFERS),
    row(Globals, "vrrp_skip_check_adv_addr", Switch, "off").accepted(
        "compares the address list of a new master only",
        "lists that differ are counted, never refused, so there is nothing to skip",
    ),
    row(Globals, "vrrp_startup_delay", DAY, "0").works("how long elections wait when the daemon starts"),
    row(Globals, "vrrp_strict", Switch, "off").works("keeps to the letter of the standard"),
    row(Globals, "vrrp_version", Number { min: 2, max: 3 }, "2; over IPv6 always 3")
        .works("version of instances that do not say theirs; the last one of the file counts"),
    row(Instance, "accept", Nothing, "on").works("the host accepts what is sent to the addresses"),
    row(Instance, "advert_int", Seconds { min_ns: 10 * MS, max_ns: 255 * S }, "1")
        .works("between adverts; version 2 takes whole seconds, version 3 hundredths up to 40.95"),
    row(Instance, "auth_hmac", Section(AuthHmac), "none").works("a seal behind each advert (keepalived 2.4)"),
    row(Instance, "authentication", Section(Authentication), "none").works("authentication of version 2"),
    row(Instance, "check_unicast_src", Switch, "vrrp_check_unicast_src")
        .works("believes only the peers of `unicast_peer`"),
    row(Instance, "debug", Number { min: 0, max: 4 }, "0")
        .warned("level of debugging, which keepalived ignores too", "not needed; `-D` logs in more detail"),
    row(Instance, "dont_track_primary", Nothing, "off").works("no fault when its own interface goes down"),
    row(Instance, "down_timer_adverts", DOWN_ADVERTS, "vrrp_down_timer_adverts")
        .works("adverts that may be missed; the same on all routers"),
    row(Instance, "garp_extra_if", Rest("`[all] SECONDS`, up to 86400"), "vrrp_garp_extra_if").works("refreshes what has a virtual hardware address that nothing is sent from; with `all`, everything"),
    row(Instance, "garp_interval", SPACING, "").warned(
        "not a keyword of an instance, though VyOS writes it",
        "write `vrrp_garp_interval` in global_defs",
    ),
    row(Instance, "garp_lower_prio_delay", DAY, "garp_master_delay")
        .works("second burst of announcements after the advert of a lower master"),
    row(Instance, "garp_lower_prio_repeat", Number { min: 0, max: 1000 }, "garp_master_repeat")
        .works("announcements after the advert of a lower master"),
    row(Instance, "garp_master_delay", DAY, "vrrp_garp_master_delay")
        .works("from becoming master to the second burst of announcements; 0 is no second"),
    row(Instance, "garp_master_refresh", DAY, "vrrp_garp_master_refresh")
        .works("between announcements while master; 0 is none"),
    row(Instance, "garp_master_refresh_repeat", BURST, "vrrp_garp_master_refresh_repeat")
        .works("announcements of each address at each refresh"),
    row(Instance, "garp_master_repeat", BURST, "vrrp_garp_master_repeat")
        .works("announcements of each address in a burst"),
    row(Instance, "gna_interval", SPACING, "").warned(
        "not a keyword of an instance, though VyOS writes it",
        "write `vrrp_gna_interval` in global_defs",
    ),
    row(Instance, "higher_prio_send_advert", Switch, "vrrp_higher_prio_send_advert")
        .works("a master that hears a higher one advertises once more"),
    row(Instance, "interface", Text, "the one that `unicast_src_ip` is on; required without")
        .works("interface that adverts are sent and heard on"),
    row(Instance, "kernel_rx_buf_size", BYTES, "vrrp_rx_bufs_policy")
        .warned("receive buffer of adverts", BUFFERS),
    row(Instance, "linkbeat_use_polling", Nothing, "off").warned("polls the link of its interface", POLLING),
    row(Instance, "lower_prio_no_advert", Switch, "vrrp_lower_prio_no_advert")
        .works("a master does not answer the advert of a lower one"),
    row(Instance, "lvs_sync_daemon_interface", Text, "").works("older form of `lvs_sync_daemon`, which is said"),
    row(Instance, "mcast_dst_ip", Ip, "vrrp_mcast_group4 or vrrp_mcast_group6")
        .works("another group for its adverts"),
    row(Instance, "mcast_src_ip", Ip, "the interface's first address")
        .works("source of adverts to the group"),
    row(Instance, "native_ipv6", Nothing, "family of the first address").works("speaks over IPv6"),
    row(Instance, "no_accept", Nothing, "off")
        .works("the host drops what is sent to the addresses, but for their owner; needs the kernel half"),
    row(Instance, "no_virtual_ipaddress", Nothing, "off").works("allows an instance without addresses"),
    row(Instance, "nopreempt", Nothing, "off").works("lets a lower master be; not with state MASTER"),
    row(Instance, "notify", CommandAs, "").works("runs at every change of state"),
    row(Instance, "notify_backup", CommandAs, "").works("runs when it becomes backup"),
    row(Instance, "notify_deleted", Rest("`[COMMAND [USER [GROUP]]]`"), "").works("runs when a reload removes it"),
    row(Instance, "notify_fault", CommandAs, "").works("runs when it falls into fault"),
    row(Instance, "notify_master", CommandAs, "").works("runs when it becomes master"),
    row(Instance, "notify_master_rx_lower_pri", CommandAs, "").works("runs when a master hears a lower one"),
    row(Instance, "notify_priority_changes", Switch, "vrrp_notify_priority_changes").works("writes changes of priority to the FIFO"),
    row(Instance, "notify_stop", CommandAs, "").works("runs when the daemon stops"),
    row(Instance, "old_unicast_checksum", Rest("`[never]`"), "detected").works("`never` is how it is; without it nothing changes, which is said"),
    row(Instance, "owner_ignore_adverts", Switch, "vrrp_owner_ignore_adverts").works("as owner of its addresses it answers no advert"),
    row(Instance, "preempt", Nothing, "on").works("takes over from a lower master"),
    row(Instance, "preempt_delay", Seconds { min_ns: 0, max_ns: 1000 * S }, "0")
        .works("how long a lower master is let be; not with state MASTER"),
    row(Instance, "priority", BYTE, "100; 255 with state MASTER")
        .works("the highest is master; 255 owns the addresses"),
    row(Instance, "promote_secondaries", Nothing, "off").works("other addresses of a network stay when one of them goes"),
    row(Instance, "skip_check_adv_addr", Switch, "vrrp_skip_check_adv_addr").warned(
        "compares the address list of a new master only",
        "not needed: lists that differ are counted, never refused",
    ),
    row(Instance, "smtp_alert", Switch, "smtp_alert_vrrp").works("mails changes of state"),
    row(Instance, "state", Choice(&["MASTER", "BACKUP"]), "BACKUP; MASTER with priority 255")
        .works("matters only to the owner of the addresses, and against nopreempt"),
    row(Instance, "strict_mode", Switch, "vrrp_strict").works("keeps to the letter of the standard"),
    row(Instance, "thread_timer_expired", Rest("`[PRIORITY]`, up to 254"), "off").accepted("a master that ran late becomes backup", LATE),
    row(Instance, "timer_expired_backup", Rest("`[PRIORITY]`, up to 254"), "off").accepted("a master that ran late becomes backup", LATE),
    row(Instance, "track_bfd", Lines("`NAME [weight N] [reverse]`"), "")
        .warned("BFD sessions that it needs", BFD),
    row(Instance, "track_file", TRACKED, "").works("files whose number changes the priority"),
    row(Instance, "track_interface", TRACKED, "").works("other interfaces that it needs, of any kind"),
    row(Instance, "track_process", TRACKED, "").works("processes that it needs"),
    row(Instance, "track_script", TRACKED, "").works("scripts that put it in fault or change its priority"),
    row(Instance, "track_src_ip", Nothing, "off").works("is in fault while its source address is gone"),
    row(Instance, "unicast_fault_no_peer", Nothing, "off").works("is in fault without peers, rather than speak multicast"),
    row(Instance, "unicast_peer", Lines("`IP [min_ttl N] [max_ttl N]`"), "multicast")
        .works("routers that adverts are sent to, each by itself"),
    row(Instance, "unicast_src_ip", Ip, "the interface's first address").works("source of adverts to peers"),
    row(Instance, "unicast_ttl", BYTE, "255").works("TTL or hop limit of adverts to peers"),
    row(Instance, "use_ipvlan", Rest("`[NAME] [IP] [bridge|private|vepa]`"), "off").warned(
        "holds the addresses on an ipvlan interface",
        "the addresses stand on the instance's interface",
    ),
    row(Instance, "use_vmac", Rest("`[[NAME] INTERFACE] [MAC] [OPTION …]`, all ignored"), "off")
        .works("holds the addresses with the hardware address of the virtual router"),
    row(Instance, "use_vmac_addr", Nothing, "off").warned(
        "the same for addresses on other interfaces",
        "addresses with `dev` are answered for with that interface's own hardware address",
    ),
    row(Instance, "v3_checksum_as_v2", Switch, "v3_checksum_as_v2 of global_defs")
        .works("leaves the pseudo-header out of the checksum of version 3 over IPv4"),
    row(Instance, "version", Number { min: 2, max: 3 }, "vrrp_version; over IPv6 always 3")
        .works("version of the protocol, the same on all routers"),
    row(Instance, "virtual_ipaddress", Lines(ADDRESS), "")
        .works("addresses that are held and advertised, all of one family"),
    row(Instance, "virtual_ipaddress_excluded", Lines(ADDRESS), "")
        .works("addresses that are held and not advertised, of any family"),
    row(Instance, "virtual_router_id", BYTE, "required")
        .works("number of the virtual router, the same on all its routers"),
    row(Instance, "virtual_routes", Lines(ROUTE), "").works("routes that move with the addresses"),
    row(Instance, "virtual_rules", Lines(RULE), "").works("routing rules that move with the addresses"),
    row(Instance, "vmac_garp_intvl", Rest("`[all] SECONDS`"), "0").works("refreshes what has a virtual hardware address that nothing is sent from; with `all`, everything"),
    row(Instance, "vmac_xmit_base", Nothing, "off")
        .works("sends adverts from the interface's own hardware address"),
    row(Instance, "vrf", Text, "none")
        .warned("VRF of an instance without interface", "name an `interface` that is in the VRF"),
    row(Authentication, "auth_pass", Rest("text; 8 bytes are used"), "required")
        .works("the password, the same on all routers"),
    row(Authentication, "auth_type", Choice(&["PASS", "AH"]), "required")
        .works("a password in the clear, or an authentication header"),
    row(AuthHmac, "active_key", Number { min: 0, max: 255 }, "the first")
        .works("number of the key that is sent with"),
    row(AuthHmac, "anti_replay", Choice(&["time", "monotonic"]), "time")
        .works("how an old advert is told from a new one"),
    row(AuthHmac, "key", Rest("`NUMBER [hex:|file:]KEY`; 0 to 255, and 32 to 64 bytes"), "at least one")
        .works("a key that is believed"),
    row(AuthHmac, "mode", Choice(&["enforce", "permissive", "receive-only"]), "enforce")
        .works("how far its roll-out has come"),
    row(
        AuthHmac,
        "time_window",
        Seconds { min_ns: S, max_ns: 300 * S },
        "three times advert_int, at least 5",
    )
    .works("how far the routers' clocks may be apart"),
    row(Peer, "max_ttl", Number { min: 0, max: 255 }, "255")
        .works("highest TTL or hop limit that is believed"),
    row(Peer, "min_ttl", Number { min: 0, max: 255 }, "0").works("least TTL or hop limit that is believed"),
    row(Address, "-nodad", Nothing, "off").works("looks for duplicates first, which takes a second or two"),
    row(Address, "autojoin", Nothing, "off").works("joins the multicast group that it is"),
    row(Address, "brd", Rest("IPv4 address, `+` or `-`"), "none")
        .works("broadcast address; `+` and `-` set or clear all bits of the host part"),
    row(Address, "broadcast", Rest("IPv4 address, `+` or `-`"), "none").works("longer name of `brd`"),
    row(Address, "dev", Text, "the instance's interface").works("interface that the address is put on"),
    row(Address, "home", Nothing, "off").works("a home address of mobile IPv6"),
    row(Address, "label", Text, "none").works("label, as ifconfig shows it"),
    row(Address, "mngtmpaddr", Nothing, "off").works("makes temporary addresses from it"),
    row(Address, "no_track", Nothing, "off").works("stays master when the address is deleted"),
    row(Address, "noprefixroute", Nothing, "off").works("makes no route for its network"),
    row(Address, "peer", Rest("IP address, maybe with `/LENGTH`"), "none")
        .works("address at the other end of a point-to-point link"),
    row(Address, "preferred_lft", Rest("seconds, or `forever`"), "0 for IPv6 with /128, else forever")
        .works("how long it is a source of new connections"),
    row(Address, "scope", Rest("`global`, `site`, `link`, `host`, `nowhere` or 0 to 255"), "global")
        .works("how far the address is valid"),
    row(Address, "track_group", Text, "")
        .accepted("group that watches a static address", "a static address that is removed is put back"),
    row(Address, "use_vmac", Nothing, "off")
        .accepted("a virtual hardware address for this address", "the instance's `use_vmac` decides"),
    row(Tracked, "noreverse", Nothing, "on").works("undoes `reverse` of what is tracked"),
    row(Tracked, "reverse", Nothing, "off").works("turns the weight round: what it adds it takes away, and the other way round; with weight 0, up is the fault"),
    row(Tracked, "weight", Weight { most: 254 }, "that of what is tracked").works("change of priority, 253 at most for scripts and interfaces; 0 is a fault instead"),
    row(Script, "fall", IN_A_ROW, "1").works("failures in a row until it is down"),
    row(Script, "init_fail", Nothing, "off").works("counts as failed until it has run"),
    row(Script, "interval", SCRIPT_SECONDS, "1").works("from one start to the next"),
    row(Script, "raise", IN_A_ROW, "").mistaken("not a keyword, though real files have it", "write `rise`"),
    row(Script, "rise", IN_A_ROW, "1").works("successes in a row until it is up"),
    row(Script, "script", Command, "required").works("the check; 0 is up, anything else down"),
    row(Script, "timeout", SCRIPT_SECONDS, "interval").works("when it is killed and counts as failed"),
    row(Script, "user", Rest("`USER [GROUP]`"), "script_user").works("whom it runs as"),
    row(Script, "weight", Weight { most: 253 }, "0")
        .works("change of priority, maybe then `reverse`; 0 is a fault instead"),
    row(SyncGroup, "global_tracking", Nothing, "off")
        .warned("older way to track for all members", "let the group track them"),
    row(SyncGroup, "group", Lines("`INSTANCE`, or several on a line"), "required")
        .works("its members, at least two"),
    row(SyncGroup, "notify", CommandAs, "").works("runs at every change of state"),
    row(SyncGroup, "notify_backup", CommandAs, "").works("runs when the group becomes backup"),
    row(SyncGroup, "notify_deleted", Rest("`[COMMAND [USER [GROUP]]]`"), "").accepted("runs when a reload removes a member", "as keepalived, deleted groups are not told of"),
    row(SyncGroup, "notify_fault", CommandAs, "").works("runs when the group falls into fault"),
    row(SyncGroup, "notify_master", CommandAs, "").works("runs when the group becomes master"),
    row(SyncGroup, "notify_priority_changes", Switch, "vrrp_notify_priority_changes").accepted("writes changes of priority to the FIFO", "a group has no priority of its own"),
    row(SyncGroup, "notify_stop", CommandAs, "").works("runs when the daemon stops"),
    row(SyncGroup, "smtp_alert", Switch, "smtp_alert_vrrp").works("mails changes of state"),
    row(SyncGroup, "sync_group_tracking_weight", Nothing, "off")
        .works("lets members keep the weights of their scripts"),
    row(SyncGroup, "track_bfd", Lines("`NAME [weight N] [reverse]`"), "")
        .warned("BFD sessions that the whole group needs", BFD),
    row(SyncGroup, "track_file", TRACKED, "").works("files whose number changes the priority of all members"),
    row(SyncGroup, "track_interface", TRACKED, "").works("other interfaces that the whole group needs, of any kind"),
    row(SyncGroup, "track_process", TRACKED, "").works("processes that the whole group needs"),
    row(SyncGroup, "track_script", TRACKED, "").works("scripts that put all members in fault or change their priority"),
    row(SyncGroup, "use_group_priority", Nothing, "off").warned(
        "one priority for all members, in very old files",
        "give all members on one router the same priority",
    ),
    row(TrackFile, "file", Text, "required").works("path of the file"),
    row(TrackFile, "init_file", Rest("`[NUMBER] [overwrite]`"), "0").works("makes the file at the start"),
    row(TrackFile, "weight", Weight { most: 254 }, "1").works("what its number is multiplied with, maybe then `reverse`; 0 makes any other number than 0 a fault"),
    row(TrackProcess, "delay", DELAY, "0").works("sets both delays below"),
    row(TrackProcess, "fork_delay", DELAY, "0").works("how long there must be enough"),
    row(TrackProcess, "full_command", Nothing, "off").works("compares the whole command line"),
    row(TrackProcess, "param_match", Rest("`[initial|partial]`"), "exactly these").works("how much of its arguments must be the same"),
    row(TrackProcess, "process", Command, "required").works("name of the process, and its arguments"),
    row(TrackProcess, "quorum", QUORUM, "1").works("least number of such processes"),
    row(TrackProcess, "quorum_max", QUORUM_MAX, "none").works("highest number of such processes"),
    row(TrackProcess, "terminate_delay", DELAY, "0").works("how long there must be too few"),
    row(TrackProcess, "weight", Weight { most: 254 }, "0").works("change of priority, maybe then `reverse`; 0 is a fault instead"),
    row(Bfd, "checker", Nothing, "both").warned("tells virtual servers only", BFD),
    row(Bfd, "hoplimit", BYTE, "64").warned("hop limit of packets over IPv6", BFD),
    row(Bfd, "idle_tx", Rest(MILLISECONDS), "1000").warned("interval while the session is down", BFD),
    row(Bfd, "max_hops", Number { min: 0, max: 255 }, "0")
        .warned("hops that a packet may have made; 255 is any", BFD),
    row(Bfd, "min_rx", Rest(MILLISECONDS), "10").warned("least interval that it can receive at", BFD),
    row(Bfd, "min_tx", Rest(MILLISECONDS), "10").warned("interval that it wants to send at", BFD),
    row(Bfd, "multihop", Nothing, "off").warned("a neighbour that is not on the same link", BFD),
    row(Bfd, "multiplier", BYTE, "5").warned("packets that may be missed", BFD),
    row(Bfd, "neighbor_ip", Ip, "required").warned("address of the neighbour", BFD),
    row(Bfd, "neighbour_ip", Ip, "required").warned("the same as `neighbor_ip`", BFD),
    row(Bfd, "passive", Nothing, "off").warned("waits for the neighbour to begin", BFD),
    row(Bfd, "source_ip", Ip, "the system's choice").warned("source address", BFD),
    row(Bfd, "ttl", BYTE, "255").warned("TTL of packets over IPv4", BFD),
    row(Bfd, "vrrp", Nothing, "both").warned("tells instances only", BFD),
    row(Bfd, "weight", Weight { most: 253 }, "0").warned("change of priority; 0 is a fault instead", BFD),
    row(GarpGroup, "garp_interval", Seconds { min_ns: 0, max_ns: 3600 * S }, "none").works("between two gratuitous ARP packets on any of them"),
    row(GarpGroup, "gna_interval", Seconds { min_ns: 0, max_ns: 3600 * S }, "none").works("between two neighbour advertisements on any of them"),
    row(GarpGroup, "interface", Text, "").works("an interface of the group"),
    row(GarpGroup, "interfaces", Lines("`INTERFACE`"), "").works("interfaces of the group"),
    row(TrackGroup, "group", Lines("`INSTANCE`, or several on a line"), "").works("its instances"),
];
