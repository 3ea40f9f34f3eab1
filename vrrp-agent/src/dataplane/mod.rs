//! The half that hears adverts and watches masters: the XDP program, or packet sockets where the program cannot run. Both are
//! given the desired state of each instance, and report signals; the state machine does not know which of the two it has.

mod attach;
pub mod bpffs;
mod canary;
mod ebpf;
mod error;
mod kernel;
mod load;
mod maps;
mod pins;
mod placement;
pub mod recovery;
mod socket;
mod verifier;

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use vrrp_ebpf::abi::{Counters, InstanceKey, Role, VipUse};
use vrrp_ebpf::advert::{Advert, Reject, Rules};
use vrrp_ebpf::election::{Candidate, Takeover};

pub use crate::config::Slot;
pub use canary::{HeardBy, Hearing};
pub use ebpf::{EbpfPlane, show_adverts};
pub use error::EbpfError;
pub use kernel::KernelHalf;
pub use load::{LoadOptions, MapSource, OBJECT, OnRefusal};
pub use maps::PodValue;
pub use placement::{ArrayEntry, AttachPoint, Mode};
pub use recovery::PinnedState;
pub use socket::{AdvertVerifiers, SocketPlane};
pub use verifier::{AdvertVerifier, Seal, Sequence};

use crate::vrrp::{Heard, Time, Watch};
use crate::wire::ethernet::Mac;

/// The desired state of an instance in the data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The slot of the instance.
    pub slot: Slot,
    /// The key of the instance: the interface, family and VRID by which its adverts are known.
    pub key: InstanceKey,
    /// The epoch, that is, the number of this period in the role.
    pub epoch: u64,
    /// The role of the instance.
    pub role: Role,
    /// The rules by which adverts are believed or refused.
    pub rules: Rules,
    /// The priority and the other terms with which it takes part in elections.
    pub candidate: Candidate,
    /// The half that answers first when the master is lost: the kernel, or the agent.
    pub takeover: Takeover,
}

/// A virtual address, for which ARP is answered while its instance is master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipEntry {
    /// The slot of its instance.
    pub slot: Slot,
    /// The interface that it is on.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// The hardware address to answer with.
    pub mac: Mac,
    /// Its use on this interface.
    pub usage: VipUse,
}

/// The hardware address of a virtual router. Frames to it are received while its instance is master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmacEntry {
    /// The slot of its instance.
    pub slot: Slot,
    /// The interface that it is on.
    pub ifindex: u32,
    /// The virtual router's address.
    pub mac: Mac,
    /// The interface's own address.
    pub own: Mac,
}

/// A report of a data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaneEvent {
    /// A believed advert that the state machine must hear of.
    Advert {
        /// The instance that it is for.
        slot: Slot,
        /// The content of the advert.
        advert: Advert,
        /// The half that waits for the master's next advert, if any does.
        watch: Watch,
    },
    /// The kernel's watch of a master ended.
    MasterDown {
        /// The instance.
        slot: Slot,
        /// The time at which the master counted as lost.
        deadline: Time,
        /// The time at which the kernel's timer noticed; `None` if the sweep noticed instead.
        noticed: Option<Time>,
    },
    /// Another host claims an address that we hold; the kernel has answered.
    Conflict {
        /// The instance that holds the address.
        slot: Slot,
        /// The address.
        address: IpAddr,
        /// The hardware address of the host that claims it.
        mac: Mac,
    },
    /// An advert of this virtual router was refused.
    Refused {
        /// The instance.
        slot: Slot,
        /// The sender's address.
        source: IpAddr,
        /// The reason.
        reject: Reject,
    },
    /// The program has not seen an advert that it should have seen on this interface.
    Unseen {
        /// The interface's number.
        ifindex: u32,
    },
}

/// The kernel's knowledge about a master that it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelWatch {
    /// The time from which the master counts as lost.
    pub deadline: Time,
    /// The last advert of the master.
    pub advert: Advert,
    /// The time at which that advert arrived.
    pub heard: Time,
    /// The number of adverts believed since the program was loaded.
    pub adverts: u64,
}

/// One of the two data planes.
#[derive(Debug)]
pub enum DataPlane {
    /// The XDP program.
    Ebpf(Box<EbpfPlane>),
    /// Packet sockets.
    Socket(Box<SocketPlane>),
}

impl DataPlane {
    /// Makes the data plane treat an instance as desired. Doing it twice changes nothing.
    ///
    /// # Errors
    /// If the kernel refuses; the instance must then not become master.
    pub fn apply(&mut self, desired: &Desired) -> Result<(), EbpfError> {
        match self {
            Self::Ebpf(plane) => plane.apply(desired),
            Self::Socket(plane) => {
                plane.apply(desired);
                Ok(())
            }
        }
    }

    /// Renews a lease after an advert of ours that left at `heartbeat`: the kernel may answer for the addresses until the host
    /// has been up for `until`.
    ///
    /// # Errors
    /// If the kernel refuses; the lease then ends by itself.
    pub fn renew(&mut self, slot: Slot, heartbeat: Time, until: Duration) -> Result<(), EbpfError> {
        match self {
            Self::Ebpf(plane) => plane.renew(slot, heartbeat, until),
            Self::Socket(_) => Ok(()),
        }
    }

    /// Tells the kernel that the agent runs. Without such a report it does not take over by itself.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn report_alive(&mut self, now: Time) -> Result<(), EbpfError> {
        match self {
            Self::Ebpf(plane) => plane.report_alive(now),
            Self::Socket(_) => Ok(()),
        }
    }

    /// Hears an interface anew, because it came back, perhaps under another number than `gone`, or because it is heard in
    /// another way than before.
    pub fn hear(&mut self, gone: u32, hearing: Hearing) {
        match self {
            Self::Ebpf(plane) => plane.hear(gone, hearing),
            Self::Socket(plane) => {
                if let Some(receiver) = hearing.receiver {
                    plane.listen(gone, receiver);
                }
            }
        }
    }

    /// Removes an instance from under `key`, since its interface is another now. The instance must be applied after this.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn forget(&mut self, slot: Slot, key: &InstanceKey) -> Result<(), EbpfError> {
        match self {
            Self::Ebpf(plane) => plane.forget(slot, key),
            Self::Socket(plane) => {
                plane.forget(slot, key);
                Ok(())
            }
        }
    }

    /// Changes the description of where the program is attached.
    pub fn set_description(&mut self, attached: String) {
        match self {
            Self::Ebpf(plane) => plane.set_description(attached),
            Self::Socket(_) => {}
        }
    }

    /// Returns the next signal, if any.
    pub fn next_event(&mut self) -> Option<PlaneEvent> {
        match self {
            Self::Ebpf(plane) => plane.next_event(),
            Self::Socket(plane) => plane.next_event(),
        }
    }

    /// Returns the descriptors that become readable when there is something to report.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Ebpf(plane) => plane.descriptors(),
            Self::Socket(plane) => plane.descriptors(),
        }
    }

    /// Returns the kernel's knowledge about the master of an instance in its present epoch.
    #[must_use]
    pub fn kernel_watch(&self, slot: Slot) -> Option<KernelWatch> {
        match self {
            Self::Ebpf(plane) => plane.kernel_watch(slot),
            Self::Socket(_) => None,
        }
    }

    /// Returns the advert of a better master for which the kernel has stopped to answer in an instance's present epoch.
    #[must_use]
    pub fn fence(&self, slot: Slot) -> Option<Advert> {
        match self {
            Self::Ebpf(plane) => plane.fence(slot),
            Self::Socket(_) => None,
        }
    }

    /// Returns the last advert of a lower router that the kernel has heard while an instance is master, in its present epoch.
    #[must_use]
    pub fn lower_router(&self, slot: Slot) -> Option<Heard> {
        match self {
            Self::Ebpf(plane) => plane.lower_router(slot),
            Self::Socket(_) => None,
        }
    }

    /// Returns the last advert of any router that the kernel has heard for a backup in its present epoch, reported or not.
    #[must_use]
    pub fn last_heard(&self, slot: Slot) -> Option<Heard> {
        match self {
            Self::Ebpf(plane) => plane.last_heard(slot),
            Self::Socket(_) => None,
        }
    }

    /// Returns the signals that the kernel should have reported by now but could not, because the ring was full.
    #[must_use]
    pub fn sweep(&self, now: Time) -> Vec<PlaneEvent> {
        match self {
            Self::Ebpf(plane) => plane.sweep(now),
            Self::Socket(_) => Vec::new(),
        }
    }

    /// Returns the counters of all CPUs together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        match self {
            Self::Ebpf(plane) => plane.counters(),
            Self::Socket(plane) => *plane.counters(),
        }
    }

    /// Describes for people which data plane this is.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Ebpf(plane) => plane.describe(),
            Self::Socket(_) => "socket".to_owned(),
        }
    }
}
