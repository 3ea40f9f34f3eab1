//! The daemon's messages to a service manager, a syslog and a journal.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, agent};

use crate::common::{Config, HIGH, TIMEOUT, reaches};

/// A socket that receives datagrams.
struct Listener {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Listener {
    fn new(path: PathBuf) -> Result<Self> {
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { socket, path })
    }

    fn next(&self) -> Result<String> {
        let mut buffer = [0; 65536];
        let length = self.socket.recv(&mut buffer).context("nobody says anything")?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// The next datagram that contains a text.
    fn next_with(&self, text: &str) -> Result<String> {
        loop {
            let said = self.next().with_context(|| format!("waiting for `{text}`"))?;
            if said.contains(text) {
                return Ok(said);
            }
        }
    }
}

/// A host with a file for its agent.
fn host(lab: &Lab) -> Result<(Host, PathBuf)> {
    let file = lab.write("h1.conf", &Config::priority(HIGH).text())?;
    Ok((lab.host("h1", 11)?, file))
}

/// An agent that finds a listener's socket at a path. The contents of `over`, a directory above it, are hidden from this agent
/// and from no other process: each `ip netns exec` has mounts of its own.
fn agent_that_finds(listener: &Listener, over: &str, place: &str, host: &Host) -> Result<Command> {
    const SCRIPT: &str = "mkdir -p \"$1\" && mount -t tmpfs tmpfs \"$1\" && mkdir -p \"$(dirname \"$2\")\" && \
                          ln -s \"$3\" \"$2\" && shift 3 && exec \"$@\"";
    let mut command = host.command("sh");
    command.args(["-c", SCRIPT, "sh", over, place]).arg(&listener.path).arg(agent()?);
    Ok(command)
}

#[test]
fn systemd_is_told_of_start_reload_and_stop() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, file) = host(&lab)?;
    let manager = Listener::new(lab.directory().join("notify"))?;
    let mut command = h1.command(agent()?);
    let process = h1.spawn(command.arg("-f").arg(&file).env("NOTIFY_SOCKET", &manager.path), "agent")?;
    assert_eq!(manager.next()?, "READY=1\n");
    assert!(h1.status().is_ok(), "ready, and does not answer");
    process.signal(Signal::SIGHUP)?;
    let reloading = manager.next()?;
    // By this time systemd tells a reload that it has asked for from an earlier one.
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").context(reloading.clone())?;
    assert!(since.trim().parse::<u64>()? > 0, "{reloading}");
    assert_eq!(manager.next()?, "READY=1\n");
    // A file that cannot be used ends the reload as well.
    std::fs::write(&file, "vrrp_instance V {\n")?;
    process.signal(Signal::SIGHUP)?;
    assert!(manager.next()?.starts_with("RELOADING=1"));
    assert_eq!(manager.next()?, "READY=1\n");
    process.signal(Signal::SIGTERM)?;
    assert_eq!(manager.next()?, "STOPPING=1\n");
    Ok(())
}

/// `KEEPALIVED_OPTIONS="-D -d -S 0"` of the distributions: to local0, with the configuration.
#[test]
fn syslog_gets_the_log_by_facility() -> Result<()> {
    for (options, informational) in [(&["-D", "-d", "-S", "0"][..], "<134>"), (&["-S", "3"], "<158>")] {
        let lab = Lab::new()?;
        let (h1, file) = host(&lab)?;
        let syslog = Listener::new(lab.directory().join("log"))?;
        let mut command = agent_that_finds(&syslog, "/dev", "/dev/log", &h1)?;
        let process = h1.spawn(command.arg("-f").arg(&file).args(options), "agent")?;
        if options.contains(&"-d") {
            let line = syslog.next_with("virtual_router_id")?;
            assert!(line.starts_with(informational) && line.contains("51"), "{line}");
        }
        let line = syslog.next_with("BACKUP -> MASTER")?;
        let expected = format!("{informational}vrrp-agent[{}]: VI_1: ", process.pid());
        assert!(line.starts_with(&expected), "{line}, not {expected}");
        assert_eq!(process.log(), "", "nothing on the console");
        // A syslog that is restarted has another socket at the same path.
        let Listener { socket, path } = syslog;
        std::fs::remove_file(&path)?;
        drop(socket);
        let syslog = Listener::new(path)?;
        process.signal(Signal::SIGHUP)?;
        syslog.next_with("reloaded in")?;
        assert!(process.stop()?.success());
    }
    Ok(())
}

/// An address must not wait for a syslog.
#[test]
fn without_a_syslog_it_runs_all_the_same() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, file) = host(&lab)?;
    let nobody = Listener { socket: UnixDatagram::unbound()?, path: lab.directory().join("nobody") };
    let mut command = agent_that_finds(&nobody, "/dev", "/dev/log", &h1)?;
    let process = h1.spawn(command.arg("-f").arg(&file).args(["-S", "0"]), "agent")?;
    assert!(reaches(&h1, 0, "master"), "{}", process.log());
    Ok(())
}

#[test]
fn the_journal_gets_fields() -> Result<()> {
    const JOURNAL: &str = "/run/systemd/journal/socket";
    let lab = Lab::new()?;
    let (h1, file) = host(&lab)?;
    let journal = Listener::new(lab.directory().join("journal"))?;
    let mut command = agent_that_finds(&journal, "/run/systemd", JOURNAL, &h1)?;
    let process = h1.spawn(command.arg("-f").arg(&file).env("JOURNAL_STREAM", "8:1"), "agent")?;
    let entry = journal.next_with("VRRP_TO=MASTER\n")?;
    for field in [
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=vrrp-agent",
        "VRRP_INSTANCE=VI_1",
        "VRRP_FROM=BACKUP",
        "VRRP_PRIORITY=100",
    ] {
        assert!(entry.lines().any(|line| line == field), "{field} is missing:\n{entry}");
    }
    assert!(
        entry.contains("\nMESSAGE=VI_1: BACKUP -> MASTER") && entry.contains("\nVRRP_WHY=no advert"),
        "{entry}"
    );
    assert_eq!(process.log(), "");
    Ok(())
}
