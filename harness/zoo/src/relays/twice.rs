//! Publishes everything twice, as a relay does whose every acknowledgement comes too late. At-least-once
//! delivery allows it.

use super::kit::altered;
use relays::config::RelayConfig;

/// Each event, and again.
pub fn run(config: RelayConfig) -> Result<(), String> {
    altered::relay(config, |entries| {
        entries
            .into_iter()
            .flat_map(|entry| [entry.clone(), entry])
            .collect()
    })
}
