//! Settings of the kernel that an interface needs while it is used, and that are put back afterwards.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::NetError;
use crate::host;

/// A setting of an interface below /proc/sys/net/ipv4/conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `arp_announce`: a host that asks for a client by ARP names as its own address the source of the packet that waits for
    /// the answer. With a virtual hardware address that would be the virtual address beside the interface's own hardware
    /// address, and the client would believe it. With the setting, the host names the best address of the interface, never the
    /// packet's.
    ArpAnnounce,
    /// When an address is removed, the other addresses of its network stay (`promote_secondaries`).
    PromoteSecondaries,
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Self::ArpAnnounce => "arp_announce",
            Self::PromoteSecondaries => "promote_secondaries",
        }
    }

    /// The least value that is enough.
    fn least(self) -> u8 {
        match self {
            Self::ArpAnnounce => 2,
            Self::PromoteSecondaries => 1,
        }
    }

    /// Describes what happens without the setting.
    #[must_use]
    pub fn otherwise(self) -> &'static str {
        match self {
            Self::ArpAnnounce => "neighbours may learn the interface's own hardware address",
            Self::PromoteSecondaries => {
                "if an address is removed, the kernel may remove other addresses of its network too"
            }
        }
    }
}

/// A setting that was raised; when this is dropped, the earlier value is put back.
#[derive(Debug)]
pub struct SysctlGuard {
    path: PathBuf,
    before: String,
    /// The file that keeps the earlier value while the setting is raised, in case this process does not live to put it back.
    note: PathBuf,
}

impl SysctlGuard {
    /// Raises a setting. Returns `None` if it was high enough, and not because an earlier run has raised it.
    ///
    /// # Errors
    /// If /proc/sys cannot be written.
    pub fn make(interface: &str, setting: Setting) -> Result<Option<Self>, NetError> {
        let (name, least) = (setting.name(), setting.least());
        let path = PathBuf::from(format!("/proc/sys/net/ipv4/conf/{interface}/{name}"));
        let note = host::runtime_directory().join(format!("{name}.{interface}"));
        Self::raise(path, note, least)
            .map_err(|e| NetError::system(format!("set {name} of {interface} to {least}"), e))
    }

    fn raise(path: PathBuf, note: PathBuf, least: u8) -> io::Result<Option<Self>> {
        let before = fs::read_to_string(&note).or_else(|_| fs::read_to_string(&path))?.trim().to_owned();
        if before.parse::<u8>().is_ok_and(|value| value >= least) {
            return Ok(None);
        }
        fs::write(&note, &before)?;
        fs::write(&path, least.to_string())?;
        Ok(Some(Self { path, before, note }))
    }
}

impl Drop for SysctlGuard {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.note);
        match fs::write(&self.path, &self.before) {
            Ok(()) => {}
            // The setting went with its interface.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("cannot write {} to {}: {error}", self.before, self.path.display()),
        }
    }
}

/// Returns true if the kernel believes and answers on an interface what concerns addresses of other interfaces, as it does by
/// default: no strict reverse-path filter (`rp_filter`), and ARP is answered for every address of the host (`arp_ignore`).
#[must_use]
pub fn is_lenient(interface: &str) -> bool {
    // The kernel takes the higher of two values: the interface's own, and that of `all`.
    let value = |name: &str| {
        let of = |interface: &str| {
            let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{interface}/{name}"));
            text.ok().and_then(|text| text.trim().parse::<u8>().ok()).unwrap_or(0)
        };
        of("all").max(of(interface))
    };
    /// `rp_filter`: a packet may only come in by the interface by which an answer to its source would leave.
    const STRICT: u8 = 1;
    value("rp_filter") != STRICT && value("arp_ignore") == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_setting_is_put_back_by_the_next_agent() {
        let directory = std::env::temp_dir().join(format!("vrrp-sysctl-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let (path, note) = (directory.join("setting"), directory.join("note"));
        let value = || fs::read_to_string(&path).expect("a setting").trim().to_owned();
        let raise = || SysctlGuard::raise(path.clone(), note.clone(), 1).expect("raised");
        fs::write(&path, "0\n").expect("a setting");
        drop(raise());
        assert_eq!((value().as_str(), note.exists()), ("0", false));
        // As if the process was killed: nothing is put back.
        std::mem::forget(raise());
        assert_eq!((value().as_str(), note.exists()), ("1", true));
        drop(raise());
        assert_eq!((value().as_str(), note.exists()), ("0", false));
        // A value that another program has chosen is left alone.
        fs::write(&path, "1\n").expect("a setting");
        assert!(raise().is_none());
        fs::remove_dir_all(&directory).expect("removed");
    }
}
