//! One virtual router on one node: what its file says, its state machine, and what the wire and the kernel half know of it.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_agent::vrrp::{
    Fault, GarpSchedule, Instance, OnHigher, OnLower, Params, State, SyncMembership, Time,
};
use vrrp_agent::wire::advert::{Body, Repr, V2Auth, V3Checksum, address};
use vrrp_ebpf::abi::Role;
use vrrp_ebpf::advert::{Address, Auth, Cast, Family, Rules, VerifiedBy, Version, list_sum};
use vrrp_ebpf::election::{DOWN_ADVERTS, Preempt, Takeover};
use vrrp_tests::random::Random;

use super::chaos::HostDoes;
use super::kernel::Desired;

/// The virtual router of one VRID, as all its routers have it.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) vrid: u8,
    pub(crate) version: Version,
    pub(crate) interval: Duration,
    pub(crate) password: Option<[u8; 8]>,
    pub(crate) sync_membership: SyncMembership,
}

/// One virtual router on one node.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) shared: Shared,
    pub(crate) params: Params,
    pub(crate) machine: Instance,
    /// True if the addresses are on the interface: they stay there when the process dies.
    pub(crate) installed: bool,
    /// True if the slot is master by its transitions, in the order in which it puts things out.
    pub(crate) mastering: bool,
    /// Resignations sent since it was last master; a fault sends two.
    pub(crate) resignations: u32,
    /// True if the file has this virtual router.
    pub(crate) there: bool,
    /// The host's treatment of its addresses, and the time until which this lasts.
    pub(crate) host: (HostDoes, Time),
    /// The result of its trackers, and true if its addresses were refused a while ago.
    pub(crate) tracked: Fault,
    pub(crate) refused: bool,
    /// The time since which no advert of its mastership has left, by the node's clock.
    pub(crate) silent_since: Time,
    /// The time at which an advert last arrived unheard, since the agent was dead and the kernel half saw nothing.
    pub(crate) missed: Option<Time>,
    /// The time at which the first advert of its mastership left, by the node's clock, and the priority in the last one.
    pub(crate) told: Option<Time>,
    pub(crate) said: Option<u8>,
    /// The priority in its last advert when it was killed last, and its own priority then.
    pub(crate) former: (Option<u8>, u8),
}

impl Slot {
    pub(crate) fn new(shared: &Shared, source: IpAddr, random: &mut Random) -> Self {
        let params = Params {
            version: shared.version,
            // There are few values, so that ties happen.
            priority: *random.pick(&[1, 90, 100, 100, 101, 150, 254]),
            interval: shared.interval,
            preempt: if random.chance(20) { Preempt::No } else { Preempt::Yes },
            preempt_delay: if random.chance(20) { shared.interval * 4 } else { Duration::ZERO },
            on_lower: *random.pick(&[OnLower::Advertise, OnLower::Advertise, OnLower::Ignore]),
            on_higher: *random.pick(&[OnHigher::Yield, OnHigher::AdvertiseAndYield]),
            down_adverts: DOWN_ADVERTS,
            address: address(source),
            garp: GarpSchedule {
                repeat: 5,
                delay: Some(5 * shared.interval),
                refresh: None,
                refresh_repeat: 1,
                lower_repeat: 5,
                lower_delay: None,
            },
            sync_membership: shared.sync_membership,
            takeover: if random.chance(70) { Takeover::Kernel } else { Takeover::Agent },
            install_time: shared.interval * 4,
        };
        let machine = Instance::new(params.clone(), Time::default());
        let shared = shared.clone();
        Self {
            shared,
            params,
            machine,
            installed: false,
            mastering: false,
            resignations: 0,
            there: true,
            host: (HostDoes::Install, Time::default()),
            tracked: Fault::None,
            refused: false,
            silent_since: Time::default(),
            missed: None,
            told: None,
            said: None,
            former: (None, 0),
        }
    }

    /// A new process has a new state machine, and has seen nothing of what it tracks.
    pub(crate) fn begin_anew(&mut self, clock: Time) {
        self.former = (self.said, self.machine.priority());
        self.machine = Instance::new(self.params.clone(), clock);
        (self.installed, self.mastering, self.resignations) = (false, false, 0);
        (self.tracked, self.refused) = (Fault::None, false);
    }

    pub(crate) fn is_grouped(&self) -> bool {
        self.there && self.params.sync_membership == SyncMembership::Group
    }

    pub(crate) fn fault(&self) -> Fault {
        if self.refused { Fault::Present } else { self.tracked }
    }

    /// The host's treatment of its addresses now.
    pub(crate) fn host_does(&self, clock: Time) -> HostDoes {
        if clock < self.host.1 { self.host.0 } else { HostDoes::Install }
    }

    pub(crate) fn with(self, shared: &Shared) -> Self {
        Self { shared: shared.clone(), ..self }
    }

    pub(crate) fn desired(&self) -> Desired {
        let role = match self.machine.state() {
            State::Initialize | State::Fault => Role::Idle,
            State::Backup => Role::Backup,
            State::Master => Role::Master,
        };
        let Self { machine, .. } = self;
        let (epoch, candidate, takeover) = (machine.epoch(), machine.candidate(), machine.takeover());
        Desired { epoch, role, candidate, rules: self.rules(), takeover }
    }

    pub(crate) fn repr(&self, priority: u8) -> Repr {
        let body = match self.shared.version {
            Version::V2 => Body::V2 {
                seconds: u8::try_from(self.shared.interval.as_secs()).expect("small"),
                auth: self.shared.password.map_or(V2Auth::None, V2Auth::Pass),
            },
            Version::V3 => Body::V3 {
                centiseconds: u16::try_from(self.shared.interval.as_millis() / 10).expect("small"),
                checksum: V3Checksum::PseudoHeader,
            },
        };
        Repr { vrid: self.shared.vrid, priority, addresses: vec![IpAddr::from([10, 0, 0, 100])], body }
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            destination: Family::V4.group(),
            cast: Cast::Multicast,
            ttl_min: 255,
            verified_by: VerifiedBy::Kernel,
            list_sum: list_sum([Address::v4([10, 0, 0, 100])].into_iter()),
            version: self.shared.version,
            auth: if self.shared.password.is_some() { Auth::Pass } else { Auth::None },
            password: self.shared.password.unwrap_or_default(),
            interval_ns: u64::try_from(self.shared.interval.as_nanos()).expect("short"),
        }
    }
}
