//! What crosses one proxied link, from the kernel's counters on both sides of the proxy: *near* are
//! the system's sockets to the proxy, *far* are the proxy's own sockets to the server.

use super::side::Side;
use super::sockets::{ESTABLISHED, Socket, SocketTable};
use crate::stack::Route;
use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

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

/// This counts both sides of one link.
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
    /// So many of the harness's own connections to the proxy stand.
    probes: usize,
}

impl Traffic {
    /// Resolves one route. `shared` means that another proxied link leads to the same server and is not under the
    /// same fault, so the proxy's far sockets cannot be told apart.
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
        let nowhere = Endpoint {
            addresses: Vec::new(),
            port: 0,
        };
        Ok(Self::between(connect, upstream.unwrap_or(nowhere), proxy))
    }

    fn between(connect: Endpoint, upstream: Endpoint, proxy: Option<u32>) -> Self {
        Self {
            near: Side::default(),
            far: Side::default(),
            connect,
            upstream,
            proxy,
            far_seen: false,
            queued_up: 0,
            queued_down: 0,
            probes: 0,
        }
    }

    /// Takes the present state of all sockets; those with a local port in `ours` are the
    /// harness's own probes.
    pub fn update(&mut self, table: &[Socket], ours: &HashSet<u16>) {
        let held = self.proxy.map(sockets_of).unwrap_or_default();
        self.take(table, ours, &held);
    }

    /// The same with the inodes of the sockets that the proxy's process holds.
    pub fn take(&mut self, table: &[Socket], ours: &HashSet<u16>, held: &HashSet<u32>) {
        let leads_here = table.iter().filter(|s| self.connect.is(s.remote));
        let (probes, near): (Vec<&Socket>, Vec<&Socket>) =
            leads_here.partition(|s| ours.contains(&s.local.1));
        self.probes = probes.iter().filter(|s| s.state == ESTABLISHED).count();
        self.near.update(near.into_iter());
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

    /// Returns where the system connects.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let port = self.connect.port;
        let addresses = self.connect.addresses.iter();
        addresses.map(|a| SocketAddr::new(*a, port)).collect()
    }

    /// Returns the system's side: what went through its sockets to the proxy.
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

    /// Connections that stand between the proxy and the server, where they can be seen: all but one for
    /// each probe under way.
    pub fn far_sockets(&self) -> Option<usize> {
        let far = self.far()?;
        Some(far.established().saturating_sub(self.probes))
    }

    /// Returns the bytes waiting in the kernel on their way to the server, and on their way back.
    pub fn queued(&self) -> (u64, u64) {
        (self.queued_up, self.queued_down)
    }
}

/// This counts what a process tree sends to anywhere but one place.
#[derive(Debug)]
pub(super) struct SentBeside {
    beside: Endpoint,
    side: Side,
}

impl SentBeside {
    /// Counts what goes to anywhere but `HOST:PORT`; an Err says why that cannot be resolved.
    pub fn beside(address: &str) -> Result<Self, String> {
        Ok(Self {
            beside: Endpoint::resolve(address)?,
            side: Side::default(),
        })
    }

    /// Takes the present state of all sockets, of which it holds some, by their inodes.
    pub fn update(&mut self, table: &[Socket], held: &HashSet<u32>) {
        let own = |s: &&Socket| held.contains(&s.inode) && !self.beside.is(s.remote);
        self.side.update(table.iter().filter(own));
    }

    /// Begins the counting anew: [`SentBeside::bytes`] tells what is sent from here on.
    pub fn mark(&mut self) {
        self.side.mark();
    }

    /// Returns how many bytes were sent since the mark.
    pub fn bytes(&self) -> u64 {
        self.side.total().sent_bytes
    }
}

/// Inodes of the sockets that a process tree holds.
pub(super) fn held_by(tree: &[u32]) -> HashSet<u32> {
    tree.iter().flat_map(|pid| sockets_of(*pid)).collect()
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
impl Traffic {
    /// Of a link with these two ends.
    pub fn of_ends(connect: (IpAddr, u16), upstream: (IpAddr, u16)) -> Self {
        let endpoint = |end: (IpAddr, u16)| Endpoint {
            addresses: vec![end.0],
            port: end.1,
        };
        Self::between(endpoint(connect), endpoint(upstream), None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{
        PROBE, PROXY, Proxy, SERVER, held, leads, link, send, socket, take,
    };
    use crate::evidence::sockets::CLOSE_WAIT;
    use std::net::TcpListener;

    #[test]
    fn near_is_what_leads_to_the_proxy_from_anybody_but_our_probes() {
        let mut link = link();
        let elsewhere = (IpAddr::from([127, 0, 0, 2]), PROXY.1);
        let sockets = [
            leads(socket(1, ESTABLISHED, 10, 1), 50_000, PROXY),
            leads(socket(2, ESTABLISHED, 200, 1), PROBE, PROXY),
            leads(socket(3, ESTABLISHED, 3_000, 1), 50_001, elsewhere),
            leads(socket(4, ESTABLISHED, 40_000, 1), 50_002, (PROXY.0, 7001)),
        ];
        take(&mut link, &sockets);
        assert_eq!(link.near().total().sent_bytes, 10);
        assert_eq!(link.near().established(), 1);
    }

    #[test]
    fn far_is_what_the_proxy_holds_and_leads_to_the_server() {
        let mut link = link();
        let direct = leads(socket(1, ESTABLISHED, 1, 1), 50_000, SERVER);
        take(&mut link, &[direct]);
        assert!(link.far().is_none());
        let elsewhere = (IpAddr::from([127, 0, 0, 2]), SERVER.1);
        let sockets = [
            direct,
            held(leads(socket(2, ESTABLISHED, 20, 1), 50_001, SERVER)),
            held(leads(socket(3, ESTABLISHED, 300, 1), 50_002, elsewhere)),
            held(leads(
                socket(4, ESTABLISHED, 4_000, 1),
                50_003,
                (SERVER.0, 5433),
            )),
        ];
        take(&mut link, &sockets);
        assert_eq!(link.far().unwrap().total().sent_bytes, 20);
        // And it stays in sight when its last connection is gone
        take(&mut link, &[direct]);
        let far = link.far().unwrap();
        assert_eq!((far.established(), far.total().sent_bytes), (0, 20));
    }

    #[test]
    fn what_the_proxy_opened_for_a_probe_is_not_for_the_system() {
        let mut link = link();
        assert_eq!(link.far_sockets(), None);
        let far = |cookie| held(leads(socket(cookie, ESTABLISHED, 1, 1), 50_001, SERVER));
        let probe = |state| leads(socket(3, state, 1, 1), PROBE, PROXY);
        let system = leads(socket(4, ESTABLISHED, 1, 1), 50_000, PROXY);
        take(&mut link, &[system, far(1), far(2), probe(ESTABLISHED)]);
        assert_eq!(link.far_sockets(), Some(1));
        take(&mut link, &[system, far(1), far(2), probe(CLOSE_WAIT)]);
        assert_eq!(link.far_sockets(), Some(2));
        // And not one for a probe that the proxy has accepted only now
        take(&mut link, &[probe(ESTABLISHED)]);
        assert_eq!(link.far_sockets(), Some(0));
    }

    #[test]
    fn a_far_side_is_not_in_sight_before_a_connection_of_it_stands() {
        let mut link = link();
        let closing = held(leads(socket(1, CLOSE_WAIT, 1, 1), 50_000, SERVER));
        take(&mut link, &[closing]);
        assert!(link.far().is_none());
    }

    #[test]
    fn queued_is_what_waits_in_the_kernel_on_both_sides_of_the_proxy() {
        let mut link = link();
        let waiting = |cookie, unread_bytes, unacked_bytes| Socket {
            unread_bytes,
            unacked_bytes,
            ..socket(cookie, ESTABLISHED, 0, 0)
        };
        let (client, proxy_to_server) = ((PROXY.0, 50_000), (PROXY.0, 50_001));
        let sockets = [
            // The four ends of a connection
            leads(waiting(1, 1_000_000, 1), client.1, PROXY),
            held(leads(waiting(2, 20, 2_000_000), PROXY.1, client)),
            held(leads(waiting(3, 300, 3_000_000), proxy_to_server.1, SERVER)),
            leads(waiting(4, 4_000_000, 4_000), SERVER.1, proxy_to_server),
            // And others': a listener of that port that the proxy does not hold, another client of the
            // server, and another server of the proxy
            leads(waiting(5, 50_000, 50_000), PROXY.1, (PROXY.0, 50_002)),
            leads(waiting(6, 60_000, 60_000), SERVER.1, (PROXY.0, 50_003)),
            held(leads(waiting(7, 70_000, 70_000), 50_004, (PROXY.0, 9092))),
        ];
        take(&mut link, &sockets);
        assert_eq!(link.queued(), (21, 4_300));
        take(&mut link, &[]);
        assert_eq!(link.queued(), (0, 0));
    }

    #[test]
    fn given_a_relay_when_its_sockets_are_looked_at_then_only_what_it_sends_elsewhere_counts() {
        let database = (IpAddr::from([127, 0, 0, 1]), 5_432);
        let to = |cookie, inode, remote, sent| Socket {
            inode,
            remote,
            ..socket(cookie, ESTABLISHED, sent, 0)
        };
        let broker = (database.0, 9_092);
        let mut relay = SentBeside::beside("127.0.0.1:5432").unwrap();
        let held = HashSet::from([7, 8]);
        // Given sockets of it to both, and somebody else's
        relay.update(&[to(1, 7, database, 50), to(2, 8, broker, 300)], &held);
        relay.mark();
        let now = [
            to(1, 7, database, 90),
            to(2, 8, broker, 400),
            to(3, 9, broker, 5_000),
        ];
        relay.update(&now, &held);
        assert_eq!(relay.bytes(), 100);
        // When it is dead, then what it had sent stays counted
        relay.update(&now, &HashSet::new());
        assert_eq!(relay.bytes(), 100);
    }

    #[test]
    fn held_is_what_went_in_and_did_not_come_out_on_connections_that_stand() {
        let mut link = link();
        let near = |cookie, state, sent, received| {
            leads(socket(cookie, state, sent, received), 50_000, PROXY)
        };
        let far = |sent, received| {
            held(leads(
                socket(3, ESTABLISHED, sent, received),
                50_001,
                SERVER,
            ))
        };
        let standing = near(1, ESTABLISHED, 300, 20);
        let closed = near(2, CLOSE_WAIT, 900, 0);
        // Given a far side out of sight
        take(&mut link, &[standing, closed]);
        assert_eq!(link.held(), (0, 0));
        // And in sight, with counting begun anew meanwhile
        take(&mut link, &[standing, closed, far(200, 50)]);
        link.mark();
        assert_eq!(link.held(), (100, 30));
        assert_eq!(link.near().total().sent_bytes, 0);
        assert_eq!(link.far().unwrap().total().sent_bytes, 0);
        // And with more on it than on the near side, as after a near one closed
        take(&mut link, &[standing, closed, far(400, 60)]);
        assert_eq!(link.held(), (0, 40));
    }

    #[test]
    fn given_a_proxy_of_this_host_when_its_sockets_are_read_then_both_sides_are_counted() {
        let proxy = Proxy::open();
        let mut table = SocketTable::open().unwrap();
        let mut link = Traffic::new(&proxy.route(), false, &mut table).unwrap();
        assert_eq!(link.proxy, Some(std::process::id()));
        let address = proxy.listener.local_addr().unwrap();
        assert_eq!(link.addresses(), [address]);
        let ends = proxy.connect();
        send(&ends.client, &ends.accepted, 300);
        send(&ends.far, &ends.server, 200);
        send(&ends.server, &ends.far, 50);
        send(&ends.accepted, &ends.client, 20);
        link.update(&table.connected().unwrap(), &HashSet::new());
        let (near, far) = (link.near().total(), link.far().unwrap().total());
        assert_eq!((near.sent_bytes, near.received_bytes), (300, 20));
        assert_eq!((far.sent_bytes, far.received_bytes), (200, 50));
        assert_eq!(link.held(), (100, 30));
    }

    #[test]
    fn where_it_cannot_be_told_whose_a_far_socket_is_then_there_is_no_far_side() {
        let mut table = SocketTable::open().unwrap();
        let proxy = Proxy::open();
        let mut holder = |route: &Route, shared| {
            let link = Traffic::new(route, shared, &mut table).unwrap();
            link.proxy
        };
        assert!(holder(&proxy.route(), false).is_some());
        // Another link leads to the same server
        assert_eq!(holder(&proxy.route(), true), None);
        // The server's name means nothing here
        let upstream = "a name without a port".to_owned();
        let unknown = Route {
            upstream,
            ..proxy.route()
        };
        assert_eq!(holder(&unknown, false), None);
        // Nobody listens here: the proxy is on another host
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let away = Route {
            connect: taken.local_addr().unwrap().to_string(),
            ..proxy.route()
        };
        drop(taken);
        assert_eq!(holder(&away, false), None);
    }

    #[test]
    fn where_the_system_connects_must_be_an_address() {
        let connect = "a name without a port".to_owned();
        let route = Route {
            connect,
            ..Proxy::open().route()
        };
        let mut table = SocketTable::open().unwrap();
        let error = Traffic::new(&route, false, &mut table).unwrap_err();
        assert!(error.starts_with("cannot resolve a name without a port: "));
    }

    #[test]
    fn an_endpoint_is_its_address_and_its_port_in_either_notation() {
        let endpoint = Endpoint::resolve("[::ffff:127.0.0.1]:7000").unwrap();
        assert!(endpoint.is(PROXY));
        assert!(!endpoint.is((PROXY.0, 7001)));
        assert!(!endpoint.is((IpAddr::from([127, 0, 0, 2]), 7000)));
    }

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        let nobody = u32::MAX;
        assert_eq!(sockets_of(nobody), HashSet::new());
        assert_eq!(holder_of(nobody), None);
    }
}
