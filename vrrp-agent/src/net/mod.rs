//! The host's network: links and addresses by netlink, frames and packets out by packet and raw sockets, adverts in by packet
//! sockets.

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

use std::time::{Duration, Instant};

use tokio::time::timeout;

/// The time that the kernel may take to answer one netlink request. It answers in microseconds, unless another process holds
/// the lock of the network configuration.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for the kernel's answer to a request, for as long as [`ANSWER_TIMEOUT`] allows.
///
/// # Errors
/// If the kernel refuses, or does not answer.
pub(crate) async fn answered<T>(
    doing: impl Fn() -> String,
    request: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> Result<T, NetError> {
    let asked = Instant::now();
    match timeout(ANSWER_TIMEOUT, request).await {
        Ok(answer) => {
            // The kernel does its work within the request itself, and no timer of this thread can end that.
            if asked.elapsed() > ANSWER_TIMEOUT {
                tracing::warn!(
                    "the kernel was slow to {}: it took {:.1} s",
                    doing(),
                    asked.elapsed().as_secs_f64()
                );
            }
            answer.map_err(|source| NetError::Netlink { doing: doing(), source })
        }
        Err(_elapsed) => Err(NetError::NoAnswer { doing: doing() }),
    }
}

/// The error of a request to the host's network.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Netlink refused.
    #[error("cannot {doing}: {source}")]
    Netlink {
        /// The request.
        doing: String,
        /// Netlink's error.
        source: rtnetlink::Error,
    },
    /// Netlink did not answer.
    #[error("cannot {doing}: the kernel has not answered for {} s", ANSWER_TIMEOUT.as_secs())]
    NoAnswer {
        /// The request.
        doing: String,
    },
    /// A system call failed.
    #[error("cannot {doing}: {source}")]
    System {
        /// The request.
        doing: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// An interface that the configuration names is not there.
    #[error("interface `{name}` does not exist; there are: {present}")]
    NoInterface {
        /// The name.
        name: String,
        /// The interfaces that there are.
        present: String,
    },
    /// No interface has the source address of an instance that names no interface.
    #[error("no interface has the address {address} (`unicast_src_ip`)")]
    NoHolder {
        /// The address.
        address: std::net::IpAddr,
    },
    /// An advert would not tell which of two instances it is for.
    #[error(
        "`{one}` and `{other}` are both virtual router {vrid} on `{interface}`, with the same multicast group or peer; give one of them another `virtual_router_id`"
    )]
    SameRouter {
        /// The name of the first instance.
        one: String,
        /// The name of the second instance.
        other: String,
        /// Their VRID.
        vrid: u8,
        /// The interface that both send and listen on.
        interface: String,
    },
    /// An interface without an address to send from.
    #[error(
        "interface `{name}` has no {kind} address to send adverts from; give it one, or set `mcast_src_ip` to an address of this host"
    )]
    NoAddress {
        /// The interface.
        name: String,
        /// The kind of address that is missing.
        kind: &'static str,
    },
}

impl NetError {
    pub(crate) fn system(doing: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::System { doing: doing.into(), source: source.into() }
    }
}
