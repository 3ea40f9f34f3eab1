//! The reference example, as written: the file that the user has, at the path that it names.

use std::time::Duration;

use anyhow::Result;
use vrrp_tests::lab::{Host, Lab};

use crate::common::{TIMEOUT, VIP, reaches};

const MASTER: &str = include_str!("../../config/reference-master.conf");
/// The path of the script below /etc.
const SCRIPT: &str = "keepalived/nginx.sh";
const BACKUP: &str = include_str!("../../config/reference-backup.conf");

#[test]
fn the_reference_example_works_as_written() -> Result<()> {
    let lab = Lab::new()?;
    let (h1, h2) = (lab.host("h1", 11)?, lab.host("h2", 12)?);
    // When the check cannot repair nginx any more, it stops the daemon, and so the address moves.
    let stop = lab.directory().join("nginx-is-broken");
    let script = format!("#!/bin/sh\nif [ -e {} ]; then kill -TERM $PPID; exit 1; fi\n", stop.display());
    h1.install_etc_script(SCRIPT, &script)?;
    h2.install_etc_script(SCRIPT, "#!/bin/sh\nexit 0\n")?;
    let (one, two) = (lab.write("h1.conf", MASTER)?, lab.write("h2.conf", BACKUP)?);
    let keepalived_options = ["-n", "-l", "-D", "-p"];
    let pid = |host: &Host| lab.directory().join(format!("{}.pid", host.name())).display().to_string();
    let options = |pid: &'static str| [&keepalived_options[..], &[pid]].concat();
    let mut master = h1.agent_on(&one, &options(Box::leak(pid(&h1).into_boxed_str())))?;
    let _backup = h2.agent_on(&two, &options(Box::leak(pid(&h2).into_boxed_str())))?;
    let written = std::fs::read_to_string(pid(&h1))?;
    assert_eq!(written.trim(), master.pid().to_string());
    h1.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(reaches(&h2, 0, "backup"));
    std::fs::write(&stop, "")?;
    h2.wait_for_address(VIP, true, TIMEOUT)?;
    assert!(master.wait(Duration::from_secs(5))?.success(), "{}", master.log());
    assert!(!h1.has_address(VIP)?);
    std::fs::remove_file(&stop)?;
    let _returned = h1.agent_on(&one, &keepalived_options[..3])?;
    h1.wait_for_address(VIP, true, Duration::from_secs(15))?;
    h2.wait_for_address(VIP, false, TIMEOUT)?;
    Ok(())
}
