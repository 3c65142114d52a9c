//! Publishes each event once, by a key of its own: order and type. An order is amended more than
//! once, and all but the first amendment are taken for repetitions.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;
use std::collections::HashSet;

/// Relays until SIGTERM, as if a type came once in an order's life: what comes again is left out.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    let mut known = HashSet::new();
    altered::relay(config, move |mut entries| {
        entries.retain(|entry| {
            let new = known.insert((entry.key.clone(), entry.event_type.clone()));
            if !new {
                confession.admit("taken-for-known", &entry.name());
            }
            new
        });
        entries
    })
}
