//! Bounds of what a scenario may ask for. Each keeps a typing mistake from becoming a run that
//! cannot end, cannot fit in memory, or cannot prove anything.

use std::time::Duration;

/// No scenario file is larger than this, bytes.
pub const FILE_BYTES: u64 = 256 * 1024;
/// A scenario's name has at most this many characters; it is part of folder names.
pub const SCENARIO_NAME: usize = 64;
/// A strategy's name has at most this many characters; PostgreSQL cuts
/// identifiers at 63 bytes, and ours have 25 around it.
pub const STRATEGY_NAME: usize = 32;
/// A file has at most this many strategies.
pub const STRATEGIES: usize = 32;
/// A file has at most this many consumers.
pub const CONSUMERS: usize = 8;
/// A consumer's name has at most this many characters; it is part of file names.
pub const CONSUMER_NAME: usize = 24;
/// A file has at most this many faults.
pub const FAULTS: usize = 64;
/// The `id` of a fault has at most this many characters.
pub const FAULT_ID: usize = 32;

/// These are the lowest and the highest rate, changes a second.
pub const RATE: (f64, f64) = (0.001, 1_000_000.0);
/// A strategy's run offers at most this many changes: the history keeps some 40 bytes of each in memory.
pub const CHANGES: f64 = 50_000_000.0;
/// Most of all requests that can be reads.
pub const READ_SHARE: f64 = 0.95;
/// No load lasts longer than this.
pub const DURATION: Duration = Duration::from_secs(24 * 3600);
/// Most changes an order goes through; its attempts are an array in its row.
pub const CHANGES_PER_ORDER: u32 = 10_000;
/// No content is longer than this, bytes: the order service takes no more.
pub const PAYLOAD_BYTES: u32 = contract::order::CONTENT_BYTES_MAX;
/// A load has at most this many HTTP connections, and at most this many clients.
pub const CONNECTIONS: u32 = 10_000;
/// Connections beyond those that rate and timeout ask for, unless the file says how many.
pub const CONNECTIONS_SPARE: usize = 64;
/// Most bytes of content outstanding at a time, unless the file says how many connections.
pub const OUTSTANDING_BYTES: usize = 1 << 30;
/// The most that one client of a closed loop, and all of them together, are expected to get
/// answered a second. It says how much memory to have ready, and bounds nothing.
pub const CLOSED_RATE: (f64, f64) = (2_500.0, 25_000.0);
/// The order service has at most this many connections to its database; the local stack's PostgreSQL takes 300 in all.
pub const DATABASE_CONNECTIONS: u32 = 250;
/// No request timeout, and no publish timeout, is longer than this.
pub const REQUEST: Duration = Duration::from_secs(600);
/// No transaction of Kafka stays open longer than this; brokers take no more (`transaction.max.timeout.ms`).
pub const TRANSACTION: Duration = Duration::from_secs(900);
/// An order service has at most this many transactional producers, each of which has threads of its own.
pub const TRANSACTIONAL_PRODUCERS: u32 = 32;
/// No transaction is held open longer than this; the order service accepts no longer hold.
pub const HOLD: Duration = Duration::from_secs(10);
/// Most repeats of a change whose outcome was unknown.
pub const RETRIES: u32 = 100;
/// A service makes a publish again so many times at most.
pub const PUBLISH_RETRIES: u32 = 100;
/// A slot may be limited to so many bytes of log, which count as whole MiB.
pub const SLOT_WAL: (u64, u64) = (1, 1 << 30);
/// No Zipf exponent (`skew`) is larger than this.
pub const SKEW: f64 = 5.0;
/// A topic has at most this many partitions.
pub const PARTITIONS: i32 = 1_000;
/// A relay publishes to at most so many topics.
pub const TOPICS: usize = 16;
/// A name of a relay's own topic is at most this long, placeholders as they are written: a broker's limit is 249 for
/// all of it.
pub const TOPIC_NAME: usize = 150;
/// No producer's linger is longer than this.
pub const LINGER: Duration = Duration::from_secs(60);
/// No pause between polls is longer than this.
pub const INTERVAL: Duration = Duration::from_secs(60);
/// A relay claims at most this many rows at a time.
pub const BATCH: u32 = 100_000;
/// No installation of a relay takes longer than this.
pub const INSTALL: Duration = Duration::from_secs(3600);
/// Longest time that a relay may take until it works: healing waits for it.
pub const READY: Duration = Duration::from_secs(120);
/// Longest time that a relay may take for its end: a step of the fence waits for it.
pub const STOP: Duration = Duration::from_secs(30);
/// No bound of `[drain]`, and no relay's lease, is longer than this.
pub const DRAIN: Duration = Duration::from_secs(3600);
/// Longest time that a relay goes on after the last event was seen.
pub const SETTLE: Duration = Duration::from_secs(600);
/// No delay or timeout of a toxic is longer than this.
pub const TOXIC_DELAY: Duration = Duration::from_secs(3600);
/// No rate (KB/s) and no size (bytes) of a toxic is larger than this.
pub const TOXIC_AMOUNT: u64 = 1_000_000_000_000;
