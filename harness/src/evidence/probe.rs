//! The harness's own crossings of a proxied link: can it be reached, and how long does one small
//! exchange in the server's own protocol take? Each probe is a connection of its own, since
//! toxicity is drawn by connection.

use crate::scenario::{Link, Server};
use relays::config::{BrokerKind, DatabaseKind};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// These are the local ports of probes under way: their sockets are not the system's.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnPorts(Arc<Mutex<HashSet<u16>>>);

impl OwnPorts {
    /// Returns the ports now in use.
    pub fn now(&self) -> HashSet<u16> {
        self.0.lock().map(|p| p.clone()).unwrap_or_default()
    }

    fn hold(&self, port: u16) -> HeldPort {
        if let Ok(mut ports) = self.0.lock() {
            ports.insert(port);
        }
        HeldPort(self.clone(), port)
    }
}

struct HeldPort(OwnPorts, u16);

impl Drop for HeldPort {
    fn drop(&mut self) {
        if let Ok(mut ports) = self.0.0.lock() {
            ports.remove(&self.1);
        }
    }
}

/// A probe came to this.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Crossing {
    /// The server answered after so many milliseconds.
    Answered(f64),
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// The connection was closed without an answer.
    Closed,
    /// There was no answer within the bound.
    Silent,
}

/// A port forwarder in front of the proxy accepts what the proxy would refuse, and then closes.
const FORWARDER_CLOSES_WITHIN: Duration = Duration::from_millis(40);

/// Whether a connection is refused.
pub(super) async fn connects(addresses: &[SocketAddr], ours: &OwnPorts) -> Crossing {
    let (mut stream, _held) = match open(addresses, ours, Duration::from_secs(1)).await {
        Ok(open) => open,
        Err(failure) => return failure,
    };
    let mut byte = [0u8; 1];
    match timeout(FORWARDER_CLOSES_WITHIN, stream.read(&mut byte)).await {
        Err(_) | Ok(Ok(1..)) => Crossing::Answered(0.0),
        Ok(Ok(0)) => Crossing::Closed,
        Ok(Err(e)) => failed(&e),
    }
}

/// Makes one exchange in the protocol of the link's server, timed from sending to the first byte back.
pub(super) async fn crosses(
    link: Link,
    addresses: &[SocketAddr],
    ours: &OwnPorts,
    within: Duration,
) -> Crossing {
    let (mut stream, _held) = match open(addresses, ours, Duration::from_secs(1)).await {
        Ok(open) => open,
        Err(failure) => return failure,
    };
    // What is sent, and what the answer to it has in it.
    let (request, mark): (&[u8], &[u8]) = match link.server() {
        Server::Broker(BrokerKind::Kafka) | Server::BrokerNode(_) => (KAFKA_API_VERSIONS, b""),
        Server::Broker(BrokerKind::RabbitMq) => (AMQP_HEADER, b""),
        Server::Database(DatabaseKind::Postgres) => (POSTGRES_SSL_REQUEST, b""),
        // It greets whoever connects, and refuses a stranger by this state.
        Server::Database(DatabaseKind::MariaDb) => (MARIADB_STRANGER, MARIADB_REFUSES),
        Server::Redis => (PING, b""),
        // It greets whoever connects with a line, which is no answer.
        Server::Broker(BrokerKind::Nats) => (PING, NATS_PONG),
        Server::Broker(BrokerKind::EventBridge) => (EVENTBRIDGE_HELLO, b"HTTP/"),
    };
    let started = Instant::now();
    let exchange = async {
        stream.write_all(request).await?;
        answer(&mut stream, mark).await
    };
    match timeout(within, exchange).await {
        Err(_) => Crossing::Silent,
        Ok(Ok(0)) => Crossing::Closed,
        Ok(Ok(_)) => Crossing::Answered(milliseconds(started.elapsed())),
        Ok(Err(e)) => failed(&e),
    }
}

/// Reads until this mark has come, and returns how many bytes that were; 0 at the end of the stream.
async fn answer(stream: &mut TcpStream, mark: &[u8]) -> std::io::Result<usize> {
    let mut heard = Vec::new();
    let mut bytes = [0u8; 1024];
    loop {
        let read = stream.read(&mut bytes).await?;
        heard.extend_from_slice(&bytes[..read]);
        let is_there = mark.is_empty() || heard.windows(mark.len()).any(|part| part == mark);
        if read == 0 || is_there || heard.len() > ANSWER_BYTES_MAX {
            return Ok(read);
        }
    }
}

/// No server says so much before it answers.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// NATS answers a sign of life by this.
const NATS_PONG: &[u8] = b"PONG\r\n";

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The emulator says by it who it is.
const EVENTBRIDGE_HELLO: &[u8] = b"GET /outbox-harness HTTP/1.0\r\n\r\n";
/// This is answered with the first method of a connection, before any log-in.
const AMQP_HEADER: &[u8] = b"AMQP\0\0\x09\x01";
/// This is answered with a line, before any log-in too.
const PING: &[u8] = b"PING\r\n";

/// This is a log-in (HandshakeResponse41) of user `oh`, without a password, who does not exist.
const MARIADB_STRANGER: &[u8] = b"\x24\0\0\x01\0\x82\0\0\0\0\0\x01\x21\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0oh\0\0";
/// MariaDB refuses a log-in with it (SQLSTATE, invalid authorization).
const MARIADB_REFUSES: &[u8] = b"#28000";

/// This asks "Do you speak TLS?", and is answered with one byte before any log-in.
const POSTGRES_SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// This is ApiVersions, version 0, correlation id 1, client id `oh`, which is answered before any log-in.
const KAFKA_API_VERSIONS: &[u8] = &[0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 1, 0, 2, b'o', b'h'];

/// Tries one address of a name after the other, as the system's clients do: the first need not be the one
/// that the proxy listens on.
async fn open(
    addresses: &[SocketAddr],
    ours: &OwnPorts,
    within: Duration,
) -> Result<(TcpStream, HeldPort), Crossing> {
    let mut failure = Crossing::Silent;
    for address in addresses {
        match open_at(*address, ours, within).await {
            Ok(open) => return Ok(open),
            Err(failed) => failure = failed,
        }
    }
    Err(failure)
}

/// Binds first: the port must be known as ours before the connection exists.
async fn open_at(
    address: SocketAddr,
    ours: &OwnPorts,
    within: Duration,
) -> Result<(TcpStream, HeldPort), Crossing> {
    let bound = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4().and_then(|s| {
            s.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
            Ok(s)
        }),
        SocketAddr::V6(_) => TcpSocket::new_v6().and_then(|s| {
            s.bind((Ipv6Addr::UNSPECIFIED, 0).into())?;
            Ok(s)
        }),
    };
    let socket = bound.map_err(|_| Crossing::Silent)?;
    let port = socket.local_addr().map_err(|_| Crossing::Silent)?.port();
    let held = ours.hold(port);
    match timeout(within, socket.connect(address)).await {
        Err(_) => Err(Crossing::Silent),
        Ok(Err(e)) => Err(failed(&e)),
        Ok(Ok(stream)) => Ok((stream, held)),
    }
}

fn failed(error: &std::io::Error) -> Crossing {
    match error.kind() {
        ErrorKind::ConnectionRefused => Crossing::Refused,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Crossing::Reset,
        _ => Crossing::Silent,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::evidence::fixture::soon;

    use nix::sys::socket::{setsockopt, sockopt};
    use tokio::net::TcpListener;

    const LONG: Duration = Duration::from_secs(20);

    async fn listener() -> (TcpListener, [SocketAddr; 1]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, [address])
    }

    /// Ends a connection by a reset instead of a close.
    fn reset(stream: TcpStream) {
        let now = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&stream, sockopt::Linger, &now).unwrap();
    }

    #[tokio::test]
    async fn each_server_is_asked_in_its_own_protocol_and_its_answer_is_a_crossing() {
        let ssl_request: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
        let api_versions: &[u8] = b"\0\0\0\x0c\0\x12\0\0\0\0\0\x01\0\x02oh";
        let (listener, address) = listener().await;
        for link in Link::ALL {
            let ours = OwnPorts::default();
            let server = async {
                let (mut stream, client) = soon(listener.accept()).await.unwrap();
                // The port is known as ours for as long as there is a connection
                assert_eq!(ours.now(), HashSet::from([client.port()]));
                let request = match link.server() {
                    Server::Broker(BrokerKind::Kafka) | Server::BrokerNode(_) => api_versions,
                    Server::Broker(BrokerKind::RabbitMq) => b"AMQP\0\0\x09\x01",
                    Server::POSTGRES => ssl_request,
                    Server::MARIADB => MARIADB_STRANGER,
                    Server::Redis | Server::NATS => b"PING\r\n",
                    Server::EVENTBRIDGE => EVENTBRIDGE_HELLO,
                };
                let mut asked = vec![0; request.len()];
                soon(stream.read_exact(&mut asked)).await.unwrap();
                assert_eq!(asked, request);
                let answer: &[u8] = match link.server() {
                    Server::NATS => b"INFO {}\r\nPONG\r\n",
                    Server::EVENTBRIDGE => b"HTTP/1.0 200 OK\r\n",
                    Server::MARIADB => {
                        b"\x0a5.5.5-10.11.19-MariaDB\0\xff\x15\x04#28000Access denied"
                    }
                    _ => b"N",
                };
                stream.write_all(answer).await.unwrap();
                stream
            };
            let (crossing, _stream) = tokio::join!(crosses(link, &address, &ours, LONG), server);
            assert!(matches!(crossing, Crossing::Answered(ms) if ms > 0.0));
            assert!(ours.now().is_empty());
        }
    }

    #[tokio::test]
    async fn an_exchange_that_is_closed_or_reset_is_told_apart_from_one_without_an_end() {
        let (listener, address) = listener().await;
        let ours = OwnPorts::default();
        let link = Link::RELAY_POSTGRES;
        let asked = async || {
            let (mut stream, _) = soon(listener.accept()).await.unwrap();
            soon(stream.read_exact(&mut [0; 8])).await.unwrap();
            stream
        };
        let closes = async { drop(asked().await) };
        let (crossing, ()) = tokio::join!(crosses(link, &address, &ours, LONG), closes);
        assert_eq!(crossing, Crossing::Closed);
        let resets = async { reset(asked().await) };
        let (crossing, ()) = tokio::join!(crosses(link, &address, &ours, LONG), resets);
        assert_eq!(crossing, Crossing::Reset);
        let short = Duration::from_millis(20);
        let waits = crosses(link, &address, &ours, short);
        let (crossing, _stream) = tokio::join!(waits, asked());
        assert_eq!(crossing, Crossing::Silent);
        drop(listener);
        let crossing = crosses(link, &address, &ours, LONG).await;
        assert_eq!(crossing, Crossing::Refused);
        assert!(ours.now().is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_is_reset_or_answered_at_once_is_told_apart() {
        let (listener, address) = listener().await;
        let ours = OwnPorts::default();
        let resets = async { reset(soon(listener.accept()).await.unwrap().0) };
        let (crossing, ()) = tokio::join!(connects(&address, &ours), resets);
        assert_eq!(crossing, Crossing::Reset);
        let greets = async {
            let (mut stream, _) = soon(listener.accept()).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream
        };
        let (crossing, _stream) = tokio::join!(connects(&address, &ours), greets);
        assert_eq!(crossing, Crossing::Answered(0.0));
    }

    #[tokio::test]
    async fn several_probes_have_a_port_each_and_each_is_ours_until_its_own_end() {
        let (listener, address) = listener().await;
        let ours = OwnPorts::default();
        let open = || open(&address, &ours, LONG);
        let (first, second) = tokio::join!(open(), open());
        let (first, second) = (first.unwrap(), second.unwrap());
        let ports = [&first, &second].map(|(stream, _)| stream.local_addr().unwrap().port());
        assert_eq!(ours.now(), HashSet::from(ports));
        drop(first);
        assert_eq!(ours.now(), HashSet::from([ports[1]]));
        drop(second);
        assert!(ours.now().is_empty());
        drop(listener);
    }

    #[tokio::test]
    async fn given_an_ipv6_proxy_then_it_is_crossed_as_well() {
        let Ok(listener) = TcpListener::bind("[::1]:0").await else {
            return;
        };
        let address = [listener.local_addr().unwrap()];
        let ours = OwnPorts::default();
        let open = || open(&address, &ours, LONG);
        let (first, second) = tokio::join!(open(), open());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(ours.now().len(), 2);
    }

    #[tokio::test]
    async fn given_a_name_with_several_addresses_then_it_is_reached_by_any_that_is_listened_on() {
        let ours = OwnPorts::default();
        let ((nobody, [refused]), (_listener, [address])) = (listener().await, listener().await);
        drop(nobody);
        for addresses in [[refused, address], [address, refused]] {
            let (stream, _held) = open(&addresses, &ours, LONG).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), address);
        }
        let failure = open(&[refused, refused], &ours, LONG).await.err();
        assert_eq!(failure, Some(Crossing::Refused));
        assert!(ours.now().is_empty());
    }

    #[test]
    fn only_a_refusal_and_a_reset_are_the_links_own_word() {
        let of = |kind: ErrorKind| failed(&kind.into());
        assert_eq!(of(ErrorKind::ConnectionRefused), Crossing::Refused);
        assert_eq!(of(ErrorKind::ConnectionReset), Crossing::Reset);
        assert_eq!(of(ErrorKind::BrokenPipe), Crossing::Reset);
        assert_eq!(of(ErrorKind::TimedOut), Crossing::Silent);
        assert_eq!(of(ErrorKind::AddrNotAvailable), Crossing::Silent);
    }

    #[test]
    fn a_crossing_is_counted_in_milliseconds() {
        assert_eq!(milliseconds(Duration::from_micros(2_500)), 2.5);
    }

    #[tokio::test]
    async fn a_port_nobody_listens_on_is_refused_and_a_forwarder_that_closes_is_told_apart() {
        let ours = OwnPorts::default();
        let (listener, address) = listener().await;
        let forwarder = tokio::spawn(async move {
            let (stream, _) = soon(listener.accept()).await.unwrap();
            drop(stream);
            let _open = soon(listener.accept()).await.unwrap();
            soon(listener.accept()).await.unwrap()
        });

        assert_eq!(connects(&address, &ours).await, Crossing::Closed);
        assert_eq!(connects(&address, &ours).await, Crossing::Answered(0.0));
        let within = Duration::from_millis(20);
        let silent = crosses(Link::RELAY_KAFKA, &address, &ours, within).await;
        assert_eq!(silent, Crossing::Silent);
        drop(forwarder.await.unwrap());
        assert_eq!(connects(&address, &ours).await, Crossing::Refused);
        assert!(ours.now().is_empty());
    }
}
