//! The agent as process 1 of a container.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vrrp_tests::lab::{Lab, agent, eventually};

use crate::common::{Config, HIGH, TIMEOUT, VIP};

fn parent_and_state(pid: &str) -> Option<(u32, char)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(") ")?.1.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some((words.next()?.parse().ok()?, state))
}

/// The children of a process, each with its state.
fn children(of: u32) -> Result<Vec<(u32, char)>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let (Ok(pid), Some((parent, state))) = (name.parse(), parent_and_state(&name))
            && parent == of
        {
            children.push((pid, state));
        }
    }
    Ok(children)
}

#[test]
fn r7_as_process_1_it_leaves_no_zombies() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let script = lab.write_script("check", "#!/bin/sh\nsleep 0.3 &\nsleep 0.4 &\nexit 0\n")?;
    let config = Config {
        above: format!("vrrp_script up {{\nscript {}\ninterval 1\n}}\n", script.display()),
        more: "track_script {\nup\n}".to_owned(),
        ..Config::priority(HIGH)
    };
    let file = lab.write("h1.conf", &config.text())?;
    let mut command = h1.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]).arg(agent()?);
    let mut container = h1.spawn(command.args(["--dataplane", "socket", "-f"]).arg(&file), "agent")?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let first = children(container.pid())?.first().context("process 1 of the container")?.0;
    std::thread::sleep(Duration::from_secs(5));
    let zombies = || -> Result<usize> {
        let mut count = 0;
        for (pid, state) in children(first)? {
            count += usize::from(state == 'Z');
            count += children(pid)?.iter().filter(|(_, state)| *state == 'Z').count();
        }
        Ok(count)
    };
    // A process that has ended just now may still be seen as a zombie.
    assert!(eventually(TIMEOUT, || zombies().is_ok_and(|count| count == 0)), "{} zombies", zombies()?);
    let signal = |signal| kill(Pid::from_raw(i32::try_from(first).expect("a pid")), signal);
    // The signal is sent to its pid in the namespace of the test; in the container its pid is 1.
    signal(Signal::SIGHUP)?;
    assert!(container.says("reloaded in", TIMEOUT), "{}", container.log());
    assert!(zombies()? < 4, "{} zombies", zombies()?);
    signal(Signal::SIGTERM)?;
    let ended = container.wait(TIMEOUT)?;
    ensure!(ended.success(), "{ended}\n{}", container.log());
    assert!(!h1.has_address(VIP)?);
    Ok(())
}

/// Process 1 ends with the exit code of the daemon.
#[test]
fn r7_as_process_1_it_ends_as_the_daemon_does() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let file = lab.write("bad.conf", "vrrp_instance V {\n}\n")?;
    let mut command = h1.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]).arg(agent()?);
    let output = command.arg("-f").arg(file).output()?;
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
