//! Publishes in compressed batches.

use super::plain;
use relays::config::RelayConfig;
use std::time::Duration;

/// Long enough for a batch to have something to compress.
const PAUSE: Duration = Duration::from_millis(100);

/// Relays until SIGTERM, in batches that the producer compresses with gzip.
pub fn gzip(config: RelayConfig) -> Result<(), String> {
    with(config, "gzip")
}

/// Relays until SIGTERM, in batches that the producer compresses with LZ4.
pub fn lz4(config: RelayConfig) -> Result<(), String> {
    with(config, "lz4")
}

/// Relays until SIGTERM, in batches that the producer compresses with Snappy.
pub fn snappy(config: RelayConfig) -> Result<(), String> {
    with(config, "snappy")
}

fn with(config: RelayConfig, codec: &str) -> Result<(), String> {
    let settings = [("compression.type", codec)];
    plain::relay(config, &settings, PAUSE, |broker, entries| {
        broker.publish(entries)
    })
}
