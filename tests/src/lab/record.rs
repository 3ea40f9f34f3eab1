//! Records the frames on the wire to a file: there are so many that reading text would fall behind.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Host, Process};

/// A recording that goes on.
#[derive(Debug)]
pub struct Recording {
    tcpdump: Process,
    file: PathBuf,
}

/// A frame in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The time at which the frame was seen.
    pub at: Duration,
    /// For an advert over IPv4: the last byte of its source, and the VRID.
    pub advert: Option<(u8, u8)>,
    /// The address that a gratuitous ARP is about.
    pub announced: Option<[u8; 4]>,
}

impl Recording {
    pub(super) fn start(host: &Host, interface: &str, filter: &str, file: PathBuf) -> Result<Self> {
        let mut command = host.command("tcpdump");
        command.args([
            "-i",
            interface,
            "-n",
            "-U",
            "-B",
            "16384",
            "-s",
            "96",
            "--time-stamp-precision=nano",
            "-w",
        ]);
        command.arg(&file).arg(filter);
        let tcpdump = host.spawn(&mut command, "recording")?;
        anyhow::ensure!(tcpdump.says("listening on", Duration::from_secs(60)), "{}", tcpdump.log());
        Ok(Self { tcpdump, file })
    }

    /// Ends the recording and returns the frames that were seen, in order.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn finish(self) -> Result<Vec<Recorded>> {
        // The kernel hands over the frames that it has at least once a second.
        std::thread::sleep(Duration::from_millis(1300));
        self.tcpdump.stop()?;
        read(&std::fs::read(&self.file)?).context("the recording cannot be read")
    }
}

/// Reads a file of tcpdump, in the machine's byte order and with nanoseconds.
fn read(bytes: &[u8]) -> Option<Vec<Recorded>> {
    const HEADER: usize = 24;
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let mut seen = Vec::new();
    let mut at = HEADER;
    while let (Some(seconds), Some(nanos), Some(length)) = (word(at), word(at + 4), word(at + 8)) {
        let frame = bytes.get(at + 16..at + 16 + length as usize)?;
        at += 16 + length as usize;
        let is = |ethertype: [u8; 2]| frame.get(12..14) == Some(&ethertype);
        let advert = is([8, 0]).then(|| Some((*frame.get(29)?, *frame.get(35)?))).flatten();
        let arp = || Some((frame.get(28..32)?, frame.get(38..42)?));
        let announced = is([8, 6]).then(arp).flatten().filter(|(sender, target)| sender == target);
        let announced = announced.and_then(|(sender, _)| sender.try_into().ok());
        seen.push(Recorded { at: Duration::new(seconds.into(), nanos), advert, announced });
    }
    Some(seen)
}
