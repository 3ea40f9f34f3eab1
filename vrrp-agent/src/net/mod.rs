//! The host's network: links and addresses by netlink, frames out by packet socket, adverts in by raw socket.

pub mod addresses;
pub mod changes;
pub mod features;
pub mod ipvs;
pub mod links;
pub mod processes;
pub mod receive;
pub mod routes;
pub mod rules;
mod sockets;
pub mod sysctl;
pub mod transmit;

/// What the network refused.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Netlink said no.
    #[error("{doing}: {source}")]
    Netlink {
        /// What was being done.
        doing: String,
        /// What netlink said.
        source: rtnetlink::Error,
    },
    /// A system call failed.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An interface that the configuration names is not there.
    #[error("interface `{name}` does not exist; there are: {present}")]
    NoInterface {
        /// The name.
        name: String,
        /// Those that there are.
        present: String,
    },
    /// An interface without an address to send from.
    #[error(
        "interface `{name}` has no {kind} address to send adverts from; give it one, or set `mcast_src_ip` to an address of this host"
    )]
    NoAddress {
        /// The interface.
        name: String,
        /// What kind of address is missing.
        kind: &'static str,
    },
}

impl NetError {
    pub(crate) fn system(doing: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::System { doing: doing.into(), source: source.into() }
    }
}
