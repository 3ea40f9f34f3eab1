//! The MIBs of the standards: RFC 2787 for version 2, RFC 6527 for both. Left out are values that the daemon counts for all
//! instances together, and values that only the master agent knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_ebpf::advert::{Family, Version};
use vrrp_ebpf::election::Preempt;

use super::super::oid::{Oid, Value};
use super::{Facts, Table, family, gauge, yes};
use crate::config::{Authentication, InstanceConfig, Traps};
use crate::control::{InstanceStatus, WonBy};

/// VRRP-MIB.
pub(super) const VERSION_2: [u32; 7] = [1, 3, 6, 1, 2, 1, 68];
/// VRRPV3-MIB.
pub(super) const VERSION_3: [u32; 7] = [1, 3, 6, 1, 2, 1, 207];
/// `RowStatus`: all rows are active.
const ACTIVE: Value = Value::Integer(1);

/// `vrrpOperMasterIpAddr` of an instance.
pub(super) fn master_version_2(interface: u32, vrid: u8) -> Oid {
    Oid::new(&VERSION_2).join(&[1, 3, 1, 7, interface, vrid.into()])
}

/// A column of a table of VRRPV3-MIB, for an instance.
pub(super) fn version_3(column: [u32; 5], interface: u32, vrid: u8, source: IpAddr) -> Oid {
    let row = [interface, vrid.into(), family(source)];
    Oid::new(&VERSION_3).join(&[&column[..], &row].concat())
}

pub(super) fn fill_version_2(table: &mut Table, facts: &Facts<'_>) {
    let mib = Oid::new(&VERSION_2);
    let (operations, statistics) = (mib.join(&[1]), mib.join(&[2]));
    table.scalar(&operations.join(&[1]), Value::Integer(2));
    table.scalar(&operations.join(&[2]), yes(facts.config.snmp.traps == Traps::Sent));
    for (number, counter) in (1..).zip(COUNTERS) {
        table.scalar(&statistics.join(&[number]), counter32(count(facts, counter)));
    }
    for (_, config, status) in facts.instances() {
        let Some(interface) = (facts.interface)(&config.interface) else { continue };
        let IpAddr::V4(source) = status.source else { continue };
        if config.version != Version::V2 {
            continue;
        }
        let row = [interface, config.vrid.into()];
        let master = match status.master.as_ref().map(|master| master.address) {
            Some(IpAddr::V4(address)) => address,
            Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
        };
        let columns = [
            (2, Value::OctetString(config.virtual_mac().to_vec())),
            (3, state(status)),
            // Up: an instance that is down is not in the file.
            (4, Value::Integer(1)),
            (5, Value::Integer(config.priority.into())),
            (6, Value::Integer(config.vips.len().try_into().unwrap_or(i32::MAX))),
            (7, Value::IpAddress(master.octets())),
            (8, Value::IpAddress(source.octets())),
            (9, authentication(config)),
            (11, Value::Integer(config.interval.as_secs().try_into().unwrap_or(i32::MAX))),
            (12, yes(config.preempt == Preempt::Yes)),
            // IP.
            (14, Value::Integer(1)),
            (15, ACTIVE),
        ];
        table.row(&operations.join(&[3, 1]), &row, columns);
        for vip in &config.vips {
            if let IpAddr::V4(address) = vip.address {
                let row = [&row[..], &address.octets().map(u32::from)].concat();
                table.row(&operations.join(&[4, 1]), &row, [(2, ACTIVE)]);
            }
        }
        let columns = [(1, counter32(status.became_master)), (7, counter32(status.resignations_sent))];
        table.row(&statistics.join(&[4, 1]), &row, columns);
    }
}

pub(super) fn fill_version_3(table: &mut Table, facts: &Facts<'_>) {
    let mib = Oid::new(&VERSION_3);
    let (operations, statistics) = (mib.join(&[1, 1]), mib.join(&[1, 2]));
    for (number, counter) in (1..).zip(COUNTERS) {
        table.scalar(&statistics.join(&[number]), Value::Counter64(count(facts, counter)));
    }
    for (_, config, status) in facts.instances() {
        let Some(interface) = (facts.interface)(&config.interface) else { continue };
        let row = [interface, config.vrid.into(), family(status.source)];
        let unknown = match config.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let hundredths = i32::try_from(config.interval.as_millis() / 10).unwrap_or(i32::MAX);
        let columns = [
            (3, Value::address(status.master.as_ref().map_or(unknown, |master| master.address))),
            (4, Value::address(status.source)),
            (5, Value::OctetString(config.virtual_mac().to_vec())),
            (6, state(status)),
            (7, gauge(config.priority)),
            (8, Value::Integer(config.vips.len().try_into().unwrap_or(i32::MAX))),
            (9, Value::Integer(hundredths)),
            (10, yes(config.preempt == Preempt::Yes)),
            (11, yes(config.accept)),
            (13, ACTIVE),
        ];
        table.row(&operations.join(&[1, 1]), &row, columns);
        for vip in &config.vips {
            let Value::OctetString(octets) = Value::address(vip.address) else { continue };
            // An index without a fixed length has its length before it (RFC 2578 section 7.7).
            let length = [octets.len().try_into().unwrap_or(u32::MAX)];
            let octets: Vec<u32> = octets.into_iter().map(u32::from).collect();
            table.row(&operations.join(&[2, 1]), &[&row[..], &length, &octets].concat(), [(2, ACTIVE)]);
        }
        let columns = [(1, counter32(status.became_master)), (8, Value::Counter64(status.resignations_sent))];
        table.row(&statistics.join(&[5, 1]), &row, columns);
        if status.won_by.is_some() || status.became_master == 0 {
            table.row(&statistics.join(&[5, 1]), &row, [(2, reason(status.won_by))]);
        }
    }
}

/// `vrrpv3StatisticsNewMasterReason`.
pub(super) fn reason(won_by: Option<WonBy>) -> Value {
    Value::Integer(match won_by {
        None => 0,
        Some(WonBy::Priority) => 1,
        Some(WonBy::Preemption) => 2,
        Some(WonBy::Silence) => 3,
    })
}

/// The counters of adverts that no instance could take: for their checksum, their version, their number.
const COUNTERS: [&str; 3] = ["bad_checksum", "bad_version", "advert_not_ours"];

fn count(facts: &Facts<'_>, counter: &str) -> u64 {
    facts.snapshot.counters.get(counter).copied().unwrap_or(0)
}

/// A counter that begins again at 0, as RFC 2578 section 7.1.6 has it.
fn counter32(count: u64) -> Value {
    Value::Counter32(u32::try_from(count & u64::from(u32::MAX)).unwrap_or_default())
}

/// The state of an instance. The standards know no fault; it is shown as the initial state.
fn state(status: &InstanceStatus) -> Value {
    Value::Integer(match status.state.as_str() {
        "master" => 3,
        "backup" => 2,
        _ => 1,
    })
}

fn authentication(config: &InstanceConfig) -> Value {
    Value::Integer(match config.authentication {
        None => 1,
        Some(Authentication::Pass(_)) => 2,
        Some(Authentication::Ah(_)) => 3,
    })
}
