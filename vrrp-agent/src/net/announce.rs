//! What the stack itself says by ARP. A host that asks for a client names as its own address the one that the packet waiting
//! for the answer comes from; with a virtual hardware address that would be the virtual address beside the interface's own
//! hardware address, and the client would believe it.

use std::io;
use std::path::PathBuf;

use super::NetError;
use super::links::Link;

/// `arp_announce`: always the best address of the interface, never the packet's.
const BEST_OF_THE_INTERFACE: u8 = 2;

/// An interface whose `arp_announce` was raised; dropped, it is as it was.
#[derive(Debug)]
pub struct QuietAboutAddresses {
    path: PathBuf,
    before: String,
}

impl QuietAboutAddresses {
    /// Raises it. `None` if it was high enough.
    ///
    /// # Errors
    /// If /proc/sys cannot be written.
    pub fn make(link: &Link) -> Result<Option<Self>, NetError> {
        let path = PathBuf::from(format!("/proc/sys/net/ipv4/conf/{}/arp_announce", link.name));
        let raise = || -> io::Result<Option<Self>> {
            let before = std::fs::read_to_string(&path)?.trim().to_owned();
            if before.parse::<u8>().is_ok_and(|value| value >= BEST_OF_THE_INTERFACE) {
                return Ok(None);
            }
            std::fs::write(&path, BEST_OF_THE_INTERFACE.to_string())?;
            Ok(Some(Self { path: path.clone(), before }))
        };
        raise().map_err(|e| NetError::system(format!("set arp_announce of {} to 2", link.name), e))
    }
}

impl Drop for QuietAboutAddresses {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(&self.path, &self.before) {
            tracing::warn!("cannot write {} to {}: {error}", self.before, self.path.display());
        }
    }
}
