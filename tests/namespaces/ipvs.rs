//! The sync daemon of IPVS that follows an instance, beside keepalived's. Not every kernel has IPVS: `cargo xtask kernels` brings
//! one that has.

use anyhow::{Result, ensure};
use vrrp_tests::lab::{Host, Lab, eventually};

use crate::common::{Config, Daemon, TIMEOUT};

const DAEMON: &str = "lvs_sync_daemon eth0 VI_1 id 7 maxlen 1400 port 8850 ttl 3 group 224.0.0.90";

fn config(daemon: &str) -> String {
    let above = format!("global_defs {{\n{daemon}\n}}\n");
    Config { above, version: 3, interval: "0.3", password: None, ..Config::priority(100) }.text()
}

/// Waits until the sync daemon has a role, and returns what `ipvsadm` says of it.
fn playing(host: &Host, part: &str) -> Result<String> {
    let said = || host.run("ipvsadm", &["--list", "--daemon"]).unwrap_or_default();
    ensure!(eventually(TIMEOUT, || said().starts_with(part)), "no {part}: {}", said());
    Ok(said())
}

/// Takes an instance through its states, and returns what `ipvsadm` says of the sync daemon at each step.
fn story(daemon: Daemon) -> Result<Vec<String>> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let process = daemon.start_with(&host, &config(DAEMON))?;
    let mut said = vec![playing(&host, "master")?];
    host.set_link(false)?;
    said.push(playing(&host, "backup")?);
    host.set_link(true)?;
    said.push(playing(&host, "master")?);
    let file = match daemon {
        Daemon::Ours => "h1.conf",
        Daemon::Keepalived => "h1-keepalived.conf",
    };
    lab.write(file, &config("lvs_sync_daemon eth0 VI_1"))?;
    process.signal(nix::sys::signal::Signal::SIGHUP)?;
    said.push(playing(&host, "master sync daemon (mcast=eth0, syncid=51")?);
    process.stop()?;
    let silent = || host.run("ipvsadm", &["--list", "--daemon"]).is_ok_and(|said| said.is_empty());
    ensure!(eventually(TIMEOUT, silent), "it still runs");
    Ok(said)
}

#[test]
#[ignore = "needs a kernel with IPVS: `cargo xtask kernels`"]
fn the_sync_daemon_follows_an_instance_as_keepalived_s_does() -> Result<()> {
    assert_eq!(story(Daemon::Ours)?, story(Daemon::Keepalived)?);
    Ok(())
}

/// A reload of a file without the sync daemon ends it, and a file with it starts it. The agent waits for an interface that
/// comes later.
#[test]
#[ignore = "needs a kernel with IPVS: `cargo xtask kernels`"]
fn a_reload_is_followed_and_an_interface_waited_for() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let agent = host.agent(&config("lvs_sync_daemon eth7 VI_1"))?;
    ensure!(agent.says("it is tried again", TIMEOUT), "{}", agent.log());
    host.run("ip", &["link", "add", "eth7", "type", "dummy"])?;
    host.run("ip", &["link", "set", "eth7", "up"])?;
    host.run("ip", &["address", "add", "192.168.7.1/24", "dev", "eth7"])?;
    let later = || playing(&host, "master");
    ensure!(later().or_else(|_| later())?.contains("mcast=eth7"));
    let reload = |daemon: &str| -> Result<()> {
        lab.write("h1.conf", &config(daemon))?;
        agent.signal(nix::sys::signal::Signal::SIGHUP)
    };
    reload("")?;
    let silent = || host.run("ipvsadm", &["--list", "--daemon"]).is_ok_and(|said| said.is_empty());
    ensure!(eventually(TIMEOUT, silent), "it still runs");
    reload(DAEMON)?;
    playing(&host, "master")?;
    assert!(agent.stop()?.success());
    ensure!(eventually(TIMEOUT, silent), "it still runs");
    Ok(())
}

/// Without IPVS, or without the interface, the agent says so, and the addresses come all the same.
#[test]
fn what_cannot_be_synchronised_is_said() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let agent = host.agent(&config("lvs_sync_daemon nowhere VI_1"))?;
    ensure!(agent.says("lvs_sync_daemon on nowhere", TIMEOUT), "{}", agent.log());
    host.wait_for_address(crate::common::VIP, true, TIMEOUT)?;
    assert!(agent.stop()?.success());
    Ok(())
}
