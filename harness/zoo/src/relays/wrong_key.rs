//! Keys each event by its own id instead of its order's.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;

/// Relays until SIGTERM, with the event's id in the place of the order's id as each record's key.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    altered::relay(config, move |mut entries| {
        for entry in &mut entries {
            confession.admit("keyed", &entry.name());
            entry.key.clone_from(&entry.id);
        }
        entries
    })
}
