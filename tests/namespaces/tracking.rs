//! Tracked interfaces, files and processes, alone and in a sync group; and scripts beside keepalived's, result by result.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use vrrp_tests::lab::{Capture, Host, Lab, Process, eventually};
use vrrp_tests::random::Random;

use crate::common::{Config, Daemon, HIGH, TIMEOUT, VIP, reaches};

/// The only router of a segment, which tracks something.
struct Alone {
    host: Host,
    _agent: Process,
    lab: Lab,
}

impl Alone {
    /// `prepare` gets the lab as it is before the agent starts, and returns the lines above the instance and those inside it.
    fn start(prepare: impl Fn(&Lab, &Host) -> Result<(String, String)>) -> Result<Self> {
        let lab = Lab::new()?;
        let host = lab.host("h1", 11)?;
        let (above, more) = prepare(&lab, &host)?;
        let agent = host.agent(&Config { above, more, ..Config::priority(HIGH) }.text())?;
        Ok(Self { host, _agent: agent, lab })
    }

    fn has_priority(&self, priority: u8) -> Result<()> {
        let seen = || self.host.status().unwrap_or_default()["instances"][0]["priority"].as_u64();
        let reached = eventually(TIMEOUT, || seen() == Some(priority.into()));
        anyhow::ensure!(reached, "priority {:?} instead of {priority}", seen());
        Ok(())
    }

    fn is(&self, state: &str) {
        assert!(reaches(&self.host, 0, state), "{} instead of {state}", self.host.state(0));
    }

    fn set_link(&self, how: &str) -> Result<()> {
        self.host.run("ip", &["link", "set", "eth1", how]).map(drop)
    }
}

/// A second interface, without an address: nothing is sent on it.
fn interface(line: &str) -> Result<Alone> {
    Alone::start(|lab, host| {
        lab.second_interface(host)?;
        Ok((String::new(), format!("track_interface {{\n{line}\n}}")))
    })
}

#[test]
fn an_interface_that_is_down_lowers_the_priority() -> Result<()> {
    let alone = interface("eth1 weight -30")?;
    alone.has_priority(HIGH)?;
    alone.set_link("down")?;
    alone.has_priority(HIGH - 30)?;
    alone.set_link("up")?;
    alone.has_priority(HIGH)
}

#[test]
fn reversed_it_raises_the_priority() -> Result<()> {
    let alone = interface("eth1 weight -30 reverse")?;
    alone.has_priority(HIGH)?;
    alone.set_link("down")?;
    alone.has_priority(HIGH + 30)
}

#[test]
fn an_interface_without_a_weight_is_needed() -> Result<()> {
    let alone = interface("eth1")?;
    alone.is("master");
    alone.host.run("ip", &["link", "del", "eth1"])?;
    alone.is("fault");
    alone.lab.second_interface(&alone.host)?;
    alone.is("master");
    Ok(())
}

/// A tracked interface need neither be there nor be Ethernet.
#[test]
fn a_tunnel_that_comes_later() -> Result<()> {
    let alone = Alone::start(|_, _| {
        Ok((String::new(), "track_interface {\nlo weight 5\ntun7 weight 20\n}".to_owned()))
    })?;
    alone.has_priority(HIGH + 5)?;
    alone.host.run("ip", &["tuntap", "add", "tun7", "mode", "tun"])?;
    alone.host.run("ip", &["link", "set", "tun7", "up"])?;
    // No program has opened the tunnel device, so it has no carrier.
    alone.has_priority(HIGH + 5)?;
    alone.host.run("ip", &["link", "set", "lo", "down"])?;
    alone.has_priority(HIGH)
}

#[test]
fn the_instances_own_interface_may_be_untracked() -> Result<()> {
    let alone = Alone::start(|_, _| Ok((String::new(), "dont_track_primary".to_owned())))?;
    alone.is("master");
    alone.host.run("ip", &["link", "set", "eth0", "down"])?;
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(alone.host.state(0), "master");
    Ok(())
}

fn file(weight: &str, line: &str, before: Option<&str>) -> Result<Alone> {
    Alone::start(|lab, _| {
        if let Some(before) = before {
            lab.write("number", before)?;
        }
        let path = lab.directory().join("number");
        let above = format!("track_file f {{\nfile {}\n{weight}\n}}", path.display());
        Ok((above, format!("track_file {{\n{line}\n}}")))
    })
}

#[test]
fn the_number_in_a_file_moves_the_priority() -> Result<()> {
    let alone = file("weight 2", "f", None)?;
    alone.has_priority(HIGH)?;
    alone.lab.write("number", "5\n")?;
    alone.has_priority(HIGH + 10)?;
    // Another file takes its place, as careful programs write.
    let other = alone.lab.write("other", "-7")?;
    std::fs::rename(other, alone.lab.directory().join("number"))?;
    alone.has_priority(HIGH - 14)?;
    alone.lab.write("number", "-127")?;
    alone.is("fault");
    std::fs::remove_file(alone.lab.directory().join("number"))?;
    alone.is("master");
    alone.has_priority(HIGH)
}

#[test]
fn without_a_weight_only_zero_is_good() -> Result<()> {
    let alone = file("weight 0", "f", Some("1"))?;
    alone.is("fault");
    alone.lab.write("number", "0")?;
    alone.is("master");
    Ok(())
}

#[test]
fn a_file_is_made_with_its_first_number() -> Result<()> {
    let alone = file("init_file 4", "f weight 3 reverse", None)?;
    alone.has_priority(HIGH - 12)?;
    assert_eq!(std::fs::read_to_string(alone.lab.directory().join("number"))?, "4\n");
    Ok(())
}

/// A program under a name that no other process has, since the processes of all namespaces are seen.
struct Program {
    path: PathBuf,
    name: String,
}

impl Program {
    fn new(lab: &Lab) -> Result<Self> {
        let name = format!("trk{}", lab.switch().replace(|c: char| !c.is_ascii_digit(), ""));
        let name: String = name.chars().take(15).collect();
        let path = lab.directory().join(&name);
        std::fs::copy("/bin/sleep", &path)?;
        Ok(Self { path, name })
    }

    fn start(&self, host: &Host, seconds: &str) -> Result<Process> {
        host.spawn(host.command(&self.path).arg(seconds), "tracked")
    }
}

/// A host that tracks a process. `keywords` are the lines of the block, with `PATH` for the program's path and `NAME` for its
/// name.
fn process(keywords: &str, line: &str) -> Result<Alone> {
    Alone::start(|lab, _| {
        let program = Program::new(lab)?;
        let keywords = keywords.replace("PATH", &program.path.display().to_string());
        let keywords = keywords.replace("NAME", &program.name);
        let above = format!("vrrp_track_process p {{\n{keywords}\n}}");
        Ok((above, format!("track_process {{\n{line}\n}}")))
    })
}

#[test]
fn a_process_moves_the_priority() -> Result<()> {
    let alone = process("process NAME\nweight 20\nquorum 2", "p")?;
    let program = Program::new(&alone.lab)?;
    alone.has_priority(HIGH)?;
    let first = program.start(&alone.host, "1000")?;
    let second = program.start(&alone.host, "1000")?;
    alone.has_priority(HIGH + 20)?;
    first.kill()?;
    alone.has_priority(HIGH)?;
    second.kill()
}

#[test]
fn a_process_without_a_weight_is_needed() -> Result<()> {
    let alone = process("process PATH 1001\nfull_command", "p")?;
    let program = Program::new(&alone.lab)?;
    // A process with other arguments does not count.
    let _other = program.start(&alone.host, "1002")?;
    alone.is("fault");
    let process = program.start(&alone.host, "1001")?;
    alone.is("master");
    process.kill()?;
    alone.is("fault");
    Ok(())
}

#[test]
fn one_process_too_many() -> Result<()> {
    let alone = process("process NAME\nquorum_max 1\nweight -10", "p")?;
    let program = Program::new(&alone.lab)?;
    let first = program.start(&alone.host, "1000")?;
    alone.has_priority(HIGH)?;
    let second = program.start(&alone.host, "1000")?;
    alone.has_priority(HIGH - 10)?;
    second.kill()?;
    alone.has_priority(HIGH)?;
    first.kill()
}

/// The group's own trackers are those of all members, weights included; a member's weights are dropped.
fn grouped(group: &str, member: &str) -> Result<(Host, Process, Lab)> {
    let lab = Lab::new()?;
    let host = lab.host("h1", 11)?;
    lab.second_interface(&host)?;
    let path = lab.write("number", "0")?;
    let above = format!("track_file f {{\nfile {}\n}}", path.display());
    let one = Config { above, more: member.to_owned(), ..Config::priority(HIGH) };
    let two = Config { name: "VI_2", vrid: 52, vip: "192.168.2.10", ..Config::priority(HIGH) };
    let two = two.text().replace("interface eth0", "interface eth1");
    let group = format!("vrrp_sync_group G {{\ngroup {{\nVI_1\nVI_2\n}}\n{group}\n}}\n");
    let agent = host.agent(&(one.text() + &two + &group))?;
    host.wait_for_address(VIP, true, TIMEOUT)?;
    Ok((host, agent, lab))
}

fn priorities(host: &Host) -> [u64; 2] {
    let status = host.status().unwrap_or_default();
    [0, 1].map(|slot| status["instances"][slot]["priority"].as_u64().unwrap_or_default())
}

#[test]
fn what_a_group_tracks_moves_all_its_members() -> Result<()> {
    let (host, _agent, lab) = grouped("track_file {\nf\n}", "")?;
    lab.write("number", "9")?;
    assert!(eventually(TIMEOUT, || priorities(&host) == [109, 109]), "{:?}", priorities(&host));
    lab.write("number", "-254")?;
    assert!(reaches(&host, 0, "fault") && reaches(&host, 1, "fault"));
    Ok(())
}

#[test]
fn a_member_does_not_move_by_itself() -> Result<()> {
    let (host, _agent, lab) = grouped("", "track_file {\nf\n}")?;
    // The weight of the member does not count: any number but zero is a fault of the whole group.
    lab.write("number", "9")?;
    assert!(reaches(&host, 0, "fault") && reaches(&host, 1, "fault"));
    lab.write("number", "0")?;
    assert!(reaches(&host, 0, "master") && reaches(&host, 1, "master"));
    Ok(())
}

/// Each instance has a script whose results are known in advance, one after the other.
#[derive(Clone, Debug)]
struct Checked {
    weight: i16,
    /// `reverse`, or nothing.
    sense: &'static str,
    rise: u32,
    fall: u32,
    /// The results, one digit for each run: `0` is success. The last result is repeated for ever.
    results: String,
}

const CHECKED: u8 = 16;
const RESULTS: usize = 20;

impl Checked {
    fn generate(random: &mut Random) -> Self {
        let mut results = String::new();
        while results.len() < RESULTS {
            // The same result several times in a row, so that `rise` and `fall` are reached now and then.
            results += &random.pick(&["0", "1"]).repeat(1 + random.index(4));
        }
        Self {
            weight: *random.pick(&[-250, -60, -7, 0, 7, 60, 250]),
            sense: *random.pick(&["", "", "reverse"]),
            rise: *random.pick(&[1, 2, 3]),
            fall: *random.pick(&[1, 2, 3]),
            results,
        }
    }

    fn text(&self, vrid: u8, directory: &str) -> String {
        let Self { weight, sense, rise, fall, results } = self;
        format!(
            "vrrp_script s{vrid} {{\nscript \"{directory}/next {directory}/{vrid} {results}\"\ninterval 1\ntimeout 1\n\
             weight {weight} {sense}\nrise {rise}\nfall {fall}\n}}\n\
             vrrp_instance V{vrid} {{\ninterface eth0\nversion 3\nadvert_int 0.1\nvirtual_router_id {vrid}\n\
             priority 100\nvirtual_ipaddress {{\n192.168.1.{}\n}}\ntrack_script {{\ns{vrid}\n}}\n}}\n",
            100 + vrid
        )
    }
}

/// The script: counts its runs in a file, and exits with the result that stands at that place.
const NEXT: &str = "#!/bin/sh\nread n 2>/dev/null <$1 || n=0\nn=$((n + 1))\necho $n >$1\n\
                    [ $n -gt ${#2} ] && n=${#2}\nexit $(echo $2 | cut -c$n)\n";

/// A segment where one daemon is alone, and a client that listens there.
struct Segment {
    capture: Capture,
    _client: Host,
    _daemon: Process,
    _host: Host,
    _lab: Lab,
}

impl Segment {
    fn start(daemon: Daemon, checked: &[Checked]) -> Result<Self> {
        let lab = Lab::new()?;
        let (host, client) = (lab.host("h1", 11)?, lab.host("client", 13)?);
        lab.write_script("next", NEXT)?;
        let directory = lab.directory().display().to_string();
        let mut text = "global_defs {\nscript_user root\n}\n".to_owned();
        for (vrid, checked) in (1..).zip(checked) {
            text += &checked.text(vrid, &directory);
        }
        let capture = client.capture()?;
        let daemon = daemon.start_with(&host, &text)?;
        Ok(Self { capture, _client: client, _daemon: daemon, _host: host, _lab: lab })
    }

    /// The priorities of one virtual router, one for each change.
    fn priorities(&self, vrid: u8) -> Vec<u8> {
        let adverts = self.capture.adverts();
        let mut priorities: Vec<u8> =
            adverts.iter().filter(|p| p.content.vrid == vrid).map(|p| p.content.priority).collect();
        priorities.dedup();
        priorities
    }
}

/// Scripts with the same results, ours and keepalived's: the same priorities on the wire, in the same order. A fault is
/// priority 0.
#[test]
fn the_same_results_have_the_same_priorities() -> Result<()> {
    let seed = std::env::var("TRACKING_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random::new(seed);
    let checked: Vec<Checked> = (0..CHECKED).map(|_| Checked::generate(&mut random)).collect();
    let ours = Segment::start(Daemon::Ours, &checked)?;
    let its = Segment::start(Daemon::Keepalived, &checked)?;
    std::thread::sleep(Duration::from_secs(RESULTS as u64 + 10));
    let mut differences = String::new();
    for (vrid, checked) in (1..).zip(&checked) {
        let (ours, its) = (ours.priorities(vrid), its.priorities(vrid));
        if ours != its {
            writeln!(differences, "{checked:?}\n  ours: {ours:?}\n  its:  {its:?}")?;
        }
    }
    let moved = (1..=CHECKED).filter(|&vrid| its.priorities(vrid).len() > 1).count();
    anyhow::ensure!(moved > 4, "only {moved} of keepalived's instances have moved");
    anyhow::ensure!(differences.is_empty(), "TRACKING_SEED={seed}:\n{differences}");
    Ok(())
}
