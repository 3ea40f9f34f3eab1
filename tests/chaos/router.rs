//! A router of a round: its host, its agent, and what has been done to them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use vrrp_tests::lab::{Host, Lab, Process};

use crate::plan::{File, INTERFACES, Plan};
use crate::prober::parse_mac;

/// Longer than a start takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The state of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    Runs,
    /// Stopped by SIGSTOP.
    Stopped,
    /// Killed by SIGKILL: everything that it held is still there.
    Killed,
    /// Ended by SIGTERM: the agent has removed everything.
    Ended,
}

/// A router.
pub(crate) struct Router {
    process: Option<Process>,
    pub(crate) host: Host,
    pub(crate) agent: Agent,
    /// For each interface: true if its link is cut at the switch.
    pub(crate) cut: [bool; 2],
    /// For each interface: true if its line is bad.
    pub(crate) bad: [bool; 2],
    pub(crate) file: File,
    path: PathBuf,
}

/// An address as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installed {
    pub(crate) interface: String,
    pub(crate) address: IpAddr,
    pub(crate) prefix: u64,
}

impl Router {
    pub(crate) fn new(lab: &Lab, number: usize, file: File) -> Result<Self> {
        let name = format!("r{}", number + 1);
        let host = lab.host(&name, 11 + u8::try_from(number)?)?;
        lab.second_interface(&host)?;
        let path = lab.directory().join(format!("{name}.conf"));
        Ok(Self { process: None, host, agent: Agent::Ended, cut: [false; 2], bad: [false; 2], file, path })
    }

    pub(crate) fn name(&self) -> &str {
        self.host.name()
    }

    /// The port on the switch of one of its interfaces.
    pub(crate) fn port(&self, interface: usize) -> String {
        if interface == 0 { self.host.port().to_owned() } else { self.host.second_port() }
    }

    /// Writes the file that the next start or reload reads.
    pub(crate) fn write(&self, plan: &Plan) -> Result<()> {
        Ok(std::fs::write(&self.path, plan.text(&self.file))?)
    }

    /// Starts the agent of this router. The start fails if the agent cannot have its kernel half.
    pub(crate) fn start(&mut self) -> Result<()> {
        let agent = self.host.agent_on(&self.path, &["--dataplane", "ebpf"]);
        self.process = Some(agent.with_context(|| format!("start the agent on {}", self.name()))?);
        self.agent = Agent::Runs;
        Ok(())
    }

    /// Sends a signal to the agent. After SIGKILL and SIGTERM it waits for the end of the agent.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        let process = self.process.as_mut().context("no agent")?;
        process.signal(signal)?;
        match signal {
            Signal::SIGKILL => {
                process.wait(TIMEOUT)?;
                (self.process, self.agent) = (None, Agent::Killed);
            }
            Signal::SIGTERM => {
                let status = process.wait(TIMEOUT)?;
                anyhow::ensure!(status.success(), "{} ended with {status}", self.host.name());
                (self.process, self.agent) = (None, Agent::Ended);
            }
            Signal::SIGSTOP => self.agent = Agent::Stopped,
            Signal::SIGCONT => self.agent = Agent::Runs,
            _ => {}
        }
        Ok(())
    }

    /// True if an agent that should run has ended.
    pub(crate) fn has_crashed(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::has_ended)
    }

    /// True if this router can be master of a virtual router on an interface.
    pub(crate) fn is_able(&self, interface: usize) -> bool {
        self.agent == Agent::Runs && !self.cut[interface]
    }

    /// Every address of its interfaces.
    pub(crate) fn addresses(&self) -> Result<Vec<Installed>> {
        let text = self.host.ip(&["-j", "address", "show"])?;
        let links: Value = serde_json::from_str(&text)?;
        let mut all = Vec::new();
        for link in links.as_array().into_iter().flatten() {
            let interface = link["ifname"].as_str().unwrap_or_default();
            for address in link["addr_info"].as_array().into_iter().flatten() {
                all.push(Installed {
                    interface: interface.to_owned(),
                    address: address["local"].as_str().unwrap_or_default().parse()?,
                    prefix: address["prefixlen"].as_u64().unwrap_or_default(),
                });
            }
        }
        Ok(all)
    }

    /// The hardware address of an interface now.
    pub(crate) fn mac(&self, interface: usize) -> Result<[u8; 6]> {
        parse_mac(&self.host.mac_of(INTERFACES[interface])?).context("a hardware address")
    }

    /// The end of its agent's log, and the state of its host.
    pub(crate) fn story(&self, directory: &std::path::Path) -> String {
        const LINES: usize = 60;
        let log = directory.join(format!("{}-agent.log", self.name()));
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
        let run = |program: &str, arguments: &[&str]| {
            self.host.run(program, arguments).unwrap_or_else(|error| format!("{error:#}"))
        };
        let status = match self.agent {
            Agent::Runs => {
                self.host.status().map_or_else(|e| format!("{e:#}"), |status| format!("{status:#}"))
            }
            Agent::Stopped | Agent::Killed | Agent::Ended => String::new(),
        };
        format!(
            "--- {}: agent {:?}, links cut {:?}, {:?}\n{}\n{}{status}\n  {tail}\n",
            self.name(),
            self.agent,
            self.cut,
            self.file,
            run("ip", &["-br", "address"]),
            run("bpftool", &["net", "show"]),
        )
    }
}
