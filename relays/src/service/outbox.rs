//! The outbox write path: the order, its version and the row that announces it commit together or
//! not at all. Publishing is a relay's work.

use super::WritePath;
use super::change::{Change, Outcome};
use super::connections::Connections;
use super::orders::Orders;
use super::{steps, transaction};
use crate::trace::Trace;
use std::sync::Arc;

/// This write path commits the order and the outbox row that announces it in one transaction.
pub(super) struct Outbox {
    orders: Orders,
    connections: Arc<Connections>,
    trace: Trace,
}

impl Outbox {
    /// Writes through these connections; `orders` announces.
    pub fn new(orders: Orders, connections: Arc<Connections>, trace: Trace) -> Self {
        Self {
            orders,
            connections,
            trace,
        }
    }
}

impl WritePath for Outbox {
    async fn apply(&self, change: &Change) -> Outcome {
        let result = async {
            let mut lease = self.connections.lend().await?;
            let done = transaction::commit(&self.orders, &mut lease.connection, change).await;
            steps::transaction(&self.trace, change, &done);
            lease.settle(done)
        };
        result.await.map_or_else(Outcome::from, Outcome::from)
    }

    async fn finish(&self) {}
}
