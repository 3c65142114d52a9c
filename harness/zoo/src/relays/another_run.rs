//! Publishes rows of another run first: they were in a table that nobody emptied.

use super::kit::{Entry, altered};
use relays::config::RelayConfig;
use uuid::Uuid;

/// Rows that were left.
pub const LEFT: u32 = 25;

/// Whatever is in the table.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let mut left: Vec<Entry> = (1..=LEFT).map(row).collect();
    altered::relay(config, move |entries| {
        left.drain(..).chain(entries).collect()
    })
}

/// Returns an event as another run's order service wrote it; its number is its content.
fn row(number: u32) -> Entry {
    let order = Uuid::new_v4();
    Entry {
        key: order.to_string(),
        id: Uuid::now_v7().to_string(),
        event_type: "OrderPlaced".to_owned(),
        version: "1".to_owned(),
        payload: format!(
            r#"{{"run":"0123456789abcdef","order_id":"{order}","version":1,"attempt":"{}","type":"OrderPlaced","content":"{number:032x}"}}"#,
            Uuid::new_v4()
        ),
    }
}
