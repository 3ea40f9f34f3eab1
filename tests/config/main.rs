//! keepalived.conf beside keepalived itself: `vrrp-agent -t` finds fault with the files with which `keepalived -t` (2.2.7)
//! finds fault, and with no others. Needs root, for a network namespace with the interfaces that the files name.

mod differential;
mod examples;
mod generate;
mod hostile;
mod keywords;
mod reference;
mod service;
mod slips;
