//! The objects and traps that SNMP managers get through Net-SNMP's snmpd, compared with keepalived's.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Result, ensure};
use vrrp_tests::lab::{Host, Lab, Process, eventually};

use crate::common::{Config, Daemon, HIGH, TIMEOUT, VIP, reaches};

const AGENT: &str = "127.0.0.1:10161";
const TRAPS: &str = "127.0.0.1:10162";
const KEEPALIVED_MIB: &str = ".1.3.6.1.4.1.9586.100.5";
const VRRP_MIB: &str = ".1.3.6.1.2.1.68";
const VRRPV3_MIB: &str = ".1.3.6.1.2.1.207";

/// A master agent, and a receiver of its traps.
struct Manager {
    snmpd: Process,
    snmptrapd: Process,
}

impl Manager {
    fn start(lab: &Lab, host: &Host) -> Result<Self> {
        let traps = lab.write("snmptrapd.conf", "disableAuthorization yes\n")?;
        let mut snmptrapd = net_snmp(lab, host, "snmptrapd");
        snmptrapd
            .args(["-f", "-Lo", "-On", "-OQ", "-m", "", "-C", "-c"])
            .arg(traps)
            .arg(format!("udp:{TRAPS}"));
        let snmptrapd = host.spawn(&mut snmptrapd, "snmptrapd")?;
        ensure!(snmptrapd.says("NET-SNMP version", TIMEOUT), "{}", snmptrapd.log());
        Ok(Self { snmpd: Self::master_agent(lab, host)?, snmptrapd })
    }

    fn master_agent(lab: &Lab, host: &Host) -> Result<Process> {
        let socket = lab.directory().join("agentx");
        let config = format!(
            "agentaddress udp:{AGENT}\nmaster agentx\nagentXSocket unix:{}\nrwcommunity public 127.0.0.1\n\
             trap2sink {TRAPS} public\n",
            socket.display()
        );
        let config = lab.write("snmpd.conf", &config)?;
        let mut snmpd = net_snmp(lab, host, "snmpd");
        snmpd.args(["-f", "-Lo", "-C", "-c"]).arg(config);
        let snmpd = host.spawn(&mut snmpd, "snmpd")?;
        ensure!(eventually(TIMEOUT, || socket.exists()), "{}", snmpd.log());
        Ok(snmpd)
    }

    /// True if a trap with all of these words comes, in one line.
    fn hears(&self, words: &[&str]) -> bool {
        let says = |line: &str| words.iter().all(|word| line.contains(word));
        eventually(TIMEOUT, || self.snmptrapd.log().lines().any(says))
    }
}

/// A program of Net-SNMP's that leaves nothing outside the lab.
fn net_snmp(lab: &Lab, host: &Host, program: &str) -> Command {
    let mut command = host.command(program);
    command.env("SNMP_PERSISTENT_DIR", lab.directory().join("persistent")).env("MIBS", "");
    command
}

/// The objects below a name: the rest of each object's name, and its type and value.
fn walk(host: &Host, below: &str) -> Result<BTreeMap<String, String>> {
    let options = ["-v2c", "-c", "public", "-On", "-m", "", "-t", "5", AGENT, below];
    let text = host.run("snmpwalk", &options)?;
    let object = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        Some((name.strip_prefix(below)?.to_owned(), value.trim().to_owned()))
    };
    Ok(text.lines().filter_map(object).collect())
}

/// Two instances in a group, with everything that SNMP shows.
fn config(lab: &Lab) -> String {
    let socket = lab.directory().join("agentx");
    let above = format!(
        "global_defs {{\nrouter_id LB1\nenable_snmp_vrrp\nenable_snmp_rfc\nenable_traps\nsnmp_socket unix:{}\n}}\n",
        socket.display()
    );
    let excluded = "virtual_ipaddress_excluded {\n192.168.1.20/24\n}\npreempt_delay 2".to_owned();
    let first = Config { above, more: excluded, ..Config::priority(HIGH) };
    let second = Config {
        name: "VI_2",
        vrid: 52,
        version: 3,
        interval: "0.5",
        password: None,
        vip: "192.168.1.21",
        ..Config::default()
    };
    format!("{}{}vrrp_sync_group G {{\ngroup {{\nVI_1\nVI_2\n}}\n}}\n", first.text(), second.text())
}

/// An object of the first instance.
fn of_instance(column: u32) -> String {
    format!(".2.3.1.{column}.1")
}

fn becomes(host: &Host, object: &str, value: &str) -> Result<()> {
    let is = || walk(host, KEEPALIVED_MIB).is_ok_and(|walk| walk.get(object).is_some_and(|is| is == value));
    ensure!(eventually(TIMEOUT, is), "{object} is not {value}: {:?}", walk(host, KEEPALIVED_MIB));
    Ok(())
}

/// The objects of a master that both daemons have and whose meaning is plain.
fn seen(daemon: Daemon) -> Result<[BTreeMap<String, String>; 3]> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let _manager = Manager::start(&lab, &host)?;
    let _process = daemon.start_with(&host, &config(&lab))?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    becomes(&host, &of_instance(4), "INTEGER: 2")?;
    becomes(&host, ".2.1.1.3.1", "INTEGER: 2")?;
    let kept = |below: &str, columns: &[&str]| -> Result<BTreeMap<String, String>> {
        let mut walk = walk(&host, below)?;
        walk.retain(|name, _| columns.iter().any(|column| name.starts_with(column)));
        Ok(walk)
    };
    let numbers = [2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 14, 15, 18, 19, 20, 21, 28, 29, 30, 33, 34, 35];
    let mut columns: Vec<String> = numbers.iter().map(|column| format!(".2.3.1.{column}.")).collect();
    columns.extend(
        [".1.2.", ".1.4.", ".1.5.", ".1.9.", ".1.10.", ".2.1.1.2.", ".2.1.1.3.", ".2.2."].map(str::to_owned),
    );
    columns.extend([2, 3, 5, 6, 7, 8, 10].map(|column| format!(".2.6.1.{column}.")));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    Ok([
        kept(KEEPALIVED_MIB, &columns)?,
        kept(
            VRRP_MIB,
            &[
                ".1.1.",
                ".1.3.1.3.",
                ".1.3.1.5.",
                ".1.3.1.6.",
                ".1.3.1.8.",
                ".1.3.1.9.",
                ".1.3.1.11.",
                ".1.3.1.15.",
                ".1.4.",
            ],
        )?,
        kept(
            VRRPV3_MIB,
            &[
                ".1.1.1.1.3.",
                ".1.1.1.1.4.",
                ".1.1.1.1.6.",
                ".1.1.1.1.7.",
                ".1.1.1.1.8.",
                ".1.1.1.1.9.",
                ".1.2.5.1.1.",
            ],
        )?,
    ])
}

#[test]
fn managers_see_what_keepalived_has_them_see() -> Result<()> {
    let (theirs, ours) = (seen(Daemon::Keepalived)?, seen(Daemon::Ours)?);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        ensure!(!theirs.is_empty());
        assert_eq!(ours, theirs);
    }
    Ok(())
}

/// Managers are told of master and fault; a manager that tries to change something is refused; a master agent that is started
/// again is found again.
#[test]
fn managers_are_told_and_may_not_change_anything() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let manager = Manager::start(&lab, &host)?;
    let agent = host.agent(&config(&lab))?;
    ensure!(reaches(&host, 0, "master"));
    let trap = |which: &str, name: &str, state: u8| {
        let state =
            if which == "2" { format!("5.2.3.1.4.1 = {state}") } else { format!("5.2.1.1.3.1 = {state}") };
        let words = [format!("5.2.10.0.{which}"), format!("\"{name}\""), state, "\"LB1\"".to_owned()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        ensure!(manager.hears(&words), "{words:?}: {}", manager.snmptrapd.log());
        Ok(())
    };
    trap("2", "VI_1", 2)?;
    trap("1", "G", 2)?;
    let addressed = [".1.3.6.1.2.1.68.0.1", ".51 = 192.168.1.11"];
    ensure!(manager.hears(&addressed), "{}", manager.snmptrapd.log());
    let addressed = [".1.3.6.1.2.1.207.0.1", ".51.1 = \"C0 A8 01 0B \""];
    ensure!(manager.hears(&addressed), "{}", manager.snmptrapd.log());
    host.set_link(false)?;
    trap("2", "VI_1", 3)?;
    trap("1", "G", 3)?;
    becomes(&host, &of_instance(4), "INTEGER: 3")?;
    let priority = format!("{KEEPALIVED_MIB}{}", of_instance(7));
    let set = ["-v2c", "-c", "public", "-On", "-m", "", AGENT, &priority, "i", "5"];
    ensure!(host.run("snmpset", &set).is_err());
    becomes(&host, &of_instance(7), &format!("INTEGER: {HIGH}"))?;

    let Manager { snmpd, .. } = manager;
    snmpd.stop()?;
    ensure!(agent.says("the connection is tried again", TIMEOUT), "{}", agent.log());
    let _snmpd = Manager::master_agent(&lab, &host)?;
    becomes(&host, &of_instance(2), "STRING: \"VI_1\"")?;
    Ok(())
}

/// With a file without SNMP the agent leaves its master agent, with SNMP it comes back; the numbers of instances follow the
/// file.
#[test]
fn a_reload_is_followed() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let _manager = Manager::start(&lab, &host)?;
    let agent = host.agent(&config(&lab))?;
    becomes(&host, &of_instance(2), "STRING: \"VI_1\"")?;
    let reload = |text: &str| -> Result<()> {
        // The lab has put the agent's file at this path.
        lab.write("h1.conf", text)?;
        agent.signal(nix::sys::signal::Signal::SIGHUP)
    };
    reload(&Config::default().text())?;
    let gone = || walk(&host, KEEPALIVED_MIB).is_ok_and(|walk| !walk.contains_key(&of_instance(2)));
    ensure!(eventually(TIMEOUT, gone));
    reload(&config(&lab).replace("VI_1", "VI_3"))?;
    becomes(&host, &of_instance(2), "STRING: \"VI_3\"")?;
    Ok(())
}
