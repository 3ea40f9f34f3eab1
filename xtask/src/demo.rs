//! The demonstration: the reference example on two hosts and a client, in network namespaces of this machine, with real web
//! servers behind the address. Walks through the failovers of the example and prints what the client saw.

mod client;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use vrrp_tests::lab::{Host, Lab, Nginx, Process, run as run_command};

use client::Client;

const MASTER: &str = include_str!("../../config/reference-master.conf");
const BACKUP: &str = include_str!("../../config/reference-backup.conf");
const VIP: &str = "192.168.1.10";
const SCRIPT: &str = "keepalived/nginx.sh";
const TIMEOUT: Duration = Duration::from_secs(15);

/// Runs the demonstration. Everything that it makes is removed at its end, however it ends.
pub(crate) fn run(agent: &Path) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("cannot catch Ctrl-C")?;
    let stage = Stage::set(agent, interrupted)?;
    stage.play()
}

/// A host with its daemon's files.
struct Router {
    host: Host,
    nginx: Nginx,
    config: std::path::PathBuf,
    pid_file: std::path::PathBuf,
}

struct Stage {
    // Dropped in this order: the hosts before their segment.
    client: Client,
    h1: Router,
    h2: Router,
    lab: Lab,
    agent: std::path::PathBuf,
    interrupted: Arc<AtomicBool>,
    start: Instant,
}

impl Stage {
    fn set(agent: &Path, interrupted: Arc<AtomicBool>) -> Result<Self> {
        println!(
            "Two hosts with nginx and one virtual address, and a client that asks for a page every 10 ms:\n"
        );
        println!("  h1 192.168.1.11 priority 100 ─┐");
        println!("                                ├─ switch ── client 192.168.1.13 ──> http://{VIP}/");
        println!("  h2 192.168.1.12 priority  90 ─┘\n");
        let lab = Lab::new()?;
        let router = |name: &str, last: u8, config: &str| -> Result<Router> {
            let host = lab.host(name, last)?;
            lab.take_frames_of_native_xdp(&host)?;
            let nginx = Nginx::start(&lab, &host)?;
            // The example, at one advert a second instead of one in two seconds, so that the demonstration takes less time.
            let text = config.replace("advert_int 2", "advert_int 1").replace("interval 2", "interval 1");
            let config = lab.write(&format!("{name}.conf"), &text)?;
            let pid_file = lab.directory().join(format!("{name}.pid"));
            host.install_etc_script(SCRIPT, &check_script(&nginx, &pid_file))?;
            Ok(Router { host, nginx, config, pid_file })
        };
        let (h1, h2) = (router("h1", 11, MASTER)?, router("h2", 12, BACKUP)?);
        let client = Client::start(lab.host("client", 13)?, VIP)?;
        Ok(Self { client, h1, h2, lab, agent: agent.to_owned(), interrupted, start: Instant::now() })
    }

    fn play(&self) -> Result<()> {
        self.say("start both daemons; h1 has the higher priority");
        let mut first = self.daemon(&self.h1)?;
        let second = self.daemon(&self.h2)?;
        self.client_sees("h1")?;
        self.pause(Duration::from_secs(2))?;
        self.show_inspection()?;

        self.act("stop nginx on h1: its check script starts it again, the address stays", || {
            self.h1.nginx.stop(&self.h1.host)?;
            self.client_loses("h1")
        })?;
        self.recovers("h1")?;

        self.act("stop the daemon on h1 (SIGTERM): it resigns, h2 takes over within its skew time", || {
            first.signal(nix::sys::signal::Signal::SIGTERM)?;
            first.wait(TIMEOUT).map(drop)
        })?;
        self.recovers("h2")?;

        self.act("start the daemon on h1 again: the address comes back", || {
            first = self.daemon(&self.h1)?;
            Ok(())
        })?;
        self.recovers("h1")?;

        self.act("kill -9 the daemon on h1: h2 waits for the master-down interval, 3.65 s", || {
            first.signal(nix::sys::signal::Signal::SIGKILL)?;
            first.wait(TIMEOUT).map(drop)
        })?;
        self.recovers("h2")?;
        println!(
            "         (h1 kept the address and nginx, and served clients that knew its hardware address; its XDP"
        );
        println!(
            "          program, which outlives the daemon, answered no ARP request after the end of the lease)"
        );

        self.act("start the daemon on h1 again", || {
            first = self.daemon(&self.h1)?;
            Ok(())
        })?;
        self.recovers("h1")?;

        self.act("cut the link of h1", || self.h1.host.set_link(false))?;
        self.recovers("h2")?;
        self.act("join the link of h1 again", || self.h1.host.set_link(true))?;
        self.recovers("h1")?;

        self.pause(Duration::from_secs(1))?;
        self.say("stop both daemons");
        second.stop()?;
        first.signal(nix::sys::signal::Signal::SIGTERM)?;
        first.wait(TIMEOUT)?;
        for router in [&self.h1, &self.h2] {
            if router.host.has_address(VIP)? {
                bail!("{VIP} is still on {}", router.host.name());
            }
        }
        println!("\nNo address is left behind. The changes of state in the log of h1:\n");
        for line in log_lines(&self.lab, "h1").iter().filter(|line| line.contains("->")) {
            println!("  {line}");
        }
        Ok(())
    }

    fn daemon(&self, router: &Router) -> Result<Process> {
        let mut command = router.host.command(&self.agent);
        // On a veth the agent prefers tcx. A network card has the program in its driver, so that is what is shown.
        command.args(["--dataplane", "ebpf", "--xdp-mode", "native"]);
        command.args(["-n", "-l", "-D", "-f"]).arg(&router.config).arg("-p").arg(&router.pid_file);
        router.host.spawn(&mut command, "agent")
    }

    /// Runs an action; the client's gaps are counted from just before it.
    fn act(&self, what: &str, mut action: impl FnMut() -> Result<()>) -> Result<()> {
        self.pause(Duration::from_secs(1))?;
        self.client.mark();
        self.say(what);
        action()
    }

    fn say(&self, what: &str) {
        println!("{:7.3}  {what}", self.start.elapsed().as_secs_f64());
    }

    /// Waits until a host serves the client for good, and prints what the client missed.
    fn recovers(&self, host: &str) -> Result<()> {
        self.client_sees(host)?;
        // The client has seen any gap by then.
        self.pause(Duration::from_secs(1))?;
        let seen = self.client.since_mark();
        let after = seen.switched.map_or_else(String::new, |after| format!(" {:.0} ms later", millis(after)));
        let gap = match seen.gap {
            Some(gap) => format!("the client was without an answer for {:.0} ms", millis(gap)),
            None => "the client missed no answer".to_owned(),
        };
        println!("         -> served by {host}{after}; {gap}");
        Ok(())
    }

    fn client_sees(&self, host: &str) -> Result<()> {
        self.wait(&format!("the page of {host}"), || {
            self.client.page().is_some_and(|page| page == format!("this is {host}"))
        })
    }

    fn client_loses(&self, host: &str) -> Result<()> {
        self.wait("an end of the page", || {
            self.client.page().is_none_or(|page| page != format!("this is {host}"))
        })
    }

    fn wait(&self, what: &str, holds: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !holds() {
            self.pause(Duration::from_millis(5))?;
            if start.elapsed() > TIMEOUT {
                let logs = ["h1", "h2"].map(|name| log_lines(&self.lab, name).join("\n"));
                bail!("the client does not see {what} in time; the logs:\n{}", logs.join("\n--\n"));
            }
        }
        Ok(())
    }

    fn pause(&self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            if self.interrupted.load(Ordering::Relaxed) {
                bail!("interrupted; everything is being removed");
            }
            std::thread::sleep(Duration::from_millis(5).min(duration));
        }
        Ok(())
    }

    /// Shows what an operator can look at.
    fn show_inspection(&self) -> Result<()> {
        for router in [&self.h1, &self.h2] {
            println!("\n$ vrrp-agent status    # on {}", router.host.name());
            print!("{}", run_command(router.host.command(&self.agent).arg("status"))?);
        }
        println!("\n$ bpftool net show    # on h1");
        print!("{}", self.h1.host.run("bpftool", &["net", "show"])?);
        for map in ["instances", "leases"] {
            let path = self.h1.host.pin(map)?;
            println!("\n$ bpftool map dump pinned {}", path.display());
            print!("{}", run_command(Command::new("bpftool").args(["map", "dump", "pinned"]).arg(path))?);
        }
        let path = self.h2.host.pin("watchdogs")?;
        println!("\n$ bpftool map dump pinned {}", path.display());
        print!("{}", run_command(Command::new("bpftool").args(["map", "dump", "pinned"]).arg(path))?);
        let path = self.h1.host.pin("prog")?;
        println!("\n$ bpftool prog show pinned {}", path.display());
        println!("{}", run_command(Command::new("bpftool").args(["prog", "show", "pinned"]).arg(path))?);
        Ok(())
    }
}

/// The check of the example: restarts nginx and, where that fails, stops the daemon.
fn check_script(nginx: &Nginx, daemon_pid: &Path) -> String {
    let (config, pid, daemon) = (nginx.config().display(), nginx.pid_file().display(), daemon_pid.display());
    format!(
        "#!/bin/sh\n\
         running() {{ [ -s {pid} ] && kill -0 \"$(cat {pid})\" 2>/dev/null; }}\n\
         running && exit 0\n\
         nginx -c {config}\n\
         sleep 0.2\n\
         running && exit 0\n\
         kill -TERM \"$(cat {daemon})\"\n\
         exit 1\n"
    )
}

fn log_lines(lab: &Lab, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(lab.directory().join(format!("{name}-agent.log"))).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
