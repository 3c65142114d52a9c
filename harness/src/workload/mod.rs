//! The load generator: open loop, seeded, from intended start times.

use crate::clock::RunClock;
use crate::history::Request;
use crate::identity::Identity;
use crate::scenario::Workload;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where and what to send.
#[derive(Clone)]
pub struct Load {
    /// The order service.
    pub service: SocketAddr,
    /// Shape of the load.
    pub workload: Workload,
    /// Seed of every random choice.
    pub seed: u64,
    /// Ids and contents.
    pub identity: Arc<Identity>,
    /// Run time.
    pub clock: RunClock,
    /// Progress for the terminal.
    pub progress: Arc<Progress>,
}

/// Live counters for the progress display.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests sent.
    pub sent: std::sync::atomic::AtomicU64,
    /// Acknowledged.
    pub acknowledged: std::sync::atomic::AtomicU64,
    /// Rejected.
    pub rejected: std::sync::atomic::AtomicU64,
    /// Unknown or not sent.
    pub unknown: std::sync::atomic::AtomicU64,
}

/// What was sent and what came of it.
#[derive(Debug, Default)]
pub struct Offered {
    /// By attempt number.
    pub requests: Vec<Request>,
    /// Intended starts for which nothing could be offered.
    pub unoffered: u64,
    /// When the last request ended, run time.
    pub until_ns: i64,
}

/// Offers the load from `load_from_ns` on; returns when every request has its outcome. When `stop`
/// fires, nothing new is offered.
pub async fn offer(
    load: Load,
    load_from_ns: i64,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Offered {
    let _ = (load, load_from_ns, stop);
    unimplemented!("H8")
}
