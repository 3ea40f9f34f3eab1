//! The properties and signals that D-Bus clients get, on a bus of the lab, compared with keepalived's.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, eventually};

use crate::common::{Config, Daemon, TIMEOUT, VIP, reaches};

const NAME: &str = "org.keepalived.Vrrp1";
const VRRP: &str = "/org/keepalived/Vrrp1/Vrrp";
const VI_1: &str = "/org/keepalived/Vrrp1/Instance/eth0/51/IPv4";
const VI_6: &str = "/org/keepalived/Vrrp1/Instance/eth0/52/IPv6";

/// The signals of each object.
type Told = BTreeMap<String, Vec<String>>;

/// The policy of a distribution's system bus, with the permission to own another name.
const POLICY: &str = r#"<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
<allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
<allow send_destination="org.freedesktop.DBus"/></policy>
<policy user="root"><allow own="org.example.other"/><allow send_destination="org.example.other"/></policy>"#;

/// A bus with our policy, and a monitor that hears all signals on it.
struct Bus {
    daemon: Process,
    monitor: Process,
}

impl Bus {
    /// Tells the commands of a host where the system bus is.
    fn place(lab: &Lab, host: &mut Host) {
        let address = format!("unix:path={}", lab.directory().join("bus").display());
        host.set_environment("DBUS_SYSTEM_BUS_ADDRESS", &address);
    }

    fn start(lab: &Lab, host: &Host) -> Result<Self> {
        Self::start_again(lab, host, "monitor")
    }

    /// Another bus at the same place, with a log of its own.
    fn start_again(lab: &Lab, host: &Host, log: &str) -> Result<Self> {
        let socket = lab.directory().join("bus");
        let _none = std::fs::remove_file(&socket);
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/org.keepalived.Vrrp1.conf");
        let config = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen>{POLICY}<include>{ours}</include></busconfig>",
            socket.display()
        );
        let file = lab.write("bus.conf", &config)?;
        let mut daemon = host.command("dbus-daemon");
        daemon.args(["--nofork", "--print-address"]).arg(format!("--config-file={}", file.display()));
        let daemon = host.spawn(&mut daemon, "bus")?;
        ensure!(eventually(TIMEOUT, || socket.exists()), "{}", daemon.log());
        let mut monitor = host.command("dbus-monitor");
        monitor.args(["--system", "type='signal'"]);
        let monitor = host.spawn(&mut monitor, log)?;
        ensure!(eventually(TIMEOUT, || monitor.log().contains("NameLost")), "{}", monitor.log());
        Ok(Self { daemon, monitor })
    }

    /// The signals of each object, with their numbers. The time until the bus is reached does not matter, so signals of the
    /// initial state (0) are left out.
    fn told(&self) -> Told {
        let mut told = Told::new();
        let log = self.monitor.log();
        let mut lines = log.lines().peekable();
        while let Some(line) = lines.next() {
            let word = |name: &str| Some(line.split_once(name)?.1.split(';').next().unwrap_or_default());
            let (Some(path), Some(interface), Some(member)) =
                (word("path="), word("interface="), word("member="))
            else {
                continue;
            };
            if !interface.starts_with("org.keepalived.") {
                continue;
            }
            let number = lines.next_if(|line| line.trim().starts_with("uint32"));
            let number = number.map(|line| line.trim().trim_start_matches("uint32").to_owned());
            let signals = told.entry(path.to_owned()).or_default();
            let signal = format!("{interface}.{member}{}", number.unwrap_or_default());
            if !signal.ends_with(" 0") {
                signals.push(signal);
            }
        }
        told
    }

    fn tells(&self, path: &str, signal: &str) -> Result<()> {
        let says = || {
            self.told()
                .get(path)
                .is_some_and(|signals| signals.last().is_some_and(|last| last.ends_with(signal)))
        };
        ensure!(eventually(TIMEOUT, says), "no {signal} of {path}: {:?}", self.told());
        Ok(())
    }
}

/// Calls a method and returns the reply.
fn call(host: &Host, path: &str, method: &str, arguments: &[&str]) -> Result<String> {
    let mut options = vec!["--system", "--dest=org.keepalived.Vrrp1", "--print-reply=literal", path, method];
    options.extend(arguments);
    Ok(host.run("dbus-send", &options)?.split_whitespace().collect::<Vec<&str>>().join(" "))
}

fn property(host: &Host, path: &str, name: &str) -> Result<String> {
    let interface = "string:org.keepalived.Vrrp1.Instance";
    call(host, path, "org.freedesktop.DBus.Properties.Get", &[interface, &format!("string:{name}")])
}

fn config() -> (String, String) {
    let global = "global_defs {\nenable_dbus\n}\n".to_owned();
    let first = Config { above: global, ..Config::priority(100) };
    let second = Config {
        name: "VI_6",
        vrid: 52,
        version: 3,
        interval: "0.5",
        password: None,
        vip: "fe80::10",
        ..Config::default()
    };
    (first.text() + &second.text(), first.text())
}

/// Goes through all changes and returns the signals of each object and the values that clients see.
fn story(daemon: Daemon) -> Result<(Told, Vec<String>)> {
    let lab = Lab::new()?;
    let mut host = lab.host("h1", 11)?;
    Bus::place(&lab, &mut host);
    let bus = Bus::start(&lab, &host)?;
    let (both, one) = config();
    let process = daemon.start_with(&host, &both)?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    bus.tells(VI_6, " 2")?;
    let tree = || host.run("busctl", &["--system", "--list", "tree", NAME]);
    let mut seen = vec![tree()?, property(&host, VI_1, "State")?, property(&host, VI_6, "State")?];
    for path in [VI_1, VI_6] {
        // keepalived declares this property as a string and sends a structure of a string: the words are the same.
        seen.push(property(&host, path, "Name")?.replace("struct { ", "").replace(" }", ""));
    }
    for method in ["PrintData", "PrintStats", "PrintStatsClear"] {
        seen.push(call(&host, VRRP, &format!("org.keepalived.Vrrp1.Vrrp.{method}"), &[])?);
    }
    seen.push(call(&host, VI_1, "org.keepalived.Vrrp1.Instance.SendGarp", &[])?);
    for (path, method) in
        [(VI_1, "Vrrp1.Instance.Nothing"), ("/org/keepalived/Vrrp1/Nothing", "Vrrp1.Vrrp.PrintData")]
    {
        ensure!(call(&host, path, &format!("org.keepalived.{method}"), &[]).is_err());
    }
    host.set_link(false)?;
    bus.tells(VI_1, " 3")?;
    bus.tells(VI_6, " 3")?;
    seen.push(property(&host, VI_1, "State")?);
    host.set_link(true)?;
    bus.tells(VI_1, " 2")?;
    bus.tells(VI_6, " 2")?;
    let file = match daemon {
        Daemon::Ours => "h1.conf",
        Daemon::Keepalived => "h1-keepalived.conf",
    };
    lab.write(file, &one)?;
    seen.push(call(&host, VRRP, "org.keepalived.Vrrp1.Vrrp.ReloadConfig", &[])?);
    bus.tells(VRRP, "VrrpReloaded")?;
    seen.push(tree()?);
    process.stop()?;
    bus.tells(VRRP, "VrrpStopped")?;
    Ok((bus.told(), seen))
}

#[test]
fn clients_see_and_are_told_what_keepalived_has_them_see() -> Result<()> {
    let ((told, seen), (mut their_told, their_seen)) = (story(Daemon::Ours)?, story(Daemon::Keepalived)?);
    assert_eq!(their_told.len(), 3, "{their_told:?}");
    // keepalived sends some signals twice.
    their_told.values_mut().for_each(Vec::dedup);
    assert_eq!(told, their_told);
    assert_eq!(seen, their_seen);
    Ok(())
}

/// Two things that keepalived does not have: the names of properties that have changed, and the truth about announcements.
#[test]
fn a_backup_announces_nothing_and_says_so() -> Result<()> {
    let lab = Lab::new()?;
    let (mut h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    Bus::place(&lab, &mut h1);
    let bus = Bus::start(&lab, &h1)?;
    let recording = h2.record(&format!("arp and ether src {}", h1.mac()?))?;
    let (_, one) = config();
    let agent = h1.agent(&one)?;
    ensure!(reaches(&h1, 0, "master"));
    bus.tells(VI_1, " 2")?;
    // The announcements of the takeover, and those five seconds later.
    std::thread::sleep(std::time::Duration::from_secs(6));
    call(&h1, VI_1, "org.keepalived.Vrrp1.Instance.SendGarp", &[])?;
    let _rival = h2.agent(&Config::priority(200).text())?;
    bus.tells(VI_1, " 1")?;
    let refused = call(&h1, VI_1, "org.keepalived.Vrrp1.Instance.SendGarp", &[]);
    ensure!(refused.is_err_and(|error| error.to_string().contains("VI_1 is not master")));
    let changed = bus.monitor.log();
    ensure!(
        changed.contains("member=PropertiesChanged") && changed.contains("string \"Backup\""),
        "{changed}"
    );
    assert_eq!(recording.finish()?.len(), 11, "5 and 5 of the takeover, and one");
    drop(agent);
    Ok(())
}

/// The bus may come late, go and come back. With a file without D-Bus the agent leaves the bus; with a file that gives another
/// name it has that name.
#[test]
fn a_bus_is_waited_for_and_a_reload_followed() -> Result<()> {
    let lab = Lab::new()?;
    let mut host = lab.host("h1", 11)?;
    Bus::place(&lab, &mut host);
    let (_, one) = config();
    let agent = host.agent(&one)?;
    ensure!(agent.says("the connection is tried again", TIMEOUT), "{}", agent.log());
    let bus = Bus::start(&lab, &host)?;
    bus.tells(VRRP, "VrrpStarted")?;
    bus.tells(VI_1, " 2")?;
    bus.daemon.stop()?;
    ensure!(agent.says("the bus has closed the connection", TIMEOUT), "{}", agent.log());
    let bus = Bus::start_again(&lab, &host, "second-monitor")?;
    bus.tells(VI_1, " 2")?;
    let reload = |text: &str| -> Result<()> {
        lab.write("h1.conf", text)?;
        agent.signal(Signal::SIGHUP)
    };
    reload(&one.replace("enable_dbus", ""))?;
    bus.tells(VRRP, "VrrpStopped")?;
    let other = "enable_dbus\ndbus_service_name org.example.other";
    reload(&one.replace("enable_dbus", other).replace("VI_1", "VI_9"))?;
    bus.tells(VRRP, "VrrpStarted")?;
    let get =
        ["--system", "get-property", "org.example.other", VI_1, "org.keepalived.Vrrp1.Instance", "Name"];
    assert_eq!(host.run("busctl", &get)?.trim(), "s \"VI_9\"");
    // It is the same router under another name.
    bus.tells(VI_1, " 2")?;
    // After the next change of its name, a signal tells the new name to clients that keep the values that they were told.
    reload(&one.replace("enable_dbus", other).replace("VI_1", "VI_7"))?;
    let renamed = || {
        let log = bus.monitor.log();
        let changed = log.rsplit("member=PropertiesChanged").next().unwrap_or_default();
        changed.contains("string \"Name\"") && changed.contains("string \"VI_7\"")
    };
    ensure!(eventually(TIMEOUT, renamed), "{}", bus.monitor.log());
    assert!(agent.stop()?.success());
    Ok(())
}
