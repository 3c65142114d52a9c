//! Publishes a batch in chunks of ten and forgets the incomplete last one, which is marked with the
//! batch.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;

const CHUNK: usize = 10;

/// Relays until SIGTERM and publishes the chunks that `chunks_exact` gives, without its remainder.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    altered::relay(config, move |entries| {
        let chunks = entries.chunks_exact(CHUNK);
        for entry in chunks.remainder() {
            confession.admit("dropped", &entry.name());
        }
        chunks.flatten().cloned().collect()
    })
}
