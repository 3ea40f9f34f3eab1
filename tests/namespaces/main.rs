//! The daemon as its users run it: real interfaces, real peers, real programs, in network namespaces. Needs root; what is
//! missing fails with its name.

mod bad_input;
mod checks;
mod common;
mod conflict;
mod election;
mod examples;
mod fence;
mod flood;
mod frr;
mod groups;
mod host_settings;
mod interfaces;
mod keepalived;
mod lists;
mod living;
mod manager;
mod many;
mod notify;
mod operator;
mod quiet;
mod reference;
mod reload;
mod reload_under_load;
mod restart;
mod routing;
mod scripts;
mod sealed;
mod sender;
mod servers;
mod service;
mod shown;
mod snmp;
mod start;
mod tracking;
mod vmac;
