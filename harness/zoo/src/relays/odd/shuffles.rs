//! Publishes each batch order by order, the order that came last first: across orders nothing stays
//! where it was, within an order everything does.

use super::super::kit::{Entry, altered};
use crate::confession::Confession;
use relays::config::RelayConfig;

/// Relays until SIGTERM, with the orders of each batch reversed and each order's own events left in their order.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    altered::relay(config, move |entries| {
        let shuffled = last_order_first(&entries);
        for (was, is) in entries.iter().zip(&shuffled) {
            if was != is {
                confession.admit("moved", &is.name());
            }
        }
        shuffled
    })
}

fn last_order_first(entries: &[Entry]) -> Vec<Entry> {
    let mut orders: Vec<&str> = Vec::new();
    for entry in entries.iter().rev() {
        if !orders.contains(&entry.key.as_str()) {
            orders.push(&entry.key);
        }
    }
    let of = |order| entries.iter().filter(move |entry| entry.key == order);
    orders.into_iter().flat_map(of).cloned().collect()
}
