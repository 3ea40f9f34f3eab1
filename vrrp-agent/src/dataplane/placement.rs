//! The place of a program on an interface: in the driver, in the stack, in tc, or in an operator's own program array.
//!
//! Only a place where each frame arrives once, whole, with its VLAN tag to be seen and under the number of this very interface
//! is right: the maps are keyed by that number, and another VLAN's virtual router is not ours. The driver of a network card is
//! such a place if its frames carry their tags. tc is such a place on every interface: the stack has taken tags off there and
//! remembers them, and has given the frames of a bond's parts to the bond.

use std::path::PathBuf;

use crate::net::features::Tags;
use crate::net::links::{Link, Purpose};

/// Where the operator wants the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachPoint {
    /// On each interface where it is right.
    Auto,
    /// In this place and in no other.
    Only(Mode),
    /// Into an array that another program calls from.
    Array(ArrayEntry),
}

/// An entry of an operator's own pinned program array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayEntry {
    /// Where the array is pinned.
    pub path: PathBuf,
    /// The entry.
    pub index: u32,
}

/// `PATH[:INDEX]`; without an index it is the first entry.
impl std::str::FromStr for ArrayEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, index) = match text.rsplit_once(':') {
            Some((path, index)) => (path, index.parse().map_err(|_| format!("`{index}` is not an index"))?),
            None => (text, 0),
        };
        Ok(Self { path: path.into(), index })
    }
}

/// Where the program is on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// XDP in the driver.
    Native,
    /// XDP in the stack, before anything else there.
    Generic,
    /// tc by a link (Linux 6.6), behind XDP: beside other programs, and seeing the tags of VLANs.
    Tcx,
    /// tc by a filter of the `clsact` queueing discipline: the same place on kernels before 6.6.
    Clsact,
    /// In another program's array.
    Array,
}

impl Mode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Array => "array",
        }
    }

    /// True if the program is a classifier of tc, false if it is one of XDP.
    #[must_use]
    pub fn is_tc(self) -> bool {
        match self {
            Self::Tcx | Self::Clsact => true,
            Self::Native | Self::Generic | Self::Array => false,
        }
    }
}

/// Why the driver of an interface is not the right place; `None` if it is.
fn wrong_in_driver(link: &Link) -> Option<&'static str> {
    let place = &link.place;
    if place.has_ports {
        return Some("frames arrive on the interfaces that are parts of it");
    }
    if place.info_kind.is_some() {
        return Some("it is a software interface, which keeps VLAN tags outside the frame");
    }
    match place.tags {
        Tags::InFrame => None,
        Tags::Absent if !place.has_vlans => None,
        Tags::Absent | Tags::MayBeHidden => Some("its card takes VLAN tags off the frames (rx-vlan-offload)"),
    }
}

/// The places to try on an interface, the best first. Generic XDP is never chosen automatically: it sees no VLAN tags either,
/// and makes one buffer of every packet that has several, which costs TCP.
pub(super) fn modes(link: &Link, attach_point: &AttachPoint) -> Vec<Mode> {
    match link.purpose {
        Purpose::Instances => {}
        // The operator has not named this interface: no place is used that costs its traffic, or resets its card.
        Purpose::Guard => return vec![Mode::Tcx, Mode::Clsact],
    }
    match attach_point {
        AttachPoint::Only(Mode::Tcx) => vec![Mode::Tcx, Mode::Clsact],
        AttachPoint::Only(mode) => vec![*mode],
        AttachPoint::Array(_) => vec![Mode::Array],
        AttachPoint::Auto if wrong_in_driver(link).is_none() => vec![Mode::Native, Mode::Tcx, Mode::Clsact],
        AttachPoint::Auto => vec![Mode::Tcx, Mode::Clsact],
    }
}

/// The reason to refuse a place that the operator has asked for; `None` if it is right.
pub(super) fn objection(link: &Link, mode: Mode) -> Option<String> {
    let place = &link.place;
    match mode {
        Mode::Native if place.has_ports => Some(
            "other interfaces are parts of it, and XDP in their drivers sees their numbers instead of its own; \
             use --xdp-mode tcx here"
                .to_owned(),
        ),
        Mode::Native | Mode::Generic | Mode::Array if place.has_vlans => Some(
            "it has VLAN interfaces, whose frames reach XDP without their tag, so the program could not tell their virtual routers \
             from its own; use --xdp-mode tcx here"
                .to_owned(),
        ),
        Mode::Native | Mode::Generic | Mode::Array | Mode::Tcx | Mode::Clsact => None,
    }
}

/// The side effects of attaching in a place, as a sentence for the operator.
pub(super) fn cost(link: &Link, mode: Mode) -> Option<String> {
    let name = &link.name;
    match mode {
        Mode::Native if link.place.info_kind.as_deref() == Some("veth") => Some(format!(
            "{name}: native XDP on a veth: answers arrive only if the other end has GRO or an XDP program (ethtool -K PEER gro on)"
        )),
        Mode::Native => Some(format!(
            "{name}: native XDP: many drivers reset the rings of the card now and when the agent stops, and while it is attached \
             LRO is off and MTU, channels and ring sizes may be fixed"
        )),
        Mode::Generic => Some(format!(
            "{name}: generic XDP makes one buffer of every packet and turns LRO off, which costs TCP throughput; --xdp-mode tcx \
             does not"
        )),
        Mode::Tcx | Mode::Clsact | Mode::Array => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::links::Place;

    fn link(place: Place) -> Link {
        Link { place, index: 2, mac: [2; 6], ..Link::absent("eth0", 0) }
    }

    fn place(info_kind: Option<&str>, tags: Tags) -> Place {
        Place { info_kind: info_kind.map(str::to_owned), tags, ..Place::unknown() }
    }

    #[test]
    fn a1_a2_the_driver_is_chosen_only_where_it_is_right() {
        let tc = vec![Mode::Tcx, Mode::Clsact];
        let driver = vec![Mode::Native, Mode::Tcx, Mode::Clsact];
        let card = place(None, Tags::InFrame);
        for (place, expected) in [
            (card.clone(), &driver),
            (place(None, Tags::Absent), &driver),
            (place(None, Tags::MayBeHidden), &tc),
            (Place { has_vlans: true, ..place(None, Tags::Absent) }, &tc),
            // The tag is in the frame, where the program sees it.
            (Place { has_vlans: true, ..card.clone() }, &driver),
            // A netvsc or failover device looks like a card; its virtual function is part of it.
            (Place { has_ports: true, ..card }, &tc),
            (place(Some("bond"), Tags::InFrame), &tc),
            (place(Some("veth"), Tags::InFrame), &tc),
            (place(Some("bridge"), Tags::MayBeHidden), &tc),
            (place(Some("vlan"), Tags::MayBeHidden), &tc),
        ] {
            assert_eq!(&modes(&link(place.clone()), &AttachPoint::Auto), expected, "{place:?}");
        }
    }

    #[test]
    fn what_the_operator_asks_for_is_refused_where_it_would_be_wrong() {
        let bond = link(Place { has_ports: true, ..place(Some("bond"), Tags::MayBeHidden) });
        assert!(objection(&bond, Mode::Native).is_some());
        assert!(objection(&bond, Mode::Generic).is_none());
        let trunk = link(Place { has_vlans: true, ..place(None, Tags::InFrame) });
        assert!(objection(&trunk, Mode::Generic).is_some());
        assert!(objection(&trunk, Mode::Tcx).is_none());
    }
}
