//! Bounds of what a scenario may ask for. Each keeps a typing mistake from becoming a run that
//! cannot end, cannot fit in memory, or cannot prove anything.

use std::time::Duration;

/// Largest scenario file, bytes.
pub const FILE_BYTES: u64 = 256 * 1024;
/// Longest name of a scenario; it is part of folder names.
pub const SCENARIO_NAME: usize = 64;
/// Longest name of a strategy; PostgreSQL cuts identifiers at 63 bytes, and ours have 25 around it.
pub const STRATEGY_NAME: usize = 32;
/// Most strategies in a file.
pub const STRATEGIES: usize = 32;
/// Most faults in a file.
pub const FAULTS: usize = 64;
/// Longest `id` of a fault.
pub const FAULT_ID: usize = 32;

/// Lowest and highest rate, changes a second.
pub const RATE: (f64, f64) = (0.001, 1_000_000.0);
/// Most changes a strategy's run offers: the history keeps some 40 bytes of each in memory.
pub const CHANGES: f64 = 50_000_000.0;
/// No load lasts longer than this.
pub const DURATION: Duration = Duration::from_secs(24 * 3600);
/// Most changes an order goes through; its attempts are an array in its row.
pub const CHANGES_PER_ORDER: u32 = 10_000;
/// Longest content: what the order service takes.
pub const PAYLOAD_BYTES: u32 = contract::order::CONTENT_BYTES_MAX;
/// Most HTTP connections, and most clients.
pub const CONNECTIONS: u32 = 10_000;
/// Connections beyond those that rate and timeout ask for, unless the file says how many.
pub const CONNECTIONS_SPARE: usize = 64;
/// Most bytes of content outstanding at a time, unless the file says how many connections.
pub const OUTSTANDING_BYTES: usize = 1 << 30;
/// The most that one client of a closed loop, and all of them together, are expected to get
/// answered a second. It says how much memory to have ready, and bounds nothing.
pub const CLOSED_RATE: (f64, f64) = (2_500.0, 25_000.0);
/// Most connections of the order service to PostgreSQL; the local stack's takes 300 in all.
pub const POSTGRES_CONNECTIONS: u32 = 250;
/// Longest request timeout and publish timeout.
pub const REQUEST: Duration = Duration::from_secs(600);
/// Longest hold of a transaction; the order service accepts no longer one.
pub const HOLD: Duration = Duration::from_secs(10);
/// Most repeats of a change whose outcome was unknown.
pub const RETRIES: u32 = 100;
/// No Zipf exponent (`skew`) is larger than this.
pub const SKEW: f64 = 5.0;
/// Most partitions of a topic.
pub const PARTITIONS: i32 = 1_000;
/// Longest linger of a producer.
pub const LINGER: Duration = Duration::from_secs(60);
/// Longest pause between polls.
pub const INTERVAL: Duration = Duration::from_secs(60);
/// Most rows a claim.
pub const BATCH: u32 = 100_000;
/// Longest installation of a relay.
pub const INSTALL: Duration = Duration::from_secs(3600);
/// Longest time that a relay may take until it works: healing waits for it.
pub const READY: Duration = Duration::from_secs(120);
/// Longest time that a relay may take for its end: a step of the fence waits for it.
pub const STOP: Duration = Duration::from_secs(30);
/// No bound of `[drain]`, and no relay's lease, is longer than this.
pub const DRAIN: Duration = Duration::from_secs(3600);
/// Longest time that a relay goes on after the last event was seen.
pub const SETTLE: Duration = Duration::from_secs(600);
/// Longest delay or timeout of a toxic.
pub const TOXIC_DELAY: Duration = Duration::from_secs(3600);
/// Largest rate (KB/s) and size (bytes) of a toxic.
pub const TOXIC_AMOUNT: u64 = 1_000_000_000_000;
