//! One VRID several times on an interface: only the destination of an advert tells the instances apart, or its sender.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use vrrp_tests::lab::{Host, Lab, eventually};

use crate::common::{Daemon, HIGH, LOW, TIMEOUT, reaches};

/// Longer than the master-down interval of these instances.
const ELECTION: Duration = Duration::from_millis(4500);

const VIPS: [&str; 3] = ["192.168.1.10", "192.168.1.20", "192.168.1.30"];

/// Three instances: in the default multicast group, in another group, and with a unicast peer; with a priority for each.
fn file(priorities: [u8; 3], peer: &str) -> String {
    let own = [String::new(), "mcast_dst_ip 224.0.0.19".to_owned(), format!("unicast_peer {{\n{peer}\n}}")];
    let instance = |slot: usize| {
        format!(
            "vrrp_instance V{slot} {{\nstate BACKUP\ninterface eth0\nvirtual_router_id 51\npriority {}\nadvert_int 1\n{}\n\
             virtual_ipaddress {{\n{}\n}}\n}}\n",
            priorities[slot], own[slot], VIPS[slot]
        )
    };
    (0..3).map(instance).collect()
}

fn held(host: &Host) -> Vec<bool> {
    VIPS.iter().map(|vip| host.has_address(vip).unwrap_or(false)).collect()
}

fn two_hosts() -> Result<(Lab, Host, Host)> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    Ok((lab, h1, h2))
}

#[test]
fn d4_one_number_is_there_for_each_group_and_for_unicast() -> Result<()> {
    use Daemon::{Keepalived, Ours};
    for daemons in [[Ours, Ours], [Ours, Keepalived], [Keepalived, Ours]] {
        let (_lab, h1, h2) = two_hosts()?;
        let mut first = daemons[0].start_with(&h1, &file([HIGH, LOW, HIGH], "192.168.1.12"))?;
        let second = daemons[1].start_with(&h2, &file([LOW, HIGH, LOW], "192.168.1.11"))?;
        let apart = || held(&h1) == [true, false, true] && held(&h2) == [false, true, false];
        assert!(
            eventually(TIMEOUT, apart),
            "{daemons:?} {:?} {:?}\n{}\n{}",
            held(&h1),
            held(&h2),
            first.log(),
            second.log()
        );
        std::thread::sleep(ELECTION);
        assert!(apart(), "two masters:\n{}\n{}", first.log(), second.log());
        first.signal(Signal::SIGKILL)?;
        first.wait(TIMEOUT)?;
        let taken_over = eventually(TIMEOUT, || held(&h2) == [true; 3]);
        assert!(taken_over, "{daemons:?}: {:?}\n{}", held(&h2), second.log());
    }
    Ok(())
}

/// No peer notices a reload that changes the order of the instances, or a kill.
#[test]
fn d4_instances_of_one_number_go_on_after_a_reload_and_after_a_kill() -> Result<()> {
    let (lab, h1, h2) = two_hosts()?;
    let text = file([HIGH; 3], "192.168.1.12");
    let configuration = lab.write("h1.conf", &text)?;
    let mut first = h1.agent_on(&configuration, &[])?;
    assert!(eventually(TIMEOUT, || held(&h1) == [true; 3]), "{}", first.log());
    let second = h2.agent(&file([LOW; 3], "192.168.1.11"))?;
    assert!((0..3).all(|slot| reaches(&h2, slot, "backup")), "{}", second.log());
    let unnoticed = || -> Result<()> {
        std::thread::sleep(ELECTION);
        for slot in 0..3 {
            assert_eq!(h2.status()?["instances"][slot]["became_master"], 0, "{}", second.log());
        }
        Ok(())
    };
    let mut other_order: Vec<&str> = text.split_inclusive("\n}\n}\n").collect();
    other_order.reverse();
    std::fs::write(&configuration, other_order.concat())?;
    first.signal(Signal::SIGHUP)?;
    assert!(first.says("3 instances go on, 0 are new, 0 are gone", TIMEOUT), "{}", first.log());
    unnoticed()?;
    first.signal(Signal::SIGKILL)?;
    first.wait(TIMEOUT)?;
    let again = h1.agent_on(&configuration, &[])?;
    assert!(again.says("going on with the programs and maps", TIMEOUT), "{}", again.log());
    unnoticed()?;
    assert_eq!(held(&h1), [true; 3], "{}", again.log());
    Ok(())
}
