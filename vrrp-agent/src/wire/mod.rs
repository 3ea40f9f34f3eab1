//! Bytes and their typed representation: adverts, ARP, and the frames around them. Decoding never allocates for what it
//! does not keep, never panics and never asks the configuration; encoding writes every byte.
//!
//! Whether an advert is to be believed is not decided here but in [`vrrp_ebpf::advert`], which the kernel shares.

pub mod advert;
pub mod ah;
pub mod ethernet;
pub mod trailer;
