//! Free ports for a local stack, and who holds them.

use rand::seq::SliceRandom;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use tokio::net::TcpSocket;

/// Ports below this belong to well-known services.
const LOWEST: u16 = 20_000;
/// The kernel's own range where it cannot be read.
const EPHEMERAL_DEFAULT: (u16, u16) = (32_768, 60_999);
/// So many ports of each kind are tried before giving up.
const TRIES_MAX: usize = 2_000;

/// `N` different ports of 127.0.0.1 that nobody had bound, and that only a server which was told of
/// them gets while this lives: it listens on them, again and again. To others they are taken, and
/// the kernel gives none of them to an outgoing connection, also between a server's death and its
/// next start.
#[derive(Debug)]
pub struct Reserved<const N: usize> {
    /// These are the ports' numbers.
    pub numbers: [u16; N],
    _held: Vec<TcpSocket>,
}

/// The same, of as many ports as were asked for.
#[derive(Debug)]
pub(super) struct ReservedPorts {
    /// These are the ports' numbers.
    pub(super) numbers: Vec<u16>,
    _held: Vec<TcpSocket>,
}

/// Reserves so many ports, as [`reserve`] does.
pub(super) fn reserve_many(count: usize) -> Result<ReservedPorts, String> {
    let (numbers, held) = find(count, ephemeral_range())?;
    Ok(ReservedPorts {
        numbers,
        _held: held,
    })
}

/// Reserves ports, outside the range from which the kernel takes those of outgoing connections where
/// there are as many, else inside.
pub fn reserve<const N: usize>() -> Result<Reserved<N>, String> {
    reserve_beside(ephemeral_range())
}

/// Does the same for a given range, first port and last.
fn reserve_beside<const N: usize>(range: (u16, u16)) -> Result<Reserved<N>, String> {
    let (ports, held) = find(N, range)?;
    let found = ports.len();
    let numbers = ports.try_into();
    Ok(Reserved {
        numbers: numbers.map_err(|_| format!("{found} ports instead of {N}"))?,
        _held: held,
    })
}

/// Binds so many ports, and gives their numbers and what holds them.
fn find(count: usize, range: (u16, u16)) -> Result<(Vec<u16>, Vec<TcpSocket>), String> {
    let (mut inside, mut outside): (Vec<u16>, Vec<u16>) =
        (LOWEST..=u16::MAX).partition(|port| (range.0..=range.1).contains(port));
    let mut ports = Vec::with_capacity(count);
    let mut held = Vec::with_capacity(count);
    let mut refused = String::new();
    for candidates in [&mut outside, &mut inside] {
        candidates.shuffle(&mut rand::rng());
        for port in candidates.iter().take(TRIES_MAX) {
            if held.len() == count {
                break;
            }
            match hold(*port) {
                Ok(socket) => {
                    ports.push(*port);
                    held.push(socket);
                }
                Err(reason) => refused = format!("; the last one tried: {reason}"),
            }
        }
    }
    let found = held.len();
    if found == count {
        return Ok((ports, held));
    }
    Err(format!(
        "only {found} of {count} ports of 127.0.0.1 between {LOWEST} and {} can be bound{refused}: \
         end what holds them",
        u16::MAX
    ))
}

/// A bound socket that does not listen. What binds a port later with SO_REUSEADDR, as servers do,
/// may still listen on it, since nobody else does.
fn hold(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Without reuse, so that a port which another harness holds like this is not free.
    socket.set_reuseaddr(false)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// Whether somebody else has bound one of these ports since they were chosen. Asked when our own
/// servers are gone, this does not depend on how each of them words that failure.
pub fn any_taken(ports: &[u16]) -> bool {
    let bind = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port));
    ports.iter().any(|port| bind(port).is_err())
}

fn ephemeral_range() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_range(&text).unwrap_or(EPHEMERAL_DEFAULT)
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Returns whether this process listens on the port: another server's answer there is not its answer.
pub fn is_held_by(port: u16, pid: u32) -> bool {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let sockets: Vec<String> = tables
        .iter()
        .flatten()
        .flat_map(|table| listening_inodes(table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files.flatten().any(|file| {
        fs::read_link(file.path())
            .is_ok_and(|target| sockets.iter().any(|s| target == Path::new(s)))
    })
}

/// Returns the inodes of the sockets that listen on a port, from the text of /proc/net/tcp.
fn listening_inodes(table: &str, port: u16) -> impl Iterator<Item = &str> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).filter_map(move |line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        fields.get(9).copied().filter(|_| listens)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn given_room_outside_the_kernels_range_when_reserved_then_ports_differ_and_lie_there() {
        let range = (32_768, 60_999);
        let ports = reserve_beside::<10>(range).unwrap().numbers;
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 10);
        for port in ports {
            assert!(!(range.0..=range.1).contains(&port), "{port}");
        }
    }

    #[test]
    fn given_a_kernel_that_may_give_away_every_port_when_reserved_then_they_lie_inside() {
        let ports = reserve_beside::<10>((1_024, u16::MAX)).unwrap().numbers;
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 10);
        // Too few outside are taken all the same.
        let few = reserve_beside::<10>((LOWEST + 4, u16::MAX)).unwrap();
        let outside = few.numbers.iter().filter(|p| **p < LOWEST + 4).count();
        assert!(outside <= 4);
        assert_eq!(few.numbers.iter().collect::<HashSet<_>>().len(), 10);
    }

    #[test]
    fn a_reserved_port_is_taken_for_all_but_its_server_which_may_come_back() {
        let reserved = reserve::<1>().unwrap();
        let [port] = reserved.numbers;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(hold(port).is_err(), "another harness got it");
        let outgoing = TcpSocket::new_v4().unwrap();
        assert!(outgoing.bind(address).is_err(), "a client got it");
        for _life in 0..2 {
            assert!(std::net::TcpStream::connect(address).is_err());
            assert!(!any_taken(&[port]));
            let server = TcpListener::bind(address).unwrap();
            std::net::TcpStream::connect(address).unwrap();
            drop(server);
        }
        drop(reserved);
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_held_by(port, std::process::id()));
        drop(listener);
        assert!(!is_held_by(port, std::process::id()));
    }

    #[test]
    fn a_damaged_range_is_not_used() {
        assert_eq!(parse_range("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(parse_range("32768"), None);
        assert_eq!(parse_range("1 99999"), None);
    }
}
