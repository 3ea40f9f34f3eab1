//! keepalived.conf beside keepalived itself: what `keepalived -t` (2.2.7) finds fault with, `vrrp-agent -t` finds fault with, and what
//! it finds fine we find fine. Needs root, for a network namespace with the interfaces that the files name.

mod differential;
mod examples;
mod generate;
mod hostile;
mod keywords;
mod reference;
mod service;
mod slips;
