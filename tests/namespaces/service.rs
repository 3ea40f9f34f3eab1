//! The purpose of the daemon: a client reaches a real web server at the virtual address, before and after a failover.

use std::time::Duration;

use anyhow::Result;
use vrrp_tests::lab::{Nginx, eventually};

use crate::common::{Pair, TIMEOUT, page};

#[test]
fn a_client_reaches_nginx_before_and_after_a_failover() -> Result<()> {
    let pair = Pair::start(&[])?;
    for host in [&pair.h1, &pair.h2] {
        Nginx::start(&pair.lab, host)?;
    }
    let shows = |text: &str| eventually(TIMEOUT, || page(&pair.client).as_deref() == Some(text));
    assert!(shows("this is h1"), "{:?}", page(&pair.client));
    pair.master.kill()?;
    assert!(shows("this is h2"), "{:?}", page(&pair.client));
    let returned = pair.h1.agent(&crate::common::Config::priority(crate::common::HIGH).text())?;
    assert!(shows("this is h1"), "{:?}", page(&pair.client));
    returned.stop()?;
    std::thread::sleep(Duration::from_millis(100));
    assert!(shows("this is h2"), "{:?}", page(&pair.client));
    Ok(())
}
