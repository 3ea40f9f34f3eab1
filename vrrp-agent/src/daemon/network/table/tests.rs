//! Which addresses of this host go with a mastership.

use std::net::Ipv4Addr;

use super::*;
use crate::config::parse;
use crate::net::links;

const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
const INTERFACE: u32 = 7;

fn held(address: Ipv4Addr, prefix: u8) -> MasterResources {
    let text = format!(
        "vrrp_instance V {{\ninterface none0\nvirtual_router_id 1\nvirtual_ipaddress {{\n{address}/{prefix}\n}}\n}}\n"
    );
    let vip = parse(&text).config.expect("a valid file").instances.remove(0).vips.remove(0);
    MasterResources {
        addresses: vec![InterfaceAddress { vip, ifindex: INTERFACE }],
        ..MasterResources::default()
    }
}

/// FAULTS.md A3: the file says one prefix, and the host has others too, by an earlier file or by an operator.
#[tokio::test]
async fn a3_a_virtual_address_goes_with_whatever_prefix_it_is_there() {
    let ours = host::address_mark();
    let marked = |address, prefix| Installed::example(INTERFACE, address, prefix, ours);
    let by_operator = Installed::example(INTERFACE, VIP, 28, 0);
    let elsewhere = Installed::example(INTERFACE + 1, VIP, 24, ours);
    let mut table = Table::new(links::connect().expect("a netlink socket"), Earlier::default());
    table.there = vec![marked(VIP, 24), marked(VIP, 32), by_operator.clone(), marked(OTHER, 24), elsewhere];
    let of = held(VIP, 24);

    // A master's: all of it on its interface.
    let going = table.going(&of, &[], Spare::Same, true);
    assert_eq!(going, [marked(VIP, 24), marked(VIP, 32), by_operator]);
    // Of an instance that was not master: only the addresses that this agent has put there.
    assert_eq!(table.going(&of, &[], Spare::Same, false), [marked(VIP, 24), marked(VIP, 32)]);
    // Another master holds the same address: that one stays, or the address with any prefix.
    let kept = [held(VIP, 32)];
    assert_eq!(table.going(&of, &kept, Spare::Same, false), [marked(VIP, 24)]);
    assert_eq!(table.going(&of, &kept, Spare::Place, true), []);
    // The host's own stays.
    table.own.insert(key(&marked(VIP, 32)));
    assert_eq!(table.going(&of, &[], Spare::Same, false), [marked(VIP, 24)]);
}
