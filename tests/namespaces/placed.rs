//! The program is where it belongs, or the agent does not rely on it: attachments that somebody removes, programs that are
//! never called, interfaces that refuse a program, and names that a bpffs refuses.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::bpf;
use vrrp_tests::lab::{Host, Lab, eventually, ip, run};

use crate::common::{Config, HIGH, LOW, Pair, TIMEOUT, VIP, reaches};

/// Longer than a master-down interval at an interval of 1 s.
const LONGER_THAN_MASTER_DOWN: Duration = Duration::from_secs(6);

fn place(host: &Host) -> String {
    host.status().unwrap_or_default()["dataplane"].as_str().unwrap_or_default().to_owned()
}

/// How often the first instance has become master.
fn became_master(host: &Host) -> Result<u64> {
    Ok(host.status()?["instances"][0]["became_master"].as_u64().unwrap_or_default())
}

/// FAULTS.md A5: the README itself says how to remove the pins.
#[test]
fn a5_a_program_whose_pins_are_removed_stays_and_is_pinned_again() -> Result<()> {
    let pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    for pin in ["link-eth0", "out-eth0"] {
        std::fs::remove_file(pair.h2.pin(pin)?)?;
    }
    std::thread::sleep(LONGER_THAN_MASTER_DOWN);
    assert_eq!(became_master(&pair.h2)?, 0, "{}", pair.backup.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    let pinned = || pair.h2.pin("link-eth0").is_ok_and(|pin| pin.exists());
    assert!(eventually(TIMEOUT, pinned), "{}", pair.backup.log());
    Ok(())
}

#[test]
fn a5_a_program_that_somebody_detaches_is_attached_again() -> Result<()> {
    let pair = Pair::start(&["--xdp-mode", "generic"])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    let pin = pair.h2.pin("link-eth0")?.display().to_string();
    run(Command::new("bpftool").args(["link", "detach", "pinned", &pin]))?;
    assert!(pair.backup.says("is attached", TIMEOUT), "{}", pair.backup.log());
    std::thread::sleep(LONGER_THAN_MASTER_DOWN);
    assert_eq!(became_master(&pair.h2)?, 0, "{}", pair.backup.log());
    assert_eq!(place(&pair.h2), "ebpf (eth0: generic)");
    Ok(())
}

/// FAULTS.md A1, in general: a program that does not see the frames of its interface, here because no program calls it.
#[test]
fn a1_a_program_that_is_never_called_is_found_out_by_the_canary() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    let _master = h1.agent(&Config::priority(HIGH).text())?;
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    let array = h2.pin("")?.with_file_name(format!("test-uncalled-{}", h2.namespace()));
    let path = array.display().to_string();
    let kind = ["type", "prog_array", "key", "4", "value", "4", "entries", "4", "name", "root"];
    run(Command::new("bpftool").args(["map", "create", &path]).args(kind))?;
    let options = ["--dataplane", "auto", "--xdp-array", &path];
    let backup = h2.agent_with(&Config::priority(LOW).text(), &options);
    let result = backup.and_then(|backup| {
        std::thread::sleep(LONGER_THAN_MASTER_DOWN);
        assert_eq!(became_master(&h2)?, 0, "{}", backup.log());
        assert_eq!(h2.state(0), "backup", "{}", backup.log());
        assert!(backup.says("does not see", TIMEOUT), "{}", backup.log());
        assert!(eventually(TIMEOUT, || place(&h2).contains("eth0: sockets")), "{}", backup.log());
        std::thread::sleep(LONGER_THAN_MASTER_DOWN);
        assert_eq!(became_master(&h2)?, 0, "{}", backup.log());
        Ok(())
    });
    let _gone = std::fs::remove_file(&array);
    result
}

/// FAULTS.md A9: in generic mode, which an interface refuses while another XDP program is on it.
#[test]
fn a9_an_interface_that_refuses_the_program_has_its_adverts_by_sockets_until_it_takes_it() -> Result<()> {
    let pair = Pair::start(&["--dataplane", "auto", "--xdp-mode", "generic"])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    let program = pair.h2.pin("")?.with_file_name(format!("test-foreign-{}", pair.h2.namespace()));
    bpf::pin(&bpf::load_xdp(&bpf::PASS)?, &program)?;
    let result = refuse_and_take(&pair, &program);
    let _gone = std::fs::remove_file(&program);
    result
}

fn refuse_and_take(pair: &Pair, program: &Path) -> Result<()> {
    let set_xdp = |how: &[&str]| {
        ip(&[&["-n", pair.h2.namespace(), "link", "set", "dev", "eth0", "xdpgeneric"][..], how].concat())
    };
    pair.h2.unplug()?;
    assert!(reaches(&pair.h2, 0, "fault"));
    // The agent finds the interface with the other program on it.
    pair.backup.signal(Signal::SIGSTOP)?;
    pair.lab.plug(&pair.h2)?;
    set_xdp(&["pinned", &program.display().to_string()])?;
    pair.backup.signal(Signal::SIGCONT)?;
    pair.h2.give_address()?;
    assert!(reaches(&pair.h2, 0, "backup"), "{}", pair.backup.log());
    assert!(place(&pair.h2).contains("eth0: sockets"), "{}", place(&pair.h2));
    std::thread::sleep(LONGER_THAN_MASTER_DOWN);
    assert_eq!(pair.h2.state(0), "backup", "{}", pair.backup.log());
    set_xdp(&["off"])?;
    assert!(eventually(TIMEOUT, || place(&pair.h2) == "ebpf (eth0: generic)"), "{}", pair.backup.log());
    std::thread::sleep(LONGER_THAN_MASTER_DOWN);
    assert_eq!(pair.h2.state(0), "backup", "{}", pair.backup.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    Ok(())
}

/// FAULTS.md E: a reload that cannot attach the program to one of its new interfaces leaves it on none of them.
#[test]
fn e_a_reload_that_fails_at_its_second_new_interface_leaves_nothing_on_the_first() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    lab.second_interface(&h1)?;
    lab.second_card(&h1, "192.168.9.11")?;
    let program = h1.pin("")?.with_file_name(format!("test-foreign-{}", h1.namespace()));
    let instance = |dev: &str, vrid: u8| {
        format!(
            "vrrp_instance {dev} {{\ninterface {dev}\nvirtual_router_id {vrid}\nvirtual_ipaddress {{\n10.0.0.{vrid}\n}}\n}}\n"
        )
    };
    let file = lab.write("h1.conf", &instance("eth0", 51))?;
    let agent = h1.agent_on(&file, &["--xdp-mode", "generic"])?;
    std::fs::create_dir_all(program.parent().expect("a directory"))?;
    bpf::pin(&bpf::load_xdp(&bpf::PASS)?, &program)?;
    let pinned = program.display().to_string();
    let foreign = ip(&["-n", h1.namespace(), "link", "set", "dev", "eth9", "xdpgeneric", "pinned", &pinned]);
    let _gone = std::fs::remove_file(&program);
    foreign?;
    std::fs::write(&file, instance("eth0", 51) + &instance("eth1", 52) + &instance("eth9", 53))?;
    agent.signal(Signal::SIGHUP)?;
    assert!(agent.says("not reloaded", TIMEOUT), "{}", agent.log());
    let shown = ip(&["-n", h1.namespace(), "link", "show", "dev", "eth1"])?;
    assert!(!shown.contains("xdp"), "{shown}\n{}", agent.log());
    assert!(!h1.pin("link-eth1")?.exists());
    assert_eq!(place(&h1), "ebpf (eth0: generic)");
    Ok(())
}

/// FIELD.md R1: the usual name of a VLAN interface has a dot, which a bpffs refuses in the names of pins.
#[test]
fn r1_an_interface_whose_name_has_a_dot_has_the_kernel_half() -> Result<()> {
    let lab = Lab::new()?;
    let h1 = lab.host("h1", 11)?;
    let rename = ["link", "set", "eth0", "name", "eth0.100"];
    ip(&[&["-n", h1.namespace(), "link", "set", "eth0", "down"][..]].concat())?;
    ip(&[&["-n", h1.namespace()][..], &rename].concat())?;
    ip(&["-n", h1.namespace(), "link", "set", "eth0.100", "up"])?;
    let config = Config { more: "use_vmac\n".to_owned(), ..Config::priority(HIGH) }.text();
    let agent = h1.agent(&config.replace("interface eth0\n", "interface eth0.100\n"))?;
    assert!(reaches(&h1, 0, "master"), "{}", agent.log());
    assert!(place(&h1).starts_with("ebpf (eth0.100: "), "{}", place(&h1));
    assert!(h1.pin("link-eth0%2e100")?.exists());
    assert!(agent.stop()?.success());
    assert!(!h1.pin("")?.exists(), "the pins are gone");
    Ok(())
}

/// FIELD.md R2: two routers that refuse each other are two masters, and the log says why.
#[test]
fn r2_a_router_whose_adverts_are_refused_is_named_with_what_to_compare() -> Result<()> {
    for options in [&[][..], &["--dataplane", "socket"]] {
        let lab = Lab::new()?;
        let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
        let other = Config { password: Some("2222"), ..Config::priority(LOW) };
        let ours = h1.agent_with(&Config::priority(HIGH).text(), options)?;
        let _theirs = h2.agent_with(&other.text(), options)?;
        assert!(
            ours.says("adverts of 192.168.1.12 for our virtual router are refused", TIMEOUT),
            "{}",
            ours.log()
        );
        assert!(ours.log().contains("auth_pass"), "{}", ours.log());
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(ours.log().matches("are refused").count(), 1, "said once: {}", ours.log());
    }
    Ok(())
}

/// FAULTS.md C5: an MTU beyond one buffer takes a program of another kind, which cannot share the operator's program array.
#[test]
fn c5_an_mtu_that_grows_beyond_one_buffer_is_followed_in_a_reload_and_after_a_kill() -> Result<()> {
    let mut pair = Pair::start(&["--xdp-mode", "generic"])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    let set_mtu = |mtu: &str| ip(&["-n", pair.h1.namespace(), "link", "set", "dev", "eth0", "mtu", mtu]);
    set_mtu("9000")?;
    pair.master.signal(Signal::SIGHUP)?;
    assert!(pair.master.says("reloaded in", TIMEOUT), "{}", pair.master.log());
    assert!(eventually(TIMEOUT, || place(&pair.h1).contains("frags")), "{}", place(&pair.h1));
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    set_mtu("1500")?;
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    let again = pair.h1.agent_with(&Config::priority(HIGH).text(), &["--xdp-mode", "generic"])?;
    assert!(again.says("went on where an earlier run", TIMEOUT), "{}", again.log());
    assert_eq!(became_master(&pair.h2)?, 0, "{}", pair.backup.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    Ok(())
}
