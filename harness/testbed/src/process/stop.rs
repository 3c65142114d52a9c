//! How a process is told to end.

use nix::sys::signal::Signal;
use std::time::Duration;

/// This is the signal by which a process is told to end, and the time that it has to do so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// It is sent this signal.
    pub signal: Signal,
    /// After that it is killed.
    pub within: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            signal: Signal::SIGTERM,
            within: Duration::from_secs(10),
        }
    }
}
