//! Sentences for the operator about adverts of our own virtual router that are refused.

use vrrp_ebpf::advert::Reject;

/// Returns why an advert is refused and which keyword to compare. Where the VRID may belong to another cluster, the sentence
/// says so.
pub(super) fn explain_refusal(reject: Reject) -> &'static str {
    match reject {
        Reject::Length => "its length does not fit its number of addresses; the packet is damaged or no VRRP",
        Reject::Ttl => "its TTL is not 255, so a router has forwarded it (RFC 9568 section 5.1.1.3)",
        Reject::Destination => {
            "it is sent to another address than the group or ours: compare vrrp_mcast_group4 and unicast_peer"
        }
        Reject::Version => {
            "it speaks another version of VRRP: compare `version` (vrrp_version) on both routers"
        }
        Reject::Type => "it is no ADVERTISEMENT; the packet is damaged or no VRRP",
        Reject::Checksum => {
            "its checksum is wrong: compare `version` and checksum options, or look for a damaged link"
        }
        Reject::AuthType => {
            "it is authenticated otherwise: compare `auth_type` on both routers, or another cluster uses this VRID"
        }
        Reject::Password => {
            "its password differs: compare `auth_pass` on both routers, or another cluster uses this VRID"
        }
        Reject::Interval => {
            "its interval differs: compare `advert_int` on both routers, or another cluster uses this VRID"
        }
        Reject::NoAddress => "it carries no address: compare `virtual_ipaddress` on the sender",
        Reject::Unsealed => "it has no seal: compare `auth_type AH` or `auth_hmac` on both routers",
        Reject::Seal => "its seal is wrong: compare `auth_pass` or the key of `auth_hmac` on both routers",
        Reject::SealKey => {
            "it is sealed under a key that is not configured here: compare the keys of `auth_hmac`"
        }
        Reject::Stale => "its time is too far from ours: compare the clocks of both routers (NTP)",
        Reject::Replay => {
            "its sequence number was there before: it is a copy, or the sender has started anew with an older clock"
        }
        Reject::Source => "its sender is not one of unicast_peer (check_unicast_src)",
    }
}
