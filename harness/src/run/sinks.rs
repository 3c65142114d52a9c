//! The sinks that every run has, a line each. One that only some commands have is a line where these begin.

use super::event_log::EventLog;
use super::reporter::Sink;
use std::sync::Arc;

/// These are the sinks that every run has, whoever watches it.
pub(super) fn of_every_run() -> [Arc<dyn Sink>; 1] {
    [Arc::new(EventLog::default())]
}
