//! The results of signals and options for an operator.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Lab, Process, agent, eventually};

use crate::common::{Config, HIGH, Pair, TIMEOUT, VIP, reaches};

/// With `-V` the agent ends as if it were killed: the addresses stay on the interface, and under the fence no question is
/// answered.
#[test]
fn addresses_are_left_if_that_is_asked_for() -> Result<()> {
    let pair = Pair::start(&["-V"])?;
    let h2_takes_over = || pair.h2.has_address(VIP).unwrap_or(false);
    assert!(pair.master.stop()?.success());
    assert!(pair.h1.has_address(VIP)?);
    assert!(!pair.capture.adverts().iter().any(|packet| packet.content.priority == 0), "it did not resign");
    assert!(eventually(TIMEOUT, h2_takes_over));
    assert_eq!(pair.client.arping(VIP)?, [pair.h2.mac()?], "its lease is over");
    Ok(())
}

fn dump(process: &Process, signal: Signal, path: &Path) -> Result<String> {
    process.signal(signal)?;
    let there =
        || std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0);
    ensure!(eventually(TIMEOUT, there), "no {}:\n{}", path.display(), process.log());
    assert_eq!(std::fs::metadata(path)?.permissions().mode() & 0o777, 0o600, "{}", path.display());
    Ok(std::fs::read_to_string(path)?)
}

#[test]
fn signals_dump_for_root_alone() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let process = h1.agent(&Config::priority(HIGH).text())?;
    assert!(reaches(&h1, 0, "master"));
    let directory = h1.runtime_directory()?;
    assert_eq!(std::fs::metadata(&directory)?.permissions().mode() & 0o777, 0o700);
    // The agent writes nothing through links that another program has put there.
    let victim = lab.write("victim", "as it was")?;
    for name in ["data", "data.new", "stats.json", "stats.new"] {
        symlink(&victim, directory.join(name))?;
    }
    let data = dump(&process, Signal::SIGUSR1, &directory.join("data"))?;
    assert!(
        data.contains("vrrp_instance VI_1") && data.contains("MASTER") && !data.contains("1111"),
        "{data}"
    );
    let statistics = dump(&process, Signal::SIGUSR2, &directory.join("stats.json"))?;
    let statistics: serde_json::Value = serde_json::from_str(&statistics)?;
    assert_eq!(statistics["instances"][0]["became_master"], 1);
    assert_eq!(std::fs::read_to_string(&victim)?, "as it was");
    assert!(process.stop()?.success());
    assert!(!directory.exists(), "nothing is left");
    Ok(())
}

/// Programs that monitor keepalived send these signals, and a daemon that does not expect them is ended by them.
#[test]
fn keepalived_s_other_signals_are_known() -> Result<()> {
    for name in ["STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR", "JSON"] {
        let option = format!("--signum={name}");
        let of = |program: &Path| Ok::<_, anyhow::Error>(Command::new(program).arg(&option).output()?.stdout);
        assert_eq!(of(&agent()?)?, of(Path::new("keepalived"))?, "{name}");
    }
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let process = h1.agent(&Config::priority(HIGH).text())?;
    assert!(reaches(&h1, 0, "master"));
    let path = h1.runtime_directory()?.join("stats.json");
    for name in ["JSON", "STATS_CLEAR"] {
        let number = Command::new(agent()?).arg(format!("--signum={name}")).output()?.stdout;
        let number = String::from_utf8(number)?;
        let sent = Command::new("kill").args(["-s", number.trim(), &process.pid().to_string()]).status()?;
        assert!(sent.success());
        assert!(eventually(TIMEOUT, || path.exists()), "{name}:\n{}", process.log());
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        assert_eq!(json["instances"][0]["state"], "master", "{name}");
        std::fs::remove_file(&path)?;
    }
    assert!(process.says("counters are not cleared", TIMEOUT), "{}", process.log());
    assert!(process.stop()?.success());
    Ok(())
}

/// The daemon starts with option lines that are in use, and says which options have no effect.
#[test]
fn options_of_keepalived_are_taken_and_those_without_meaning_named() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let options = [
        "-D",
        "-d",
        "-l",
        "-n",
        "-P",
        "-R",
        "-S",
        "local3",
        "-u",
        "027",
        "-a",
        "-e",
        "-g",
        "-m",
        "--debug=A",
        "--perf",
    ];
    let process = h1.agent_with(&Config::priority(HIGH).text(), &options)?;
    assert!(reaches(&h1, 0, "master"), "{}", process.log());
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    assert!(status.contains("Umask:\t0027"), "{status}");
    for option in ["-a:", "-g:", "-m, -M:", "--debug:", "--perf:"] {
        assert!(process.says(option, TIMEOUT), "{option}\n{}", process.log());
    }
    Ok(())
}

/// keepalived's exit codes, and its option of a file for the complaints.
#[test]
fn a_test_of_the_configuration_has_keepalived_s_codes() -> Result<()> {
    let lab = Lab::new()?;
    // The file names an interface, and the option for the test looks for it on the host.
    let h1 = lab.host("h1", 11)?;
    let good = lab.write("good.conf", &Config::priority(HIGH).text())?;
    let bad = lab.write("bad.conf", "vrrp_instance V {\ninterface eth0\n}\n")?;
    let missing = lab.directory().join("missing.conf");
    let scripted = "vrrp_script s {\nscript /bin/true\n}\n".to_owned() + &Config::priority(HIGH).text();
    let insecure = lab.write("insecure.conf", &scripted)?;
    for (file, code) in [(&good, 0), (&bad, 5), (&missing, 4), (&insecure, 6)] {
        let output = h1.command(agent()?).arg("-t").arg("-f").arg(file).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}: {said}", file.display());
        assert_eq!(said.is_empty(), code == 0, "{said}");
    }
    let to = lab.directory().join("complaints");
    let output = Command::new(agent()?).arg(format!("-t={}", to.display())).arg("-f").arg(&bad).output()?;
    assert_eq!((output.status.code(), output.stderr.is_empty()), (Some(5), true));
    assert!(std::fs::read_to_string(to)?.contains("no valid virtual_router_id"));
    Ok(())
}
