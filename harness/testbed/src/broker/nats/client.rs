//! The referee's connection to NATS, and its way to JetStream.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions};
use std::time::Duration;
use tokio::time::timeout;

/// Connecting takes no longer than this, and no answer does.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// A server that comes back is found at once, not after a back-off of up to 4 s.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Connects to this `host:port`; an Err says why that was not done in time. The client lives on the runtime that this
/// is called in.
pub(super) async fn connect(address: &str) -> Result<Context, String> {
    let connected = timeout(ANSWER_WITHIN, options().connect(address)).await;
    let client: Client = match connected {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Err(format!("connecting to NATS at {address}: {error}")),
        Err(_) => {
            return Err(format!(
                "NATS at {address} did not answer within {ANSWER_WITHIN:?}"
            ));
        }
    };
    Ok(ContextBuilder::new().timeout(ANSWER_WITHIN).build(client))
}

fn options() -> ConnectOptions {
    ConnectOptions::new()
        .name("outbox-harness-referee")
        .reconnect_delay_callback(|attempts| match attempts {
            0 | 1 => Duration::ZERO,
            _ => AGAIN_AFTER,
        })
}
