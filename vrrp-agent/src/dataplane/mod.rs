//! The half that hears adverts and watches masters: the XDP program, or raw sockets where it cannot run. Both take the
//! state wanted of an instance, and report signals; the state machine does not know which it is.

mod attach;
pub mod bpffs;
mod canary;
mod ebpf;
mod judge;
mod kernel;
pub mod legacy;
mod load;
mod placement;
mod socket;

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use vrrp_ebpf::abi::{Counters, InstanceKey, Role, VipUse};
use vrrp_ebpf::advert::{Advert, Reject, Rules};
use vrrp_ebpf::election::{Candidate, Takeover};

pub use canary::{HeardBy, Hearing};
pub use ebpf::{Cell, EbpfError, EbpfPlane, OBJECT, show_adverts};
pub use judge::{Judge, Seal, Sequence};
pub use kernel::KernelHalf;
pub use legacy::Legacy;
pub use load::{Blueprint, Maps, OnRefusal};
pub use placement::{ArrayEntry, Hook, Mode};
pub use socket::{Judges, SocketPlane};

use crate::vrrp::{Heard, Time, Watch};
use crate::wire::ethernet::Mac;

/// An instance's number, in the order of the file; also its slot in the kernel's arrays.
pub type Slot = usize;

/// What is wanted of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Which.
    pub slot: Slot,
    /// What the wire calls it.
    pub key: InstanceKey,
    /// Which spell of its role this is.
    pub epoch: u64,
    /// What it does.
    pub role: Role,
    /// What it believes.
    pub rules: Rules,
    /// How it ranks.
    pub candidate: Candidate,
    /// Who answers first when its master is lost.
    pub takeover: Takeover,
}

/// A virtual address, for which ARP is answered while its instance is master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipEntry {
    /// Whose.
    pub slot: Slot,
    /// Interface that it is on.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// What to answer with.
    pub mac: Mac,
    /// What it is there.
    pub usage: VipUse,
}

/// The hardware address of a virtual router, which frames are for while its instance is master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmacEntry {
    /// Whose.
    pub slot: Slot,
    /// Interface.
    pub ifindex: u32,
    /// The virtual router's address.
    pub mac: Mac,
    /// The interface's own.
    pub own: Mac,
}

/// What a data plane reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A believed advert that the state machine must hear of.
    Advert {
        /// For which instance.
        slot: Slot,
        /// What it says.
        advert: Advert,
        /// Who waits for the next one.
        watch: Watch,
    },
    /// The kernel's watch of a master ended.
    MasterDown {
        /// For which instance.
        slot: Slot,
        /// When it was due.
        deadline: Time,
        /// When the kernel's timer noticed; none if the sweep did.
        noticed: Option<Time>,
    },
    /// Another host claims an address that we hold; the kernel has answered.
    Conflict {
        /// For which instance.
        slot: Slot,
        /// The address.
        address: IpAddr,
        /// Who claims it.
        mac: Mac,
    },
    /// An advert of this virtual router was not believed.
    Refused {
        /// Of which instance.
        slot: Slot,
        /// The sender's address.
        source: IpAddr,
        /// Why.
        reject: Reject,
    },
    /// The program has not seen an advert that it should have seen on this interface.
    Unseen {
        /// The interface's number.
        ifindex: u32,
    },
}

/// What the kernel knows about a master that it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelWatch {
    /// When the master counts as lost.
    pub deadline: Time,
    /// The last advert.
    pub advert: Advert,
    /// When it arrived.
    pub heard: Time,
    /// Adverts believed since the program was loaded.
    pub adverts: u64,
}

/// One of the two.
#[derive(Debug)]
pub enum DataPlane {
    /// The XDP program.
    Ebpf(Box<EbpfPlane>),
    /// Raw sockets.
    Socket(Box<SocketPlane>),
}

impl DataPlane {
    /// Makes the data plane treat an instance as wanted. Doing it twice changes nothing.
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

    /// An advert of ours left at `heartbeat`: the addresses may be answered for until the host has been up for `until`.
    ///
    /// # Errors
    /// If the kernel refuses; the lease then ends by itself.
    pub fn renew(&mut self, slot: Slot, heartbeat: Time, until: Duration) -> Result<(), EbpfError> {
        match self {
            Self::Ebpf(plane) => plane.renew(slot, heartbeat, until),
            Self::Socket(_) => Ok(()),
        }
    }

    /// An interface came back, perhaps under another number than `gone`, or is heard otherwise than before.
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

    /// The wire calls an instance otherwise than by `key`, because its interface is another. It is to be applied after this.
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

    /// Where it is attached has changed.
    pub fn set_description(&mut self, attached: String) {
        match self {
            Self::Ebpf(plane) => plane.set_description(attached),
            Self::Socket(_) => {}
        }
    }

    /// The next thing to report, if any.
    pub fn next_signal(&mut self) -> Option<Signal> {
        match self {
            Self::Ebpf(plane) => plane.next_signal(),
            Self::Socket(plane) => plane.next_signal(),
        }
    }

    /// What becomes readable when there is something to report.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Ebpf(plane) => plane.descriptors(),
            Self::Socket(plane) => plane.descriptors(),
        }
    }

    /// What the kernel knows about the master of an instance in its present epoch.
    #[must_use]
    pub fn kernel_watch(&self, slot: Slot) -> Option<KernelWatch> {
        match self {
            Self::Ebpf(plane) => plane.kernel_watch(slot),
            Self::Socket(_) => None,
        }
    }

    /// The advert of a better master for which the kernel has stopped to answer in an instance's present epoch.
    #[must_use]
    pub fn fence(&self, slot: Slot) -> Option<Advert> {
        match self {
            Self::Ebpf(plane) => plane.fence(slot),
            Self::Socket(_) => None,
        }
    }

    /// The last advert of anybody that the kernel has heard for a backup in its present epoch, told or not.
    #[must_use]
    pub fn last_heard(&self, slot: Slot) -> Option<Heard> {
        match self {
            Self::Ebpf(plane) => plane.last_heard(slot),
            Self::Socket(_) => None,
        }
    }

    /// What the kernel should have reported by now but could not, the ring being full.
    #[must_use]
    pub fn sweep(&self, now: Time) -> Vec<Signal> {
        match self {
            Self::Ebpf(plane) => plane.sweep(now),
            Self::Socket(_) => Vec::new(),
        }
    }

    /// The counters of all CPUs together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        match self {
            Self::Ebpf(plane) => plane.counters(),
            Self::Socket(plane) => *plane.counters(),
        }
    }

    /// For people: which data plane this is.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Ebpf(plane) => plane.describe(),
            Self::Socket(_) => "socket".to_owned(),
        }
    }
}
