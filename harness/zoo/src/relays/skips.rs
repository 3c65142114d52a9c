//! Skips every 100th event, as a filter with an off-by-one does, and confirms it with the others.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;

/// Relays 99 events of 100, until SIGTERM.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    let mut count = 0;
    altered::relay(config, move |mut entries| {
        entries.retain(|entry| {
            count += 1;
            if count % 100 == 0 {
                confession.admit("skipped", &entry.name());
            }
            count % 100 != 0
        });
        entries
    })
}
