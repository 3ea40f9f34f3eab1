//! The mishaps of hosts rather than of the protocol: hosts send nothing, see nothing, refuse, hang; and their files change.

use std::net::Ipv4Addr;

use vrrp_agent::wire::ethernet::advert_ipv4;
use vrrp_ebpf::advert::GROUP_V4;

use super::chaos::Mishap;
use super::world::{Event, World};

impl World {
    pub(super) fn strike_host(&mut self, mishap: &Mishap) -> Result<(), String> {
        match *mishap {
            Mishap::Mute(node, intervals) => {
                self.nodes[node].mute(self.now, self.now + self.interval * intervals);
            }
            Mishap::Blind(node, intervals) => {
                self.nodes[node].blindfold(self.now + self.interval * intervals);
            }
            Mishap::Host(node, slot, does, intervals) => {
                let until = self.nodes[node].clock(self.now + self.interval * intervals);
                self.nodes[node].slots[slot].host = (does, until);
            }
            Mishap::Edit(node, slot) => {
                if !self.nodes[node].alive {
                    self.nodes[node].edit(slot, &mut self.random);
                }
            }
            Mishap::LeaveOrJoin(node, slot) => {
                if self.nodes[node].runs() {
                    let did = self.nodes[node].leave_or_join(self.now, slot);
                    self.record(node, did)?;
                }
            }
            Mishap::Stranger(slot) => self.advertise_in_a_vlan(slot),
            Mishap::Crash(_)
            | Mishap::Blink(..)
            | Mishap::Restart(_)
            | Mishap::Stop(_)
            | Mishap::Stall(..)
            | Mishap::Split(_)
            | Mishap::BreakOneWay(..)
            | Mishap::Heal
            | Mishap::Weather { .. }
            | Mishap::Contributions(..)
            | Mishap::Faulted(..)
            | Mishap::Stolen(..)
            | Mishap::Reload(..)
            | Mishap::Leap(..) => unreachable!("the network's or the protocol's"),
        }
        Ok(())
    }

    /// A few adverts of a router that no node can outrank, with its tag in the frame or beside it.
    fn advertise_in_a_vlan(&mut self, slot: usize) {
        let source = Ipv4Addr::new(10, 0, 0, 250);
        let message = self.nodes[0].slots[slot].repr(255).encode(source.into(), GROUP_V4.into());
        let plain = advert_ipv4([2, 0, 0, 0, 0, 250], source, &message);
        let mut tagged = plain[..12].to_vec();
        tagged.extend([0x81, 0, 0, 100]);
        tagged.extend(&plain[12..]);
        for number in 0..3 {
            let at = self.now + self.interval * number;
            for to in 0..self.nodes.len() {
                let beside = self.random.chance(30);
                let frame = if beside { plain.clone() } else { tagged.clone() };
                self.schedule(at, Event::Tagged { to, frame, beside });
            }
        }
    }
}
