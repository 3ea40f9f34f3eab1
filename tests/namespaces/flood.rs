//! As many adverts as another core can send, none of which ought to be believed: no failover, no advert of ours late, and the
//! agents sleep on.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use vrrp_agent::net::transmit::Outgoing;
use vrrp_agent::wire::advert::{Body, Repr, V2Auth, V3Checksum};
use vrrp_agent::wire::ethernet::{advert_ipv4, ipv4_packet, to_group_v4};
use vrrp_ebpf::advert::{GROUP_V4, offset};
use vrrp_tests::lab::{Host, Lab};

use crate::common::{Config, HIGH, LOW, PATIENCE, Sender, VIP, reaches};
use crate::quiet::wake_ups;

const VRID: u8 = 51;
const INTERVAL: Duration = Duration::from_millis(100);
const FLOOD: Duration = Duration::from_secs(6);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x66];

/// Sends from a host's network until it is stopped; how much it sent.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Flood {
    fn start(host: &Host, frames: Vec<Vec<u8>>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, host) = (Arc::clone(&stop), Sender::of(host)?);
        let thread = std::thread::spawn(move || {
            let (transmitter, ifindex) = host.enter()?;
            let all: Vec<Outgoing<'_>> =
                frames.iter().cycle().take(256).map(|bytes| Outgoing::Frame { ifindex, bytes }).collect();
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                let mut failed = 0;
                transmitter.send(&all, |_, _| failed += 1);
                sent += all.len() as u64 - failed;
            }
            Ok(sent)
        });
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the flood panicked")?
    }
}

fn advert(source: Ipv4Addr, vrid: u8, priority: u8, spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let body = Body::V3 { centiseconds: 10, checksum: V3Checksum::PseudoHeader };
    let vip: IpAddr = VIP.parse().expect("an address");
    let repr = Repr { vrid, priority, addresses: vec![vip], body };
    let mut message = repr.encode(source.into(), GROUP_V4.into());
    spoil(&mut message);
    advert_ipv4(MAC, source, &message)
}

/// One of each kind that is not to be believed, or is to be believed and to change nothing.
fn frames(master: Ipv4Addr) -> Vec<Vec<u8>> {
    let stranger = Ipv4Addr::new(192, 168, 1, 66);
    let with_password = {
        let body = Body::V2 { seconds: 1, auth: V2Auth::Pass(*b"wrong\0\0\0") };
        let repr = Repr { vrid: VRID, priority: 250, addresses: vec![stranger.into()], body };
        advert_ipv4(MAC, stranger, &repr.encode(stranger.into(), GROUP_V4.into()))
    };
    let crossed_a_router = {
        let message = advert(stranger, VRID, 250, |_| {}).split_off(34);
        to_group_v4(MAC, &ipv4_packet(stranger, GROUP_V4.into(), 254, &message))
    };
    vec![
        advert(stranger, VRID, 250, |message| message[offset::CHECKSUM] ^= 1),
        advert(stranger, VRID, 0, |message| message[offset::CHECKSUM] ^= 1),
        // As if from the master itself, resigning.
        advert(master, VRID, 0, |message| message[offset::CHECKSUM] ^= 1),
        crossed_a_router,
        with_password,
        advert(stranger, VRID + 1, 250, |_| {}),
        // Valid, and loses.
        advert(stranger, VRID, 1, |_| {}),
        advert(stranger, VRID, 250, |message| message.truncate(9)),
    ]
}

#[test]
fn a_flood_of_bad_adverts_changes_nothing() -> Result<()> {
    let fast =
        |priority| Config { version: 3, interval: "0.1", password: None, ..Config::priority(priority) };
    let lab = Lab::new()?;
    let (h1, h2, client) = (lab.host("h1", 11)?, lab.host("h2", 12)?, lab.host("client", 13)?);
    let master = h1.agent(&fast(HIGH).text())?;
    h1.wait_for_address(VIP, true, PATIENCE)?;
    let backup = h2.agent(&fast(LOW).text())?;
    assert!(reaches(&h2, 0, "backup"));
    let recording = client.record(&format!("ip proto 112 and ether src {}", h1.mac()?))?;
    let woken = || Ok::<_, anyhow::Error>((wake_ups(&master)?, wake_ups(&backup)?));
    let before = woken()?;
    let start = Instant::now();
    let flood = Flood::start(&client, frames(h1.address().parse()?))?;
    std::thread::sleep(FLOOD);
    let sent = flood.stop()?;
    let seconds = start.elapsed().as_secs_f64();
    let after = woken()?;
    let seen = recording.finish()?;
    let (of_master, of_backup) = (after.0 - before.0, after.1 - before.1);
    let rate = |count: u64| count as f64 / seconds;
    let gaps = seen.windows(2).map(|pair| pair[1].at - pair[0].at);
    let longest = gaps.max().context("adverts of the master")?;
    println!(
        "{sent} bad adverts in {seconds:.1} s ({:.0} a second): the master woke {:.0} times a second, the backup {:.0}; longest \
         gap between the master's adverts {longest:?}",
        rate(sent),
        rate(of_master),
        rate(of_backup)
    );
    assert!(sent > 100_000, "{sent} are no flood");
    assert_eq!((h1.state(0).as_str(), h2.state(0).as_str()), ("master", "backup"));
    assert!(!backup.log().contains("-> MASTER") && !master.log().contains("MASTER -> "), "{}", backup.log());
    // A router that advertises below us is news a hundred times a second, each of which wakes two threads once or twice.
    assert!(rate(of_master) < 1000.0 && rate(of_backup) < 1000.0);
    assert!(longest < INTERVAL * 3, "{longest:?}");
    for host in [&h1, &h2] {
        let status = host.status()?;
        for reason in
            ["bad_checksum", "bad_ttl", "bad_version", "bad_length", "advert_not_ours", "advert_accepted"]
        {
            assert!(status["counters"][reason].as_u64() > Some(1000), "{reason}: {}", status["counters"]);
        }
    }
    Ok(())
}
