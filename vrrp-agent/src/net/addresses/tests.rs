use super::*;
use crate::config::routing::Prefix;

fn vip(address: &str, prefix: u8) -> Vip {
    Vip::plain(address.parse().unwrap(), prefix)
}

fn with_peer(address: &str, peer: &str, length: u8) -> Vip {
    Vip { peer: Some(Prefix { address: peer.parse().unwrap(), length }), ..vip(address, 32) }
}

/// Returns an address as the kernel lists it after it was set as `vip` says.
fn installed(vip: &Vip) -> Installed {
    let mut message = AddressMessage::default();
    let identity = Identity::of(vip);
    (message.header.index, message.header.prefix_len) = (7, identity.prefix);
    message.header.scope = AddressScope::from(vip.scope.unwrap_or(0));
    message.attributes = vec![
        AddressAttribute::Address(identity.peer.unwrap_or(vip.address)),
        AddressAttribute::Local(vip.address),
    ];
    let kernel_s = if vip.address.is_ipv4() { AddressFlags::Permanent } else { AddressFlags::empty() };
    message.attributes.push(AddressAttribute::Flags(flags(vip) | kernel_s));
    if vip.address.is_ipv4() {
        let label = vip.label.clone().unwrap_or_else(|| "eth0".to_owned());
        message.attributes.push(AddressAttribute::Label(label));
        message.attributes.extend(vip.broadcast.map(AddressAttribute::Broadcast));
    }
    let mut lifetimes = CacheInfo::default();
    (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (preferred_lifetime(vip).unwrap_or(u32::MAX), u32::MAX);
    message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    Installed::new(message).unwrap()
}

/// By hand from `find_matching_ifa` and `__inet_insert_ifa` of net/ipv4/devinet.c, and `ipv6_get_ifaddr` of
/// net/ipv6/addrconf.c.
#[test]
fn a3_what_the_kernel_takes_for_the_same_address() {
    for (one, other, collides) in [
        (vip("10.0.0.1", 24), vip("10.0.0.1", 24), true),
        (vip("10.0.0.1", 24), vip("10.0.0.1", 16), false),
        (vip("10.0.0.1", 24), vip("10.0.0.2", 24), false),
        (vip("10.0.0.1", 0), vip("10.0.0.1", 0), true),
        (with_peer("10.0.0.1", "10.9.0.1", 32), with_peer("10.0.0.1", "10.9.0.1", 32), true),
        (with_peer("10.0.0.1", "10.9.0.1", 32), with_peer("10.0.0.1", "10.9.0.2", 32), false),
        (with_peer("10.0.0.1", "10.9.0.1", 24), with_peer("10.0.0.1", "10.9.0.2", 24), true),
        (with_peer("10.0.0.1", "10.9.0.1", 32), vip("10.0.0.1", 32), false),
        (vip("fd00::1", 64), vip("fd00::1", 128), true),
        (vip("fd00::1", 64), vip("fd00::2", 64), false),
    ] {
        let (one, other) = (Identity::of(&one), Identity::of(&other));
        assert_eq!(one.collides(&other), collides, "{one} and {other}");
        assert_eq!(other.collides(&one), collides, "{other} and {one}");
    }
}

#[test]
fn an_address_is_known_again_as_it_was_set() {
    for vip in [vip("10.0.0.1", 24), with_peer("10.0.0.1", "10.9.0.1", 32), vip("fd00::1", 128)] {
        let there = installed(&vip);
        assert_eq!(there.identity(), Identity::of(&vip));
        assert_eq!(there.differs_from(&vip, "eth0"), Difference::None, "{vip:?}");
    }
}

#[test]
fn a3_what_changes_in_place_and_what_needs_a_new_address() {
    use Difference::{Changeable, NeedsAnew, None};
    let plain = vip("10.0.0.1", 24);
    let traits = |vip: &Vip, of: AddressTrait| Vip { traits: [of].into(), ..vip.clone() };
    let v6 = vip("fd00::1", 64);
    for (before, now, expected) in [
        (&plain, plain.clone(), None),
        (&plain, vip("10.0.0.1", 16), NeedsAnew),
        (&plain, Vip { label: Some("eth0:1".to_owned()), ..plain.clone() }, NeedsAnew),
        (&plain, Vip { label: Some("eth0".to_owned()), ..plain.clone() }, None),
        (&plain, Vip { broadcast: Some([10, 0, 0, 255].into()), ..plain.clone() }, NeedsAnew),
        (&plain, Vip { scope: Some(253), ..plain.clone() }, NeedsAnew),
        (&plain, traits(&plain, AddressTrait::NoPrefixRoute), NeedsAnew),
        (&plain, Vip { preferred: Some(600), ..plain.clone() }, Changeable),
        (&plain, traits(&plain, AddressTrait::Untracked), None),
        (&Vip { preferred: Some(500), ..plain.clone() }, Vip { preferred: Some(600), ..plain.clone() }, None),
        (&Vip { preferred: Some(600), ..plain.clone() }, plain.clone(), Changeable),
        (&v6, traits(&v6, AddressTrait::Home), Changeable),
        (&v6, traits(&v6, AddressTrait::Probed), None),
        (&v6, traits(&v6, AddressTrait::Joined), NeedsAnew),
        (&v6, Vip { preferred: Some(0), ..v6.clone() }, Changeable),
        (&v6, Vip { scope: Some(253), ..v6.clone() }, None),
        (&v6, vip("fd00::1", 128), NeedsAnew),
    ] {
        assert_eq!(installed(before).differs_from(&now, "eth0"), expected, "{before:?} to {now:?}");
    }
}

#[test]
fn c6_what_goes_with_the_first_address_of_a_network() {
    let there = |vip: &Vip, secondary: bool| {
        let mut there = installed(vip);
        for attribute in &mut there.message.attributes {
            if let AddressAttribute::Flags(flags) = attribute {
                flags.set(AddressFlags::Secondary, secondary);
            }
        }
        there
    };
    let first = there(&vip("10.0.0.1", 24), false);
    assert!(first.takes_along(&there(&vip("10.0.0.2", 24), true)));
    assert!(!first.takes_along(&there(&vip("10.0.0.2", 24), false)), "another first one");
    assert!(!first.takes_along(&there(&vip("10.0.1.2", 24), true)), "another network");
    assert!(!first.takes_along(&there(&vip("10.0.0.2", 16), true)), "another prefix");
    assert!(!there(&vip("10.0.0.3", 24), true).takes_along(&there(&vip("10.0.0.2", 24), true)));
    let mut elsewhere = there(&vip("10.0.0.2", 24), true);
    elsewhere.index = 8;
    assert!(!first.takes_along(&elsewhere));
    assert!(!there(&vip("fd00::1", 64), false).takes_along(&there(&vip("fd00::2", 64), true)));
}

#[test]
fn an_address_that_another_host_has_is_not_sent_from() {
    for (flags, usable) in [
        (AddressFlags::Permanent, true),
        (AddressFlags::Permanent | AddressFlags::Nodad, true),
        (AddressFlags::Tentative, false),
        (AddressFlags::Tentative | AddressFlags::Optimistic, true),
        (AddressFlags::Permanent | AddressFlags::Dadfailed, false),
        (AddressFlags::Permanent | AddressFlags::Tentative | AddressFlags::Dadfailed, false),
    ] {
        let mut message = AddressMessage::default();
        message.attributes.push(AddressAttribute::Flags(flags));
        let installed = Installed { index: 1, address: Ipv6Addr::LOCALHOST.into(), message };
        assert_eq!(installed.may_be_sent_from(), usable, "{flags:?}");
    }
}
