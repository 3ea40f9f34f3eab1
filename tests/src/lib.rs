//! The lab: hosts in network namespaces of this machine, joined by a bridge, with real programs on them.

pub mod lab;
