//! Sentences for the operator: why an instance has entered a state, how another router disagrees with ours, and why an advert is
//! refused.

use vrrp_ebpf::advert::Reject;

use super::messages::Notice;
use crate::vrrp::{Cause, State};

/// The state in lower case, as JSON has it.
pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Initialize => "initialize",
        State::Backup => "backup",
        State::Master => "master",
        State::Fault => "fault",
    }
}

/// Why a state was entered, for people.
pub(super) fn explain(cause: Cause) -> String {
    match cause {
        Cause::Started => "started".to_owned(),
        Cause::Resumed => "went on where an earlier run of the agent had left off".to_owned(),
        Cause::Stopped => "stopped".to_owned(),
        Cause::MasterSilent => "no advert for the master-down interval".to_owned(),
        Cause::MasterResigned => "the master resigned".to_owned(),
        Cause::Preempts => "this router ranks higher than the master".to_owned(),
        Cause::HigherPriority => "a router that ranks higher advertises".to_owned(),
        Cause::Overtaken { stalled } => {
            format!("stalled for {:.3} s, and another router took over", stalled.as_secs_f64())
        }
        Cause::AddressesLost => "somebody took its addresses off the interface".to_owned(),
        Cause::NotInstalled { waited } => format!(
            "its addresses were not on the interface {:.1} s after it was to hold them",
            waited.as_secs_f64()
        ),
        Cause::CannotSend { silent } => format!(
            "no advert of its own could be sent for {:.3} s, so the other routers take it for lost",
            silent.as_secs_f64()
        ),
        Cause::WithGroup => "another member of its sync group has moved".to_owned(),
        Cause::Faulted => "in fault".to_owned(),
        Cause::Undecided => "what it tracks has yet to be seen".to_owned(),
        Cause::Recovered => "all that it needs is there".to_owned(),
        Cause::Removed => "removed from the configuration".to_owned(),
    }
}

/// Says what another router does, after its address.
pub(super) fn explain_notice(notice: Notice) -> String {
    let text = match notice {
        Notice::OtherInterval { theirs, ours } => {
            return format!(
                "advertises every {} s, and this router every {} s: compare advert_int on both routers",
                theirs.as_secs_f64(),
                ours.as_secs_f64()
            );
        }
        Notice::OtherAddresses => {
            "advertises other addresses than we do: compare virtual_ipaddress, or, if it is of another cluster, give that one another virtual_router_id"
        }
        Notice::TwoOwners => {
            "has priority 255 like us: only one router owns the addresses; if it is of another cluster, give that one another virtual_router_id"
        }
        Notice::OwnAddress => {
            "is our own address, and an advert came in from it: another router uses it as its source (compare the interfaces' \
             addresses and mcast_src_ip or unicast_src_ip of all routers), or the network sends our own frames back (look for a \
             loop)"
        }
        Notice::JoinedAsBackup => {
            "is the master of this instance, which has joined a sync group that is master here: the group resigns, since it can \
             only be master together"
        }
    };
    text.to_owned()
}

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
