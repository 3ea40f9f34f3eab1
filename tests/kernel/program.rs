//! The program, loaded for itself, with instances in its maps.

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, MapData, PerCpuArray};
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
        let mut ebpf = EbpfLoader::new().load(OBJECT)?;
        let program: &mut Xdp = ebpf.program_mut("vrrp").context("no program")?.try_into()?;
        program.load().context("load the program; needs root")?;
        let counters = ebpf.take_map("counters").context("no counters")?.try_into()?;
        let instances = ebpf.take_map("instances").context("no instances")?.try_into()?;
        Ok(Self { ebpf, counters, instances })
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

    pub(crate) fn counters(&self) -> Result<Counters> {
        let mut total = Counters::default();
        for Cell(cpu) in self.counters.get(&0, 0)?.iter() {
            total.add(cpu);
        }
        Ok(total)
    }
}
