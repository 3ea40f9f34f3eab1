//! The common parts of the tests: the lab, which is hosts in network namespaces of this machine, joined by a bridge, with real
//! programs on them; and randomness from a seed.

pub mod bpf;
pub mod lab;
pub mod random;
