//! What a child process tells the harness about itself: one JSON object a line on its standard
//! output. Emission never blocks the work for long and never fails it: a closed pipe is ignored.

use serde::{Deserialize, Serialize};
use std::io::Write;

/// This is one report of a child process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "signal")]
pub enum Signal {
    /// Connected to everything it needs; from here on it does its work.
    Ready,
    /// A connection to its database failed or was lost.
    DatabaseLost {
        /// This says in words how the connection failed or was lost.
        reason: String,
    },
    /// The process is connected to its database again.
    DatabaseUp,
    /// Deliveries to the broker failed.
    PublishFailed {
        /// How many since the last report (reports are at most ten a second).
        count: u64,
        /// This is the first error of them.
        reason: String,
    },
    /// Deliveries succeed again after failures.
    PublishUp,
    /// Entries of the cache could not be invalidated, or written: of a service around its commits, of a relay beside what
    /// it publishes.
    InvalidationFailed {
        /// How many since the last report (reports are at most ten a second).
        count: u64,
        /// This is the first error of them.
        reason: String,
    },
    /// This is the cumulative progress since this process started, reported at most ten times a second.
    Progress {
        /// So many events were taken from the source (relay) or requests begun (service).
        taken: u64,
        /// So many events were delivered, as the broker confirmed.
        delivered: u64,
        /// So many events were confirmed to the source (relay) or requests answered (service).
        confirmed: u64,
    },
}

/// A signal with the time it was emitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedSignal {
    /// This is the time on CLOCK_MONOTONIC, in nanoseconds, comparable between processes of one host.
    pub monotonic_ns: u64,
    /// This is what the process reports; in JSON its fields stand beside the time in the same object.
    #[serde(flatten)]
    pub signal: Signal,
}

/// Returns the time on CLOCK_MONOTONIC in nanoseconds, which is comparable between processes of one host.
pub fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("CLOCK_MONOTONIC exists on every Linux");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Writes one signal line to standard output.
pub fn emit(signal: Signal) {
    let line = TimedSignal {
        monotonic_ns: monotonic_ns(),
        signal,
    };
    if let Ok(mut text) = serde_json::to_string(&line) {
        text.push('\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}
