//! The load generator: open loop, seeded, from intended start times.
//!
//! A pacing thread makes ticks due at their intended times. A change is sent for each of them when
//! it is due, however many are outstanding: the next change of the order that has waited longest
//! for one, else the first of a new order. It goes out over the free connection that was used last,
//! or over a new one. `connections` is a ceiling that protects the machine: what is due while so
//! many are busy is held back until one is free, keeps its intended time, and says so in its row.
//! What is held back when the load's duration is over is sent as well, for a bounded time; only
//! what was left even then, or overflowed the queue, counts as `unoffered`.
//!
//! Where the workload has a share of reads, these go beside the changes in the same way ([`reads`]).
//!
//! With `clients` the loop is closed instead: so many clients, each of which sends its next change
//! when the one before is answered. Then nothing is ever due, late or held back.

mod answer;
mod answers;
mod choices;
mod connection;
mod crew;
mod desk;
mod hot;
mod orders;
mod pacing;
mod reader;
mod reads;
mod schedule;
mod worker;

use crate::clock::RunClock;
use crate::history::{ReadRow, Request, Rows};
use crate::identity::Identity;
use crate::scenario::Workload;
pub(crate) use answer::classify;
pub use answers::Answers;
pub(crate) use connection::{Connection, Exchange, Reply};
use desk::Desk;
pub(crate) use pacing::Pacing;
pub use reads::read_connections;
pub(crate) use schedule::Schedule;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// So many connections are open before the load begins, and stay open without work.
const FEW: usize = 8;
/// How often connections that nobody needs are closed.
const SPARE_EVERY: Duration = Duration::from_secs(5);

/// This is the row of an attempt, with its number.
type Sent = (u32, Request);

/// A load says where and what to send.
#[derive(Clone)]
pub struct Load {
    /// The order service takes requests at this address.
    pub service: SocketAddr,
    /// This is the shape of the load.
    pub workload: Workload,
    /// This is the seed of every random choice.
    pub seed: u64,
    /// This gives the ids of orders, changes and attempts, and the content of each attempt.
    pub identity: Arc<Identity>,
    /// This clock gives the run time (ns) at which requests are due, sent and answered.
    pub clock: RunClock,
    /// This counts the load's progress for the terminal.
    pub progress: Arc<Progress>,
}

/// These are live counters for the progress display.
#[derive(Debug, Default)]
pub struct Progress {
    /// This counts the attempts that were sent, each when its outcome is known.
    pub sent: std::sync::atomic::AtomicU64,
    /// This counts the attempts that were answered as committed.
    pub acknowledged: std::sync::atomic::AtomicU64,
    /// This counts the attempts that were answered with an explicit no.
    pub rejected: std::sync::atomic::AtomicU64,
    /// This counts the attempts whose outcome is unknown or that were not sent.
    pub unknown: std::sync::atomic::AtomicU64,
    /// When each attempt was told that it is committed, where somebody watches.
    pub answers: Option<Answers>,
}

/// What was sent and what came of it.
#[derive(Debug, Default)]
pub struct Offered {
    /// These are the attempts with their outcomes; the place of each is its attempt number, from 0.
    pub requests: Rows<Request>,
    /// These are the reads that were due, in that order.
    pub reads: Rows<ReadRow>,
    /// This counts the intended starts for which nothing could be offered; it is 0 in a closed loop.
    pub unoffered: u64,
    /// The last request ended at this run time, in ns.
    pub until_ns: i64,
}

/// Returns how many changes an open loop intends to offer (retries not counted).
pub fn planned(workload: &Workload) -> u64 {
    Schedule::new(workload).ticks()
}

/// Offers the load from `load_from_ns` on; returns when every request has its outcome. When `stop`
/// fires, nothing new is offered.
pub async fn offer(load: Load, load_from_ns: i64, stop: watch::Receiver<bool>) -> Offered {
    let load_until_ns = load_from_ns + load.workload.duration.as_nanos() as i64;
    let clock = load.clock;
    let clients = load.workload.clients;
    // A request may time out, and its successor in the queue too, before the queue is given up.
    let drain = load.workload.request_timeout * 2 + Duration::from_secs(10);
    let left_ns = load_until_ns.saturating_sub(clock.now_ns()).max(0);
    let left = Duration::from_nanos(left_ns.unsigned_abs());
    let desk = Arc::new(Desk::new(load, load_from_ns));
    let _close = CloseOnDrop(Arc::clone(&desk));
    // Whoever drops this ends the reads with it.
    let mut reading = JoinSet::new();
    if desk.load.workload.read_share > 0.0 && clients.is_none() {
        reading.spawn(reads::read_beside(
            Arc::clone(&desk),
            load_from_ns,
            stop.clone(),
        ));
    }
    match clients {
        Some(clients) => {
            desk.start_clients(clients, load_until_ns);
            tokio::select! {
                () = fires(stop) => {}
                () = tokio::time::sleep(left) => {}
            }
        }
        None => {
            desk.open_ahead(FEW);
            if let Err(error) = desk.start_pacing() {
                tracing::error!(
                    "no thread for the pacing of the load, nothing is offered: {error}"
                );
                return Offered {
                    unoffered: Schedule::new(&desk.load.workload).ticks(),
                    until_ns: clock.now_ns(),
                    ..Offered::default()
                };
            }
            tokio::select! {
                () = desk.all_settled() => {}
                () = fires(stop) => {}
                () = close_spare(&desk) => {}
                () = tokio::time::sleep(left + drain) => {
                    tracing::warn!("the load was not offered in full {drain:?} after its end");
                }
            }
        }
    }
    desk.close();

    let mut workers = desk.tasks();
    let mut parts = Vec::with_capacity(workers.len());
    while let Some(part) = workers.join_next().await {
        match part {
            Ok(rows) => parts.push(rows),
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
    let reads = match reading.join_next().await {
        Some(Ok(reads)) => reads,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Rows::new(),
        },
        None => Rows::new(),
    };
    let requests = merge(parts, |request| {
        request.lag_ns = request.lag_ns.max(desk.late_ns(request.intended_ns));
    });
    Offered {
        until_ns: requests
            .iter()
            .map(|r| r.ended_ns)
            .max()
            .unwrap_or_else(|| clock.now_ns()),
        requests,
        reads,
        unoffered: desk.unoffered(),
    }
}

/// Ends the pacing thread and the workers on every way out of [`offer`].
struct CloseOnDrop(Arc<Desk>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Closes what nobody needs, now and then.
async fn close_spare(desk: &Desk) {
    loop {
        tokio::time::sleep(SPARE_EVERY).await;
        desk.close_spare(FEW);
    }
}

/// Returns when `stop` turns true; never, if nobody is left to say so.
async fn fires(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Rows of all workers, by attempt number, each once `finish` is done with it. Numbers are dense: each
/// is drawn right before its attempt, and the attempt always leaves a row. A worker draws them
/// ascending.
fn merge(parts: Vec<Vec<Sent>>, finish: impl Fn(&mut Request)) -> Rows<Request> {
    let mut parts: Vec<_> = parts.into_iter().map(IntoIterator::into_iter).collect();
    let number = |(attempt, _): &Sent| *attempt;
    let mut next: BinaryHeap<Reverse<(u32, usize)>> = parts
        .iter()
        .enumerate()
        .filter_map(|(n, part)| Some(Reverse((part.as_slice().first().map(number)?, n))))
        .collect();
    let mut rows = Rows::new();
    while let Some(Reverse((attempt, n))) = next.pop() {
        assert_eq!(rows.len(), attempt as usize, "an attempt without a row");
        if let Some((_, mut request)) = parts[n].next() {
            finish(&mut request);
            rows.push(request);
        }
        let following = parts[n].as_slice().first().map(number);
        next.extend(following.map(|attempt| Reverse((attempt, n))));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plain workload for the tests of the parts.
    pub(super) fn workload(rate: f64, duration: Duration) -> Workload {
        Workload {
            rate,
            duration,
            changes_per_order: 3,
            payload_bytes: 64,
            connections: 4,
            clients: None,
            request_timeout: Duration::from_secs(1),
            rollback_ratio: 0.0,
            hold_ratio: 0.0,
            hold: Duration::from_millis(20),
            retries: 0,
            skew: 0.0,
            ramp: Duration::ZERO,
            partitions: 1,
            database_connections: 1,
            min_committed_per_phase: 100,
            read_share: 0.0,
        }
    }

    /// A load for a service that is not there, over at most so many connections.
    pub(super) fn load(connections: usize) -> Load {
        Load {
            service: SocketAddr::from(([127, 0, 0, 1], 1)),
            workload: Workload {
                connections,
                ..workload(1.0, Duration::from_secs(1))
            },
            seed: 1,
            identity: Arc::new(
                crate::identity::RunKey::random()
                    .identity()
                    .expect("a new key is whole"),
            ),
            clock: RunClock::start(),
            progress: Arc::default(),
        }
    }
}
