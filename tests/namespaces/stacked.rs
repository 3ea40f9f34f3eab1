//! Other interfaces that people put an address on: a bridge, a macvlan, a dummy.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab};

use crate::common::{Config, HIGH, LOW, TIMEOUT, VIP};
use crate::scene::{BY_DEFAULT, Scene, on};

/// Two routers with an instance on a device that each host makes of its `eth0`, and fail-over between them.
fn one_router_holds_the_address(device: &str, make: impl Fn(&Host) -> Result<()>) -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.bare_host("h1", 11)?, lab.bare_host("h2", 12)?, lab.host("client", 13)?);
    for host in [&h1, &h2] {
        lab.plug(host)?;
        make(host)?;
        host.ip(&["link", "set", device, "up"])?;
        host.ip(&["address", "add", &format!("{}/24", host.address()), "dev", device])?;
    }
    let start =
        |host: &Host, priority| host.agent_with(&on(device, &Config::priority(priority)), &BY_DEFAULT);
    let scene = |holder: &Host, other: &Host| -> Result<()> {
        let mac = holder.mac_of(device)?;
        Scene { holder, other, client: &client, from: "eth0", vip: VIP, mac }.settles()
    };
    let mut first = start(&h1, HIGH)?;
    let _second = start(&h2, LOW)?;
    scene(&h1, &h2)?;
    first.signal(Signal::SIGKILL)?;
    first.wait(TIMEOUT)?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    let answers = client.who_has("eth0", VIP)?;
    ensure!(answers == [h2.mac_of(device)?], "{answers:?}");
    let _first = start(&h1, HIGH)?;
    scene(&h1, &h2)
}

#[test]
fn on_a_bridge() -> Result<()> {
    one_router_holds_the_address("br0", |host| {
        host.ip(&["link", "add", "br0", "type", "bridge", "mcast_snooping", "0"])?;
        host.ip(&["link", "set", "eth0", "master", "br0"]).map(drop)
    })
}

#[test]
fn on_a_macvlan() -> Result<()> {
    one_router_holds_the_address("mv0", |host| {
        // Else `eth0` below, where no program of ours is, answers for every address of the host (README).
        host.run("sysctl", &["-qw", "net.ipv4.conf.all.arp_ignore=1"])?;
        host.ip(&["link", "add", "mv0", "link", "eth0", "type", "macvlan", "mode", "bridge"]).map(drop)
    })
}

/// The address stands on a dummy, as anycast and load balancers have it, and the adverts are on `eth0`.
#[test]
#[ignore = "needs a kernel with dummy interfaces: run by `cargo xtask kernels`"]
fn d2_with_the_address_on_a_dummy() -> Result<()> {
    one_router_holds_the_address_on_a_dummy()
}

fn one_router_holds_the_address_on_a_dummy() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    for host in [&h1, &h2] {
        host.ip(&["link", "add", "dummy0", "type", "dummy"])?;
        host.ip(&["link", "set", "dummy0", "up"])?;
    }
    let file = |priority| Config { vip: "192.168.1.10/32 dev dummy0", ..Config::priority(priority) }.text();
    let start = |host: &Host, priority| host.agent_with(&file(priority), &BY_DEFAULT);
    let scene = |holder: &Host, other: &Host| -> Result<()> {
        Scene { holder, other, client: &client, from: "eth0", vip: VIP, mac: holder.mac()? }.settles()
    };
    let mut first = start(&h1, HIGH)?;
    let _second = start(&h2, LOW)?;
    scene(&h1, &h2)?;
    // No host asks on the dummy by ARP: a program there would cost all traffic to the address, and answer no question.
    let attached = h1.run("bpftool", &["net", "show"])?;
    ensure!(!attached.contains("dummy0"), "{attached}");
    first.signal(Signal::SIGTERM)?;
    first.wait(TIMEOUT)?;
    scene_of_one(&h2, &client)
}

/// Checks that the only router left has the address.
fn scene_of_one(holder: &Host, client: &Host) -> Result<()> {
    holder.wait_for_address(VIP, true, TIMEOUT)?;
    let answers = client.who_has("eth0", VIP)?;
    ensure!(answers == [holder.mac()?], "{answers:?}");
    Ok(())
}
