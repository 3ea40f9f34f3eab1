//! The code that both halves share: the only rule for accepting an advert, the meaning of an accepted advert, the protocol's
//! time arithmetic, and the layout of the maps. `no_std`, no allocation, no dependency on the host.
//!
//! The same functions decide in the XDP program, on the agent's socket path and in the simulator.
#![no_std]

pub mod abi;
pub mod advert;
pub mod arp;
pub mod checksum;
pub mod election;
pub mod frame;
pub mod nd;
