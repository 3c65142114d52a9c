//! Swaps neighbours of one order: two of its events in one batch go out in the wrong order.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;
use std::collections::HashMap;

/// Swaps the first with the second, the third with the fourth, of each order in each batch.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    altered::relay(config, move |mut entries| {
        let mut alone: HashMap<String, usize> = HashMap::new();
        for at in 0..entries.len() {
            let key = &entries[at].key;
            match alone.remove(key) {
                None => {
                    alone.insert(key.clone(), at);
                }
                Some(before) => {
                    confession.admit("overtaken", &entries[before].name());
                    entries.swap(before, at);
                }
            }
        }
        entries
    })
}
