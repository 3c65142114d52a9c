//! What crosses one proxied link, from the kernel's counters on both sides of the proxy: *near* are
//! the system's sockets to the proxy, *far* are the proxy's own sockets to the server.

use super::sockets::{CLOSE_WAIT, ESTABLISHED, Socket, SocketTable};
use crate::stack::Route;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, ToSocketAddrs};

/// Where a socket may lead.
#[derive(Debug, Clone)]
struct Endpoint {
    addresses: Vec<IpAddr>,
    port: u16,
}

impl Endpoint {
    fn resolve(address: &str) -> Result<Self, String> {
        let found: Vec<_> = address
            .to_socket_addrs()
            .map_err(|e| format!("cannot resolve {address}: {e}"))?
            .collect();
        let port = found.first().map(|a| a.port());
        Ok(Self {
            addresses: found.iter().map(|a| a.ip().to_canonical()).collect(),
            port: port.ok_or_else(|| format!("{address} resolves to nothing"))?,
        })
    }

    fn is(&self, end: (IpAddr, u16)) -> bool {
        end.1 == self.port && self.addresses.contains(&end.0)
    }
}

/// One connection's counters when it was last seen, and when counting began.
#[derive(Debug, Clone, Copy)]
struct Flow {
    last: Socket,
    base: Counters,
    alive: bool,
}

/// Bytes and data segments, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub sent_segments: u64,
    pub received_segments: u64,
}

impl Counters {
    fn of(socket: &Socket) -> Self {
        Self {
            sent_bytes: socket.sent_bytes,
            received_bytes: socket.received_bytes,
            sent_segments: u64::from(socket.sent_segments),
            received_segments: u64::from(socket.received_segments),
        }
    }

    fn since(self, base: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.saturating_sub(base.sent_bytes),
            received_bytes: self.received_bytes.saturating_sub(base.received_bytes),
            sent_segments: self.sent_segments.saturating_sub(base.sent_segments),
            received_segments: self
                .received_segments
                .saturating_sub(base.received_segments),
        }
    }

    fn add(&mut self, other: Self) {
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.sent_segments += other.sent_segments;
        self.received_segments += other.received_segments;
    }
}

/// All connections of one side of a proxy, since the last [`Side::mark`].
#[derive(Debug, Default)]
pub(super) struct Side {
    flows: HashMap<u64, Flow>,
    /// Counters of connections that are gone.
    gone: Counters,
    most_gone: Counters,
    opened: u64,
    ended: u64,
    unread_bytes: u64,
    unacked_bytes: u64,
}

impl Side {
    fn update<'a>(&mut self, sockets: impl Iterator<Item = &'a Socket>) {
        let mut seen = HashSet::new();
        (self.unread_bytes, self.unacked_bytes) = (0, 0);
        for socket in sockets {
            seen.insert(socket.cookie);
            self.unread_bytes += u64::from(socket.unread_bytes);
            self.unacked_bytes += u64::from(socket.unacked_bytes);
            let alive = socket.state == ESTABLISHED;
            // A socket first met while it closes from this end is a probe's or an old one.
            let known = self.flows.contains_key(&socket.cookie);
            if !known && !matches!(socket.state, ESTABLISHED | CLOSE_WAIT) {
                continue;
            }
            let flow = self.flows.entry(socket.cookie).or_insert_with(|| {
                self.opened += 1;
                Flow {
                    last: *socket,
                    base: Counters::default(),
                    alive: true,
                }
            });
            flow.last = keeping_counters(*socket, &flow.last);
            if flow.alive && !alive {
                flow.alive = false;
                self.ended += 1;
            }
        }
        let (gone, most, ended) = (&mut self.gone, &mut self.most_gone, &mut self.ended);
        self.flows.retain(|cookie, flow| {
            let keep = seen.contains(cookie);
            if !keep {
                let counted = Counters::of(&flow.last).since(flow.base);
                gone.add(counted);
                *most = larger(*most, counted);
                *ended += u64::from(flow.alive);
            }
            keep
        });
    }

    /// Counting begins anew: what was there so far counts from its present state on.
    fn mark(&mut self) {
        for flow in self.flows.values_mut() {
            flow.base = Counters::of(&flow.last);
        }
        self.gone = Counters::default();
        self.most_gone = Counters::default();
        (self.opened, self.ended) = (0, 0);
    }

    /// Connections that are established.
    pub fn established(&self) -> usize {
        self.flows.values().filter(|f| f.alive).count()
    }

    /// Connections opened since the mark.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Connections that ended since the mark.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// All connections together, since the mark.
    pub fn total(&self) -> Counters {
        let mut sum = self.gone;
        for flow in self.flows.values() {
            sum.add(Counters::of(&flow.last).since(flow.base));
        }
        sum
    }

    /// All living connections together, since they were opened.
    fn carried(&self) -> Counters {
        let mut sum = Counters::default();
        for flow in self.flows.values().filter(|f| f.alive) {
            sum.add(Counters::of(&flow.last));
        }
        sum
    }

    /// The most that any one connection carried since the mark, each counter by itself.
    pub fn most(&self) -> Counters {
        self.flows
            .values()
            .map(|f| Counters::of(&f.last).since(f.base))
            .fold(self.most_gone, larger)
    }

    /// Living connections that sent something since the mark and received nothing.
    pub fn silent(&self) -> usize {
        self.flows
            .values()
            .filter(|f| f.alive)
            .map(|f| Counters::of(&f.last).since(f.base))
            .filter(|c| c.sent_bytes > 0 && c.received_bytes == 0)
            .count()
    }
}

/// The kernel keeps no counters for a connection that is closed and only waits for the other side
/// (FIN_WAIT_2, TIME_WAIT): it reports zeros. What it carried before still counts.
fn keeping_counters(now: Socket, before: &Socket) -> Socket {
    Socket {
        sent_bytes: now.sent_bytes.max(before.sent_bytes),
        received_bytes: now.received_bytes.max(before.received_bytes),
        sent_segments: now.sent_segments.max(before.sent_segments),
        received_segments: now.received_segments.max(before.received_segments),
        ..now
    }
}

fn larger(a: Counters, b: Counters) -> Counters {
    Counters {
        sent_bytes: a.sent_bytes.max(b.sent_bytes),
        received_bytes: a.received_bytes.max(b.received_bytes),
        sent_segments: a.sent_segments.max(b.sent_segments),
        received_segments: a.received_segments.max(b.received_segments),
    }
}

/// Both sides of one link.
#[derive(Debug)]
pub(super) struct Traffic {
    near: Side,
    far: Side,
    connect: Endpoint,
    upstream: Endpoint,
    /// The proxy's process, where it is on this host and its sockets to this link's server can be
    /// told from those of other links.
    proxy: Option<u32>,
    /// Whether a far socket was ever seen: where a port forwarder holds the listener, none is, and
    /// that must not be taken for silence.
    far_seen: bool,
    queued_up: u64,
    queued_down: u64,
}

impl Traffic {
    /// For one route. `shared`: another proxied link leads to the same server and is not under
    /// the same fault, so the proxy's far sockets cannot be told apart.
    pub fn new(route: &Route, shared: bool, table: &mut SocketTable) -> Result<Self, String> {
        let connect = Endpoint::resolve(&route.connect)?;
        let listeners = table.listening().map_err(|e| format!("sock_diag: {e}"))?;
        let inode = listeners
            .iter()
            .find(|s| s.local.1 == connect.port)
            .map(|s| s.inode);
        // Where the server's name means nothing here, its sockets are not here either.
        let upstream = Endpoint::resolve(&route.upstream).ok();
        let proxy = match (shared, &upstream, inode) {
            (false, Some(_), Some(inode)) => holder_of(inode),
            _ => None,
        };
        Ok(Self {
            near: Side::default(),
            far: Side::default(),
            connect,
            upstream: upstream.unwrap_or(Endpoint {
                addresses: Vec::new(),
                port: 0,
            }),
            proxy,
            far_seen: false,
            queued_up: 0,
            queued_down: 0,
        })
    }

    /// Takes the present state of all sockets; those with a local port in `ours` are the
    /// harness's own probes.
    pub fn update(&mut self, table: &[Socket], ours: &HashSet<u16>) {
        let near = |s: &&Socket| self.connect.is(s.remote) && !ours.contains(&s.local.1);
        self.near.update(table.iter().filter(near));
        let held = self.proxy.map(sockets_of).unwrap_or_default();
        let far = |s: &&Socket| self.upstream.is(s.remote) && held.contains(&s.inode);
        self.far.update(table.iter().filter(far));
        self.far_seen |= self.far.established() > 0;

        let accepted_unread: u64 = table
            .iter()
            .filter(|s| s.local.1 == self.connect.port && held.contains(&s.inode))
            .map(|s| u64::from(s.unread_bytes))
            .sum();
        let far_ends: HashSet<_> = table.iter().filter(far).map(|s| s.local).collect();
        let server_unacked: u64 = table
            .iter()
            .filter(|s| far_ends.contains(&s.remote))
            .map(|s| u64::from(s.unacked_bytes))
            .sum();
        self.queued_up = self.near.unacked_bytes + accepted_unread;
        self.queued_down = self.far.unread_bytes + server_unacked;
    }

    /// Counting begins anew on both sides.
    pub fn mark(&mut self) {
        self.near.mark();
        self.far.mark();
    }

    /// The system's side.
    pub fn near(&self) -> &Side {
        &self.near
    }

    /// The server's side, where it can be seen from here.
    pub fn far(&self) -> Option<&Side> {
        self.far_seen.then_some(&self.far)
    }

    /// Bytes that went into the proxy and did not come out yet, on their way to the server and on
    /// their way back. At least so many: what it holds for connections that closed is not counted.
    /// 0 where the far side cannot be seen.
    pub fn held(&self) -> (u64, u64) {
        if !self.far_seen {
            return (0, 0);
        }
        let (near, far) = (self.near.carried(), self.far.carried());
        (
            near.sent_bytes.saturating_sub(far.sent_bytes),
            far.received_bytes.saturating_sub(near.received_bytes),
        )
    }

    /// Bytes waiting in the kernel on their way to the server, and on their way back.
    pub fn queued(&self) -> (u64, u64) {
        (self.queued_up, self.queued_down)
    }
}

/// Inodes of the sockets a process holds.
fn sockets_of(pid: u32) -> HashSet<u32> {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return HashSet::new();
    };
    files
        .flatten()
        .filter_map(|file| {
            let target = fs::read_link(file.path()).ok()?;
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect()
}

/// The process that holds a socket; `None` when it is not on this host, or not ours to look into.
fn holder_of(inode: u32) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        sockets_of(pid).contains(&inode).then_some(pid)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn socket(cookie: u64, state: u8, sent: u64, received: u64) -> Socket {
        let nowhere = (IpAddr::from([127, 0, 0, 1]), 1);
        Socket {
            state,
            local: nowhere,
            remote: nowhere,
            inode: 1,
            cookie,
            unread_bytes: 0,
            unacked_bytes: 0,
            sent_bytes: sent,
            received_bytes: received,
            sent_segments: 1,
            received_segments: 1,
        }
    }

    #[test]
    fn what_a_connection_carried_is_kept_while_it_waits_without_counters() {
        const TIME_WAIT: u8 = 6;
        let mut side = Side::default();
        side.update([socket(1, ESTABLISHED, 100, 10)].iter());
        side.mark();
        side.update([socket(1, ESTABLISHED, 150, 30)].iter());
        side.update([socket(1, TIME_WAIT, 0, 0)].iter());
        assert_eq!(
            (side.total().sent_bytes, side.total().received_bytes),
            (50, 20)
        );
        side.update([].iter());
        assert_eq!(
            (side.total().sent_bytes, side.total().received_bytes),
            (50, 20)
        );
    }

    #[test]
    fn what_a_connection_carried_is_kept_when_it_is_gone() {
        let mut side = Side::default();
        side.update([socket(1, ESTABLISHED, 100, 10)].iter());
        side.mark();
        side.update(
            [
                socket(1, ESTABLISHED, 150, 10),
                socket(2, ESTABLISHED, 30, 0),
            ]
            .iter(),
        );
        assert_eq!(side.total().sent_bytes, 80);
        assert_eq!((side.silent(), side.opened(), side.ended()), (2, 1, 0));

        side.update([socket(2, 8, 31, 0)].iter());
        assert_eq!((side.established(), side.ended()), (0, 2));
        side.update([].iter());
        assert_eq!(side.total().sent_bytes, 81);
        assert_eq!(side.most().sent_bytes, 50);
        assert_eq!((side.established(), side.opened(), side.ended()), (0, 1, 2));
    }

    #[test]
    fn held_is_what_went_in_and_did_not_come_out_on_connections_that_stand() {
        let nowhere = Endpoint {
            addresses: Vec::new(),
            port: 0,
        };
        let mut link = Traffic {
            near: Side::default(),
            far: Side::default(),
            connect: nowhere.clone(),
            upstream: nowhere,
            proxy: None,
            far_seen: false,
            queued_up: 0,
            queued_down: 0,
        };
        let near = [
            socket(1, ESTABLISHED, 300, 20),
            socket(2, CLOSE_WAIT, 900, 0),
        ];
        link.near.update(near.iter());
        // Given a far side out of sight
        assert_eq!(link.held(), (0, 0));
        // And in sight, with counting begun anew meanwhile
        link.far_seen = true;
        link.far.update([socket(3, ESTABLISHED, 200, 50)].iter());
        link.mark();
        assert_eq!(link.held(), (100, 30));
        // And with more on it than on the near side, as after a near one closed
        link.far.update([socket(3, ESTABLISHED, 400, 60)].iter());
        assert_eq!(link.held(), (0, 40));
    }
}
