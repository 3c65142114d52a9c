//! Says that it is ready and does nothing, as a relay whose worker thread died at its start.

use super::kit::live;
use super::kit::outbox::Outbox;
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};

/// Says that it is ready, waits for SIGTERM, and then admits all rows that are left in the outbox.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|mut stop| async move {
        emit(Signal::Ready);
        stop.wait().await;
        let mut outbox = Outbox::connect(config.database.postgres()?).await?;
        outbox.admit("true", &Confession::open(), "left").await
    })
}
