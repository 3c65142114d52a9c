//! A way to Kafka on which the referee's first reader, the live observer, gets half: once so many
//! bytes have come to it, the connections that it has then carry nothing any more, and are not
//! closed either. All others, the system's and the final read's, carry everything.

use crate::bench::Ran;
use crate::case::Case;
use crate::stacks;
use crate::turn::Turn;
use harness::scenario::Link;
use relays::config::BrokerKind;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What the observer gets: of some 600 events with 600 bytes each, the first half or so.
const HALF_BYTES: usize = 180_000;
/// The client id of the referee's readers, as it stands in each of their requests.
const READER: &[u8] = b"outbox-harness-referee";
/// The first request of a client, and how far into it its client id ends.
const REQUEST_BYTES: usize = 1 << 16;

/// Runs the case with it as the direct way to Kafka.
pub fn run(case: &Case, turn: &Turn) -> Ran {
    let mut stack = stacks::of(turn).clone();
    // The address that a listener of the broker advertises, so that clients stay on this way. Its
    // own link is not used here, and gets the other one's route.
    let own = stack.routes[&Link::ORDERS_KAFKA].clone();
    let other = stack.routes[&Link::RELAY_KAFKA].clone();
    stack.routes.insert(Link::ORDERS_KAFKA, other);
    stack.brokers.get_mut(&BrokerKind::Kafka).unwrap().address = own.connect;
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind(&own.listen)).unwrap();
    runtime.spawn(accept(listener, own.upstream));
    turn.run_on(&stack, case.defect, &case.scenario(), |_| {})
}

async fn accept(listener: TcpListener, upstream: String) {
    let read_bytes = Arc::new(AtomicUsize::new(0));
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(forward(near, upstream.clone(), Arc::clone(&read_bytes)));
    }
}

async fn forward(
    near: TcpStream,
    upstream: String,
    read_bytes: Arc<AtomicUsize>,
) -> io::Result<()> {
    let far = TcpStream::connect(upstream).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let early = read_bytes.load(Relaxed) < HALF_BYTES;
    let (mut from_client, to_client) = near.into_split();
    let (from_broker, mut to_broker) = far.into_split();
    let mut request = vec![0; REQUEST_BYTES];
    let length = from_client.read(&mut request).await?;
    request.truncate(length);
    let reader = request.windows(READER.len()).any(|part| part == READER);
    to_broker.write_all(&request).await?;
    let answers = tokio::spawn(async move {
        if reader && early {
            pass_half(from_broker, to_client, &read_bytes).await
        } else {
            pass_all(from_broker, to_client).await
        }
    });
    let asked = pass_all(from_client, to_broker).await;
    let _ = answers.await;
    asked
}

async fn pass_all(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await.map(drop)
}

async fn pass_half(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    read_bytes: &AtomicUsize,
) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    while read_bytes.load(Relaxed) < HALF_BYTES {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        read_bytes.fetch_add(length, Relaxed);
        to.write_all(&buffer[..length]).await?;
    }
    // Neither end hears of it.
    std::future::pending().await
}
