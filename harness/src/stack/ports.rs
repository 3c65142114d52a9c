//! Free ports for a local stack, and who holds them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// Below this, ports belong to well-known services.
const LOWEST: u16 = 20_000;
/// The kernel's own range where it cannot be read.
const EPHEMERAL_DEFAULT: (u16, u16) = (32_768, 60_999);
/// Ports tried before giving up.
const TRIES_MAX: usize = 2_000;

/// Chooses `N` different ports of 127.0.0.1 that can be bound now. They lie outside the range from
/// which the kernel takes the ports of outgoing connections: between this look and the server's
/// bind, one of those could be given away.
pub fn choose<const N: usize>() -> Result<[u16; N], String> {
    let range = ephemeral_range();
    let mut held = Vec::with_capacity(N);
    for _ in 0..TRIES_MAX {
        if held.len() == N {
            break;
        }
        let port = rand::random_range(LOWEST..=u16::MAX);
        if (range.0..=range.1).contains(&port) {
            continue;
        }
        // Kept bound until all are found, so that they differ.
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|l| (port, l)));
    }
    let ports: Vec<u16> = held.iter().map(|(port, _)| *port).collect();
    ports.try_into().map_err(|found: Vec<u16>| {
        format!(
            "only {} of {N} free ports found on 127.0.0.1 between {LOWEST} and {}, outside the \
             ephemeral range {}-{} (net.ipv4.ip_local_port_range); narrow that range or free ports",
            found.len(),
            u16::MAX,
            range.0,
            range.1
        )
    })
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

/// Whether this process listens on the port: another server's answer there is not its answer.
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

/// Inodes of the sockets that listen on a port, from the text of /proc/net/tcp.
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
    fn chosen_ports_differ_are_free_and_not_ephemeral() {
        let ports: [u16; 10] = choose().unwrap();
        let (low, high) = ephemeral_range();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 10);
        for port in ports {
            assert!(port < low || port > high, "{port}");
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
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
