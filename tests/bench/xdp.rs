//! `cargo xtask bench xdp`: what the XDP program costs a frame, measured by the kernel (`BPF_PROG_TEST_RUN`), beside an empty
//! program in the same run. Needs root.
//!
//! The program changes some frames, so that they cannot be run again. Such a frame is run once in each call, beside the empty
//! program run likewise; all other frames are run many times in one call.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use vrrp_agent::host;
use vrrp_agent::wire::advert::{Body, Repr, V2Auth, V3Checksum, address};
use vrrp_agent::wire::ethernet::{advert_ipv4, ipv4_packet};
use vrrp_ebpf::abi::{EVENTS_BYTES, Instance, InstanceKey, Lease, Role, VipUse};
use vrrp_ebpf::advert::{
    Address, Auth, Cast, Family, GROUP_V4, Rules, VerifiedBy, Version, list_sum, offset,
};
use vrrp_ebpf::checksum;
use vrrp_ebpf::election::{Candidate, DOWN_ADVERTS, Preempt, Takeover};

#[path = "empty.rs"]
mod empty;
#[expect(dead_code, reason = "the kernel tests use the rest")]
#[path = "../kernel/program.rs"]
mod program;

use empty::Empty;
use program::{Entry, IFINDEX, Program};

/// Runs in one call, and calls of which the fastest counts: what disturbs a run makes it slower, never faster.
const REPEAT: u32 = 200_000;
const ROUNDS: usize = 7;
/// Runs of a frame that is rewritten; their median counts.
const SINGLES: usize = 20_001;

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 7];
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const VIP_HELD: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 0);
const VIP_NOT_HELD: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
const PASSWORD: [u8; 8] = *b"1111\0\0\0\0";

/// VRIDs, which are slots too.
const BACKUP_V2: u8 = 1;
const BACKUP_V3: u8 = 3;
const MASTER: u8 = 5;
const NOBODY: u8 = 9;

/// One line of the table.
struct Case {
    what: &'static str,
    frame: Vec<u8>,
    /// The goal for the time beyond that of the empty program, in nanoseconds.
    goal: Option<f64>,
    /// True if the program rewrites the frame.
    rewritten: bool,
}

fn main() -> Result<()> {
    let jit = std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_default();
    println!(
        "JIT: {}; each run {REPEAT} times, the fastest of {ROUNDS}; rewritten frames one by one",
        jit.trim()
    );
    let mut program = program()?;
    let empty = Empty::load()?;
    println!("\n{:<46} {:>8} {:>8} {:>9} {:>7}", "frame", "ns", "empty", "over it", "goal");
    let mut missed = 0;
    for Case { what, frame, goal, rewritten } in cases() {
        let (ours, nothing) = if rewritten {
            singles(&mut program, &empty, &frame)?
        } else {
            repeated(&mut program, &empty, &frame)?
        };
        let over = ours - nothing;
        let goal_text = goal.map_or_else(String::new, |goal| format!("<= {goal}"));
        let verdict = if goal.is_some_and(|goal| over > goal) { "  missed" } else { "" };
        missed += usize::from(!verdict.is_empty());
        println!("{what:<46} {ours:>8.1} {nothing:>8.1} {over:>9.1} {goal_text:>7}{verdict}");
    }
    println!("\n{missed} goals missed");
    Ok(())
}

fn repeated(program: &mut Program, empty: &Empty, frame: &[u8]) -> Result<(f64, f64)> {
    let (mut ours, mut nothing) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        ours = ours.min(program.test_run(frame, None, REPEAT)?.duration.as_nanos() as f64);
        nothing = nothing.min(empty.time(frame, REPEAT)?.as_nanos() as f64);
    }
    Ok((ours, nothing))
}

fn singles(program: &mut Program, empty: &Empty, frame: &[u8]) -> Result<(f64, f64)> {
    let (mut ours, mut nothing) = (Vec::new(), Vec::new());
    for _ in 0..SINGLES {
        ours.push(program.test_run(frame, None, 1)?.duration.as_nanos());
        nothing.push(empty.time(frame, 1)?.as_nanos());
    }
    let median = |mut times: Vec<u128>| {
        times.sort_unstable();
        times[times.len() / 2] as f64
    };
    Ok((median(ours), median(nothing)))
}

fn program() -> Result<Program> {
    let mut program = Program::load_with(Entry::Xdp, EVENTS_BYTES, false)?;
    for (vrid, version, role) in [
        (BACKUP_V2, Version::V2, Role::Backup),
        (BACKUP_V3, Version::V3, Role::Backup),
        (MASTER, Version::V3, Role::Master),
    ] {
        program.prepare(vrid.into())?;
        program.set(&instance(vrid, version, role))?;
        let until_boot_ns = match role {
            Role::Master => host::uptime().as_nanos() as u64 + 3_600_000_000_000,
            Role::Backup | Role::Idle => 0,
        };
        program.set_lease(vrid.into(), Lease { heartbeat_ns: 0, until_boot_ns, epoch: 1 })?;
    }
    program.set_vip(VIP_HELD.into(), MASTER.into(), OURS, VipUse::Accept)?;
    program.set_vip(VIP_NOT_HELD.into(), BACKUP_V3.into(), OURS, VipUse::Accept)?;
    program.set_vip(vip_v6().into(), MASTER.into(), OURS, VipUse::Accept)?;
    for vrid in [MASTER, BACKUP_V3] {
        program.set_vmac(vmac(vrid), vrid.into(), OURS)?;
    }
    // The first advert of each backup is news; what follows is the steady state.
    program.run(&advert_v2(|_| {}))?;
    program.run(&advert_v3(BACKUP_V3, 200, |_| {}))?;
    ensure!(program.drain_events() == 2, "both backups hear their master");
    Ok(program)
}

fn instance(vrid: u8, version: Version, role: Role) -> Instance {
    let ours = Address::v4([10, 0, 0, 2]);
    Instance {
        epoch: 1,
        rules: Rules {
            version,
            auth: if version == Version::V2 { Auth::Pass } else { Auth::None },
            password: PASSWORD,
            interval_ns: 1_000_000_000,
            destination: Family::V4.group(),
            cast: Cast::Multicast,
            ttl_min: 255,
            verified_by: VerifiedBy::Kernel,
            list_sum: list_sum([address(VIP_HELD.into())].into_iter()),
        },
        candidate: Candidate {
            address: ours,
            version,
            priority: 100,
            preempt: Preempt::Yes,
            down_adverts: DOWN_ADVERTS,
        },
        slot: vrid.into(),
        role,
        key: InstanceKey { ifindex: IFINDEX, family: Family::V4, vrid: vrid.into() },
        takeover: Takeover::Agent,
    }
}

fn vmac(vrid: u8) -> [u8; 6] {
    [0, 0, 0x5e, 0, 1, vrid]
}

fn vip_v6() -> Ipv6Addr {
    Ipv6Addr::from([0xfd00, 0, 0, 0, 0, 0, 0, 0x10])
}

/// A frame with an advert. `spoil` changes the VRRP message; the IP header is valid.
fn advert(repr: &Repr, spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = repr.encode(SOURCE.into(), GROUP_V4.into());
    spoil(&mut message);
    advert_ipv4(CLIENT, SOURCE, &message)
}

fn advert_v2(spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let body = Body::V2 { seconds: 1, auth: V2Auth::Pass(PASSWORD) };
    advert(&Repr { vrid: BACKUP_V2, priority: 200, addresses: vec![VIP_HELD.into()], body }, spoil)
}

fn advert_v3(vrid: u8, priority: u8, spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let body = Body::V3 { centiseconds: 100, checksum: V3Checksum::PseudoHeader };
    advert(&Repr { vrid, priority, addresses: vec![VIP_HELD.into()], body }, spoil)
}

fn fix_checksum(message: &mut [u8]) {
    message[offset::CHECKSUM..][..2].fill(0);
    let sum = !checksum::fold(checksum::sum(message));
    message[offset::CHECKSUM..][..2].copy_from_slice(&sum.to_be_bytes());
}

/// Changes one byte of the message and corrects the checksum of the message.
fn with(at: usize, value: u8) -> impl FnOnce(&mut Vec<u8>) {
    move |message| {
        message[at] = value;
        fix_checksum(message);
    }
}

fn tcp(to_mac: [u8; 6]) -> Vec<u8> {
    let mut packet = ipv4_packet(Ipv4Addr::new(10, 0, 0, 7), VIP_HELD, 64, &[0; 40]);
    packet[9] = 6;
    [&to_mac[..], &CLIENT, &[8, 0], &packet].concat()
}

fn tcp_v6() -> Vec<u8> {
    let mut frame = [&OURS[..], &CLIENT, &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 6, 64]].concat();
    frame.extend([0xfd; 32]);
    frame.extend([0; 40]);
    frame
}

fn tagged(mut frame: Vec<u8>) -> Vec<u8> {
    frame.splice(12..12, [0x81, 0, 0, 100]);
    frame
}

fn arp_request(target: Ipv4Addr) -> Vec<u8> {
    let mut frame =
        [&[0xff; 6][..], &CLIENT, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &CLIENT, &[10, 0, 0, 7]].concat();
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame.resize(60, 0);
    frame
}

fn solicitation(target: Ipv6Addr) -> Vec<u8> {
    let mut frame = [&OURS[..], &CLIENT, &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]].concat();
    frame.extend([0xfd; 16]);
    frame.extend(target.octets());
    frame.extend([135, 0, 0, 0, 0, 0, 0, 0]);
    frame.extend(target.octets());
    frame.extend([1, 1]);
    frame.extend(CLIENT);
    frame
}

fn cases() -> Vec<Case> {
    const PASS: Option<f64> = Some(10.0);
    const REJECT: Option<f64> = Some(60.0);
    const ACCEPT: Option<f64> = Some(120.0);
    let case = |what, frame, goal| Case { what, frame, goal, rewritten: false };
    let rewritten = |what, frame, goal| Case { what, frame, goal, rewritten: true };
    let ip = |spoil: fn(&mut Vec<u8>)| {
        let mut frame = advert_v2(|_| {});
        spoil(&mut frame);
        frame
    };
    vec![
        case("IPv4 TCP", tcp(OURS), PASS),
        case("IPv6 TCP", tcp_v6(), PASS),
        case("IPv4 TCP, tagged", tagged(tcp(OURS)), PASS),
        case("advert, version 2 with password, as backup", advert_v2(|_| {}), ACCEPT),
        case("advert, version 3, as backup", advert_v3(BACKUP_V3, 200, |_| {}), ACCEPT),
        case("advert, lower, as master", advert_v3(MASTER, 50, |_| {}), ACCEPT),
        case("advert, unknown VRID", advert_v3(NOBODY, 200, |_| {}), REJECT),
        case("rejected: length", advert_v2(with(offset::COUNT, 2)), REJECT),
        case("rejected: TTL", ip(|frame| frame[22] = 254), REJECT),
        case("rejected: destination", ip(|frame| frame[33] = 19), REJECT),
        case("rejected: version", advert_v3(BACKUP_V2, 200, |_| {}), REJECT),
        case("rejected: type", advert_v2(with(0, 0x22)), REJECT),
        case("rejected: authentication type", advert_v2(with(offset::V2_AUTH_TYPE, 0)), REJECT),
        case("rejected: password", advert_v2(with(12, b'2')), REJECT),
        case("rejected: interval", advert_v2(with(offset::V2_INTERVAL, 2)), REJECT),
        case("rejected: checksum", advert_v2(|message| message[offset::CHECKSUM] ^= 1), REJECT),
        case(
            "rejected: checksum, version 3",
            advert_v3(BACKUP_V3, 200, |m| m[offset::CHECKSUM] ^= 1),
            REJECT,
        ),
        case("ARP request for a VIP not held, swallowed", arp_request(VIP_NOT_HELD), ACCEPT),
        case("ARP request for another address", arp_request(SOURCE), ACCEPT),
        case("frame to a virtual MAC not held, dropped", tcp(vmac(BACKUP_V3)), None),
        rewritten("ARP request for a VIP held, answered", arp_request(VIP_HELD), ACCEPT),
        rewritten("NS for a VIP held, answered", solicitation(vip_v6()), ACCEPT),
        rewritten("frame to a virtual MAC held, admitted", tcp(vmac(MASTER)), None),
    ]
}
