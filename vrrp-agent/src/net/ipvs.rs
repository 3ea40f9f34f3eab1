//! The kernel's daemons that synchronise the connections of IPVS between directors: one sends, the other listens. They are set
//! by generic netlink (linux/ip_vs.h).

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use rtnetlink::packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

use super::NetError;
use crate::config::SyncDaemon;

const NAME: &str = "IPVS";
const NEW_DAEMON: u8 = 9;
const DEL_DAEMON: u8 = 10;

/// The attribute of a command that holds those of a daemon, nested.
const ATTR_DAEMON: u16 = 3 | NESTED;
const NESTED: u16 = 1 << 15;

const STATE: u16 = 1;
const INTERFACE: u16 = 2;
const ID: u16 = 3;
const MAX_LENGTH: u16 = 4;
const GROUP: u16 = 5;
const GROUP6: u16 = 6;
const PORT: u16 = 7;
const TTL: u16 = 8;

/// The time to wait for the kernel, which answers at once when its module is there.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// One of the two daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The daemon that sends connections.
    Master = 1,
    /// The daemon that listens.
    Backup = 2,
}

/// Starts the daemon that plays a part, and stops the other; stops both if there is no part. Blocks for as long as the kernel
/// takes.
///
/// # Errors
/// If there is no IPVS, or the kernel refuses the settings of the daemon.
pub fn set(daemon: &SyncDaemon, part: Option<Part>) -> Result<(), NetError> {
    let refused = |error: io::Error| NetError::system("start or stop the sync daemon of IPVS", error);
    let mut ipvs = Ipvs::open()?;
    for part in [Part::Master, Part::Backup] {
        let stop = Command { command: DEL_DAEMON, daemon: vec![state(part)] };
        match ipvs.order(stop) {
            // The daemon does not run.
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
            stopped => stopped.map_err(refused)?,
        }
    }
    let Some(part) = part else { return Ok(()) };
    ipvs.order(Command { command: NEW_DAEMON, daemon: attributes(daemon, part) }).map_err(refused)
}

fn state(part: Part) -> DefaultNla {
    DefaultNla::new(STATE, (part as u32).to_ne_bytes().to_vec())
}

fn attributes(daemon: &SyncDaemon, part: Part) -> Vec<DefaultNla> {
    let SyncDaemon { interface, instance: _, id, max_length, port, ttl, group } = daemon;
    let mut attributes = vec![
        state(part),
        DefaultNla::new(INTERFACE, [interface.as_bytes(), &[0]].concat()),
        DefaultNla::new(ID, u32::from(*id).to_ne_bytes().to_vec()),
    ];
    attributes.extend(max_length.map(|length| DefaultNla::new(MAX_LENGTH, length.to_ne_bytes().to_vec())));
    attributes.extend(group.map(|group| match group {
        IpAddr::V4(group) => DefaultNla::new(GROUP, group.octets().to_vec()),
        IpAddr::V6(group) => DefaultNla::new(GROUP6, group.octets().to_vec()),
    }));
    attributes.extend(port.map(|port| DefaultNla::new(PORT, port.to_ne_bytes().to_vec())));
    attributes.extend(ttl.map(|ttl| DefaultNla::new(TTL, vec![ttl])));
    attributes
}

/// A command to IPVS.
#[derive(Debug)]
struct Command {
    command: u8,
    daemon: Vec<DefaultNla>,
}

impl Command {
    fn nested(&self) -> DefaultNla {
        let mut bytes = vec![0; self.daemon.as_slice().buffer_len()];
        self.daemon.as_slice().emit(&mut bytes);
        DefaultNla::new(ATTR_DAEMON, bytes)
    }
}

impl GenlFamily for Command {
    fn family_name() -> &'static str {
        NAME
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Command {
    fn buffer_len(&self) -> usize {
        [self.nested()].as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        [self.nested()].as_slice().emit(buffer);
    }
}

/// A connection to IPVS in the kernel.
struct Ipvs {
    socket: Socket,
    /// The number of IPVS's family of generic netlink.
    family: u16,
}

impl Ipvs {
    /// Connects, and loads the module if the kernel can.
    fn open() -> Result<Self, NetError> {
        let refused = |error: io::Error| NetError::system("use IPVS in the kernel", error);
        let mut socket = Socket::new(NETLINK_GENERIC).map_err(refused)?;
        socket.bind_auto().map_err(refused)?;
        let patience = TimeVal::new(REPLY_TIMEOUT.as_secs().try_into().unwrap_or_default(), 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience).map_err(|error| refused(error.into()))?;
        let ask =
            GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName(NAME.to_owned())] };
        send(&socket, GenlMessage::from_payload(ask), NLM_F_REQUEST).map_err(refused)?;
        let family = match receive(&socket).map_err(refused)?.payload {
            NetlinkPayload::InnerMessage(answer) => {
                let mut attributes = answer.payload.nlas.into_iter();
                attributes.find_map(|attribute| match attribute {
                    GenlCtrlAttrs::FamilyId(family) => Some(family),
                    _ => None,
                })
            }
            _ => None,
        };
        let missing =
            || io::Error::new(io::ErrorKind::NotFound, "the kernel has no IPVS; `modprobe ip_vs` loads it");
        Ok(Self { socket, family: family.ok_or_else(missing).map_err(refused)? })
    }

    fn order(&mut self, command: Command) -> io::Result<()> {
        let mut message = GenlMessage::from_payload(command);
        message.set_resolved_family_id(self.family);
        send(&self.socket, message, NLM_F_REQUEST | NLM_F_ACK)?;
        match receive(&self.socket)?.payload {
            NetlinkPayload::Error(answer) if answer.code.is_some() => Err(answer.to_io()),
            _ => Ok(()),
        }
    }
}

fn send<M: NetlinkSerializable>(socket: &Socket, message: M, flags: u16) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).map(drop)
}

fn receive(socket: &Socket) -> io::Result<NetlinkMessage<GenlMessage<GenlCtrl>>> {
    loop {
        let (bytes, sender) = socket.recv_from_full()?;
        // Any process can write to a netlink socket.
        if sender.port_number() == 0 {
            return NetlinkMessage::deserialize(&bytes).map_err(io::Error::other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, from linux/ip_vs.h and the layout of attributes in netlink(7), on a little-endian machine.
    #[test]
    #[cfg(target_endian = "little")]
    fn the_bytes_of_a_command() {
        let daemon = SyncDaemon {
            interface: "eth1".to_owned(),
            instance: 0,
            id: 7,
            max_length: Some(1400),
            port: Some(8850),
            ttl: Some(3),
            group: Some("224.0.0.90".parse().unwrap()),
        };
        let command = Command { command: NEW_DAEMON, daemon: attributes(&daemon, Part::Backup) };
        let mut bytes = vec![0; command.buffer_len()];
        command.emit(&mut bytes);
        let expected: [&[u8]; 8] = [
            &[64, 0, 3, 0x80],
            &[8, 0, 1, 0, 2, 0, 0, 0],
            &[9, 0, 2, 0, b'e', b't', b'h', b'1', 0, 0, 0, 0],
            &[8, 0, 3, 0, 7, 0, 0, 0],
            &[6, 0, 4, 0, 0x78, 0x05, 0, 0],
            &[8, 0, 5, 0, 224, 0, 0, 90],
            &[6, 0, 7, 0, 0x92, 0x22, 0, 0],
            &[5, 0, 8, 0, 3, 0, 0, 0],
        ];
        assert_eq!(bytes, expected.concat());
    }
}
