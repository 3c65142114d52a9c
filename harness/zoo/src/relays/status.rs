//! Puts events on a bus of EventBridge, and looks at the status of each call alone: it is 200 also where some of the events
//! were refused.

use relays::config::{BrokerTarget, LooksAt, RelayConfig};
use relays::pump;

/// Relays until SIGTERM.
pub fn run(mut config: RelayConfig) -> Result<(), String> {
    match &mut config.broker {
        BrokerTarget::EventBridge(target) => target.looks_at = LooksAt::Status,
        other => {
            return Err(format!(
                "expected: EventBridge, not {}",
                other.kind().title()
            ));
        }
    }
    pump::run(config)
}
