//! The checks after the last fault of a round: each virtual router has one master, which is the router with the highest priority that
//! is able to; no other router answers for its addresses or has them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::plan::{INTERFACES, Plan};
use crate::prober::{Prober, Question, Target, show_mac};
use crate::router::{Agent, Router};

/// How long everything must be right without interruption.
pub(crate) const CALM: Duration = Duration::from_millis(1000);

/// The router that must be master of a virtual router: the one with the highest priority among those that are able to.
pub(crate) fn rightful(plan: &Plan, routers: &[Router], index: usize) -> Option<usize> {
    let needed = |router: &Router| -> bool {
        if plan.is_grouped(index) {
            // One router is master of all members of a sync group.
            (0..plan.virtuals.len())
                .filter(|&member| plan.is_grouped(member))
                .all(|member| router.is_able(plan.virtuals[member].interface))
        } else {
            router.is_able(plan.virtuals[index].interface)
        }
    };
    let able = (0..routers.len()).filter(|&number| needed(&routers[number]));
    able.max_by_key(|&number| routers[number].file.priorities[index])
}

/// Checks the states and addresses of all routers now. The error says which router is wrong, and how.
pub(crate) fn look(plan: &Plan, routers: &[Router]) -> Result<()> {
    for (number, router) in routers.iter().enumerate() {
        let installed = router.addresses()?;
        let status = match router.agent {
            Agent::Runs => Some(router.host.status()?),
            Agent::Stopped | Agent::Killed | Agent::Ended => None,
        };
        for (index, each) in plan.virtuals.iter().enumerate() {
            let is_master = rightful(plan, routers, index) == Some(number);
            let name = router.name();
            if let Some(status) = &status {
                let state = status["instances"][index]["state"].as_str().unwrap_or_default();
                ensure!((state == "master") == is_master, "{name} is {state} of {}", each.name);
            }
            for &vip in &each.vips {
                let prefix = u64::from(plan.prefix(&router.file, index, vip));
                let there: Vec<_> = installed.iter().filter(|one| one.address == vip).collect();
                let expected = is_master
                    && there.len() == 1
                    && there[0].interface == INTERFACES[each.interface]
                    && there[0].prefix == prefix;
                match router.agent {
                    Agent::Runs if is_master => {
                        ensure!(expected, "{name} is to have {vip}/{prefix} and has {there:?}");
                    }
                    Agent::Runs | Agent::Ended => ensure!(there.is_empty(), "{name} still has {there:?}"),
                    // An address that is left is under the fence: no question for it is answered.
                    Agent::Stopped | Agent::Killed => {}
                }
            }
        }
    }
    Ok(())
}

/// Checks the answers to ARP and neighbour discovery since a moment: each question must have exactly one, with the hardware address of
/// the router that must be master. The error says which question had others.
pub(crate) fn listen(
    plan: &Plan,
    routers: &[Router],
    prober: &Prober,
    targets: &[Target],
    since: Instant,
) -> Result<()> {
    for (number, Target { vip, .. }) in targets.iter().enumerate() {
        let index = virtual_of(plan, number);
        let each = &plan.virtuals[index];
        let expected = match rightful(plan, routers, index) {
            Some(_) if each.vmac => vec![each.mac()],
            Some(master) => vec![routers[master].mac(each.interface)?],
            None => Vec::new(),
        };
        let questions = prober.since(number, since);
        ensure!(!questions.is_empty(), "no question for {vip} was asked");
        for Question { at, answers } in &questions {
            let after = at.duration_since(since);
            let (answers, expected) = (show(answers), show(&expected));
            ensure!(
                *answers == expected,
                "{after:?} into the calm {vip} is answered for by [{answers}], not [{expected}]"
            );
        }
    }
    Ok(())
}

/// The virtual router that a target is of: targets are in the order of virtual routers and their addresses.
pub(crate) fn virtual_of(plan: &Plan, target: usize) -> usize {
    let mut left = target;
    for (index, each) in plan.virtuals.iter().enumerate() {
        if left < each.vips.len() {
            return index;
        }
        left -= each.vips.len();
    }
    unreachable!("there are as many targets as addresses")
}

pub(crate) fn show(answers: &[[u8; 6]]) -> String {
    answers.iter().map(|&mac| show_mac(mac)).collect::<Vec<_>>().join(", ")
}
