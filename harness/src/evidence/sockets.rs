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
/// This is the one extension asked for: `struct tcp_info`.
const INET_DIAG_INFO: u16 = 2;
const HEADER: usize = 16;
const DIAG: usize = 72;

/// The connection is established; TCP states have the kernel's numbers.
pub(super) const ESTABLISHED: u8 = 1;
/// The other end has closed, this one not yet.
pub(super) const CLOSE_WAIT: u8 = 8;
/// In these states (CLOSE_WAIT, LAST_ACK, CLOSING) the other end's FIN was received.
const FIN_RECEIVED: [u8; 3] = [CLOSE_WAIT, 9, 11];
const LISTEN: u8 = 10;
/// All that are or were connected, but not TIME_WAIT: of those a loaded host has tens of thousands.
const CONNECTED_STATES: u32 =
    (1 << 1) | (1 << 2) | (1 << 4) | (1 << 5) | (1 << 8) | (1 << 9) | (1 << 11);

/// One TCP socket and what went through it since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    /// This is the TCP state by the kernel's number, e.g. [`ESTABLISHED`].
    pub state: u8,
    /// This is the address and port of this end.
    pub local: (IpAddr, u16),
    /// This is the address and port of the other end.
    pub remote: (IpAddr, u16),
    /// This inode links it to the process that holds it. It is 0 when no process does any more.
    pub inode: u32,
    /// The kernel's cookie is unique as long as the socket lives, and not used again soon.
    pub cookie: u64,
    /// So many bytes were received by the kernel, and not yet read by its process.
    pub unread_bytes: u32,
    /// So many bytes were written by its process, and not yet acknowledged by the other end.
    pub unacked_bytes: u32,
    /// So many bytes were sent for the first time: what was sent again is not counted.
    pub sent_bytes: u64,
    /// These bytes were received since the socket was opened, a FIN's place not counted.
    pub received_bytes: u64,
    /// So many segments with data were sent.
    pub sent_segments: u32,
    /// So many segments with data were received.
    pub received_segments: u32,
}

/// This is an open line to the kernel.
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

    /// Returns every connected (or connecting, or closing) socket; an Err says why the kernel gave no answer.
    pub fn connected(&mut self) -> io::Result<Vec<Socket>> {
        self.dump(CONNECTED_STATES)
    }

    /// Returns every listening socket of this host; an Err says why the kernel gave no answer.
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
                // The negative of an errno.
                let code = u32_at(bytes, HEADER) as i32;
                return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
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
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

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

    #[test]
    fn given_both_families_then_connected_and_listening_sockets_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // Java's are IPv6 sockets, whatever they lead to
        let Ok(listener6) = TcpListener::bind("[::]:0") else {
            return;
        };
        let port6 = listener6.local_addr().unwrap().port();
        let _client6 = TcpStream::connect(("127.0.0.1", port6)).unwrap();

        let mut table = SocketTable::open().unwrap();
        for port in [port, port6] {
            let listening = table.listening().unwrap();
            assert!(listening.iter().any(|s| s.local.1 == port));
            assert!(listening.iter().all(|s| s.state == LISTEN));
            let connected = table.connected().unwrap();
            let ends: Vec<_> = connected.iter().filter(|s| s.local.1 == port).collect();
            assert_eq!(ends.len(), 1);
            assert_eq!(ends[0].local.0, IpAddr::from([127, 0, 0, 1]));
            assert_eq!(ends[0].remote.0, IpAddr::from([127, 0, 0, 1]));
            assert!(connected.iter().all(|s| s.state != LISTEN));
        }
    }

    #[test]
    fn the_kernel_is_asked_for_tcp_sockets_of_these_states_with_their_counters() {
        let mut asked = [0u8; 72];
        // struct nlmsghdr: length, type SOCK_DIAG_BY_FAMILY, flags NLM_F_REQUEST | NLM_F_DUMP
        asked[..4].copy_from_slice(&72u32.to_ne_bytes());
        asked[4..6].copy_from_slice(&20u16.to_ne_bytes());
        asked[6..8].copy_from_slice(&0x301u16.to_ne_bytes());
        // struct inet_diag_req_v2: family, protocol TCP, extension INET_DIAG_INFO, states
        asked[16..19].copy_from_slice(&[10, 6, 0b10]);
        asked[20..24].copy_from_slice(&0x0102_0304u32.to_ne_bytes());
        assert_eq!(request(10, 0x0102_0304), asked);
    }

    /// A `struct inet_diag_msg` of a connection whose other fields are not zero.
    fn diag(family: u8, state: u8) -> Vec<u8> {
        let mut bytes = vec![0xEE; 72];
        bytes[0] = family;
        bytes[1] = state;
        bytes[4..6].copy_from_slice(&50_000u16.to_be_bytes());
        bytes[6..8].copy_from_slice(&5432u16.to_be_bytes());
        for (at, last) in [(8, 1), (24, 2)] {
            bytes[at..at + 16].fill(0);
            bytes[at..at + 4].copy_from_slice(&[10, 20, 30, last]);
        }
        bytes[44..52].copy_from_slice(&0x0123_4567_89ab_cdefu64.to_ne_bytes());
        bytes[56..60].copy_from_slice(&400u32.to_ne_bytes());
        bytes[60..64].copy_from_slice(&70_000u32.to_ne_bytes());
        bytes[68..72].copy_from_slice(&4242u32.to_ne_bytes());
        bytes
    }

    /// A `struct tcp_info` of so many bytes, whose other fields are not zero.
    fn info(length: usize) -> Vec<u8> {
        let mut bytes = vec![0xEE; 240];
        for (at, value) in [(120, 9_000u64), (128, 3_000), (200, 12_000), (208, 1_500)] {
            bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        }
        for (at, value) in [(152, 30u32), (156, 120)] {
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// An attribute, with the padding after it.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0xEE);
        bytes
    }

    /// A `struct nlmsghdr` with what follows it, and the padding after that.
    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((body.len() + 16) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0xEE; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0xEE);
        bytes
    }

    fn read(datagram: &[u8]) -> (io::Result<bool>, Vec<Socket>) {
        let mut found = Vec::new();
        (take_messages(datagram, &mut found), found)
    }

    const COUNTED: Socket = Socket {
        state: ESTABLISHED,
        local: (IpAddr::V4(Ipv4Addr::new(10, 20, 30, 1)), 50_000),
        remote: (IpAddr::V4(Ipv4Addr::new(10, 20, 30, 2)), 5432),
        inode: 4242,
        cookie: 0x0123_4567_89ab_cdef,
        unread_bytes: 400,
        unacked_bytes: 70_000,
        sent_bytes: 10_500,
        received_bytes: 3_000,
        sent_segments: 120,
        received_segments: 30,
    };
    const UNCOUNTED: Socket = Socket {
        sent_bytes: 0,
        received_bytes: 0,
        sent_segments: 0,
        received_segments: 0,
        ..COUNTED
    };

    #[test]
    fn every_field_is_read_from_its_place() {
        let body = [diag(2, ESTABLISHED), attribute(2, &info(240))].concat();
        assert_eq!(parse(&body), Some(COUNTED));
        // With attributes of other kinds around it, one of them empty and one padded
        let others = |kind| attribute(kind, &[0xEE; 5]);
        let (first, last) = ([others(8), attribute(7, &[])].concat(), others(6));
        let body = [diag(2, ESTABLISHED), first, attribute(2, &info(240)), last].concat();
        assert_eq!(parse(&body), Some(COUNTED));
    }

    #[test]
    fn given_ipv6_then_addresses_are_whole_and_mapped_ones_are_ipv4() {
        let mut body = diag(10, ESTABLISHED);
        let local: Ipv6Addr = "fd00:1:2:3:4:5:6:7".parse().unwrap();
        body[8..24].copy_from_slice(&local.octets());
        let remote = Ipv4Addr::new(10, 20, 30, 2).to_ipv6_mapped();
        body[24..40].copy_from_slice(&remote.octets());
        let socket = parse(&body).unwrap();
        assert_eq!(socket.local, (IpAddr::V6(local), 50_000));
        assert_eq!(socket.remote, COUNTED.remote);
    }

    #[test]
    fn what_was_sent_again_is_not_sent_twice_and_old_kernels_tell_what_was_acknowledged() {
        // A kernel that tells what was sent again
        for length in [216, 240] {
            let body = [diag(2, ESTABLISHED), attribute(2, &info(length))].concat();
            assert_eq!(parse(&body).unwrap().sent_bytes, 10_500);
        }
        // And one that tells only what was sent
        let body = [diag(2, ESTABLISHED), attribute(2, &info(208))].concat();
        assert_eq!(parse(&body).unwrap().sent_bytes, 12_000);
        // And kernels before 4.19
        for length in [160, 200, 207] {
            let body = [diag(2, ESTABLISHED), attribute(2, &info(length))].concat();
            let old = parse(&body).unwrap();
            assert_eq!(old.sent_bytes, 9_000);
            assert_eq!((old.sent_segments, old.received_segments), (120, 30));
        }
    }

    #[test]
    fn the_end_of_a_connection_is_not_a_byte_of_it() {
        const LAST_ACK: u8 = 9;
        const CLOSING: u8 = 11;
        const FIN_WAIT_2: u8 = 5;
        let received = |state| {
            let body = [diag(2, state), attribute(2, &info(240))].concat();
            parse(&body).unwrap().received_bytes
        };
        for state in [CLOSE_WAIT, LAST_ACK, CLOSING] {
            assert_eq!(received(state), 2_999);
        }
        for state in [ESTABLISHED, FIN_WAIT_2] {
            assert_eq!(received(state), 3_000);
        }
    }

    #[test]
    fn a_socket_without_counters_is_one_that_carried_nothing() {
        assert_eq!(parse(&diag(2, ESTABLISHED)), Some(UNCOUNTED));
        // Nor are damaged attributes counters: too short, and longer than what is there
        for length in [0u16, 1, 3, 13] {
            let mut body = diag(2, ESTABLISHED);
            body.extend(length.to_ne_bytes());
            body.extend(2u16.to_ne_bytes());
            body.extend([0xEE; 8]);
            assert_eq!(parse(&body), Some(UNCOUNTED), "{length}");
        }
        assert_eq!(parse(&diag(2, ESTABLISHED)[..71]), None);
    }

    #[test]
    fn a_dump_is_complete_when_the_kernel_says_so() {
        let counted = [diag(2, ESTABLISHED), attribute(2, &info(240))].concat();
        let socket = message(20, &counted);
        // Given a datagram with two sockets, of which the second is padded to its end, and a message of
        // another kind without a body
        let padded = [counted.clone(), vec![0xEE; 1]].concat();
        let two = [socket.clone(), message(1, &[]), message(20, &padded)].concat();
        let (complete, found) = read(&two);
        assert!(!complete.unwrap());
        assert_eq!(found, [COUNTED, COUNTED]);
        // And the last one, with or without the number that newer kernels put after it
        for done in [message(3, &[]), message(3, &[0; 4])] {
            let (complete, found) = read(&[two.clone(), done, socket.clone()].concat());
            assert!(complete.unwrap());
            assert_eq!(found.len(), 2);
        }
        // Nor is too little for a message one
        for rest in [&[][..], &[0xEE; 8], &[0xEE; 15]] {
            assert!(!read(rest).0.unwrap());
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error_and_so_is_a_message_of_impossible_length() {
        let refused = message(2, &(-libc::EPERM).to_ne_bytes());
        let error = read(&refused).0.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        let strange = message(2, &i32::MIN.to_ne_bytes());
        assert!(read(&strange).0.is_err());
        for length in [0u32, 15, 17] {
            let mut damaged = message(1, &[]);
            damaged[..4].copy_from_slice(&length.to_ne_bytes());
            let error = read(&damaged).0.unwrap_err();
            assert!(error.to_string().contains("impossible length"), "{length}");
        }
    }

    proptest! {
        #[test]
        fn damaged_messages_are_an_error_or_skipped_but_never_a_panic(bytes: Vec<u8>) {
            let _ = take_messages(&bytes, &mut Vec::new());
            let _ = parse(&bytes);
        }
    }
}
