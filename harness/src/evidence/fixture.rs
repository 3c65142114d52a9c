//! Sockets for tests, made up and real.

use super::sockets::Socket;
use super::traffic::Traffic;
use crate::stack::Route;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// Where the made-up proxy listens.
pub const PROXY: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 7000);
/// Where it leads to.
pub const SERVER: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 5432);
/// The inode of all its sockets.
const PROXY_HOLDS: u32 = 9;
/// The local port of a probe that is under way.
pub const PROBE: u16 = 666;

/// A socket that leads nowhere, with one segment each way.
pub fn socket(cookie: u64, state: u8, sent_bytes: u64, received_bytes: u64) -> Socket {
    let nowhere = (IpAddr::from([127, 0, 0, 1]), 1);
    Socket {
        state,
        local: nowhere,
        remote: nowhere,
        inode: 1,
        cookie,
        unread_bytes: 0,
        unacked_bytes: 0,
        sent_bytes,
        received_bytes,
        sent_segments: 1,
        received_segments: 1,
    }
}

/// The same socket from one port of this host to somewhere.
pub fn leads(socket: Socket, from: u16, to: (IpAddr, u16)) -> Socket {
    Socket {
        local: (PROXY.0, from),
        remote: to,
        ..socket
    }
}

/// A socket that the made-up proxy holds.
pub fn held(socket: Socket) -> Socket {
    Socket {
        inode: PROXY_HOLDS,
        ..socket
    }
}

/// The link through the made-up proxy.
pub fn link() -> Traffic {
    Traffic::of_ends(PROXY, SERVER)
}

/// Shows it these sockets.
pub fn take(link: &mut Traffic, sockets: &[Socket]) {
    link.take(
        sockets,
        &HashSet::from([PROBE]),
        &HashSet::from([PROXY_HOLDS]),
    );
}

/// A proxy of this process that forwards what the test says: its listener, and that of its server.
pub struct Proxy {
    pub listener: TcpListener,
    pub server: TcpListener,
}

/// The four ends of one connection through a [`Proxy`].
pub struct StagedConnection {
    pub client: TcpStream,
    pub accepted: TcpStream,
    pub far: TcpStream,
    pub server: TcpStream,
}

impl Proxy {
    pub fn open() -> Self {
        let open = || TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            listener: open(),
            server: open(),
        }
    }

    pub fn route(&self) -> Route {
        let address = |of: &TcpListener| of.local_addr().unwrap().to_string();
        Route {
            listen: address(&self.listener),
            upstream: address(&self.server),
            connect: address(&self.listener),
        }
    }

    pub fn connect(&self) -> StagedConnection {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = self.listener.accept().unwrap();
        let far = TcpStream::connect(self.server.local_addr().unwrap()).unwrap();
        let (server, _) = self.server.accept().unwrap();
        StagedConnection {
            client,
            accepted,
            far,
            server,
        }
    }
}

/// Sends so many bytes, and reads them at the other end.
pub fn send(mut from: &TcpStream, mut to: &TcpStream, bytes: usize) {
    let mut message = vec![7; bytes];
    from.write_all(&message).unwrap();
    to.read_exact(&mut message).unwrap();
}

/// Bound on every condition that a test waits for.
pub async fn soon<T>(condition: impl Future<Output = T>) -> T {
    let within = Duration::from_secs(20);
    tokio::time::timeout(within, condition).await.unwrap()
}
