//! A virtual-IP daemon: VRRP with the urgent half in the kernel. See ARCHITECTURE.md for the shape of the whole.

pub mod blocking;
pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod dbus;
pub mod host;
pub mod init;
pub mod log;
pub mod net;
pub mod notify;
pub mod process;
pub mod readiness;
pub mod snmp;
pub mod track;
pub mod vrrp;
pub mod wire;
