//! Interfaces that stand on other interfaces: bonds, VLANs, VRFs and more. Some need a kernel that has them (`cargo xtask
//! kernels`).

use std::sync::atomic::Ordering;

use anyhow::Result;

use super::{Host, Lab, NETWORK, ip};

impl Lab {
    /// Gives a host one more interface on the segment, without an address; the result is the name of its port on the switch.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn cable(&self, host: &Host, interface: &str) -> Result<String> {
        let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
        let peer = ["type", "veth", "peer", "name", interface, "netns", host.namespace()];
        ip(&[&["link", "add", &port, "netns", &self.switch][..], &peer].concat())?;
        ip(&["-n", &self.switch, "link", "set", &port, "master", "br0", "up"])?;
        host.ip(&["link", "set", interface, "up"])?;
        Ok(port)
    }

    /// Cuts a cable at the switch, or joins it again.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_port(&self, port: &str, up: bool) -> Result<()> {
        ip(&["-n", &self.switch, "link", "set", port, if up { "up" } else { "down" }]).map(drop)
    }

    /// Adds a host whose only interface is `bond0` over two cables, with the address `192.168.1.LAST`; the result tells the ports of
    /// the cables too. With a mode that balances, the switch bundles the two ports likewise.
    ///
    /// # Errors
    /// If the system refuses, as one without bonding does.
    pub fn bonded_host(&self, name: &str, last: u8, mode: &str) -> Result<(Host, [String; 2])> {
        const SLAVES: [&str; 2] = ["s0", "s1"];
        let host = self.bare_host(name, last)?;
        let ports = [self.cable(&host, SLAVES[0])?, self.cable(&host, SLAVES[1])?];
        let bundle = |namespace: &str, bond: &str, slaves: [&str; 2]| -> Result<()> {
            ip(&["-n", namespace, "link", "add", bond, "type", "bond", "mode", mode, "miimon", "50"])?;
            if mode == "802.3ad" {
                ip(&["-n", namespace, "link", "set", bond, "type", "bond", "lacp_rate", "fast"])?;
            }
            for slave in slaves {
                // A bond takes no interface that is up.
                ip(&["-n", namespace, "link", "set", slave, "down"])?;
                ip(&["-n", namespace, "link", "set", slave, "master", bond])?;
            }
            ip(&["-n", namespace, "link", "set", bond, "up"]).map(drop)
        };
        if mode != "active-backup" {
            let bond = format!("lag{last}");
            bundle(&self.switch, &bond, [&ports[0], &ports[1]])?;
            ip(&["-n", &self.switch, "link", "set", &bond, "master", "br0"])?;
        }
        bundle(host.namespace(), "bond0", SLAVES)?;
        host.ip(&["address", "add", &format!("{NETWORK}.{last}/24"), "dev", "bond0"])?;
        Ok((host, ports))
    }
}

impl Host {
    /// Makes `eth0.ID`, an interface in a VLAN of the segment, with an address if one is given (`A.B.C.D/LENGTH`).
    ///
    /// # Errors
    /// If the system refuses, as one without VLANs does.
    pub fn vlan(&self, id: u16, address: Option<&str>) -> Result<()> {
        let (name, id) = (format!("eth0.{id}"), id.to_string());
        self.ip(&["link", "add", "link", "eth0", "name", &name, "type", "vlan", "id", &id])?;
        self.ip(&["link", "set", &name, "up"])?;
        if let Some(address) = address {
            self.ip(&["address", "add", address, "dev", &name])?;
        }
        Ok(())
    }

    /// Puts `eth0` into a VRF `red`, where its address is again afterwards.
    ///
    /// # Errors
    /// If the system refuses, as one without VRFs does.
    pub fn vrf(&self) -> Result<()> {
        self.ip(&["link", "add", "red", "type", "vrf", "table", "10"])?;
        self.ip(&["link", "set", "red", "up"])?;
        self.ip(&["link", "set", "eth0", "master", "red"]).map(drop)
    }

    /// The hardware addresses that answer a neighbour solicitation for an IPv6 address; each answer counts.
    ///
    /// # Errors
    /// If the question cannot be asked.
    pub fn solicit(&self, address: &str) -> Result<Vec<String>> {
        // The command fails when no host answers, which is an answer too.
        let arguments = ["-q", "-m", "-n", "-r", "1", "-w", "1000", address, "eth0"];
        let output = self.command("ndisc6").args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        Ok(text.lines().map(|line| line.trim().to_owned()).filter(|line| line.contains(':')).collect())
    }
}
