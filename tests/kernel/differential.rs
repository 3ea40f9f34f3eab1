//! One rule in three places: the loaded program, the socket path's decoder and the shared rule on the host give the same
//! verdict on every frame.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result};
use vrrp_agent::net::receive::{Heard, advert_in};
use vrrp_ebpf::abi::{Instance, Role};
use vrrp_ebpf::advert::{self, Datagram, Family, List, Reject, VerifiedBy, Version, accept};
use vrrp_ebpf::frame::{Class, classify};
use vrrp_tests::random::Random;

use super::fixtures::instance;
use super::generate::frame;
use super::program::{Action, Entry, Program};

const FRAMES: u64 = 120_000;

fn instances() -> Vec<Instance> {
    let password = Some(*b"1111\0\0\0\0");
    vec![
        instance(1, Family::V4, Version::V2, None),
        instance(2, Family::V4, Version::V2, password),
        instance(3, Family::V4, Version::V3, None),
        instance(3, Family::V6, Version::V3, None),
        instance(4, Family::V4, Version::V2, None),
        instance(5, Family::V4, Version::V2, password),
        instance(7, Family::V4, Version::V3, None),
    ]
}

/// The names of the counters that a datagram belongs to, by the shared rule.
fn by_the_rule(datagram: &Datagram<'_>, instances: &[Instance]) -> Option<(&'static str, List)> {
    let vrid = advert::vrid(datagram.payload)?;
    let found = instances.iter().find(|i| i.key.family == datagram.family && i.key.vrid == u32::from(vrid));
    let Some(instance) = found else { return Some(("advert_not_ours", List::Same)) };
    if instance.rules.verified_by == VerifiedBy::Agent {
        return Some(("advert_to_agent", List::Same));
    }
    let name = match (accept(datagram, &instance.rules), instance.role) {
        (Ok(_), Role::Idle) => "advert_idle",
        (Ok(advert), Role::Backup | Role::Master) => return Some(("advert_accepted", advert.list)),
        (Err(reject), _) => match reject {
            Reject::Length => "bad_length",
            Reject::Ttl => "bad_ttl",
            Reject::Destination => "bad_destination",
            Reject::Version => "bad_version",
            Reject::Type => "bad_type",
            Reject::Checksum => "bad_checksum",
            Reject::AuthType => "bad_auth_type",
            Reject::Password => "bad_password",
            Reject::Interval => "bad_interval",
            Reject::NoAddress => "no_address",
            Reject::Unsealed
            | Reject::Seal
            | Reject::SealKey
            | Reject::Stale
            | Reject::Replay
            | Reject::Source => unreachable!("the judge's reasons"),
        },
    };
    Some((name, List::Same))
}

/// Removes the tags of VLAN 0, as the stack does before a packet socket sees the frame, and as the XDP program does with a
/// frame that is ours. None if the frame is of another VLAN.
fn untagged(frame: &[u8]) -> Option<Vec<u8>> {
    let mut frame = frame.to_vec();
    for _ in 0..2 {
        match frame.get(12..16) {
            Some([0x81, 0x00, high, 0] | [0x88, 0xa8, high, 0]) if high & 0x0f == 0 => {
                frame.drain(12..16);
            }
            Some([0x81, 0x00, ..] | [0x88, 0xa8, ..]) => return None,
            Some(_) | None => break,
        }
    }
    Some(frame)
}

/// The shared rule on the host, from the bytes of the frame on: it finds the advert in the frame by itself.
fn on_the_host(frame: &[u8], instances: &[Instance]) -> Option<(&'static str, List)> {
    let Class::Vrrp(carrier) = classify(frame) else { return None };
    let end = carrier.offset.checked_add(carrier.length)?;
    let payload = frame.get(carrier.offset..end)?;
    by_the_rule(&carrier.datagram(payload), instances)
}

#[test]
fn kernel_sockets_and_host_agree_about_every_frame() -> Result<()> {
    Entry::ALL.into_iter().try_for_each(agree)
}

fn agree(entry: Entry) -> Result<()> {
    let instances = instances();
    let mut program = Program::load(entry)?;
    for instance in &instances {
        program.set(instance)?;
    }
    let mut random = Random::new(1);
    let mut tally = BTreeMap::<&str, u64>::new();
    let start = Instant::now();
    let mut before = program.counters()?;
    for number in 0..FRAMES {
        let frame = frame(&mut random);
        // The kernel takes no test frame that is shorter than an Ethernet header.
        if frame.len() < 14 {
            continue;
        }
        // In tc the stack has already taken the tags off; a test run leaves them on, and needs whole IP headers.
        let tagged = matches!(frame[12..14], [0x81, 0x00] | [0x88, 0xa8]);
        if entry == Entry::Tc && (tagged || frame.len() < 54) {
            continue;
        }
        let plain = untagged(&frame).unwrap_or_default();
        let sockets = match advert_in(&plain) {
            Some(Heard::Plain(datagram)) => by_the_rule(&datagram, &instances),
            Some(Heard::Sealed(_)) | None => None,
        };
        let host = on_the_host(&plain, &instances);
        let action = program.run(&frame)?;
        let after = program.counters()?;
        let counted: Vec<&str> = after
            .entries()
            .zip(before.entries())
            .filter(|((_, after), (_, before))| after != before)
            .map(|((name, _), _)| name)
            .collect();
        before = after;
        let list = if counted.contains(&"other_addresses") { List::Other } else { List::Same };
        // On a slow machine the timer of an earlier frame may fire and be set again.
        let verdict =
            |name: &&str| !matches!(*name, "event_lost" | "other_addresses" | "own_address" | "timer_set");
        let kernel = counted.iter().copied().find(verdict);
        let kernel = kernel.map(|name| (name, list));
        assert_eq!((kernel, sockets), (host, host), "{entry:?}, frame {number}: {frame:02x?}");
        let expected = match host {
            None | Some(("advert_not_ours" | "bad_destination" | "advert_to_agent", _)) => Action::Pass,
            Some(_) => Action::Drop,
        };
        assert_eq!(action, expected, "{entry:?}, frame {number} ({host:?}): {frame:02x?}");
        *tally.entry(host.map_or("other", |(name, _)| name)).or_default() += 1;
        *tally.entry("other list").or_default() += u64::from(matches!(host, Some((_, List::Other))));
    }
    println!("{entry:?}: {FRAMES} frames in {:?}: {tally:?}", start.elapsed());
    // A verdict that never occurred was not compared, so each of these must have occurred.
    for name in
        ["advert_accepted", "advert_idle", "advert_not_ours", "advert_to_agent", "other", "other list"]
    {
        tally.get(name).with_context(|| format!("no frame was `{name}`: {tally:?}"))?;
    }
    let rejects = tally.keys().filter(|name| name.starts_with("bad_") || **name == "no_address").count();
    assert_eq!(rejects, 10, "not every reason was met: {tally:?}");
    Ok(())
}
