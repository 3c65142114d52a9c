//! The one loop of every relay: next batch, publish, confirm what is durable; until told to stop.

use crate::config::RelayConfig;

/// Relays until SIGTERM, reconnecting with back-off on either side. Blocks its thread.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let _ = config;
    unimplemented!("H3")
}
