//! The program, loaded for itself, with instances in its maps.

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use vrrp_agent::dataplane::{Cell, OBJECT};
use vrrp_ebpf::abi::{Counters, Instance, InstanceKey};

/// What a test run's frames arrive on: the loopback interface.
pub(crate) const IFINDEX: u32 = 1;

pub(crate) struct Program {
    ebpf: Ebpf,
    counters: PerCpuArray<MapData, Cell<Counters>>,
    instances: HashMap<MapData, Cell<InstanceKey>, Cell<Instance>>,
    events: RingBuf<MapData>,
}

/// What the program does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Drop,
    Pass,
    Send,
}

impl Program {
    pub(crate) fn load() -> Result<Self> {
        Self::load_with(vrrp_ebpf::abi::EVENTS_BYTES)
    }

    /// With a ring of so many bytes.
    pub(crate) fn load_with(ring_bytes: usize) -> Result<Self> {
        let mut ebpf =
            EbpfLoader::new().map_max_entries("events", u32::try_from(ring_bytes)?).load(OBJECT)?;
        for name in ["vrrp", "prepare"] {
            let program: &mut Xdp = ebpf.program_mut(name).context("no program")?.try_into()?;
            program.load().context("load the program; needs root")?;
        }
        let counters = ebpf.take_map("counters").context("no counters")?.try_into()?;
        let instances = ebpf.take_map("instances").context("no instances")?.try_into()?;
        let events = ebpf.take_map("events").context("no events")?.try_into()?;
        Ok(Self { ebpf, counters, instances, events })
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
            // An object of the timer's size, made the usual way, brings a page with room for more.
            drop(nix::unistd::pipe()?);
        }
        anyhow::bail!("no memory for the timer of slot {slot}")
    }

    pub(crate) fn set(&mut self, instance: &Instance) -> Result<()> {
        Ok(self.instances.insert(Cell(instance.key), Cell(*instance), 0)?)
    }

    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<Action> {
        let program: &mut Xdp = self.ebpf.program_mut("vrrp").context("no program")?.try_into()?;
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        match program.test_run(options)?.return_value {
            1 => Ok(Action::Drop),
            2 => Ok(Action::Pass),
            3 => Ok(Action::Send),
            other => anyhow::bail!("XDP action {other}"),
        }
    }

    /// The number of events in the ring, which is empty then.
    pub(crate) fn drain_events(&mut self) -> usize {
        std::iter::from_fn(|| self.events.next().map(drop)).count()
    }

    pub(crate) fn counters(&self) -> Result<Counters> {
        let mut total = Counters::default();
        for Cell(cpu) in self.counters.get(&0, 0)?.iter() {
            total.add(cpu);
        }
        Ok(total)
    }
}
