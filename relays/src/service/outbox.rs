//! The outbox write path: the order, its version and the row that announces it commit together or
//! not at all. Publishing is a relay's work.

use super::WritePath;
use super::caching::Invalidation;
use super::change::{Change, Outcome};
use super::connections::Connections;
use super::database::Orders;
use super::database_error::DatabaseError;
use super::transaction::TransactionOutcome;
use super::{steps, transaction};
use crate::trace::Trace;
use std::sync::Arc;

/// This write path commits the order and the outbox row that announces it in one transaction.
pub(super) struct Outbox {
    orders: Orders,
    connections: Arc<Connections>,
    trace: Trace,
    invalidation: Invalidation,
}

impl Outbox {
    /// Writes through these connections; `orders` announces.
    pub fn new(orders: Orders, connections: Arc<Connections>, trace: Trace) -> Self {
        Self {
            orders,
            connections,
            trace,
            invalidation: Invalidation::default(),
        }
    }

    /// Tells a cache of each change.
    pub fn invalidating(mut self, invalidation: Invalidation) -> Self {
        self.invalidation = invalidation;
        self
    }
}

impl WritePath for Outbox {
    async fn apply(&self, change: &Change) -> Outcome {
        let result = async {
            let mut lease = self.connections.lend().await?;
            let commit = transaction::commit(
                &self.orders,
                &mut lease.connection,
                change,
                &self.invalidation,
            );
            let done = commit.await;
            steps::transaction(&self.trace, change, &done);
            let done = lease.settle(done)?;
            if let TransactionOutcome::Committed { version } = done {
                self.invalidation.committed(change, version).await;
            }
            Ok::<_, DatabaseError>(done)
        };
        result.await.map_or_else(Outcome::from, Outcome::from)
    }

    async fn finish(&self) {}
}
