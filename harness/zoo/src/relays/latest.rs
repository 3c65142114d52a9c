//! Publishes only the latest version of an order that a batch holds, as if events were states.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;
use std::collections::HashSet;

/// Runs a relay that publishes, of each order in a batch, only the latest version.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    altered::relay(config, move |mut entries| {
        let mut later = HashSet::new();
        entries.reverse();
        entries.retain(|entry| {
            let latest = later.insert(entry.key.clone());
            if !latest {
                confession.admit("superseded", &entry.name());
            }
            latest
        });
        entries.reverse();
        entries
    })
}
