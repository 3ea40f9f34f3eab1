//! A round: the routers start, faults follow each other, and then comes a time without faults (peace), in which everything must
//! be right.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, Process};
use vrrp_tests::random::Random;

use crate::fault::{self, Fault};
use crate::judge::{self, CALM};
use crate::names::SlowNames;
use crate::plan::{INTERFACES, Plan, ROUTERS};
use crate::prober::{Prober, Question, Target};
use crate::router::{Agent, Router};

/// How long it may take until everything is right: some master-down intervals of the slowest virtual router, and a large margin
/// for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The time after the repair of a bad line in which each of its two ends may still believe that the other is gone.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// The state of a round.
pub(crate) struct Round {
    plan: Plan,
    random: Random,
    start: Instant,
    steps: String,
    prober: Prober,
    targets: Vec<Target>,
    hogs: Vec<Process>,
    names: Option<SlowNames>,
    names_slow: bool,
    /// For each interface, the spans (begin, and end if it is over) in which two routers may both answer, because a
    /// fault separates them.
    divided: [Vec<(Instant, Option<Instant>)>; 2],
    routers: Vec<Router>,
    client: Host,
    lab: Lab,
}

impl Round {
    /// Builds the network and starts the agents.
    pub(crate) fn new(seed: u64) -> Result<Self> {
        let mut random = Random::new(seed);
        let plan = Plan::new(&mut random);
        let lab = Lab::new()?;
        let files = plan.files(&mut random);
        let routers: Result<Vec<Router>> =
            files.into_iter().enumerate().map(|(number, file)| Router::new(&lab, number, file)).collect();
        let mut routers = routers?;
        let client = lab.host("client", 20)?;
        lab.second_interface(&client)?;
        let names = if plan.script {
            let mut hosts: Vec<&mut Host> = routers.iter_mut().map(|router| &mut router.host).collect();
            Some(SlowNames::install(&lab, &mut hosts)?)
        } else {
            None
        };
        let targets: Vec<Target> = plan
            .virtuals
            .iter()
            .flat_map(|each| {
                each.vips.iter().map(|&vip| Target { interface: INTERFACES[each.interface], vip })
            })
            .collect();
        let prober = Prober::start(&client, &targets)?;
        let (start, steps, hogs) = (Instant::now(), String::new(), Vec::new());
        let (names_slow, divided) = (false, [Vec::new(), Vec::new()]);
        Ok(Self {
            plan,
            random,
            start,
            steps,
            prober,
            targets,
            hogs,
            names,
            names_slow,
            divided,
            routers,
            client,
            lab,
        })
    }

    /// The steps so far, one a line.
    pub(crate) fn steps(&self) -> &str {
        &self.steps
    }

    /// Runs the round. If `faults_max` is less than the number of faults that the seed gives, only the first faults happen.
    pub(crate) fn run(&mut self, faults_max: usize) -> Result<()> {
        self.note(&format!("{:?}", self.plan));
        for number in 0..ROUTERS {
            self.routers[number].write(&self.plan)?;
            self.routers[number].start()?;
            self.note(&format!(
                "{} starts with {:?}",
                self.routers[number].name(),
                self.routers[number].file
            ));
        }
        self.peace().context("before any fault")?;
        let faults = 2 + self.random.index(5);
        for _ in 0..faults.min(faults_max) {
            let pause = Duration::from_millis(50 + self.random.below(800));
            std::thread::sleep(pause);
            let (number, fault) = fault::next(&mut self.random, &self.plan, &self.routers, self.names_slow);
            self.note(&format!("{}: {fault:?}", self.routers[number].name()));
            self.happen(number, &fault).with_context(|| format!("{fault:?}"))?;
        }
        std::thread::sleep(Duration::from_millis(100 + self.random.below(900)));
        self.settle_down()?;
        self.peace()?;
        self.no_two_answers()
    }

    fn note(&mut self, what: &str) {
        let at = self.start.elapsed();
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.steps, "{:>7.3} s  {what}", at.as_secs_f64());
    }

    /// Ends the faults with which no router can work. The other faults are ended or left, by chance.
    fn settle_down(&mut self) -> Result<()> {
        self.hogs.clear();
        for number in 0..ROUTERS {
            for interface in 0..INTERFACES.len() {
                if self.routers[number].bad[interface] {
                    self.repair(number, &Fault::Repair(interface))?;
                }
                if self.routers[number].cut[interface] && self.random.chance(70) {
                    self.repair(number, &Fault::Join(interface))?;
                }
            }
            let again = self.random.chance(60);
            match self.routers[number].agent {
                Agent::Stopped if again => self.repair(number, &Fault::Continue)?,
                Agent::Killed | Agent::Ended if again => self.repair(number, &Fault::Start)?,
                Agent::Runs | Agent::Stopped | Agent::Killed | Agent::Ended => {}
            }
        }
        if self.names_slow && self.random.chance(50) {
            self.repair(0, &Fault::Names(false))?;
        }
        Ok(())
    }

    fn repair(&mut self, number: usize, fault: &Fault) -> Result<()> {
        self.note(&format!("{}: {fault:?}, for the peace", self.routers[number].name()));
        self.happen(number, fault).with_context(|| format!("{fault:?}"))
    }

    /// Waits until everything is right and stays right for [`CALM`].
    fn peace(&mut self) -> Result<()> {
        self.note("peace");
        let begin = Instant::now();
        loop {
            let calm = Instant::now();
            match self.calm(calm) {
                Ok(()) => return Ok(()),
                Err(error) if begin.elapsed() > TIMEOUT => {
                    return Err(
                        error.context(format!("not right {:?} after peace was made", begin.elapsed()))
                    );
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
            for router in &mut self.routers {
                if router.has_crashed() {
                    bail!("the agent of {} is gone", router.name());
                }
            }
        }
    }

    fn calm(&self, since: Instant) -> Result<()> {
        judge::look(&self.plan, &self.routers)?;
        std::thread::sleep(CALM.saturating_sub(since.elapsed()));
        judge::look(&self.plan, &self.routers)?;
        ensure!(self.prober.asks(), "the prober has ended");
        judge::listen(&self.plan, &self.routers, &self.prober, &self.targets, since)
    }

    /// Checks that no question of the round had two answers, except where a fault separated the routers.
    fn no_two_answers(&self) -> Result<()> {
        for (number, Target { vip, .. }) in self.targets.iter().enumerate() {
            let interface = self.plan.virtuals[judge::virtual_of(&self.plan, number)].interface;
            for Question { at, answers } in self.prober.since(number, self.start) {
                let excused = self.divided[interface]
                    .iter()
                    .any(|&(from, to)| at >= from && to.is_none_or(|to| at < to + AFTERMATH));
                let after = at.duration_since(self.start).as_secs_f64();
                ensure!(
                    answers.len() <= 1 || excused,
                    "at {after:.3} s {vip} was answered for twice: {}",
                    judge::show(&answers)
                );
            }
        }
        Ok(())
    }

    /// The report on a round that failed: its steps, the answers, and the state of each router.
    pub(crate) fn story(&self) -> String {
        let mut story = format!("steps:\n{}", self.steps);
        for (number, Target { vip, .. }) in self.targets.iter().enumerate() {
            let mut last = None;
            let mut line = format!("answers for {vip}:");
            for Question { at, answers } in self.prober.since(number, self.start) {
                let answers = judge::show(&answers);
                if last.as_ref() != Some(&answers) {
                    let after = at.duration_since(self.start).as_secs_f64();
                    // Writing to a String cannot fail.
                    let _infallible = write!(line, " {after:.3} s [{answers}]");
                    last = Some(answers);
                }
            }
            story += &format!("{line}\n");
        }
        for router in &self.routers {
            story += &router.story(self.lab.directory());
        }
        story + &format!("the client is {}\n", self.client.namespace())
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each fault")]
    fn happen(&mut self, number: usize, fault: &Fault) -> Result<()> {
        if let Some(interface) = fault.divides() {
            self.divided[interface].push((Instant::now(), None));
        }
        let router = &mut self.routers[number];
        let own = |interface: usize, router: &Router| -> Result<()> {
            let name = INTERFACES[interface];
            let address = router.host.address();
            let address = if interface == 0 { address } else { address.replace(".1.", ".2.") };
            router.host.ip(&["address", "replace", &format!("{address}/24"), "dev", name])?;
            Ok(())
        };
        match *fault {
            Fault::Kill => router.signal(Signal::SIGKILL)?,
            Fault::Terminate => router.signal(Signal::SIGTERM)?,
            Fault::Start => router.start()?,
            Fault::Stop => router.signal(Signal::SIGSTOP)?,
            Fault::Continue => router.signal(Signal::SIGCONT)?,
            Fault::Cut(interface) => {
                self.lab.set_port(&router.port(interface), false)?;
                router.cut[interface] = true;
            }
            Fault::Join(interface) => {
                self.lab.set_port(&router.port(interface), true)?;
                router.cut[interface] = false;
            }
            Fault::Flap(interface, times) => {
                for _ in 0..times {
                    self.lab.set_port(&router.port(interface), false)?;
                    self.lab.set_port(&router.port(interface), true)?;
                }
            }
            Fault::Spoil(interface, line) => {
                self.lab.spoil(&router.port(interface), line)?;
                router.bad[interface] = true;
            }
            Fault::Repair(interface) => {
                self.lab.repair(&router.port(interface))?;
                router.bad[interface] = false;
                let now = Instant::now();
                if self.routers.iter().all(|router| !router.bad[interface]) {
                    for (_, to) in &mut self.divided[interface] {
                        to.get_or_insert(now);
                    }
                }
            }
            Fault::Priority(index, priority) => {
                router.file.priorities[index] = priority;
                if self.plan.is_grouped(index) {
                    for member in (0..self.plan.virtuals.len()).filter(|&member| self.plan.is_grouped(member))
                    {
                        router.file.priorities[member] = priority;
                    }
                }
                reload(router, &self.plan)?;
            }
            Fault::Prefix(index) => {
                router.file.wide[index] = !router.file.wide[index];
                reload(router, &self.plan)?;
            }
            Fault::Delete(index, which) => {
                let vip = self.plan.virtuals[index].vips[which];
                for there in router.addresses()?.iter().filter(|one| one.address == vip) {
                    let address = format!("{vip}/{}", there.prefix);
                    // The agent may have removed the address already.
                    let _gone = router.host.ip(&["address", "del", &address, "dev", &there.interface]);
                }
            }
            Fault::Flush(interface, pause) => {
                router.host.ip(&["address", "flush", "dev", INTERFACES[interface]])?;
                std::thread::sleep(pause);
                own(interface, router)?;
                let last = &router.host.address()[NETWORK_DOT.len()..];
                let link_local = format!("fe80::{last}/64");
                router.host.ip(&["address", "add", &link_local, "dev", INTERFACES[interface], "nodad"])?;
            }
            Fault::Mac(interface, last) => {
                let mac = format!("02:00:00:00:{number:02x}:{last:02x}");
                router.host.ip(&["link", "set", INTERFACES[interface], "address", &mac])?;
            }
            Fault::Remake(interface, pause) => {
                router.host.ip(&["link", "del", INTERFACES[interface]])?;
                std::thread::sleep(pause);
                if interface == 0 {
                    self.lab.plug(&router.host)?;
                    router.host.give_address()?;
                } else {
                    self.lab.second_interface(&router.host)?;
                }
                // The new interface has another port of the same name on the switch, whose line is not cut and not bad.
                router.cut[interface] = false;
                if router.bad[interface] {
                    self.happen(number, &Fault::Repair(interface))?;
                }
            }
            Fault::Hogs(count, time) => {
                let seconds = time.as_secs_f64().to_string();
                for _ in 0..count {
                    let mut burn = std::process::Command::new("timeout");
                    burn.args([&seconds, "sh", "-c", "while :; do :; done"]);
                    self.hogs.push(router.host.spawn(&mut burn, "hog")?);
                }
            }
            Fault::Names(slow) => {
                self.names.as_ref().context("names that can be slow")?.set(slow)?;
                self.names_slow = slow;
            }
        }
        Ok(())
    }
}

/// The part of an address before its last number.
const NETWORK_DOT: &str = "192.168.1.";

/// Writes the file. The agent reads it at once, when it is continued, or when it is started.
fn reload(router: &mut Router, plan: &Plan) -> Result<()> {
    router.write(plan)?;
    match router.agent {
        Agent::Runs | Agent::Stopped => router.signal(Signal::SIGHUP),
        Agent::Killed | Agent::Ended => Ok(()),
    }
}
