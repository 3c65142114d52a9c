//! Takes each event apart and writes it again: other order of fields, other white space.

use super::super::kit::altered;
use relays::config::RelayConfig;
use serde_json::Value;

/// Relays until SIGTERM, with each payload that is JSON parsed and written again, laid out in another way.
pub fn run(config: RelayConfig) -> Result<(), String> {
    altered::relay(config, |mut entries| {
        for entry in &mut entries {
            if let Ok(event) = serde_json::from_str::<Value>(&entry.payload) {
                entry.payload = format!(" {event:#}\n");
            }
        }
        entries
    })
}
