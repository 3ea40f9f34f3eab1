//! `cargo xtask bench throughput`: what an agent on the receiving host costs TCP over a veth, by the way that it hears adverts. Each
//! way is measured several times beside the others in one run, in an order that turns round, since machines are noisy. Needs root.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use vrrp_tests::lab::{Host, Lab};

const ROUNDS: usize = 8;
const TIME: Duration = Duration::from_millis(1500);
/// Bytes of each write and each read.
const CHUNK: usize = 128 * 1024;
const PORT: u16 = 5001;

const FILE: &str = "vrrp_instance VI_1 {\nstate BACKUP\ninterface eth0\nvirtual_router_id 51\npriority 100\nadvert_int 1\n\
                    virtual_ipaddress {\n192.168.1.10\n}\n}\n";

/// How the receiver's agent hears adverts; none for no agent.
const WAYS: [(&str, Option<&[&str]>); 5] = [
    ("no agent", None),
    ("packet socket with its filter", Some(&["--dataplane", "socket"])),
    ("tcx", Some(&["--dataplane", "ebpf", "--xdp-mode", "tcx"])),
    ("XDP, generic", Some(&["--dataplane", "ebpf", "--xdp-mode", "generic"])),
    ("XDP, native", Some(&["--dataplane", "ebpf", "--xdp-mode", "native"])),
];

fn main() -> Result<()> {
    let lab = Lab::new()?;
    let (receiver, sender) = (lab.host("receiver", 11)?, lab.host("sender", 12)?);
    let mut figures: [Vec<f64>; WAYS.len()] = Default::default();
    let mut planes = [const { String::new() }; WAYS.len()];
    // The first transfer does not count, since all caches are cold.
    transfer(&receiver, &sender)?;
    for round in 0..ROUNDS {
        for place in 0..WAYS.len() {
            let way = if round % 2 == 0 { place } else { WAYS.len() - 1 - place };
            let agent = match WAYS[way].1 {
                Some(options) => Some(receiver.agent_with(FILE, options).with_context(|| WAYS[way].0)?),
                None => None,
            };
            if agent.is_some() {
                planes[way] = receiver.status()?["dataplane"].as_str().unwrap_or_default().to_owned();
            }
            figures[way].push(transfer(&receiver, &sender)?);
            if let Some(agent) = agent {
                agent.stop()?;
            }
        }
    }
    println!("TCP from host to host over veth, {ROUNDS} times {TIME:?} each, in Gbit/s");
    println!("{:<32} {:>8} {:>8} {:>8} {:>7}  data plane", "", "median", "least", "most", "ratio");
    let base = median(&mut figures[0]);
    for ((name, _), (figures, plane)) in WAYS.iter().zip(figures.iter_mut().zip(&planes)) {
        let middle = median(figures);
        let (least, most) = (figures[0], figures[figures.len() - 1]);
        println!("{name:<32} {middle:>8.2} {least:>8.2} {most:>8.2} {:>7.3}  {plane}", middle / base);
    }
    Ok(())
}

/// Sorts the figures and returns the median.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Sends as much as possible for [`TIME`] and returns the rate of what arrived, in Gbit/s.
fn transfer(receiver: &Host, sender: &Host) -> Result<f64> {
    let address: SocketAddr = format!("{}:{PORT}", receiver.address()).parse()?;
    let listener = within(receiver, move || Ok(TcpListener::bind(address)?))?;
    std::thread::scope(|scope| {
        let sends = scope.spawn(move || {
            within(sender, move || {
                let mut stream = TcpStream::connect(address)?;
                let (start, chunk) = (Instant::now(), vec![0; CHUNK]);
                while start.elapsed() < TIME {
                    stream.write_all(&chunk)?;
                }
                Ok(())
            })
        });
        // A socket stays in the network namespace in which it was made.
        let (mut stream, _) = listener.accept()?;
        let (start, mut chunk, mut bytes) = (Instant::now(), vec![0; CHUNK], 0);
        loop {
            match stream.read(&mut chunk)? {
                0 => break,
                length => bytes += length,
            }
        }
        let took = start.elapsed();
        sends.join().ok().context("the sender panicked")??;
        Ok(bytes as f64 * 8.0 / took.as_secs_f64() / 1e9)
    })
}

/// Runs a closure on a thread that is in a host's network namespace.
fn within<T: Send>(host: &Host, does: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = Path::new("/run/netns").join(host.namespace());
    let there = || {
        setns(File::open(&namespace)?, CloneFlags::CLONE_NEWNET)?;
        does()
    };
    std::thread::scope(|scope| scope.spawn(there).join().ok().context("it panicked")?)
}
