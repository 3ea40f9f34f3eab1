//! The pair that heals itself, with real servers and the examples as they are: a server that stops is started again and the
//! address stays; a server that does not start again costs its host the address.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vrrp_tests::lab::{Haproxy, Host, Lab, Nginx, Process, agent, eventually};

use crate::common::{TIMEOUT, VIP, page, reaches};

const SCRIPT: &str = include_str!("../../config/scripts/check-server.sh");

/// A server on a host.
struct Server {
    name: &'static str,
    config: PathBuf,
    pid_file: PathBuf,
    /// The shell command that starts the server.
    start: String,
}

/// Starts a server.
type Start = fn(&Lab, &Host) -> Result<Server>;

fn nginx(lab: &Lab, host: &Host) -> Result<Server> {
    let nginx = Nginx::start(lab, host)?;
    let (config, pid_file) = (nginx.config().to_owned(), nginx.pid_file().to_owned());
    let start = format!("nginx -c {}", config.display());
    Ok(Server { name: "nginx", config, pid_file, start })
}

fn haproxy(lab: &Lab, host: &Host) -> Result<Server> {
    let haproxy = Haproxy::start(lab, host)?;
    let (config, pid_file) = (haproxy.config().to_owned(), haproxy.pid_file().to_owned());
    let start = format!("haproxy -f {} -p {}", config.display(), pid_file.display());
    Ok(Server { name: "haproxy", config, pid_file, start })
}

impl Server {
    /// Ends the server, as a crash does.
    fn crash(&self) -> Result<()> {
        let pid = std::fs::read_to_string(&self.pid_file)?;
        let pid = Pid::from_raw(pid.trim().parse().context("a pid")?);
        kill(pid, Signal::SIGTERM)?;
        anyhow::ensure!(eventually(TIMEOUT, || kill(pid, None).is_err()), "{} does not end", self.name);
        Ok(())
    }

    /// A directory with a `systemctl` that knows this server and what the check asks for, nothing else.
    fn systemctl(&self, lab: &Lab, host: &Host) -> Result<PathBuf> {
        let Self { name, pid_file, start, .. } = self;
        let directory = format!("bin-{}", host.name());
        std::fs::create_dir_all(lab.directory().join(&directory))?;
        let text = format!(
            "#!/bin/sh\n[ \"$*\" = 'restart {name}' ] || exit 64\necho >>{0}/restarts\n\
             kill \"$(cat {1})\" 2>/dev/null && sleep 0.2\nexec {start}\n",
            lab.directory().join(&directory).display(),
            pid_file.display(),
        );
        let path = lab.write_script(&format!("{directory}/systemctl"), &text)?;
        Ok(path.parent().map(Path::to_owned).unwrap_or_default())
    }
}

/// An agent on an example, whose scripts find that `systemctl` first.
fn start(lab: &Lab, host: &Host, server: &Server, id: &str) -> Result<Process> {
    host.install_etc_script("keepalived/check-server.sh", SCRIPT)?;
    let example = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../config"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command: Command = host.command(agent()?);
    command.args(["--dataplane", "ebpf", "-i", id, "-f"]).arg(example.join(format!("{}.conf", server.name)));
    command.env("PATH", format!("{}:{path}", server.systemctl(lab, host)?.display()));
    host.spawn(&mut command, "agent")
}

fn heals_or_moves(serve: Start) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let (first, second) = (serve(&lab, &h1)?, serve(&lab, &h2)?);
    let mut master = start(&lab, &h1, &first, "lb1")?;
    let _backup = start(&lab, &h2, &second, "lb2")?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(reaches(&h2, 0, "backup"));
    let shows = |text: &str| eventually(TIMEOUT, || page(&client).as_deref() == Some(text));
    assert!(shows("this is h1"));

    // The check finds the server stopped, starts it and succeeds: the other host does not notice.
    first.crash()?;
    let restarts = || std::fs::read_to_string(lab.directory().join("bin-h1/restarts")).unwrap_or_default();
    assert!(eventually(TIMEOUT, || !restarts().is_empty()), "{}", master.log());
    assert!(shows("this is h1"), "{}", master.log());
    assert_eq!(h1.status()?["instances"][0]["became_master"], 1);
    assert_eq!(h2.status()?["instances"][0]["became_master"], 0);
    assert_eq!(restarts().lines().count(), 1);

    // A file that the server refuses: the check ends the agent, in order, and the other host has the address.
    std::fs::write(&first.config, "nonsense\n")?;
    first.crash()?;
    assert!(master.wait(TIMEOUT)?.success());
    assert!(shows("this is h2"));
    assert!(!h1.has_address(VIP)? && h2.has_address(VIP)?);
    Ok(())
}

#[test]
fn nginx_is_restarted_or_the_address_moves() -> Result<()> {
    heals_or_moves(nginx)
}

#[test]
fn haproxy_is_restarted_or_the_address_moves() -> Result<()> {
    heals_or_moves(haproxy)
}
