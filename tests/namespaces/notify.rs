//! The notifications to the operator's scripts, FIFOs and mailboxes, compared with keepalived's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process, eventually};

use crate::common::{Config, Daemon, HIGH, TIMEOUT, VIP, reaches, within};

/// Lines by the instance or group that they are about: between instances there is no order.
type Told = BTreeMap<String, Vec<String>>;

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Sorts lines such as `INSTANCE A MASTER 100` by their subject, with its name in quotes or not.
fn by_subject(lines: &[String]) -> Told {
    let mut told = Told::new();
    for line in lines {
        let subject: Vec<&str> = line.split_whitespace().take(2).collect();
        told.entry(subject.join(" ")).or_default().push(line.clone());
    }
    told
}

/// A script that records its arguments.
fn recorder(lab: &Lab, name: &str) -> Result<(PathBuf, PathBuf)> {
    let log = lab.directory().join(format!("{name}.log"));
    let script =
        lab.write_script(&format!("{name}.sh"), &format!("#!/bin/sh\necho \"$@\" >> {}\n", log.display()))?;
    Ok((script, log))
}

/// One instance by itself and a group of two, all of which notify a script and a FIFO.
fn config(script: &Path, fifo: &Path, reader: &Path) -> String {
    let (script, fifo, reader) = (script.display(), fifo.display(), reader.display());
    let instance = |name: &str, vrid: u8, more: &str| {
        Config {
            name: Box::leak(name.to_owned().into_boxed_str()),
            vrid,
            vip: Box::leak(format!("192.168.1.{vrid}").into_boxed_str()),
            more: format!("notify \"{script}\"\n{more}"),
            ..Config::default()
        }
        .text()
    };
    let own = ["master", "backup", "fault", "stop"]
        .map(|word| format!("notify_{word} \"{script} OWN {word} 'a b'\"\n"));
    format!(
        "global_defs {{\nscript_user root\nnotify_fifo {fifo}\nnotify_fifo_script \"{reader}\"\n}}\n{}{}{}\
         vrrp_sync_group G {{\ngroup {{\nB\nC\n}}\nnotify \"{script}\"\n}}\n",
        instance("A", 51, &own.concat()),
        instance("B", 52, ""),
        instance("C", 53, ""),
    )
}

/// Goes through master, fault, master again and stop, and returns the lines of the scripts and of the FIFO.
fn story(daemon: Daemon) -> Result<(Vec<String>, Vec<String>)> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let (script, log) = recorder(&lab, "script")?;
    let (fifo, read) = (lab.directory().join("fifo"), lab.directory().join("read"));
    let reader =
        lab.write_script("reader.sh", &format!("#!/bin/sh\nexec cat \"$1\" >> {}\n", read.display()))?;
    let process = daemon.start_with(&host, &config(&script, &fifo, &reader))?;
    let told = |what: &str| {
        let told = eventually(TIMEOUT, || lines(&read).iter().any(|line| line == what));
        ensure!(told, "not told `{what}`: {:?}", lines(&read));
        Ok(())
    };
    told("GROUP \"G\" MASTER 0")?;
    told("INSTANCE \"A\" MASTER 100")?;
    std::thread::sleep(Duration::from_secs(1));
    host.run("ip", &["link", "set", "eth0", "down"])?;
    told("GROUP \"G\" FAULT 0")?;
    std::thread::sleep(Duration::from_secs(1));
    host.run("ip", &["link", "set", "eth0", "up"])?;
    let again = || lines(&read).iter().filter(|line| *line == "GROUP \"G\" MASTER 0").count() == 2;
    ensure!(eventually(TIMEOUT, again), "{:?}", lines(&read));
    std::thread::sleep(Duration::from_secs(1));
    process.stop()?;
    std::thread::sleep(Duration::from_secs(1));
    Ok((lines(&log), lines(&read)))
}

/// keepalived's scripts start together and interleave, so only their lines can be compared, not the order.
#[test]
fn scripts_and_fifos_are_told_what_keepalived_tells_them() -> Result<()> {
    let (mut their_scripts, their_fifo) = story(Daemon::Keepalived)?;
    let (mut our_scripts, our_fifo) = story(Daemon::Ours)?;
    // keepalived ends its reader together with itself, so it is chance if the reader has read of the stop.
    let before_the_stop = |lines: &[String]| {
        let lines: Vec<String> = lines.iter().filter(|line| !line.contains(" STOP ")).cloned().collect();
        by_subject(&lines)
    };
    assert_eq!(before_the_stop(&our_fifo), before_the_stop(&their_fifo));
    let own_then_any = |line: &&String| line.starts_with("OWN") || line.contains("INSTANCE A");
    let own: Vec<&String> = our_scripts.iter().filter(own_then_any).collect();
    for (word, state) in [("backup", "BACKUP"), ("master", "MASTER"), ("fault", "FAULT"), ("stop", "STOP")] {
        let pair = own
            .windows(2)
            .any(|two| *two[0] == format!("OWN {word} a b") && *two[1] == format!("INSTANCE A {state} 100"));
        assert!(pair, "{state}: {own:?}");
    }
    // A group changes its state after its last member.
    for state in ["MASTER", "FAULT", "STOP"] {
        let at = |line: String| our_fifo.iter().position(|said| *said == line).expect("it was told");
        let members =
            at(format!("INSTANCE \"B\" {state} 100")).max(at(format!("INSTANCE \"C\" {state} 100")));
        assert!(members < at(format!("GROUP \"G\" {state} 0")), "{our_fifo:?}");
    }
    their_scripts.sort();
    our_scripts.sort();
    assert_eq!(our_scripts, their_scripts);
    Ok(())
}

/// A check makes the instance flap, and the notify script is slower than that.
#[test]
fn one_script_at_a_time_and_in_order() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let log = lab.directory().join("log");
    let up = lab.write("up", "")?;
    let slow = lab.write_script(
        "slow.sh",
        &format!("#!/bin/sh\necho \"begin $*\" >> {0}\nsleep 0.2\necho \"end $*\" >> {0}\n", log.display()),
    )?;
    let check = lab.write_script("check.sh", &format!("#!/bin/sh\ntest -e {}\n", up.display()))?;
    let (slow, check) = (slow.display(), check.display());
    let config = Config {
        above: format!("vrrp_script chk {{\nscript {check}\ninterval 0.05\n}}\n"),
        more: format!(
            "track_script {{\nchk\n}}\nnotify_fault \"{slow} fault\"\nnotify_backup \"{slow} backup\"\nnotify \"{slow} any\""
        ),
        ..Config::priority(HIGH)
    };
    let _agent = host.agent(&config.text())?;
    ensure!(reaches(&host, 0, "master"));
    for _ in 0..10 {
        std::fs::remove_file(lab.directory().join("up"))?;
        std::thread::sleep(Duration::from_millis(150));
        lab.write("up", "")?;
        std::thread::sleep(Duration::from_millis(150));
    }
    ensure!(reaches(&host, 0, "master"));
    let last = "end any INSTANCE VI_1 MASTER 100";
    ensure!(
        eventually(Duration::from_secs(30), || lines(&log).iter().filter(|line| *line == last).count() >= 2)
    );
    let said = lines(&log);
    for two in said.chunks(2) {
        let begun = two[0].strip_prefix("begin ");
        assert!(
            begun.is_some() && begun == two.get(1).and_then(|line| line.strip_prefix("end ")),
            "{said:?}"
        );
    }
    let begun: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("begin ")).collect();
    for at in 1..begun.len() {
        let before = match begun[at] {
            "any INSTANCE VI_1 FAULT 100" => "fault",
            "any INSTANCE VI_1 BACKUP 100" => "backup",
            _ => continue,
        };
        assert_eq!(begun[at - 1], before, "{begun:?}");
    }
    Ok(())
}

/// Readers come and go, a reload passes: each line is read once, in order.
#[test]
fn a_fifo_outlasts_its_readers_and_a_reload() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let fifo = lab.directory().join("fifo");
    let config = |more: &str| {
        let above = format!("global_defs {{\nscript_user root\nvrrp_notify_fifo {}\n}}\n", fifo.display());
        Config { above, more: more.to_owned(), ..Config::priority(HIGH) }.text()
    };
    let agent = host.agent(&config(""))?;
    let read = |name: &str| host.spawn(host.command("cat").arg(&fifo), name);
    let says = |reader: &Process, text: &str| {
        ensure!(reader.says(text, TIMEOUT), "no `{text}`: {}", reader.log());
        Ok(())
    };
    let first = read("first")?;
    says(&first, "INSTANCE \"VI_1\" MASTER 100\n")?;
    first.kill()?;
    // No reader reads the notification of this fault.
    host.run("ip", &["link", "set", "eth0", "down"])?;
    ensure!(reaches(&host, 0, "fault"));
    lab.write("h1.conf", &config("garp_master_repeat 1"))?;
    agent.signal(Signal::SIGHUP)?;
    ensure!(agent.says("reloaded in ", TIMEOUT), "{}", agent.log());
    let second = read("second")?;
    says(&second, "INSTANCE \"VI_1\" FAULT 100\n")?;
    host.run("ip", &["link", "set", "eth0", "up"])?;
    says(&second, "INSTANCE \"VI_1\" MASTER 100\n")?;
    agent.stop()?;
    says(&second, "INSTANCE \"VI_1\" STOP 100\n")?;
    let expected: String = ["FAULT", "BACKUP", "MASTER", "STOP"]
        .map(|state| format!("INSTANCE \"VI_1\" {state} 100\n"))
        .concat();
    assert_eq!(second.log(), expected);
    ensure!(eventually(TIMEOUT, || !fifo.exists()), "what the agent made it removes");
    Ok(())
}

/// Scripts that hang, and a FIFO that has no reader, delay no advert.
#[test]
fn what_hangs_delays_nothing() -> Result<()> {
    within("longest gap between adverts", Duration::from_millis(150), || {
        let lab = Lab::new()?;
        let (host, client) = (lab.host("h1", 11)?, lab.host("client", 13)?);
        let capture = client.capture()?;
        let fifo = lab.directory().join("fifo");
        let config = Config {
            version: 3,
            interval: "0.1",
            password: None,
            above: format!("global_defs {{\nscript_user root\nnotify_fifo {}\n}}\n", fifo.display()),
            more: "notify_backup \"sleep 600\"\nnotify_master \"sleep 600\"\nnotify \"sleep 600\"".to_owned(),
            ..Config::priority(HIGH)
        };
        let _agent = host.agent(&config.text())?;
        host.wait_for_address(VIP, true, TIMEOUT)?;
        std::thread::sleep(Duration::from_secs(5));
        let times: Vec<Duration> = capture.adverts().iter().map(|packet| packet.at).collect();
        ensure!(times.len() > 40, "{} adverts", times.len());
        Ok(times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default())
    })
}

/// aiosmtpd (Debian's python3-aiosmtpd), which prints the mails that it accepts.
fn mail_server(host: &Host) -> Result<Process> {
    let mut command = host.command("/usr/bin/python3");
    command.args([
        "-u",
        "-m",
        "aiosmtpd",
        "-n",
        "-l",
        "127.0.0.1:2525",
        "-c",
        "aiosmtpd.handlers.Debugging",
        "stdout",
    ]);
    host.spawn(&mut command, "aiosmtpd")
}

fn mailing() -> String {
    let mail = "notification_email {\nops@example.org\n}\nnotification_email_from vrrp@example.org\n\
                smtp_server 127.0.0.1 2525\nsmtp_connect_timeout 3\nrouter_id LB1\nsmtp_alert\n";
    let above = format!("global_defs {{\n{mail}}}\n");
    Config { above, ..Config::priority(HIGH) }.text()
}

/// The subjects, senders and texts of the mails, in order.
fn mails(server: &Process) -> Vec<String> {
    let log = server.log();
    let told =
        |line: &&str| ["Subject: ", "From: ", "To: ", "=>"].iter().any(|start| line.starts_with(start));
    let mut mails: Vec<String> = log.lines().filter(told).map(str::to_owned).collect();
    mails.sort();
    mails
}

fn mailed(daemon: Daemon) -> Result<Vec<String>> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let server = mail_server(&host)?;
    std::thread::sleep(Duration::from_secs(2));
    let _router = daemon.start_with(&host, &mailing())?;
    ensure!(server.says("Entering MASTER state", TIMEOUT), "{}", server.log());
    host.run("ip", &["link", "set", "eth0", "down"])?;
    ensure!(server.says("Entering FAULT state", TIMEOUT), "{}", server.log());
    std::thread::sleep(Duration::from_secs(1));
    Ok(mails(&server))
}

#[test]
fn mails_read_as_keepalived_s() -> Result<()> {
    let ours = mailed(Daemon::Ours)?;
    assert_eq!(ours, mailed(Daemon::Keepalived)?);
    assert!(
        ours.contains(&"Subject: [LB1] VRRP Instance VI_1 - Entering MASTER state".to_owned()),
        "{ours:?}"
    );
    Ok(())
}

#[test]
fn mail_waits_for_its_server() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    let agent = host.agent(&mailing())?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    ensure!(agent.says("mail cannot be sent yet", TIMEOUT));
    let server = mail_server(&host)?;
    ensure!(server.says("Entering BACKUP state", Duration::from_secs(60)), "{}", server.log());
    ensure!(server.says("Entering MASTER state", Duration::from_secs(10)), "{}", server.log());
    Ok(())
}

/// A router of lower priority that advertises, a check that moves the priority, and a reload that takes the instance away.
#[test]
fn what_else_is_told_is_told_as_by_keepalived() -> Result<()> {
    let story = |daemon: Daemon| -> Result<Vec<String>> {
        let lab = Lab::new()?;
        let (host, stranger) = (lab.host("h1", 11)?, lab.host("stranger", 12)?);
        let fifo = lab.directory().join("fifo");
        let read = lab.directory().join("read");
        let reader =
            lab.write_script("reader.sh", &format!("#!/bin/sh\nexec cat \"$1\" >> {}\n", read.display()))?;
        let flag = lab.directory().join("flag");
        let check = lab.write_script("check.sh", &format!("#!/bin/sh\ntest -e {}\n", flag.display()))?;
        let above = format!(
            "global_defs {{\nscript_user root\nnotify_fifo {}\nnotify_fifo_script {}\n}}\n\
             vrrp_script c {{\nscript {}\ninterval 1\nweight 7\n}}\n",
            fifo.display(),
            reader.display(),
            check.display()
        );
        let more = "track_script {\nc\n}\nnotify_priority_changes\nnotify_deleted\n".to_owned();
        let other = Config { name: "VI_2", vrid: 52, vip: "192.168.1.20", ..Config::default() }.text();
        let text = Config { above: above.clone(), more, ..Config::priority(100) }.text() + &other;
        let process = daemon.start_with(&host, &text)?;
        let told = |what: &str| {
            let is_told = eventually(TIMEOUT, || lines(&read).iter().any(|line| line.contains(what)));
            ensure!(is_told, "{daemon:?} does not tell `{what}`: {:?}\n{}", lines(&read), process.log());
            Ok(())
        };
        told("\"VI_1\" MASTER 100")?;
        std::thread::sleep(Duration::from_millis(1500));
        crate::sender::Sender::of(&stranger)?.send(&crate::sender::forged_advert(50))?;
        told("MASTER_RX_LOWER_PRI")?;
        std::fs::write(&flag, "")?;
        told("MASTER_PRIORITY 107")?;
        let file = match daemon {
            Daemon::Ours => lab.directory().join("h1.conf"),
            Daemon::Keepalived => lab.directory().join("h1-keepalived.conf"),
        };
        ensure!(file.exists(), "{}", file.display());
        std::fs::write(&file, above + &other)?;
        process.signal(Signal::SIGHUP)?;
        told("DELETED")?;
        Ok(lines(&read).into_iter().filter(|line| line.contains("VI_1")).collect())
    };
    assert_eq!(story(Daemon::Ours)?, story(Daemon::Keepalived)?);
    Ok(())
}
