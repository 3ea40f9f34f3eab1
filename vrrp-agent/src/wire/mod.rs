//! Bytes and their typed representation: adverts, ARP, and the frames around them. Decoding never allocates for data that it
//! does not keep, never panics and never uses the configuration; encoding writes every byte.
//!
//! This module does not decide if an advert is accepted; [`vrrp_ebpf::advert`] does, which the kernel half shares.

pub mod advert;
pub mod ah;
pub mod ethernet;
pub mod trailer;
