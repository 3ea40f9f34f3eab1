//! The hearing of a node: frames of its network, by its kernel half or by sockets.

use super::*;

impl Node {
    /// Receives a whole frame, with a tag of a VLAN in it or beside it.
    pub(crate) fn receive_tagged(&mut self, now: Time, frame: &[u8], beside: bool) -> Vec<Did> {
        // Sockets and program are told of a tag that the card has taken off.
        if beside {
            return Vec::new();
        }
        let (source, message) = match &self.kernel {
            Some(_) => match classify(frame) {
                Class::Vrrp(carrier) => (carrier.source, frame[carrier.offset..][..carrier.length].to_vec()),
                Class::Other | Class::Arp(_) | Class::Nd(_) => return Vec::new(),
            },
            None => match advert_in(frame) {
                Some(receive::Heard::Plain(datagram)) => (datagram.source, datagram.payload.to_vec()),
                Some(receive::Heard::Sealed(_)) | None => return Vec::new(),
            },
        };
        let [a, b, c, d, ..] = source.octets;
        self.receive(now, IpAddr::from([a, b, c, d]), &message)
    }

    pub(crate) fn receive(&mut self, now: Time, source: IpAddr, message: &[u8]) -> Vec<Did> {
        let clock = self.clock(now);
        let sees = self.kernel.is_some() && clock >= self.blind;
        if !sees && !self.runs() {
            if self.alive {
                self.waiting.push((source, message.to_vec()));
            } else if self.kernel.is_some()
                && let Some(slot) = self.slot_of(message)
            {
                self.slots[slot].missed = Some(clock);
            }
            return Vec::new();
        }
        let Some(slot) = self.slot_of(message) else { return Vec::new() };
        match &mut self.kernel {
            Some(kernel) if sees => {
                kernel.receive(slot, clock, &datagram(source, message));
                if self.runs() { self.drain_ring(clock) } else { Vec::new() }
            }
            Some(_) | None => self.hear(clock, slot, source, message),
        }
    }

    pub(super) fn slot_of(&self, message: &[u8]) -> Option<usize> {
        let vrid = vrrp_ebpf::advert::vrid(message);
        self.slots.iter().position(|slot| vrid == Some(slot.shared.vrid))
    }

    /// Hears an advert by a packet socket: every advert, or one that the kernel half should have kept.
    pub(super) fn hear(&mut self, clock: Time, slot: usize, source: IpAddr, message: &[u8]) -> Vec<Did> {
        let Ok(advert) = accept(&datagram(source, message), &self.slots[slot].rules()) else {
            return Vec::new();
        };
        if let Some(kernel) = &mut self.kernel {
            kernel.is_passed_by(slot, clock, &advert);
        }
        self.slots[slot].machine.handle_advert(clock, &advert, Watch::Here);
        self.react(clock)
    }

    /// After a stall, the frames that have arrived are heard before a deadline that has passed: first those in the ring, then
    /// those of the sockets, and only then the news that the kernel half has lost a master.
    pub(crate) fn wake_up(&mut self, now: Time) -> Vec<Did> {
        self.stalled_until = None;
        self.excuse_silence(now);
        let (clock, waiting) = (self.clock(now), std::mem::take(&mut self.waiting));
        let mut did = self.read_ring(clock);
        for (source, message) in waiting {
            if let Some(slot) = self.slot_of(&message) {
                did.extend(self.hear(clock, slot, source, &message));
            }
        }
        did.extend(self.handle_deadlines(now));
        did
    }

    /// Before a group resigns, each member hears of the better master that the kernel half has heard.
    pub(super) fn hear_fences(&mut self, clock: Time) {
        let Some(kernel) = &self.kernel else { return };
        for (number, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.is_grouped()) {
            if slot.machine.state() == State::Master
                && let Some(advert) = kernel.fence(number)
            {
                slot.machine.handle_advert(clock, &advert, Watch::Fenced);
            }
        }
    }
}
