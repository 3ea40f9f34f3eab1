//! The table itself, sorted by block and name.

use super::Block::*;
use super::Keyword;
use super::Value::*;
use super::row::*;

/// Every keyword, sorted by block and name.
pub(crate) static KEYWORDS: &[Keyword] = &[
    row(Root, "SSL", Lines("settings of the SSL checks of virtual servers"), "")
        .warned("certificates of the SSL checks of virtual servers", LVS),
    row(Root, "bfd_instance", Named(Bfd), "").warned("a BFD session with a neighbour", BFD),
    row(Root, "child_wait_time", ANY_NUMBER, "5").accepted("time for child processes to end when the daemon stops", "the only child processes are scripts, each of which has a time limit of its own"),
    row(Root, "garp_group", Section(GarpGroup), "").works("intervals between announcements on a group of interfaces"),
    row(Root, "global_defs", Section(Globals), "")
        .works("settings of the daemon, and defaults of the instances below"),
    row(Root, "include", Rest(GLOB), "").works("reads other files here; may stand in any block"),
    row(Root, "includea", Rest(GLOB), "").works("as `include`, with all checks of `include_check`"),
    row(Root, "includeb", Rest(GLOB), "").works("as `include`; each brace alternative must match"),
    row(Root, "includem", Rest(GLOB), "").works("as `include`; a name must match"),
    row(Root, "includer", Rest(GLOB), "").works("as `include`; each file that matches must be readable"),
    row(Root, "includew", Rest(GLOB), "").works("as `include`; a pattern must match"),
    row(Root, "instance", Text, "").works("name of this daemon among several in one network namespace; two on one interface need `--xdp-mode tcx`, or the second is on sockets"),
    row(Root, "interface_up_down_delays", Lines("`INTERFACE DOWN [UP]`, seconds up to 255"), "0").works("time for which a change of a link must last before it counts"),
    row(Root, "linkbeat_interfaces", Lines("`INTERFACE [MII|ETHTOOL|IOCTL]`"), "")
        .warned("interfaces whose link is polled", POLLING),
    row(Root, "linkbeat_use_polling", Nothing, "").warned("polls the links of all interfaces", POLLING),
    row(Root, "namespace_with_ipsets", Nothing, "")
        .accepted("lets ipsets be used in a namespace on kernels before 3.13", NO_FIREWALL),
    row(Root, "net_namespace", Text, "the namespace that the daemon is started in").works("network namespace to run in; needs CAP_SYS_ADMIN"),
    row(Root, "net_namespace_ipvs", Text, "the default namespace").warned("network namespace of IPVS", "virtual servers are skipped, and `lvs_sync_daemon` uses the namespace of this daemon"),
    row(Root, "static_ipaddress", Lines(ADDRESS), "").works("addresses that the host has in every state"),
    row(Root, "static_routes", Lines(ROUTE), "").works("routes that the host has in every state"),
    row(Root, "static_rules", Lines(RULE), "").works("routing rules that the host has in every state"),
    row(Root, "track_file", Named(TrackFile), "").works("a file with a number that changes priorities"),
    row(Root, "track_group", Named(TrackGroup), "").works("instances that are in fault while a static address, route or rule cannot be set"),
    row(Root, "use_pid_dir", Nothing, "").accepted("writes pid files to /run/keepalived", "the pid file is in /run/vrrp-agent anyway; `-p` names another"),
    row(Root, "virtual_server", Rest("address and port, `fwmark N` or `group NAME`, and block"), "")
        .warned("a service balanced by IPVS", LVS),
    row(Root, "virtual_server_group", Rest("`NAME` and block"), "")
        .warned("addresses of a service balanced by IPVS", LVS),
    row(Root, "vrrp_instance", Named(Instance), "").works("a virtual router"),
    row(Root, "vrrp_script", Named(Script), "").works("a check that is repeated at an interval"),
    row(Root, "vrrp_sync_group", Named(SyncGroup), "")
        .works("instances that are master together or not at all"),
    row(Root, "vrrp_track_file", Named(TrackFile), "").works("older name of `track_file`"),
    row(Root, "vrrp_track_process", Named(TrackProcess), "").works("processes that must run"),
    row(Globals, "bfd_cpu_affinity", Rest(CPUS), "all").warned("processors of the BFD process", BFD),
    row(Globals, "bfd_no_swap", Nothing, "off").warned("keeps the BFD process in memory", BFD),
    row(Globals, "bfd_priority", NICE, "0").warned("niceness of the BFD process", BFD),
    row(Globals, "bfd_process_name", Text, "keepalived_bfd").warned("name of the BFD process", BFD),
    row(Globals, "bfd_rlimit_rttime", RT_TIME, "10000")
        .warned("CPU time of the BFD process between two waits, with real-time priority", BFD),
    row(Globals, "bfd_rt_priority", REAL_TIME, "none").warned("real-time priority of the BFD process", BFD),
    row(Globals, "checker_cpu_affinity", Rest(CPUS), "all").warned("processors of the checker process", LVS),
    row(Globals, "checker_log_all_failures", Switch, "off")
        .warned("logs every failed check of a real server", LVS),
    row(Globals, "checker_no_swap", Nothing, "off").warned("keeps the checker process in memory", LVS),
    row(Globals, "checker_priority", NICE, "0").warned("niceness of the checker process", LVS),
    row(Globals, "checker_process_name", Text, "keepalived_ipvs").warned("name of the checker process", LVS),
    row(Globals, "checker_rlimit_rttime", RT_TIME, "10000")
        .warned("CPU time of the checker process between two waits, with real-time priority", LVS),
    row(Globals, "checker_rt_priority", REAL_TIME, "none")
        .warned("real-time priority of the checker process", LVS),
    row(Globals, "config_save_dir", Text, "off")
        .warned("directory for copies of the configuration at a reload", NO_RELOAD),
    row(Globals, "data_use_instance", Switch, "off")
        .warned("puts the name of the `instance` into names of dump files", NO_DUMP),
    row(Globals, "dbus_no_interface_name", Nothing, "off")
        .warned("leaves the interface out of names on D-Bus", DBUS_PATHS),
    row(Globals, "dbus_service_name", Text, "org.keepalived.Vrrp1").works("name of the service on the system bus"),
    row(Globals, "default_interface", Text, "eth0").works("interface of static addresses"),
    row(Globals, "disable_local_igmp", Nothing, "off").warned(
        "sends no IGMP reports for local groups",
        "not needed: use_vmac makes no interface that would send any",
    ),
    row(Globals, "dynamic_interfaces", Rest("`[allow_if_changes]`"), "off").works("waits for interfaces that do not exist at the start"),
    row(Globals, "enable_dbus", Nothing, "off").works("makes the state of instances available on D-Bus"),
    row(Globals, "enable_script_security", Switch, "off").works("refuses to run a script as root if other users can change it"),
    row(Globals, "enable_snmp_checker", Nothing, "off")
        .warned("answers for the virtual servers of KEEPALIVED-MIB", LVS),
    row(Globals, "enable_snmp_keepalived", Nothing, "off").works("older name of `enable_snmp_vrrp`"),
    row(Globals, "enable_snmp_rfc", Nothing, "off").works("answers for both MIBs of the standard"),
    row(Globals, "enable_snmp_rfcv2", Nothing, "off").works("answers for the MIB of version 2 (RFC 2787)"),
    row(Globals, "enable_snmp_rfcv3", Nothing, "off").works("answers for the MIB of version 3 (RFC 6527)"),
    row(Globals, "enable_snmp_vrrp", Nothing, "off").works("answers for KEEPALIVED-MIB, by AgentX"),
    row(Globals, "enable_traps", Nothing, "off").works("sends SNMP traps"),
    row(Globals, "fifo_write_vrrp_states_on_reload", Nothing, "off").warned("writes the states of all instances to the FIFO after a reload", "a FIFO stays open during a reload, so its reader loses nothing"),
    row(Globals, "include_check", Rest("`[[+|-]readable|match|wildcard_match|brace_match …]`"), "off")
        .works("checks that each `include` must pass"),
    row(Globals, "iproute_etc_dir", Text, "/etc/iproute2").works("directory with the names of routing tables"),
    row(Globals, "iproute_usr_dir", Text, "/usr/share/iproute2").works("directory for names that are not in `iproute_etc_dir`"),
    row(Globals, "json_dump_file", Text, "/tmp/keepalived.json")
        .warned("file that the JSON signal writes", NO_DUMP),
    row(Globals, "json_version", Number { min: 1, max: 2 }, "1").warned("format of the JSON dump", NO_DUMP),
    row(Globals, "log_unknown_vrids", Nothing, "off").works("logs adverts of virtual routers that are not configured, each once"),
    row(Globals, "lvs_flush", Nothing, "off").warned("removes all virtual servers at the start", LVS),
    row(Globals, "lvs_flush_on_stop", Rest("`[VS]`"), "off").warned("removes all virtual servers at the end", LVS),
    row(Globals, "lvs_id", Text, "")
        .mistaken("name of this host in old files", "it has no effect in keepalived either; write `router_id`"),
    row(Globals, "lvs_netlink_cmd_rcv_bufs", BYTES, "")
        .warned("receive buffer of a netlink socket of the checker process", LVS),
    row(Globals, "lvs_netlink_cmd_rcv_bufs_force", Switch, "off")
        .warned("lets this buffer exceed the system's limit", LVS),
    row(Globals, "lvs_netlink_monitor_rcv_bufs", BYTES, "")
        .warned("receive buffer of a netlink socket of the checker process", LVS),
    row(Globals, "lvs_netlink_monitor_rcv_bufs_force", Switch, "off")
        .warned("lets this buffer exceed the system's limit", LVS),
    row(Globals, "lvs_notify_fifo", Rest(FIFO), "").warned("FIFO to which changes of real servers are written", LVS),
    row(Globals, "lvs_notify_fifo_script", CommandAs, "").warned("program that reads this FIFO", LVS),
    row(Globals, "lvs_sync_daemon", Rest("`INTERFACE [[inst] INSTANCE] [OPTION N …]`"), "")
        .works("the kernel sends its IPVS connections to other hosts while the instance is master, and receives theirs while it is not"),
    row(Globals, "lvs_timeouts", Rest("`[tcp N] [tcpfin N] [udp N]`, seconds"), "")
        .warned("timeouts of IPVS connections", LVS),
    row(Globals, "max_auto_priority", Rest("`[-1 to 99]`"), "0").accepted("highest real-time priority that a late process gives itself", LATE),
    row(Globals, "min_auto_priority_delay", LATENESS, "1000000").accepted("delay from which a process counts as late", LATE),
    row(Globals, "nftables", Rest("`[TABLE]`"), "keepalived")
        .accepted("nftables table for no_accept", NO_FIREWALL),
    row(Globals, "nftables_counters", Nothing, "off").accepted("counts packets that match the rules of this table", NO_FIREWALL),
    row(Globals, "nftables_ifindex", Nothing, "off")
        .accepted("uses the numbers of interfaces in the rules of this table", NO_FIREWALL),
    row(Globals, "nftables_ipvs", Rest("`[TABLE]`"), "off")
        .warned("nftables table for virtual servers", LVS),
    row(Globals, "nftables_ipvs_priority", ANY_INTEGER, "-1").warned("priority of the chains of this table", LVS),
    row(Globals, "nftables_ipvs_start_fwmark", ANY_NUMBER, "1000")
        .warned("first mark for groups of virtual servers", LVS),
    row(Globals, "nftables_priority", ANY_INTEGER, "-1").accepted("priority of the chains of this table", NO_FIREWALL),
    row(Globals, "no_checker_emails", Nothing, "off").warned("sends no mail about checks of real servers", LVS),
    row(Globals, "no_email_faults", Nothing, "off").works("sends no mail about faults"),
    row(Globals, "notification_email", Lines("mail address"), "").works("addresses that get mail; needs smtp_server"),
    row(Globals, "notification_email_from", Text, "root@ and the host name").works("sender of mail"),
    row(Globals, "notify_fifo", Rest(FIFO), "").works("FIFO to which all changes of state are written; created if it does not exist"),
    row(Globals, "notify_fifo_script", CommandAs, "").works("program that reads this FIFO, whose path is its last argument; started again when it ends"),
    row(Globals, "process_monitor_rcv_bufs", BYTES, "the system's")
        .warned("receive buffer for events of processes", BUFFERS),
    row(Globals, "process_monitor_rcv_bufs_force", Switch, "off")
        .warned("lets this buffer exceed the system's limit", BUFFERS),
    row(Globals, "process_name", Text, "keepalived").warned("name of the parent process", ONE_PROCESS),
    row(Globals, "process_names", Nothing, "off").warned("names processes after their tasks", ONE_PROCESS),
    row(Globals, "random_seed", ANY_NUMBER, "the current time")
        .warned("seed of `${_RANDOM}`", "`${_RANDOM}` is seeded by the system"),
    row(Globals, "reload_check_config", Rest("`[LOG]`"), "off")
        .accepted("checks a file before a reload", NO_RELOAD),
    row(Globals, "reload_file", Rest("`[PATH]`"), "off")
        .warned("file that exists while a configuration is read", NO_RELOAD),
    row(Globals, "reload_repeat", Nothing, "off").warned("keeps that file after the reload", NO_RELOAD),
    row(Globals, "reload_time_file", Text, "").warned("file with the time of the next reload", NO_RELOAD),
    row(Globals, "router_id", Text, "host name").works("name of this host, for people"),
    row(Globals, "rs_init_notifies", Nothing, "off").warned("notifies about real servers at the start", LVS),
    row(Globals, "script_user", Rest("`USER [GROUP]`"), "keepalived_script, else the daemon's own")
        .works("user and group that scripts run as"),
    row(Globals, "set_supplementary_groups", Switch, "off").warned(
        "gives scripts all groups of their user",
        "scripts have the group of their user only; name another with `script_user`",
    ),
    row(Globals, "shutdown_script", CommandAs, "").works("program that runs once, when the daemon has stopped everything else"),
    row(Globals, "shutdown_script_timeout", SCRIPT_TIMEOUT, "10").works("time limit of this program"),
    row(Globals, "smtp_alert", Switch, "off").works("sends mail about changes of state"),
    row(Globals, "smtp_alert_checker", Switch, "unset")
        .warned("sends mail about changes of real servers", LVS),
    row(Globals, "smtp_alert_vrrp", Switch, "smtp_alert").works("sends mail about changes of state of instances"),
    row(Globals, "smtp_connect_timeout", WHOLE_SECONDS, "30").works("time limit for an answer of the mail server"),
    row(Globals, "smtp_helo_name", Text, "host name").works("name this host gives to the mail server"),
    row(Globals, "smtp_server", Rest("`HOST [PORT]`"), "port 25").works("server that takes mail"),
    row(Globals, "snmp_socket", Text, "unix:/var/agentx/master").works("address of the SNMP master agent: unix:PATH or tcp:HOST:PORT"),
    row(Globals, "startup_script", CommandAs, "").works("program that runs once, before the daemon starts anything else"),
    row(Globals, "startup_script_timeout", SCRIPT_TIMEOUT, "10").works("time limit of this program"),
    row(Globals, "state_dump_file", Text, "/tmp/keepalived.data").warned("file that SIGUSR1 writes", NO_DUMP),
    row(Globals, "stats_dump_file", Text, "/tmp/keepalived.stats")
        .warned("file that SIGUSR2 writes", NO_DUMP),
    row(Globals, "tmp_config_directory", Text, "memory").warned(
        "directory for the configuration while it is read",
        "not needed: the file is read once, by one process",
    ),
    row(Globals, "umask", Rest("number, or bits such as `IWGRP|IWOTH`"), "as started").works("permissions that new files do not get"),
    row(Globals, "use_symlink_paths", Switch, "off").accepted("runs scripts by the path as written, without resolving links", "this daemon always does, but enable_script_security checks the file that a link leads to"),
    row(Globals, "v3_checksum_as_v2", Switch, "off")
        .works("leaves the pseudo-header out of the checksum of version 3 over IPv4"),
    row(Globals, "vmac_addr_prefix", Text, "vmac_prefix")
        .warned("prefix of the names of interfaces for `use_vmac_addr`", NO_VMAC_INTERFACE),
    row(Globals, "vmac_prefix", Text, "vrrp")
        .warned("prefix of the names of interfaces for `use_vmac`", NO_VMAC_INTERFACE),
    row(Globals, "vrrp_check_unicast_src", Switch, "off").works("accepts adverts only from the peers of `unicast_peer`"),
    row(Globals, "vrrp_cpu_affinity", Rest(CPUS), "all").works("processors that the protocol's thread may use"),
    row(Globals, "vrrp_delay_after_boot", DAY, "0").works("time for which elections wait after a start of the host"),
    row(Globals, "vrrp_down_timer_adverts", DOWN_ADVERTS, "3")
        .works("number of adverts that may be missed; the same on all routers"),
    row(Globals, "vrrp_garp_extra_if", Rest("`[all] SECONDS`, up to 86400"), "0").works("time between extra announcements of addresses whose virtual hardware address sends no adverts; with `all`, of all addresses"),
    row(Globals, "vrrp_garp_interval", SPACING, "0")
        .works("shortest time between two gratuitous ARP packets on an interface"),
    row(Globals, "vrrp_garp_lower_prio_delay", DAY, "vrrp_garp_master_delay")
        .works("time until the second burst of announcements after an advert of a lower master"),
    row(Globals, "vrrp_garp_lower_prio_repeat", Number { min: 0, max: 1000 }, "vrrp_garp_master_repeat")
        .works("number of announcements after an advert of a lower master"),
    row(Globals, "vrrp_garp_master_delay", DAY, "5")
        .works("time from becoming master to the second burst of announcements; 0 means no second burst"),
    row(Globals, "vrrp_garp_master_refresh", DAY, "0").works("time between announcements while master; 0 means none"),
    row(Globals, "vrrp_garp_master_refresh_repeat", BURST, "1")
        .works("number of announcements of each address at each refresh"),
    row(Globals, "vrrp_garp_master_repeat", BURST, "5").works("number of announcements of each address in a burst"),
    row(Globals, "vrrp_gna_interval", SPACING, "0")
        .works("shortest time between two unsolicited neighbour advertisements on an interface"),
    row(Globals, "vrrp_higher_prio_send_advert", Switch, "off")
        .works("a master that hears a master of higher priority sends one more advert"),
    row(Globals, "vrrp_ipsets", Rest("up to five names"), "off")
        .accepted("sets of addresses for iptables", NO_FIREWALL),
    row(Globals, "vrrp_iptables", Rest("`[IN [OUT]]`"), "INPUT")
        .accepted("chains of iptables for no_accept", NO_FIREWALL),
    row(Globals, "vrrp_lower_prio_no_advert", Switch, "off")
        .works("a master does not answer an advert of a lower priority"),
    row(Globals, "vrrp_mcast_group4", Ip, "224.0.0.18").works("multicast group of adverts over IPv4"),
    row(Globals, "vrrp_mcast_group6", Ip, "ff02::12").works("multicast group of adverts over IPv6"),
    row(Globals, "vrrp_min_garp", Switch, "off").works("announces each address once"),
    row(Globals, "vrrp_netlink_cmd_rcv_bufs", BYTES, "the system's")
        .warned("receive buffer of the netlink socket for commands", BUFFERS),
    row(Globals, "vrrp_netlink_cmd_rcv_bufs_force", Switch, "off")
        .warned("lets this buffer exceed the system's limit", BUFFERS),
    row(Globals, "vrrp_netlink_monitor_rcv_bufs", BYTES, "the system's")
        .warned("receive buffer of the netlink socket for events", BUFFERS),
    row(Globals, "vrrp_netlink_monitor_rcv_bufs_force", Switch, "off")
        .warned("lets this buffer exceed the system's limit", BUFFERS),
    row(Globals, "vrrp_no_swap", Nothing, "off").works("keeps the process in memory"),
    row(Globals, "vrrp_notify_fifo", Rest(FIFO), "").works("FIFO to which changes of state of instances and groups are written"),
    row(Globals, "vrrp_notify_fifo_script", CommandAs, "").works("program that reads this FIFO"),
    row(Globals, "vrrp_notify_priority_changes", Switch, "off").works("writes changes of priority to the FIFO"),
    row(Globals, "vrrp_owner_ignore_adverts", Switch, "off").works("an instance that owns its addresses (priority 255) answers no advert"),
    row(Globals, "vrrp_priority", NICE, "0").works("niceness of the protocol's thread"),
    row(Globals, "vrrp_process_name", Text, "keepalived_vrrp").warned("name of the process", ONE_PROCESS),
    row(Globals, "vrrp_rlimit_rttime", Quantity { min: 0, max: u32::MAX, unit: "microseconds" }, "none").works("CPU time between two waits, with real-time priority, above which a warning is logged"),
    row(Globals, "vrrp_rt_priority", Integer { min: 1, max: 99 }, "none").works("real-time priority of the protocol's thread"),
    row(Globals, "vrrp_rx_bufs_multiplier", ANY_NUMBER, "3")
        .warned("number of adverts for which the receive buffers have room", BUFFERS),
    row(Globals, "vrrp_rx_bufs_policy", Rest("`MTU`, `ADVERT` or bytes"), "the system's")
        .warned("receive buffers of adverts", BUFFERS),
    row(Globals, "vrrp_skip_check_adv_addr", Switch, "off").accepted(
        "compares the address list of a new master only",
        "lists that differ are counted, never refused, so there is nothing to skip",
    ),
    row(Globals, "vrrp_startup_delay", DAY, "0").works("time for which elections wait after a start of the daemon"),
    row(Globals, "vrrp_strict", Switch, "off").works("follows the standard strictly"),
    row(Globals, "vrrp_version", Number { min: 2, max: 3 }, "2; over IPv6 always 3")
        .works("version of instances that do not say theirs; the last one of the file counts"),
    row(Instance, "accept", Nothing, "on").works("the host accepts packets to the addresses"),
    row(Instance, "advert_int", Seconds { min_ns: 10 * MS, max_ns: 255 * S }, "1")
        .works("time between adverts; version 2 takes whole seconds, version 3 hundredths up to 40.95"),
    row(Instance, "auth_hmac", Section(AuthHmac), "none").works("an HMAC after each advert (keepalived 2.4)"),
    row(Instance, "authentication", Section(Authentication), "none").works("authentication of version 2"),
    row(Instance, "check_unicast_src", Switch, "vrrp_check_unicast_src")
        .works("accepts adverts only from the peers of `unicast_peer`"),
    row(Instance, "debug", Number { min: 0, max: 4 }, "0")
        .warned("level of debugging, which keepalived ignores too", "use `-D` for a more detailed log"),
    row(Instance, "dont_track_primary", Nothing, "off").works("the instance is not in fault when its own interface is down"),
    row(Instance, "down_timer_adverts", DOWN_ADVERTS, "vrrp_down_timer_adverts")
        .works("number of adverts that may be missed; the same on all routers"),
    row(Instance, "garp_extra_if", Rest("`[all] SECONDS`, up to 86400"), "vrrp_garp_extra_if").works("time between extra announcements of addresses whose virtual hardware address sends no adverts; with `all`, of all addresses"),
    row(Instance, "garp_interval", SPACING, "").warned(
        "not a keyword of an instance, though VyOS writes it",
        "write `vrrp_garp_interval` in global_defs",
    ),
    row(Instance, "garp_lower_prio_delay", DAY, "garp_master_delay")
        .works("time until the second burst of announcements after an advert of a lower master"),
    row(Instance, "garp_lower_prio_repeat", Number { min: 0, max: 1000 }, "garp_master_repeat")
        .works("number of announcements after an advert of a lower master"),
    row(Instance, "garp_master_delay", DAY, "vrrp_garp_master_delay")
        .works("time from becoming master to the second burst of announcements; 0 means no second burst"),
    row(Instance, "garp_master_refresh", DAY, "vrrp_garp_master_refresh")
        .works("time between announcements while master; 0 means none"),
    row(Instance, "garp_master_refresh_repeat", BURST, "vrrp_garp_master_refresh_repeat")
        .works("number of announcements of each address at each refresh"),
    row(Instance, "garp_master_repeat", BURST, "vrrp_garp_master_repeat")
        .works("number of announcements of each address in a burst"),
    row(Instance, "gna_interval", SPACING, "").warned(
        "not a keyword of an instance, though VyOS writes it",
        "write `vrrp_gna_interval` in global_defs",
    ),
    row(Instance, "higher_prio_send_advert", Switch, "vrrp_higher_prio_send_advert")
        .works("a master that hears a master of higher priority sends one more advert"),
    row(Instance, "interface", Text, "the interface that has `unicast_src_ip`; required without it")
        .works("interface on which adverts are sent and received"),
    row(Instance, "kernel_rx_buf_size", BYTES, "vrrp_rx_bufs_policy")
        .warned("receive buffer of adverts", BUFFERS),
    row(Instance, "linkbeat_use_polling", Nothing, "off").warned("polls the link of its interface", POLLING),
    row(Instance, "lower_prio_no_advert", Switch, "vrrp_lower_prio_no_advert")
        .works("a master does not answer an advert of a lower priority"),
    row(Instance, "lvs_sync_daemon_interface", Text, "").works("older form of `lvs_sync_daemon`, with a warning"),
    row(Instance, "mcast_dst_ip", Ip, "vrrp_mcast_group4 or vrrp_mcast_group6")
        .works("multicast group of the adverts of this instance"),
    row(Instance, "mcast_src_ip", Ip, "the interface's first address")
        .works("source address of adverts to the multicast group"),
    row(Instance, "native_ipv6", Nothing, "family of the first address").works("sends adverts over IPv6"),
    row(Instance, "no_accept", Nothing, "off")
        .works("the host drops packets to the addresses, unless it owns them (priority 255); needs the kernel half"),
    row(Instance, "no_virtual_ipaddress", Nothing, "off").works("allows an instance without addresses"),
    row(Instance, "nopreempt", Nothing, "off").works("does not take over from a lower master; not with state MASTER"),
    row(Instance, "notify", CommandAs, "").works("runs at every change of state"),
    row(Instance, "notify_backup", CommandAs, "").works("runs when the instance becomes backup"),
    row(Instance, "notify_deleted", Rest("`[COMMAND [USER [GROUP]]]`"), "").works("runs when a reload removes the instance"),
    row(Instance, "notify_fault", CommandAs, "").works("runs when the instance goes into fault"),
    row(Instance, "notify_master", CommandAs, "").works("runs when the instance becomes master"),
    row(Instance, "notify_master_rx_lower_pri", CommandAs, "").works("runs when the master receives an advert of a lower priority"),
    row(Instance, "notify_priority_changes", Switch, "vrrp_notify_priority_changes").works("writes changes of priority to the FIFO"),
    row(Instance, "notify_stop", CommandAs, "").works("runs when the daemon stops"),
    row(Instance, "old_unicast_checksum", Rest("`[never]`"), "detected").works("`never` is the behaviour of this daemon; without `never` it has no effect, and a note says so"),
    row(Instance, "owner_ignore_adverts", Switch, "vrrp_owner_ignore_adverts").works("an instance that owns its addresses (priority 255) answers no advert"),
    row(Instance, "preempt", Nothing, "on").works("takes over from a lower master"),
    row(Instance, "preempt_delay", Seconds { min_ns: 0, max_ns: 1000 * S }, "0")
        .works("time to wait before taking over from a lower master; not with state MASTER"),
    row(Instance, "priority", BYTE, "100; 255 with state MASTER")
        .works("the router with the highest priority is master; 255 means that the host owns the addresses"),
    row(Instance, "promote_secondaries", Nothing, "off").works("other addresses of a network stay when its first address is removed"),
    row(Instance, "skip_check_adv_addr", Switch, "vrrp_skip_check_adv_addr").warned(
        "compares the address list of a new master only",
        "not needed: lists that differ are counted, never refused",
    ),
    row(Instance, "smtp_alert", Switch, "smtp_alert_vrrp").works("sends mail about changes of state"),
    row(Instance, "state", Choice(&["MASTER", "BACKUP"]), "BACKUP; MASTER with priority 255")
        .works("has an effect only for the owner of the addresses; MASTER cancels nopreempt"),
    row(Instance, "strict_mode", Switch, "vrrp_strict").works("follows the standard strictly"),
    row(Instance, "thread_timer_expired", Rest("`[PRIORITY]`, up to 254"), "off").accepted("a master that ran late becomes backup", LATE),
    row(Instance, "timer_expired_backup", Rest("`[PRIORITY]`, up to 254"), "off").accepted("a master that ran late becomes backup", LATE),
    row(Instance, "track_bfd", Lines("`NAME [weight N] [reverse]`"), "")
        .warned("BFD sessions that the instance needs", BFD),
    row(Instance, "track_file", TRACKED, "").works("files whose number changes the priority"),
    row(Instance, "track_interface", TRACKED, "").works("other interfaces that the instance needs, of any kind"),
    row(Instance, "track_process", TRACKED, "").works("processes that the instance needs"),
    row(Instance, "track_script", TRACKED, "").works("scripts that put the instance in fault or change its priority"),
    row(Instance, "track_src_ip", Nothing, "off").works("is in fault while the source address of its adverts does not exist"),
    row(Instance, "unicast_fault_no_peer", Nothing, "off").works("is in fault without peers, instead of sending to the multicast group"),
    row(Instance, "unicast_peer", Lines("`IP [min_ttl N] [max_ttl N]`"), "multicast")
        .works("routers to which adverts are sent, each separately"),
    row(Instance, "unicast_src_ip", Ip, "the interface's first address").works("source address of adverts to peers"),
    row(Instance, "unicast_ttl", BYTE, "255").works("TTL or hop limit of adverts to peers"),
    row(Instance, "use_ipvlan", Rest("`[NAME] [IP] [bridge|private|vepa]`"), "off").warned(
        "holds the addresses on an ipvlan interface",
        "the addresses are on the interface of the instance",
    ),
    row(Instance, "use_vmac", Rest("`[[NAME] INTERFACE] [MAC] [OPTION …]`, all ignored"), "off")
        .works("holds the addresses with the hardware address of the virtual router"),
    row(Instance, "use_vmac_addr", Nothing, "off").warned(
        "as `use_vmac`, for addresses on other interfaces",
        "addresses with `dev` have the hardware address of that interface",
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
    row(Instance, "vmac_garp_intvl", Rest("`[all] SECONDS`"), "0").works("time between extra announcements of addresses whose virtual hardware address sends no adverts; with `all`, of all addresses"),
    row(Instance, "vmac_xmit_base", Nothing, "off")
        .works("sends adverts from the interface's own hardware address"),
    row(Instance, "vrf", Text, "none")
        .warned("VRF of an instance without interface", "name an `interface` that is in the VRF"),
    row(Authentication, "auth_pass", Rest("text; 8 bytes are used"), "required")
        .works("the password, the same on all routers"),
    row(Authentication, "auth_type", Choice(&["PASS", "AH"]), "required")
        .works("a password in the clear, or an authentication header"),
    row(AuthHmac, "active_key", Number { min: 0, max: 255 }, "the first")
        .works("number of the key for adverts that are sent"),
    row(AuthHmac, "anti_replay", Choice(&["time", "monotonic"]), "time")
        .works("how repeated old adverts are recognised"),
    row(AuthHmac, "key", Rest("`NUMBER [hex:|file:]KEY`; 0 to 255, and 32 to 64 bytes"), "at least one")
        .works("a key with which adverts are accepted"),
    row(AuthHmac, "mode", Choice(&["enforce", "permissive", "receive-only"]), "enforce")
        .works("stage of a roll-out: `permissive` also accepts adverts without an HMAC, `receive-only` also sends them without one"),
    row(
        AuthHmac,
        "time_window",
        Seconds { min_ns: S, max_ns: 300 * S },
        "three times advert_int, at least 5",
    )
    .works("largest difference between the clocks of the routers"),
    row(Peer, "max_ttl", Number { min: 0, max: 255 }, "255")
        .works("highest TTL or hop limit of adverts that are accepted"),
    row(Peer, "min_ttl", Number { min: 0, max: 255 }, "0").works("lowest TTL or hop limit of adverts that are accepted"),
    row(Address, "-nodad", Nothing, "off").works("looks for a duplicate of the address first (DAD), which takes a second or two"),
    row(Address, "autojoin", Nothing, "off").works("joins the multicast group that has this address"),
    row(Address, "brd", Rest("IPv4 address, `+` or `-`"), "none")
        .works("broadcast address; `+` and `-` set or clear all bits of the host part"),
    row(Address, "broadcast", Rest("IPv4 address, `+` or `-`"), "none").works("longer name of `brd`"),
    row(Address, "dev", Text, "the instance's interface").works("interface of the address"),
    row(Address, "home", Nothing, "off").works("a home address of mobile IPv6"),
    row(Address, "label", Text, "none").works("label, as ifconfig shows it"),
    row(Address, "mngtmpaddr", Nothing, "off").works("the kernel makes temporary addresses from this address"),
    row(Address, "no_track", Nothing, "off").works("stays master when the address is deleted"),
    row(Address, "noprefixroute", Nothing, "off").works("the kernel makes no route for the network of this address"),
    row(Address, "peer", Rest("IP address, optionally with `/LENGTH`"), "none")
        .works("address at the other end of a point-to-point link"),
    row(Address, "preferred_lft", Rest("seconds, or `forever`"), "0 for IPv6 with /128, else forever")
        .works("time for which the address is used as the source of new connections"),
    row(Address, "scope", Rest("`global`, `site`, `link`, `host`, `nowhere` or 0 to 255"), "global")
        .works("scope in which the address is valid"),
    row(Address, "track_group", Text, "")
        .accepted("group that watches a static address", "a static address that is removed is put back"),
    row(Address, "use_vmac", Nothing, "off")
        .accepted("a virtual hardware address for this address", "the instance's `use_vmac` decides"),
    row(Tracked, "noreverse", Nothing, "on").works("cancels `reverse` of the script, file or process"),
    row(Tracked, "reverse", Nothing, "off").works("negates the change of priority; with weight 0, up is the fault"),
    row(Tracked, "weight", Weight { most: 254 }, "the weight of the script, file or process").works("change of priority, 253 at most for scripts and interfaces; with 0, a failure is a fault"),
    row(Script, "fall", IN_A_ROW, "1").works("number of failures in a row after which the script is down"),
    row(Script, "init_fail", Nothing, "off").works("the script counts as failed until it has run"),
    row(Script, "interval", SCRIPT_SECONDS, "1").works("time from one start to the next"),
    row(Script, "raise", IN_A_ROW, "").mistaken("not a keyword, though some files have it", "write `rise`"),
    row(Script, "rise", IN_A_ROW, "1").works("number of successes in a row after which the script is up"),
    row(Script, "script", Command, "required").works("command of the check; exit status 0 is up, any other down"),
    row(Script, "timeout", SCRIPT_SECONDS, "interval").works("time after which the script is killed and counts as failed"),
    row(Script, "user", Rest("`USER [GROUP]`"), "script_user").works("user and group that the script runs as"),
    row(Script, "weight", Weight { most: 253 }, "0")
        .works("change of priority, optionally followed by `reverse`; with 0, a failure is a fault"),
    row(SyncGroup, "global_tracking", Nothing, "off")
        .warned("older way to track for all members", "let the group track them"),
    row(SyncGroup, "group", Lines("`INSTANCE`, or several on a line"), "required")
        .works("members of the group, at least two"),
    row(SyncGroup, "notify", CommandAs, "").works("runs at every change of state"),
    row(SyncGroup, "notify_backup", CommandAs, "").works("runs when the group becomes backup"),
    row(SyncGroup, "notify_deleted", Rest("`[COMMAND [USER [GROUP]]]`"), "").accepted("runs when a reload removes a member", "no notification for deleted groups, as in keepalived"),
    row(SyncGroup, "notify_fault", CommandAs, "").works("runs when the group goes into fault"),
    row(SyncGroup, "notify_master", CommandAs, "").works("runs when the group becomes master"),
    row(SyncGroup, "notify_priority_changes", Switch, "vrrp_notify_priority_changes").accepted("writes changes of priority to the FIFO", "a group has no priority of its own"),
    row(SyncGroup, "notify_stop", CommandAs, "").works("runs when the daemon stops"),
    row(SyncGroup, "smtp_alert", Switch, "smtp_alert_vrrp").works("sends mail about changes of state"),
    row(SyncGroup, "sync_group_tracking_weight", Nothing, "off")
        .works("members keep the weights of their scripts"),
    row(SyncGroup, "track_bfd", Lines("`NAME [weight N] [reverse]`"), "")
        .warned("BFD sessions that the whole group needs", BFD),
    row(SyncGroup, "track_file", TRACKED, "").works("files whose number changes the priority of all members"),
    row(SyncGroup, "track_interface", TRACKED, "").works("other interfaces that the whole group needs, of any kind"),
    row(SyncGroup, "track_process", TRACKED, "").works("processes that the whole group needs"),
    row(SyncGroup, "track_script", TRACKED, "").works("scripts that put all members in fault or change their priority"),
    row(SyncGroup, "use_group_priority", Nothing, "off").warned(
        "one priority for all members, in old files",
        "give all members on one router the same priority",
    ),
    row(TrackFile, "file", Text, "required").works("path of the file"),
    row(TrackFile, "init_file", Rest("`[NUMBER] [overwrite]`"), "0").works("creates the file at the start"),
    row(TrackFile, "weight", Weight { most: 254 }, "1").works("factor of the number in the file, optionally followed by `reverse`; with 0, any number but 0 is a fault"),
    row(TrackProcess, "delay", DELAY, "0").works("sets `fork_delay` and `terminate_delay`"),
    row(TrackProcess, "fork_delay", DELAY, "0").works("time for which enough processes must run before the result is up"),
    row(TrackProcess, "full_command", Nothing, "off").works("compares the whole command line"),
    row(TrackProcess, "param_match", Rest("`[initial|partial]`"), "all arguments").works("how many of the arguments of a process must be the same"),
    row(TrackProcess, "process", Command, "required").works("name of the process, and its arguments"),
    row(TrackProcess, "quorum", QUORUM, "1").works("lowest number of such processes"),
    row(TrackProcess, "quorum_max", QUORUM_MAX, "none").works("highest number of such processes"),
    row(TrackProcess, "terminate_delay", DELAY, "0").works("time for which too few processes must run before the result is down"),
    row(TrackProcess, "weight", Weight { most: 254 }, "0").works("change of priority, optionally followed by `reverse`; with 0, a failure is a fault"),
    row(Bfd, "checker", Nothing, "both").warned("notifies virtual servers only", BFD),
    row(Bfd, "hoplimit", BYTE, "64").warned("hop limit of packets over IPv6", BFD),
    row(Bfd, "idle_tx", Rest(MILLISECONDS), "1000").warned("interval while the session is down", BFD),
    row(Bfd, "max_hops", Number { min: 0, max: 255 }, "0")
        .warned("number of hops that a packet may have made; 255 means any number", BFD),
    row(Bfd, "min_rx", Rest(MILLISECONDS), "10").warned("shortest interval at which it can receive packets", BFD),
    row(Bfd, "min_tx", Rest(MILLISECONDS), "10").warned("interval at which it wants to send packets", BFD),
    row(Bfd, "multihop", Nothing, "off").warned("a neighbour that is not on the same link", BFD),
    row(Bfd, "multiplier", BYTE, "5").warned("number of packets that may be missed", BFD),
    row(Bfd, "neighbor_ip", Ip, "required").warned("address of the neighbour", BFD),
    row(Bfd, "neighbour_ip", Ip, "required").warned("the same as `neighbor_ip`", BFD),
    row(Bfd, "passive", Nothing, "off").warned("waits for the neighbour to begin", BFD),
    row(Bfd, "source_ip", Ip, "the system's choice").warned("source address", BFD),
    row(Bfd, "ttl", BYTE, "255").warned("TTL of packets over IPv4", BFD),
    row(Bfd, "vrrp", Nothing, "both").warned("notifies instances only", BFD),
    row(Bfd, "weight", Weight { most: 253 }, "0").warned("change of priority; with 0, a failure is a fault", BFD),
    row(GarpGroup, "garp_interval", Seconds { min_ns: 0, max_ns: 3600 * S }, "none").works("time between two gratuitous ARP packets on the interfaces of the group"),
    row(GarpGroup, "gna_interval", Seconds { min_ns: 0, max_ns: 3600 * S }, "none").works("time between two neighbour advertisements on the interfaces of the group"),
    row(GarpGroup, "interface", Text, "").works("an interface of the group"),
    row(GarpGroup, "interfaces", Lines("`INTERFACE`"), "").works("interfaces of the group"),
    row(TrackGroup, "group", Lines("`INSTANCE`, or several on a line"), "").works("instances of the group"),
];
