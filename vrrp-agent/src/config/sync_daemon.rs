//! The kernel's daemon that tells the connections of IPVS to the other director, which follows an instance.

use std::net::IpAddr;

/// `lvs_sync_daemon`. What is not said is the kernel's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// The interface that it is told and heard on.
    pub interface: String,
    /// The instance that it follows.
    pub instance: usize,
    /// Which of several on one network.
    pub id: u8,
    /// The longest message, in bytes of UDP.
    pub max_length: Option<u16>,
    /// UDP port.
    pub port: Option<u16>,
    /// TTL of what is told.
    pub ttl: Option<u8>,
    /// Multicast group.
    pub group: Option<IpAddr>,
}
