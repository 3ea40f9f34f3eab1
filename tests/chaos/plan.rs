//! The configuration of a round: its virtual routers, and the file of each of the three routers.

use std::fmt::Write as _;
use std::net::IpAddr;

use vrrp_tests::random::Random;

/// Routers in a round.
pub(crate) const ROUTERS: usize = 3;

/// The interfaces of each router.
pub(crate) const INTERFACES: [&str; 2] = ["eth0", "eth1"];

/// The name of the check script, where there is one.
const CHECK: &str = "chk";

/// A virtual router, the same on all routers.
#[derive(Clone, Debug)]
pub(crate) struct Virtual {
    pub(crate) name: &'static str,
    pub(crate) vrid: u8,
    /// Index into [`INTERFACES`].
    pub(crate) interface: usize,
    pub(crate) vips: Vec<IpAddr>,
    /// True for version 2 with a password and one advert a second; false for version 3 with ten adverts a second.
    pub(crate) old: bool,
    pub(crate) vmac: bool,
}

impl Virtual {
    /// The hardware address of the virtual router (RFC 9568 section 7.3).
    pub(crate) fn mac(&self) -> [u8; 6] {
        let family = if self.vips[0].is_ipv4() { 1 } else { 2 };
        [0, 0, 0x5e, 0, family, self.vrid]
    }
}

/// The virtual routers of a round, as its seed has chosen them.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) virtuals: Vec<Virtual>,
    /// True if the first virtual router and the one on the second interface are members of one sync group.
    pub(crate) group: bool,
    /// True if there is a check script, whose user has to be looked up.
    pub(crate) script: bool,
}

/// The values in one router's file that differ from router to router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// The priority of each virtual router.
    pub(crate) priorities: Vec<u8>,
    /// For each virtual router: true if its addresses have the prefix length of their network (24 or 64), false for 32 or 128.
    pub(crate) wide: Vec<bool>,
}

impl Plan {
    pub(crate) fn new(random: &mut Random) -> Self {
        let vips = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect();
        let new = |name, vrid, interface, texts| Virtual {
            name,
            vrid,
            interface,
            vips: vips(texts),
            old: false,
            vmac: false,
        };
        let mut virtuals = vec![
            new("FOUR", 51, 0, &["192.168.1.101", "192.168.1.102"][..]),
            new("SIX", 52, 0, &["fe80::52", "fd00:1::52"]),
            new("SECOND", 53, 1, &["192.168.2.103"]),
        ];
        virtuals[0].old = random.chance(20);
        virtuals[2].vmac = random.chance(25);
        Self { virtuals, group: random.chance(33), script: random.chance(33) }
    }

    /// True if the virtual router is a member of the sync group.
    pub(crate) fn is_grouped(&self, index: usize) -> bool {
        self.group && index != 1
    }

    /// Files of all routers, with priorities in another order for each virtual router.
    pub(crate) fn files(&self, random: &mut Random) -> Vec<File> {
        let mut files = vec![File { priorities: Vec::new(), wide: Vec::new() }; ROUTERS];
        for _ in &self.virtuals {
            let first = random.index(ROUTERS);
            for (number, file) in files.iter_mut().enumerate() {
                let rank = u8::try_from((number + first) % ROUTERS).expect("few");
                file.priorities.push(100 + 40 * rank);
                file.wide.push(false);
            }
        }
        if self.group {
            // One router is to be master of all members of the sync group, so they have one order of priorities.
            for file in &mut files {
                file.priorities[2] = file.priorities[0];
            }
        }
        files
    }

    /// The length of the prefix of an address on a router.
    pub(crate) fn prefix(&self, file: &File, index: usize, vip: IpAddr) -> u8 {
        match (vip, file.wide[index]) {
            (IpAddr::V4(_), false) => 32,
            (IpAddr::V4(_), true) => 24,
            (IpAddr::V6(_), false) => 128,
            (IpAddr::V6(_), true) => 64,
        }
    }

    /// The text of a router's file.
    pub(crate) fn text(&self, file: &File) -> String {
        let mut text = "global_defs {\nvrrp_startup_delay 0\n}\n".to_owned();
        if self.script {
            text += &format!("vrrp_script {CHECK} {{\nscript \"/bin/true\"\ninterval 1\n}}\n");
        }
        if self.group {
            let (first, second) = (self.virtuals[0].name, self.virtuals[2].name);
            text += &format!("vrrp_sync_group BOTH {{\ngroup {{\n{first}\n{second}\n}}\n}}\n");
        }
        for (index, each) in self.virtuals.iter().enumerate() {
            let Virtual { name, vrid, interface, vips, old, vmac } = each;
            let (version, interval) = if *old { (2, "1") } else { (3, "0.1") };
            let mut lines = format!(
                "state BACKUP\ninterface {}\nversion {version}\nvirtual_router_id {vrid}\npriority {}\nadvert_int {interval}\n",
                INTERFACES[*interface], file.priorities[index]
            );
            if *old {
                lines += "authentication {\nauth_type PASS\nauth_pass 1111\n}\n";
            }
            if *vmac {
                lines += "use_vmac\n";
            }
            if self.script && index == 0 {
                lines += &format!("track_script {{\n{CHECK}\n}}\n");
            }
            let vips: Vec<String> =
                vips.iter().map(|&vip| format!("{vip}/{}", self.prefix(file, index, vip))).collect();
            let vips = vips.join("\n");
            // Writing to a String cannot fail.
            let _infallible =
                writeln!(text, "vrrp_instance {name} {{\n{lines}virtual_ipaddress {{\n{vips}\n}}\n}}");
        }
        text
    }
}
