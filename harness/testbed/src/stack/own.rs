//! What a stack is whose servers are this harness's own: it started them, may break them, and stops them.

use super::{HotStandby, StackError, StackInfo};
use crate::process::{Child, Stop};
use crate::scenario::Victim;
use futures::future::LocalBoxFuture;
use std::path::Path;
use std::sync::Arc;

/// A provider that starts servers gives a stack of this kind.
pub trait OwnStack: Send + Sync {
    /// Returns what the rest of the harness may know of it: addresses, versions, routes, settings.
    fn info(&self) -> &StackInfo;

    /// Returns the install script's folder, if it is known.
    fn programs(&self) -> Option<&Path>;

    /// Returns the process of a server; `None` for a victim that is none, and where there is no such server.
    fn server(&self, victim: Victim) -> Option<&Child>;

    /// Returns how that server is told to end.
    fn stop_of_server(&self, victim: Victim) -> Option<Stop>;

    /// Returns the server that can take PostgreSQL's place, where there is one.
    fn hot_standby(&self) -> Option<&Arc<HotStandby>> {
        None
    }

    /// Returns Toxiproxy's process.
    fn toxiproxy(&self) -> &Child;

    /// Returns every process of it.
    fn children(&self) -> Vec<&Child>;

    /// Stops the servers and removes their data; the logs stay.
    fn stop(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StackError>>;

    /// Leaves it running; returns how to connect and how to stop it.
    fn keep(self: Box<Self>) -> Result<Vec<String>, StackError>;

    /// Returns it as a local stack, where it is one: others cannot be kept between runs.
    fn as_local(&self) -> Option<&super::local::LocalStack> {
        None
    }
}
