//! The harness's own crossings of a proxied link: can it be reached, and how long does one small
//! exchange in the server's own protocol take? Each probe is a connection of its own, since
//! toxicity is drawn by connection.

use crate::scenario::Link;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Local ports of probes under way: their sockets are not the system's.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnPorts(Arc<Mutex<HashSet<u16>>>);

impl OwnPorts {
    /// The ports now in use.
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

/// What came of a probe.
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
    /// No answer within the bound.
    Silent,
}

/// A port forwarder in front of the proxy accepts what the proxy would refuse, and then closes.
const FORWARDER_CLOSES_WITHIN: Duration = Duration::from_millis(40);

/// Whether a connection is refused.
pub(super) async fn connects(address: SocketAddr, ours: &OwnPorts) -> Crossing {
    let (mut stream, _held) = match open(address, ours, Duration::from_secs(1)).await {
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

/// One exchange in the protocol of the link's server, timed from sending to the first byte back.
pub(super) async fn crosses(
    link: Link,
    address: SocketAddr,
    ours: &OwnPorts,
    within: Duration,
) -> Crossing {
    let (mut stream, _held) = match open(address, ours, Duration::from_secs(1)).await {
        Ok(open) => open,
        Err(failure) => return failure,
    };
    let request: &[u8] = if link.is_kafka() {
        KAFKA_API_VERSIONS
    } else {
        POSTGRES_SSL_REQUEST
    };
    let started = Instant::now();
    let exchange = async {
        stream.write_all(request).await?;
        stream.read(&mut [0u8; 64]).await
    };
    match timeout(within, exchange).await {
        Err(_) => Crossing::Silent,
        Ok(Ok(0)) => Crossing::Closed,
        Ok(Ok(_)) => Crossing::Answered(started.elapsed().as_secs_f64() * 1e3),
        Ok(Err(e)) => failed(&e),
    }
}

/// "Do you speak TLS?": answered with one byte before any log-in.
const POSTGRES_SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// ApiVersions, version 0, correlation id 1, client id `oh`: answered before any log-in.
const KAFKA_API_VERSIONS: &[u8] = &[0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 1, 0, 2, b'o', b'h'];

/// Binds first: the port must be known as ours before the connection exists.
async fn open(
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

    #[tokio::test]
    async fn a_port_nobody_listens_on_is_refused_and_a_forwarder_that_closes_is_told_apart() {
        let ours = OwnPorts::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let forwarder = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            drop(stream);
            let _open = listener.accept().await.unwrap();
            listener.accept().await.unwrap()
        });

        assert_eq!(connects(address, &ours).await, Crossing::Closed);
        assert_eq!(connects(address, &ours).await, Crossing::Answered(0.0));
        let within = Duration::from_millis(20);
        let silent = crosses(Link::RelayKafka, address, &ours, within).await;
        assert_eq!(silent, Crossing::Silent);
        drop(forwarder.await.unwrap());
        assert_eq!(connects(address, &ours).await, Crossing::Refused);
        assert!(ours.now().is_empty());
    }
}
