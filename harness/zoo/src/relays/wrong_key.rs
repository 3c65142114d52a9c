//! Keys each event by its own id instead of its order's.

use super::kit::altered;
use relays::config::RelayConfig;

/// The wrong column.
pub fn run(config: RelayConfig) -> Result<(), String> {
    altered::relay(config, |mut entries| {
        for entry in &mut entries {
            entry.key.clone_from(&entry.id);
        }
        entries
    })
}
