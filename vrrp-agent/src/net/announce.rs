//! What the stack itself says by ARP. A host that asks for a client names as its own address the one that the packet waiting
//! for the answer comes from; with a virtual hardware address that would be the virtual address beside the interface's own
//! hardware address, and the client would believe it.

use std::io;
use std::path::PathBuf;

use super::NetError;
use super::links::Link;
use crate::host;

/// `arp_announce`: always the best address of the interface, never the packet's.
const BEST_OF_THE_INTERFACE: u8 = 2;

/// An interface whose `arp_announce` was raised; dropped, it is as it was.
#[derive(Debug)]
pub struct QuietAboutAddresses {
    path: PathBuf,
    before: String,
    /// Where that stands while it is raised, should this process not live to put it back.
    note: PathBuf,
}

impl QuietAboutAddresses {
    /// Raises it. `None` if it was high enough, and not because an earlier run has raised it.
    ///
    /// # Errors
    /// If /proc/sys cannot be written.
    pub fn make(link: &Link) -> Result<Option<Self>, NetError> {
        let path = PathBuf::from(format!("/proc/sys/net/ipv4/conf/{}/arp_announce", link.name));
        let note = host::runtime_directory().join(format!("arp_announce.{}", link.name));
        let raise = || -> io::Result<Option<Self>> {
            let before = std::fs::read_to_string(&note).or_else(|_| std::fs::read_to_string(&path))?;
            let before = before.trim().to_owned();
            if before.parse::<u8>().is_ok_and(|value| value >= BEST_OF_THE_INTERFACE) {
                return Ok(None);
            }
            std::fs::write(&note, &before)?;
            std::fs::write(&path, BEST_OF_THE_INTERFACE.to_string())?;
            Ok(Some(Self { path: path.clone(), before, note: note.clone() }))
        };
        raise().map_err(|e| NetError::system(format!("set arp_announce of {} to 2", link.name), e))
    }
}

impl Drop for QuietAboutAddresses {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.note);
        match std::fs::write(&self.path, &self.before) {
            Ok(()) => {}
            // It went with its interface.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("cannot write {} to {}: {error}", self.before, self.path.display()),
        }
    }
}
