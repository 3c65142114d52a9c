//! Sleeps for three seconds with the first events in its hands, as on a lock or in a collection of
//! garbage.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;
use std::time::Duration;

/// The relay sleeps for so long, which is twice what the scenario calls late.
const SLEEP: Duration = Duration::from_secs(3);

/// Relays until SIGTERM; it sleeps once, for `SLEEP`, before the first batch that it has read goes out.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    let mut slept = false;
    altered::relay(config, move |entries| {
        if !std::mem::replace(&mut slept, true) {
            std::thread::sleep(SLEEP);
        }
        // None of them goes out before it has woken up.
        for entry in &entries {
            confession.admit("overslept", &entry.name());
        }
        entries
    })
}
