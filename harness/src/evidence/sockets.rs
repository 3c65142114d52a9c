//! The kernel's own counters of every TCP socket on this host (netlink, INET_DIAG): the only live
//! evidence of what crosses a proxy, since Toxiproxy counts bytes when a connection closes.

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// The one extension asked for: `struct tcp_info`.
const INET_DIAG_INFO: u16 = 2;
const HEADER: usize = 16;
const DIAG: usize = 72;

/// TCP states by the kernel's numbers.
pub(super) const ESTABLISHED: u8 = 1;
/// The other end has closed, this one not yet.
pub(super) const CLOSE_WAIT: u8 = 8;
/// CLOSE_WAIT, LAST_ACK, CLOSING.
const FIN_RECEIVED: [u8; 3] = [CLOSE_WAIT, 9, 11];
const LISTEN: u8 = 10;
/// All that are or were connected, but not TIME_WAIT: of those a loaded host has tens of thousands.
const CONNECTED_STATES: u32 =
    (1 << 1) | (1 << 2) | (1 << 4) | (1 << 5) | (1 << 8) | (1 << 9) | (1 << 11);

/// One TCP socket and what went through it since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    /// Kernel's state number.
    pub state: u8,
    /// Local address.
    pub local: (IpAddr, u16),
    /// The other end.
    pub remote: (IpAddr, u16),
    /// Inode: links it to the process that holds it. 0 when no process does any more.
    pub inode: u32,
    /// Unique as long as the socket lives, and not used again soon.
    pub cookie: u64,
    /// Received by the kernel, not yet read by its process.
    pub unread_bytes: u32,
    /// Written by its process, not yet acknowledged by the other end.
    pub unacked_bytes: u32,
    /// Sent for the first time.
    pub sent_bytes: u64,
    /// Received.
    pub received_bytes: u64,
    /// Segments with data, sent.
    pub sent_segments: u32,
    /// Segments with data, received.
    pub received_segments: u32,
}

/// An open line to the kernel.
#[derive(Debug)]
pub(super) struct SocketTable {
    line: OwnedFd,
    buffer: Vec<u8>,
}

impl SocketTable {
    /// Opens it. Needs no privilege.
    pub fn open() -> io::Result<Self> {
        let line = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?;
        // The kernel answers at once; the bound is for kernels without this family.
        setsockopt(&line, sockopt::ReceiveTimeout, &TimeVal::seconds(1))?;
        connect(line.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self {
            line,
            buffer: vec![0; 1 << 16],
        })
    }

    /// Every connected (or connecting, or closing) socket.
    pub fn connected(&mut self) -> io::Result<Vec<Socket>> {
        self.dump(CONNECTED_STATES)
    }

    /// Every listening socket.
    pub fn listening(&mut self) -> io::Result<Vec<Socket>> {
        self.dump(1 << LISTEN)
    }

    fn dump(&mut self, states: u32) -> io::Result<Vec<Socket>> {
        let mut found = Vec::with_capacity(64);
        // Java opens IPv6 sockets for IPv4 peers as well.
        for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
            send(
                self.line.as_raw_fd(),
                &request(family, states),
                MsgFlags::empty(),
            )?;
            loop {
                let length = recv(self.line.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
                if take_messages(&self.buffer[..length], &mut found)? {
                    break;
                }
            }
        }
        Ok(found)
    }
}

fn request(family: u8, states: u32) -> [u8; DIAG] {
    let mut bytes = [0u8; DIAG];
    bytes[0..4].copy_from_slice(&(DIAG as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes[16] = family;
    bytes[17] = libc::IPPROTO_TCP as u8;
    bytes[18] = 1 << (INET_DIAG_INFO - 1);
    bytes[20..24].copy_from_slice(&states.to_ne_bytes());
    bytes
}

/// Reads one datagram of messages; true when the dump is complete.
fn take_messages(mut bytes: &[u8], found: &mut Vec<Socket>) -> io::Result<bool> {
    while bytes.len() >= HEADER {
        let length = u32_at(bytes, 0) as usize;
        if length < HEADER || length > bytes.len() {
            return Err(io::Error::other("a netlink message of impossible length"));
        }
        match u16_at(bytes, 4) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = u32_at(bytes, HEADER) as i32;
                return Err(io::Error::from_raw_os_error(-code));
            }
            SOCK_DIAG_BY_FAMILY => found.extend(parse(&bytes[HEADER..length])),
            _ => {}
        }
        bytes = &bytes[aligned(length).min(bytes.len())..];
    }
    Ok(false)
}

fn parse(message: &[u8]) -> Option<Socket> {
    let head = message.get(..DIAG)?;
    let family = head[0];
    let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let mut socket = Socket {
        state: head[1],
        local: (address(family, &head[8..24]), port(4)),
        remote: (address(family, &head[24..40]), port(6)),
        cookie: u64_at(head, 44),
        unread_bytes: u32_at(head, 56),
        unacked_bytes: u32_at(head, 60),
        inode: u32_at(head, 68),
        sent_bytes: 0,
        received_bytes: 0,
        sent_segments: 0,
        received_segments: 0,
    };
    let mut rest = &message[DIAG..];
    while rest.len() >= 4 {
        let length = usize::from(u16_at(rest, 0));
        if length < 4 || length > rest.len() {
            break;
        }
        if u16_at(rest, 2) == INET_DIAG_INFO {
            // Offsets in struct tcp_info, which only ever grows at its end. Kernels before 4.19
            // lack bytes_sent; acknowledged bytes stand in for it.
            let info = &rest[4..length];
            let retransmitted = u64_at(info, 208);
            socket.sent_bytes = if info.len() >= 208 {
                u64_at(info, 200).saturating_sub(retransmitted)
            } else {
                u64_at(info, 120)
            };
            // A FIN takes a place in the sequence of bytes and is counted with them.
            let fin = u64::from(FIN_RECEIVED.contains(&socket.state));
            socket.received_bytes = u64_at(info, 128).saturating_sub(fin);
            socket.received_segments = u32_at(info, 152);
            socket.sent_segments = u32_at(info, 156);
        }
        rest = &rest[aligned(length).min(rest.len())..];
    }
    Some(socket)
}

fn address(family: u8, bytes: &[u8]) -> IpAddr {
    let mut octets = [0u8; 16];
    octets.copy_from_slice(&bytes[..16]);
    if i32::from(family) == libc::AF_INET {
        IpAddr::from([octets[0], octets[1], octets[2], octets[3]])
    } else {
        IpAddr::from(Ipv6Addr::from(octets)).to_canonical()
    }
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).map_or(0, |b| {
        u64::from_ne_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn both_ends_of_a_connection_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[7; 1000]).unwrap();
        server.read_exact(&mut [0; 600]).unwrap();

        let mut table = SocketTable::open().unwrap();
        let all = table.connected().unwrap();
        let near = all.iter().find(|s| s.remote.1 == port).unwrap();
        let far = all.iter().find(|s| s.local.1 == port).unwrap();

        assert_eq!((near.state, far.state), (ESTABLISHED, ESTABLISHED));
        assert_eq!(near.remote.0, IpAddr::from([127, 0, 0, 1]));
        assert_eq!((near.sent_bytes, near.sent_segments), (1000, 1));
        assert_eq!((far.received_bytes, far.unread_bytes), (1000, 400));
        assert_ne!(near.cookie, far.cookie);
        assert!(
            table
                .listening()
                .unwrap()
                .iter()
                .any(|s| s.local.1 == port && s.inode > 0)
        );
    }

    proptest! {
        #[test]
        fn damaged_messages_are_an_error_or_skipped_but_never_a_panic(bytes: Vec<u8>) {
            let _ = take_messages(&bytes, &mut Vec::new());
            let _ = parse(&bytes);
        }
    }
}
