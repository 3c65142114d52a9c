//! Provider `external`: somebody's running PostgreSQL, Kafka and Toxiproxy, described by a file.

use serde::{Deserialize, Serialize};

/// Found, not started.
pub struct ExternalStack {}

/// What a run makes on an external stack and must drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// The stack file's content.
    pub stack: String,
    /// Schema (also prefix of roles, slot and publication).
    pub schema: String,
    /// Topic.
    pub topic: String,
    /// Proxies.
    pub proxies: Vec<String>,
}

/// What the reaper does for a harness that is gone; returns what it did, one line each.
pub(crate) fn drop_after_death(_leftovers: &[Leftover]) -> Vec<String> {
    Vec::new()
}
