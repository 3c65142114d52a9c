//! Ends by itself after [`ENOUGH`] events, with an exit code and last words, as a process does that is
//! out of memory. Nobody starts it again.

use super::kit::live;
use super::stops;
use relays::config::RelayConfig;

/// Events before it ends.
pub const ENOUGH: u64 = stops::ENOUGH;
/// What it says last.
pub const LAST_WORDS: &str = "no memory for the next batch";

/// Publishes `ENOUGH` events, and then ends with an Err: `LAST_WORDS`.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|mut stop| async move {
        stops::work(config, &mut stop).await?;
        Err(LAST_WORDS.to_owned())
    })
}
