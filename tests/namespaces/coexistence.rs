//! Living with others: tags of VLANs, other XDP programs, jumbo frames, an operator's own program array. The kernel half is put
//! where there is room for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::bpf;
use vrrp_tests::lab::{Host, eventually, ip, run};

use crate::common::{Config, HIGH, Pair, TIMEOUT, VIP, reaches};
use crate::restart::WENT_ON;
use crate::sender::{Sender, forged_advert};

/// The place of the kernel half, as the status gives it.
fn place(host: &Host) -> Result<String> {
    Ok(host.status()?["dataplane"].as_str().unwrap_or_default().to_owned())
}

/// True if the kernel half soon hears the master and watches it.
fn kernel_watches(host: &Host) -> bool {
    let watches = || host.status().is_ok_and(|status| status["instances"][0]["watch"] == "kernel");
    eventually(TIMEOUT, watches)
}

/// An advert for the test's own virtual router from a router that ranks higher, with a tag.
fn tagged_advert(vlan: u8) -> Vec<u8> {
    let mut frame = forged_advert(250);
    frame.splice(12..12, [0x81, 0, 0, vlan]);
    frame
}

#[test]
fn in_tc_it_holds_and_fences_and_tells_vlans_apart() -> Result<()> {
    let mut pair = Pair::start(&["--xdp-mode", "tcx"])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    assert_eq!(place(&pair.h1)?, "ebpf (eth0: tcx)");
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    assert!(pair.h1.status()?["counters"]["arp_answered"].as_u64() > Some(0), "by the program");
    assert!(kernel_watches(&pair.h2), "{}", pair.backup.log());

    // First an advert of another virtual router with the same VRID, in VLAN 100; then one of our virtual router, with a mere
    // priority tag.
    Sender::of(&pair.client)?.send(&tagged_advert(100))?;
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(pair.h1.state(0), "master", "{}", pair.master.log());
    assert_eq!(pair.h2.status()?["instances"][0]["master"]["priority"], HIGH);
    Sender::of(&pair.client)?.send(&tagged_advert(0))?;
    assert!(reaches(&pair.h1, 0, "backup"), "{}", pair.master.log());
    assert!(reaches(&pair.h1, 0, "master"), "{}", pair.master.log());
    pair.h2.wait_for_address(VIP, false, TIMEOUT)?;

    // The next agent goes on where this agent was killed; a stalled agent is fenced.
    pair.master.signal(Signal::SIGKILL)?;
    pair.master.wait(TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?], "the kernel half answers without an agent");
    let again = pair.h1.agent_with(&Config::priority(HIGH).text(), &["--xdp-mode", "tcx"])?;
    assert!(again.says(WENT_ON, TIMEOUT), "{}", again.log());
    again.signal(Signal::SIGSTOP)?;
    pair.h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(eventually(TIMEOUT, || pair
        .client
        .arping(VIP)
        .is_ok_and(|macs| macs == [pair.h2.mac().unwrap()])));
    again.signal(Signal::SIGCONT)?;
    assert!(again.stop()?.success());
    assert!(
        !pair.h1.pin("link-eth0")?.exists(),
        "nothing is attached: no pin and no process holds a program"
    );
    Ok(())
}

/// Pins a program of two instructions to `eth0`, as if it were the operator's.
fn attach_another(host: &Host, program: &Path) -> Result<()> {
    let path = program.display().to_string();
    ip(&["-n", host.namespace(), "link", "set", "dev", "eth0", "xdpgeneric", "pinned", &path]).map(drop)
}

/// A path on the bpffs that is removed with the test.
struct Pin(PathBuf);

impl Pin {
    fn new(host: &Host, name: &str) -> Result<Self> {
        Ok(Self(host.pin("")?.with_file_name(format!("test-{name}-{}", host.namespace()))))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

#[test]
fn in_tc_it_lives_behind_somebody_else_s_program() -> Result<()> {
    let pair = Pair::start(&["--xdp-mode", "tcx"])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    let pin = Pin::new(&pair.h1, "pass")?;
    bpf::pin(&bpf::load_xdp(&bpf::PASS)?, &pin.0)?;
    attach_another(&pair.h1, &pin.0)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    pair.master.stop()?;
    let again = pair.h1.agent_with(&Config::priority(HIGH).text(), &["--xdp-mode", "tcx"])?;
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(place(&pair.h1)?, "ebpf (eth0: tcx)", "{}", again.log());
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    Ok(())
}

/// As with a load balancer's root program: the program on the interface is the operator's, and it calls ours.
#[test]
fn in_an_operator_s_program_array_it_is_called_by_theirs() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    assert!(reaches(&pair.h2, 0, "backup"));
    assert!(pair.master.stop()?.success());
    let (array, root) = (Pin::new(&pair.h1, "array")?, Pin::new(&pair.h1, "root")?);
    let path = array.0.display().to_string();
    let kind = ["type", "prog_array", "key", "4", "value", "4", "entries", "4", "name", "root"];
    run(std::process::Command::new("bpftool").args(["map", "create", &path]).args(kind))?;
    bpf::pin(&bpf::load_xdp(&bpf::call_entry(&bpf::open(&array.0)?, 1))?, &root.0)?;
    attach_another(&pair.h1, &root.0)?;
    let there = || run(std::process::Command::new("bpftool").args(["map", "dump", "pinned", &path]));
    assert!(there()?.contains("Found 0 elements"), "{}", there()?);

    let entry = format!("{path}:1");
    let options = ["--xdp-array", &entry];
    let mut first = pair.h1.agent_with(&Config::priority(HIGH).text(), &options)?;
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert_eq!(place(&pair.h1)?, format!("ebpf (eth0: entry 1 of {path})"));
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?]);
    assert!(pair.h1.status()?["counters"]["arp_answered"].as_u64() > Some(0), "by the program");
    first.signal(Signal::SIGKILL)?;
    first.wait(TIMEOUT)?;
    assert_eq!(pair.client.arping(VIP)?, [pair.h1.mac()?], "the kernel half answers without an agent");
    let again = pair.h1.agent_with(&Config::priority(HIGH).text(), &options)?;
    assert!(again.says(WENT_ON, TIMEOUT), "{}", again.log());
    // As backup the agent hears adverts in the same way.
    pair.backup.stop()?;
    pair.backup = pair.h2.agent(&Config::priority(200).text())?;
    assert!(reaches(&pair.h1, 0, "backup"), "{}", again.log());
    assert!(kernel_watches(&pair.h1), "{}", again.log());
    assert!(again.stop()?.success());
    assert!(there()?.contains("Found 0 elements"), "the entry is empty again: {}", there()?);
    Ok(())
}

#[test]
fn on_jumbo_frames_the_driver_takes_the_program_too() -> Result<()> {
    let mut pair = Pair::start(&[])?;
    let jumbo = |host: &Host| -> Result<()> {
        ip(&["-n", host.namespace(), "link", "set", "eth0", "mtu", "9000"])?;
        ip(&["-n", pair.lab.switch(), "link", "set", host.port(), "mtu", "9000"]).map(drop)
    };
    for host in [&pair.h1, &pair.h2, &pair.client] {
        jumbo(host)?;
    }
    assert!(pair.master.stop()?.success());
    pair.master = pair.h1.agent_with(&Config::priority(HIGH).text(), &["--xdp-mode", "native"])?;
    assert_eq!(place(&pair.h1)?, "ebpf (eth0: native with frags)", "{}", pair.master.log());
    assert!(reaches(&pair.h1, 0, "master"), "{}", pair.master.log());
    pair.h1.wait_for_address(VIP, true, TIMEOUT)?;
    // A packet that takes more than one buffer of the driver goes through the program and back.
    let ping = || pair.client.run("ping", &["-c", "1", "-W", "1", "-s", "8000", &pair.h1.address()]);
    assert!(eventually(TIMEOUT, || ping().is_ok()), "{:?}", ping());
    pair.backup.stop()?;
    pair.backup = pair.h2.agent(&Config::priority(200).text())?;
    assert!(reaches(&pair.h1, 0, "backup"), "{}", pair.master.log());
    assert!(kernel_watches(&pair.h1), "{}", pair.master.log());
    Ok(())
}
