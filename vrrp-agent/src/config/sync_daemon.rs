//! The kernel's IPVS sync daemon, which sends the connections to the other director. It follows the state of an instance.

use std::net::IpAddr;

/// `lvs_sync_daemon`. The kernel chooses the values that are not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// The interface that sync messages are sent and received on.
    pub interface: String,
    /// The index of the instance that the daemon follows.
    pub instance: usize,
    /// The sync ID, which distinguishes several daemons on one network.
    pub id: u8,
    /// The largest sync message, in bytes of UDP payload.
    pub max_length: Option<u16>,
    /// The UDP port.
    pub port: Option<u16>,
    /// The TTL of sync messages.
    pub ttl: Option<u8>,
    /// The multicast group.
    pub group: Option<IpAddr>,
}
