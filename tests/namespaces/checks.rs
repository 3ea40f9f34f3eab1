//! How check scripts are run: as which user, for how long, and how their results are shown.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use vrrp_tests::lab::{Host, Lab, Process, eventually};

use crate::common::{Config, HIGH, TIMEOUT, VIP, reaches};

/// Starts an agent with an instance that tracks one script. `globals` stands in `global_defs`, and `more` in the block of the
/// script.
fn agent(host: &Host, globals: &str, script: &Path, more: &str) -> Result<Process> {
    let above = format!(
        "global_defs {{\n{globals}\n}}\nvrrp_script c {{\nscript \"{}\"\ninterval 1\n{more}\n}}\n",
        script.display()
    );
    host.agent(&Config { above, more: "track_script {\nc\n}\n".to_owned(), ..Config::priority(HIGH) }.text())
}

/// The state of the script, and its last lines.
fn script(host: &Host) -> Option<(String, String)> {
    let status = host.status().ok()?;
    let script = &status["scripts"][0];
    Some((script["state"].as_str()?.to_owned(), script["output"].as_str()?.to_owned()))
}

fn says(host: &Host, state: &str, output: &str) -> bool {
    eventually(TIMEOUT, || script(host).is_some_and(|(is, said)| is == state && said.contains(output)))
}

#[test]
fn its_last_lines_are_in_the_status() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let text = "#!/bin/sh\nseq 100000 200000; echo to stdout; echo \"to stderr as $(id -un)\" >&2\n";
    let process = agent(&host, "", &lab.write_script("c.sh", text)?, "user nobody\ntimeout 5")?;
    assert!(says(&host, "up", "to stdout\nto stderr as nobody"), "{:?}\n{}", script(&host), process.log());
    let (_, said) = script(&host).context("a script")?;
    assert!(said.len() < 2000 && said.contains("199999") && !said.contains("100001"), "{}", said.len());
    let shown = host.command(vrrp_tests::lab::agent()?).arg("status").output()?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("script c: UP") && shown.contains("  | to stdout"), "{shown}");
    host.wait_for_address(VIP, true, TIMEOUT)
}

/// The whole process group of the script is ended, also a process that ignores the first signal, and the run counts as failed.
#[test]
fn one_that_takes_too_long_is_ended_with_all_that_it_has_started() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let pids = lab.directory().join("pids");
    let text = format!(
        "#!/bin/sh\ntrap '' TERM\nsleep 300 &\necho $$ $! > {}\necho started\nwait; wait\n",
        pids.display()
    );
    let process = agent(&host, "", &lab.write_script("c.sh", &text)?, "timeout 1\nuser root")?;
    assert!(says(&host, "down", "started"), "{:?}\n{}", script(&host), process.log());
    assert!(reaches(&host, 0, "fault"));
    assert!(process.log().contains("did not end within 1s"), "{}", process.log());
    let first = std::fs::read_to_string(&pids)?;
    assert!(process.stop()?.success());
    // The processes of the last run end with the agent.
    for pid in [first, std::fs::read_to_string(&pids)?].join(" ").split_whitespace() {
        let pid = Pid::from_raw(pid.parse()?);
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            kill(pid, None).is_err() || stat.contains(") Z ")
        };
        assert!(eventually(TIMEOUT, is_gone), "{pid} goes on");
    }
    Ok(())
}

/// The agent says so at once, and only once.
#[test]
fn one_that_cannot_run_is_down() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let process = agent(&host, "", Path::new("/no/such/script"), "")?;
    assert!(says(&host, "down", "No such file"), "{:?}", script(&host));
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(process.log().matches("ERROR script c").count(), 1, "{}", process.log());
    assert_eq!(host.state(0), "fault");
    Ok(())
}

#[test]
fn with_script_security_root_runs_only_what_is_root_s() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let path = lab.write_script("c.sh", "#!/bin/sh\nid -un\n")?;
    let chown = |owner: &str| {
        vrrp_tests::lab::run(std::process::Command::new("chown").arg(owner).arg(&path)).map(drop)
    };
    chown("nobody")?;
    let process = agent(&host, "enable_script_security\nscript_user root", &path, "")?;
    assert!(says(&host, "down", "can be changed by others"), "{:?}\n{}", script(&host), process.log());
    // The script is mended while the agent runs.
    chown("root")?;
    assert!(says(&host, "up", "root"), "{:?}", script(&host));
    host.wait_for_address(VIP, true, TIMEOUT)
}

/// The instance sends nothing until the first result; with `init_fail` it is in fault at once.
#[test]
fn a_first_result_is_waited_for() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let told = lab.directory().join("told");
    let notify = lab.write_script("notify.sh", &format!("#!/bin/sh\necho $3 >> {}\n", told.display()))?;
    let slow = lab.write_script("c.sh", "#!/bin/sh\nsleep 2\n")?;
    let text = |more: &str| {
        let above = format!("vrrp_script c {{\nscript {}\ninterval 5\n{more}\n}}\n", slow.display());
        let tracks = format!("track_script {{\nc\n}}\nnotify {} root\n", notify.display());
        Config { above, more: tracks, ..Config::priority(HIGH) }.text()
    };
    let heard = || std::fs::read_to_string(&told).unwrap_or_default();
    let process = host.agent(&text("user root"))?;
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!((host.state(0), heard()), ("fault".into(), String::new()), "{}", process.log());
    host.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || heard() == "BACKUP\nMASTER\n"), "{}", heard());
    process.stop()?;
    std::fs::remove_file(&told)?;
    let _process = host.agent(&text("user root\ninit_fail"))?;
    assert!(eventually(TIMEOUT, || heard().starts_with("FAULT\nBACKUP\nMASTER\n")), "{}", heard());
    Ok(())
}
