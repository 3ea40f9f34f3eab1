//! The program, loaded by one of its entries, with instances in its maps.

use anyhow::{Context as _, Result};
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfLoader};
use vrrp_agent::dataplane::{OBJECT, PodValue};
use vrrp_agent::host;
use vrrp_agent::wire::advert::{address as wire_address, family};
use vrrp_ebpf::abi::{
    Agent, Counters, Instance, InstanceKey, LAYOUT, Lease, Settings, Vip, VipKey, VipUse, Vmac, VmacKey,
};

/// The interface on which the frames of a test run arrive: the loopback interface.
pub(crate) const IFINDEX: u32 = 1;

/// The place where the kernel hands frames to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Xdp,
    /// XDP, with frames of more than one buffer.
    Frags,
    Tc,
}

impl Entry {
    pub(crate) const ALL: [Self; 3] = [Self::Xdp, Self::Frags, Self::Tc];

    /// The program's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xdp => "vrrp",
            Self::Frags => "vrrp_frags",
            Self::Tc => "vrrp_tc",
        }
    }
}

pub(crate) struct Program {
    entry: Entry,
    ebpf: Ebpf,
    counters: PerCpuArray<MapData, PodValue<Counters>>,
    instances: HashMap<MapData, PodValue<InstanceKey>, PodValue<Instance>>,
    events: RingBuf<MapData>,
    vips: HashMap<MapData, PodValue<VipKey>, PodValue<Vip>>,
    vmacs: HashMap<MapData, PodValue<VmacKey>, PodValue<Vmac>>,
    leases: Array<MapData, PodValue<Lease>>,
}

/// The program's action on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Drop,
    Pass,
    Send,
}

impl Program {
    pub(crate) fn load(entry: Entry) -> Result<Self> {
        Self::load_with(entry, vrrp_ebpf::abi::EVENTS_BYTES, false)
    }

    /// Loads the program with a ring of `ring_bytes` bytes. With `refusing` it looks at the destinations of packets, as it does
    /// if some addresses accept none.
    pub(crate) fn load_with(entry: Entry, ring_bytes: usize, no_accept_used: bool) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("events", u32::try_from(ring_bytes)?)
            .override_global("NO_ACCEPT_USED", &u32::from(no_accept_used), true)
            .load(OBJECT)?;
        for name in [entry.name(), "prepare"] {
            let program = ebpf.program_mut(name).context("no program")?;
            match program {
                aya::programs::Program::Xdp(xdp) => xdp.load(),
                aya::programs::Program::SchedClassifier(tc) => tc.load(),
                other => anyhow::bail!("{name} is a {:?}", other.prog_type()),
            }
            .context("load the program; needs root")?;
        }
        let counters = ebpf.take_map("counters").context("no counters")?.try_into()?;
        let instances = ebpf.take_map("instances").context("no instances")?.try_into()?;
        let events = ebpf.take_map("events").context("no events")?.try_into()?;
        let vips = ebpf.take_map("vips").context("no vips")?.try_into()?;
        let vmacs = ebpf.take_map("vmacs").context("no vmacs")?.try_into()?;
        let leases = ebpf.take_map("leases").context("no leases")?.try_into()?;
        Ok(Self { entry, ebpf, counters, instances, events, vips, vmacs, leases })
    }

    /// Makes a slot's timer, as the agent does before it attaches the program.
    pub(crate) fn prepare(&mut self, slot: u32) -> Result<()> {
        let program: &mut Xdp = self.ebpf.program_mut("prepare").context("no program")?.try_into()?;
        let mut frame = [0; 64];
        frame[..4].copy_from_slice(&slot.to_le_bytes());
        for _ in 0..200 {
            let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
            if program.test_run(options)?.return_value == 2 {
                return Ok(());
            }
            // An object of the timer's size that the kernel allocates in the usual way brings a page with room for more.
            drop(nix::unistd::pipe()?);
        }
        anyhow::bail!("no memory for the timer of slot {slot}")
    }

    pub(crate) fn set(&mut self, instance: &Instance) -> Result<()> {
        Ok(self.instances.insert(PodValue(instance.key), PodValue(*instance), 0)?)
    }

    pub(crate) fn set_vip(&mut self, address: IpAddr, slot: u32, mac: [u8; 6], usage: VipUse) -> Result<()> {
        let key = VipKey { ifindex: IFINDEX, family: family(address), address: wire_address(address) };
        let vip = Vip { slot, mac, usage, key_fold: key.fold() };
        Ok(self.vips.insert(PodValue(key), PodValue(vip), 0)?)
    }

    pub(crate) fn set_vmac(&mut self, mac: [u8; 6], slot: u32, own: [u8; 6]) -> Result<()> {
        let key = VmacKey { ifindex: IFINDEX, mac, reserved: 0 };
        let vmac = Vmac { slot, mac: own, reserved: 0, key_fold: key.fold() };
        Ok(self.vmacs.insert(PodValue(key), PodValue(vmac), 0)?)
    }

    pub(crate) fn set_lease(&mut self, slot: u32, lease: Lease) -> Result<()> {
        Ok(self.leases.set(slot, PodValue(lease), 0)?)
    }

    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<Action> {
        Ok(self.run_to(frame)?.0)
    }

    /// Instructions that the verifier went through, and bytes of the program.
    pub(crate) fn cost(&mut self, name: &str) -> Result<(u32, u32)> {
        let info = self.ebpf.program_mut(name).context("no program")?.info()?;
        let verified = info.verified_instruction_count().context("the kernel does not say")?;
        Ok((verified, info.size_translated().context("the kernel does not say")?))
    }

    /// With `show`, adverts go on to the stack after they are judged.
    pub(crate) fn show_adverts(&mut self, show: bool) -> Result<()> {
        let mut settings: Array<&mut MapData, PodValue<Settings>> =
            self.ebpf.map_mut("settings").context("no settings")?.try_into()?;
        Ok(settings.set(0, PodValue(Settings { show_adverts: show.into(), layout: LAYOUT }), 0)?)
    }

    /// The agent counts as running for so long from now on.
    pub(crate) fn set_alive(&mut self, time: Duration) -> Result<()> {
        let mut agent: Array<&mut MapData, PodValue<Agent>> =
            self.ebpf.map_mut("agent").context("no agent")?.try_into()?;
        let until = host::now() + time;
        Ok(agent.set(0, PodValue(Agent { alive_until_ns: until.as_nanos() }), 0)?)
    }

    /// Puts a program of the object behind the one under test.
    pub(crate) fn set_next(&mut self, name: &str) -> Result<()> {
        let program: &Xdp = self.ebpf.program(name).context("no program")?.try_into()?;
        let fd = program.fd()?.try_clone()?;
        let mut next: ProgramArray<&mut MapData> =
            self.ebpf.map_mut("next").context("no next")?.try_into()?;
        Ok(next.set(0, &fd, 0)?)
    }

    /// Runs the program on a frame, many times if asked, and returns the kernel's result.
    pub(crate) fn test_run(
        &mut self,
        frame: &[u8],
        out: Option<&mut [u8]>,
        repeat: u32,
    ) -> Result<TestRunResult> {
        let options =
            TestRunOptions { data_in: Some(frame), data_out: out, repeat, ..TestRunOptions::default() };
        let program = self.ebpf.program_mut(self.entry.name()).context("no program")?;
        Ok(match self.entry {
            Entry::Xdp | Entry::Frags => <&mut Xdp>::try_from(program)?.test_run(options)?,
            Entry::Tc => <&mut SchedClassifier>::try_from(program)?.test_run(options)?,
        })
    }

    /// Runs the program on a frame, and returns its action and the frame as the program leaves it.
    pub(crate) fn run_to(&mut self, frame: &[u8]) -> Result<(Action, Vec<u8>)> {
        let mut out = vec![0; frame.len() + 64];
        let result = self.test_run(frame, Some(&mut out), 1)?;
        let length = usize::try_from(result.data_size_out)?;
        out.truncate(length);
        // XDP and tc have different numbers for their actions.
        let action = match (self.entry, result.return_value.cast_signed()) {
            (Entry::Xdp | Entry::Frags, 1) | (Entry::Tc, 2) => Action::Drop,
            (Entry::Xdp | Entry::Frags, 2) | (Entry::Tc, -1) => Action::Pass,
            (Entry::Xdp | Entry::Frags, 3) | (Entry::Tc, 7) => Action::Send,
            other => anyhow::bail!("action {other:?}"),
        };
        Ok((action, out))
    }

    /// Empties the ring and returns the number of events that were in it.
    pub(crate) fn drain_events(&mut self) -> usize {
        std::iter::from_fn(|| self.events.next().map(drop)).count()
    }

    pub(crate) fn counters(&self) -> Result<Counters> {
        let mut total = Counters::default();
        for PodValue(cpu) in self.counters.get(&0, 0)?.iter() {
            total.add(cpu);
        }
        Ok(total)
    }
}
