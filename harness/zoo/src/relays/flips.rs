//! Flips a bit of the content of every 50th event.

use super::kit::altered;
use crate::confession::Confession;
use relays::config::RelayConfig;

/// Counted from the payload's end, this is the last character of the content, before the closing quote and brace.
const FROM_THE_END: usize = 3;

/// Relays until SIGTERM; every 50th event is damaged on the way.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    let mut count = 0;
    altered::relay(config, move |mut entries| {
        for entry in &mut entries {
            count += 1;
            if count % 50 == 0 {
                entry.payload = flipped(&entry.payload);
                confession.admit("flipped", &entry.name());
            }
        }
        entries
    })
}

fn flipped(payload: &str) -> String {
    let mut characters: Vec<char> = payload.chars().collect();
    let at = characters.len().saturating_sub(FROM_THE_END);
    if let Some(character) = characters.get_mut(at) {
        // Hexadecimal digits: still a character that a JSON string takes as it is.
        *character = char::from(*character as u8 ^ 1);
    }
    characters.into_iter().collect()
}
