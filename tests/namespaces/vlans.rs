//! VLANs of a trunk: tags that do not stand in the frame's bytes, since the card, or here the veth, carries them beside the
//! frame.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::bpf;
use vrrp_tests::lab::{BPFFS, Host, Lab, Process, eventually, run};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP, reaches};
use crate::scene::{AND_STAYS_SO, BY_DEFAULT, Scene, on};
use crate::sender::{Sender, forged_advert};

const VLAN: u16 = 100;
const IN_VLAN: &str = "eth0.100";

/// Two routers on an untagged segment, the first of them master, and a client.
struct Untagged {
    _first: Process,
    _second: Process,
    h1: Host,
    h2: Host,
    client: Host,
    lab: Lab,
}

impl Untagged {
    fn start(prepare: impl FnOnce(&Host) -> Result<()>) -> Result<Self> {
        let lab = Lab::new()?;
        let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
        prepare(&h1)?;
        let first = h1.agent_with(&Config::priority(HIGH).text(), &BY_DEFAULT)?;
        let second = h2.agent_with(&Config::priority(LOW).text(), &BY_DEFAULT)?;
        let all = Self { _first: first, _second: second, h1, h2, client, lab };
        all.settles()?;
        Ok(all)
    }

    fn settles(&self) -> Result<()> {
        let mac = self.h1.mac()?;
        let Self { h1, h2, client, .. } = self;
        Scene { holder: h1, other: h2, client, from: "eth0", vip: VIP, mac }.settles()
    }

    /// Checks that the first router has stayed master since it became master.
    fn never_left(&self) -> Result<()> {
        let status = self.h1.status()?;
        ensure!(status["instances"][0]["became_master"] == 1, "{status:#}");
        Ok(())
    }

    /// A router of VLAN 100 with the same number, the same password and a higher priority, on the same trunk.
    fn other_vlans_router(&self) -> Result<(Host, Process)> {
        let host = self.lab.host("other", 14)?;
        host.vlan(VLAN, Some("10.100.0.14/24"))?;
        let config = Config { vip: "10.100.0.10", ..Config::priority(200) };
        let agent = host.agent_with(&on(IN_VLAN, &config), &BY_DEFAULT)?;
        ensure!(reaches(&host, 0, "master"), "{}", agent.log());
        Ok((host, agent))
    }
}

#[test]
#[ignore = "needs a kernel with VLANs: run by `cargo xtask kernels`"]
fn a2_another_vlans_router_where_this_host_is_in_no_vlan() -> Result<()> {
    let untagged = Untagged::start(|_| Ok(()))?;
    let _other = untagged.other_vlans_router()?;
    untagged.settles()?;
    untagged.never_left()
}

#[test]
#[ignore = "needs a kernel with VLANs: run by `cargo xtask kernels`"]
fn a2_another_vlans_router_where_the_vlan_was_there_before_the_agent() -> Result<()> {
    let untagged = Untagged::start(|h1| h1.vlan(VLAN, None))?;
    let _other = untagged.other_vlans_router()?;
    untagged.settles()?;
    untagged.never_left()
}

/// The VLAN is made while the agent runs, and then moved to where the agent does not see it, as into a container.
#[test]
#[ignore = "needs a kernel with VLANs: run by `cargo xtask kernels`"]
fn a2_another_vlans_router_where_the_vlan_comes_later_and_goes_into_another_namespace() -> Result<()> {
    let untagged = Untagged::start(|_| Ok(()))?;
    untagged.h1.vlan(VLAN, None)?;
    let _other = untagged.other_vlans_router()?;
    untagged.settles()?;
    untagged.never_left()?;
    let container = untagged.lab.bare_host("container", 15)?;
    untagged.h1.ip(&["link", "set", IN_VLAN, "netns", container.namespace()])?;
    container.ip(&["link", "set", IN_VLAN, "up"])?;
    untagged.settles()?;
    untagged.never_left()
}

/// A question in another VLAN gets no answer from the untagged router: the host itself has nothing there that could answer.
#[test]
#[ignore = "needs a kernel with VLANs: run by `cargo xtask kernels`"]
fn a2_a_question_in_another_vlan_is_not_answered() -> Result<()> {
    let untagged = Untagged::start(|_| Ok(()))?;
    untagged.client.vlan(VLAN, Some("10.100.0.13/24"))?;
    for _ in 0..3 {
        let answers = untagged.client.who_has(IN_VLAN, VIP)?;
        ensure!(answers.is_empty(), "{answers:?}");
    }
    untagged.settles()
}

/// An instance in the VLAN itself, with the kernel half pinned and the hardware address of the virtual router.
#[test]
#[ignore = "needs a kernel with VLANs: run by `cargo xtask kernels`"]
fn r1_an_instance_on_an_interface_whose_name_has_a_dot() -> Result<()> {
    const VMAC: &str = "00:00:5e:00:01:33";
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    for (host, last) in [(&h1, 11), (&h2, 12), (&client, 13)] {
        host.vlan(VLAN, Some(&format!("10.100.0.{last}/24")))?;
    }
    let vip = "10.100.0.10";
    let file =
        |priority| on(IN_VLAN, &Config { vip, more: "use_vmac".to_owned(), ..Config::priority(priority) });
    let mut first = h1.agent(&file(HIGH))?;
    let _second = h2.agent(&file(LOW))?;
    let scene = |holder, other| {
        Scene { holder, other, client: &client, from: IN_VLAN, vip, mac: VMAC.to_owned() }.settles()
    };
    scene(&h1, &h2)?;
    for host in [&h1, &h2] {
        let status = host.status()?;
        ensure!(status["pins"].is_string(), "nothing is pinned: {status:#}");
        ensure!(status["dataplane"].to_string().contains("ebpf"), "{status:#}");
    }
    first.signal(Signal::SIGKILL)?;
    first.wait(TIMEOUT)?;
    h2.wait_for_address(vip, true, TIMEOUT)?;
    ensure!(client.who_has(IN_VLAN, vip)? == [VMAC]);
    let reached = eventually(TIMEOUT, || client.run("ping", &["-c", "1", "-W", "1", vip]).is_ok());
    ensure!(reached, "answered for, and no packet arrives");
    let _first = h1.agent(&file(HIGH))?;
    scene(&h1, &h2)
}

/// The same as with a router in another VLAN, without VLANs in this kernel: a program on the sender's interface puts the tag
/// on, and the veth carries it beside the frame.
#[test]
fn a2_an_advert_whose_tag_stands_beside_the_frame_is_another_vlans() -> Result<()> {
    let untagged = Untagged::start(|_| Ok(()))?;
    let sender = untagged.lab.host("other", 14)?;
    let sends = |count: u32| -> Result<()> {
        for _ in 0..count {
            Sender::of(&sender)?.send(&forged_advert(200))?;
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    };
    tag_all(&sender)?;
    let seen = untagged.client.capture_of("vlan")?;
    let start = Instant::now();
    while start.elapsed() < AND_STAYS_SO {
        sends(2)?;
        ensure!(untagged.h1.state(0) == "master", "demoted after {:?}", start.elapsed());
    }
    // The frames were tagged indeed, and such that a router would have believed them without the tag.
    ensure!(seen.text().contains(&format!("vlan {VLAN}")), "no tag on the wire:\n{}", seen.text());
    untagged.never_left()?;
    untagged.settles()?;
    sender.run("tc", &["qdisc", "del", "dev", "eth0", "clsact"])?;
    sends(1)?;
    ensure!(eventually(TIMEOUT, || untagged.h1.state(0) == "backup"), "untagged, it counts");
    Ok(())
}

/// From now on all that leaves the host's `eth0` has the tag of the VLAN.
fn tag_all(host: &Host) -> Result<()> {
    let pin = Path::new(BPFFS).join(format!("tag-{}", host.namespace()));
    bpf::pin(&bpf::load_classifier(&bpf::push_tag(VLAN))?, &pin)?;
    host.run("tc", &["qdisc", "add", "dev", "eth0", "clsact"])?;
    let mut tc = host.command("tc");
    tc.args(["filter", "add", "dev", "eth0", "egress", "bpf", "direct-action", "object-pinned"]).arg(&pin);
    let attached = run(&mut tc);
    // The filter keeps the program loaded.
    std::fs::remove_file(&pin)?;
    attached.map(drop)
}

/// Tagged ARP with the tag beside the frame: an untagged master does not answer it, not even with the same tag.
#[test]
fn a2_a_question_whose_tag_stands_beside_the_frame_is_not_answered() -> Result<()> {
    let untagged = Untagged::start(|_| Ok(()))?;
    let asker = untagged.lab.host("other", 14)?;
    ensure!(asker.who_has("eth0", VIP)? == [untagged.h1.mac()?], "untagged, it is answered");
    tag_all(&asker)?;
    let seen = untagged.client.capture_of("vlan and arp")?;
    let answers = asker.capture_of("vlan and arp")?;
    for _ in 0..3 {
        asker.who_has("eth0", VIP)?;
    }
    ensure!(eventually(TIMEOUT, || seen.text().contains("who-has")), "no question on the wire");
    ensure!(!answers.text().contains("is-at"), "{}", answers.text());
    untagged.settles()
}
