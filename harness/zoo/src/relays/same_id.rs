//! Gives all events of one type of an order the same id, as if an order could be amended only once. A stream of NATS takes
//! every later one for the first one come again, and says that it has it.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;
use std::collections::HashSet;

/// Relays until SIGTERM.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    let mut given = HashSet::new();
    altered::relay(config, move |mut entries| {
        for entry in &mut entries {
            entry.id = format!("{}-{}", entry.key, entry.event_type);
            if !given.insert(entry.id.clone()) {
                confession.admit("reused", &entry.name());
            }
        }
        entries
    })
}
