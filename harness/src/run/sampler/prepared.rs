//! For how long orders have been locked by a transaction that was prepared, and that nobody has ended.

use super::{Sampler, has_ended};
use crate::database::OutboxKind;
use crate::history::Sample;
use crate::measure::BLOCKED_ORDERS_MS;
use std::time::Duration;
use tokio::sync::watch;

/// What is shorter than this is mostly not seen: a two-phase commit that nothing disturbs.
const EVERY: Duration = Duration::from_millis(100);

impl Sampler {
    /// Samples a strategy that commits in two phases, until `stop` turns true; the others prepare nothing.
    pub(super) async fn of_prepared(&self, mut stop: watch::Receiver<bool>) -> Vec<Sample> {
        let mut samples = Vec::new();
        if self.layout.outbox != OutboxKind::Decisions {
            return samples;
        }
        let mut oldest = self.own_schema.oldest_prepared();
        loop {
            // By the server's answer it is at least so old.
            let found = oldest.ask(&self.clock).await;
            samples.extend(found.map(|(at_ns, value)| Sample {
                series: BLOCKED_ORDERS_MS.to_owned(),
                at_ns,
                value,
            }));
            if has_ended(&mut stop, EVERY).await {
                return samples;
            }
        }
    }
}
