//! A tunnel between two hosts: devices that carry IP packets without Ethernet headers. The kernel's own tunnels are modules that not
//! every machine has, so a program carries the packets from one device to the other.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Host, Process, ip};

/// The network of every tunnel.
pub const TUNNEL_NETWORK: &str = "192.168.3";

/// Opens `tun0` in the network namespaces that the files lead to, and carries packets between the two.
const CARRY: &str = r"
import ctypes, fcntl, os, select, struct, sys
libc, ends = ctypes.CDLL(None, use_errno=True), []
TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454ca, 1, 0x1000, 0x40000000
for path in sys.argv[1:]:
    namespace = os.open(path, os.O_RDONLY)
    if libc.setns(namespace, CLONE_NEWNET): sys.exit('setns: %d' % ctypes.get_errno())
    end = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(end, TUNSETIFF, struct.pack('16sH', b'tun0', IFF_TUN | IFF_NO_PI))
    ends.append(end)
print('carrying', flush=True)
while True:
    for end in select.select(ends, [], [])[0]:
        packet = os.read(end, 65536)
        try: os.write(ends[1 - ends.index(end)], packet)
        except OSError: pass
";

/// Gives both hosts a `tun0` with the address `192.168.3.LAST`, for as long as what is returned lives.
///
/// # Errors
/// If the system refuses.
pub fn tunnel(one: &Host, other: &Host) -> Result<Process> {
    let namespace = |host: &Host| Path::new("/run/netns").join(host.namespace());
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", CARRY]).arg(namespace(one)).arg(namespace(other));
    let carrier = one.spawn(&mut command, "tunnel")?;
    ensure!(carrier.says("carrying", Duration::from_secs(10)), "{}", carrier.log());
    for host in [one, other] {
        let address = host.address().replace(super::NETWORK, TUNNEL_NETWORK);
        ip(&["-n", host.namespace(), "address", "add", &format!("{address}/24"), "dev", "tun0"])?;
        ip(&["-n", host.namespace(), "link", "set", "tun0", "up"])?;
    }
    Ok(carrier)
}
