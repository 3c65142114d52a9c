//! Servers that are to be the ones who listen on a port: any other of their kind would answer alike.

use super::StackError;
use super::ports;
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec};
use std::sync::Arc;

/// Starts with new ports when somebody else took one all the same.
const TRIES_MAX: u32 = 3;

/// Starts a server that is to listen on this port, and waits until it is ready; an Err says that it did not start, or
/// that another process has the port.
pub(super) async fn start_on(
    port: u16,
    spec: ChildSpec,
    reaper: &Arc<Reaper>,
) -> Result<Child, String> {
    let child = Child::start(spec, reaper)
        .await
        .map_err(|e| e.to_string())?;
    match child.pid() {
        Some(pid) if ports::is_held_by(port, pid) => Ok(child),
        Some(_) | None => Err(format!("port {port} is held by another process")),
    }
}

/// Counts how often something was started on ports of its own.
pub(super) struct Tries {
    made: u32,
}

impl Tries {
    /// Begins with the first.
    pub(super) fn first() -> Self {
        Self { made: 1 }
    }

    /// Whether it is to be tried once more, on others, after this error on these: somebody else took one meanwhile.
    pub(super) fn once_more(&mut self, error: &StackError, ports: &[u16]) -> bool {
        if self.made >= TRIES_MAX || !ports::any_taken(ports) {
            return false;
        }
        tracing::info!(reason = %error, "a port was taken meanwhile; trying others");
        self.made += 1;
        true
    }
}
