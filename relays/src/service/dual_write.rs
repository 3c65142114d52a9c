//! The dual-write paths: the order in the database and the event on the topic are two writes with
//! nothing around them. Whichever comes second can fail after the first has happened; that is the
//! point of measuring them.

use super::WritePath;
use super::caching::Invalidation;
use super::change::{Change, Outcome};
use super::connections::Connections;
use super::database::{DatabaseSession, Orders};
use super::database_error::DatabaseError;
use super::event::EventText;
use super::producer::EventProducer;
use super::steps;
use super::transaction::{self, TransactionOutcome};
use crate::config::WriteOrder;
use crate::order::Directive;
use crate::trace::Trace;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// This write path commits the order and publishes its event itself, one after the other as configured.
pub(super) struct DualWrite {
    order: WriteOrder,
    orders: Orders,
    connections: Arc<Connections>,
    producer: EventProducer,
    trace: Trace,
    invalidation: Invalidation,
}

impl DualWrite {
    /// Writes in this order; `orders` does not announce.
    pub fn new(
        order: WriteOrder,
        orders: Orders,
        connections: Arc<Connections>,
        producer: EventProducer,
        trace: Trace,
    ) -> Self {
        Self {
            order,
            orders,
            connections,
            producer,
            trace,
            invalidation: Invalidation::default(),
        }
    }

    /// Tells a cache of each change.
    pub fn invalidating(mut self, invalidation: Invalidation) -> Self {
        self.invalidation = invalidation;
        self
    }

    async fn commit_then_publish(&self, change: &Change) -> Result<Outcome, DatabaseError> {
        let mut lease = self.connections.lend().await?;
        let commit = transaction::commit(
            &self.orders,
            &mut lease.connection,
            change,
            &self.invalidation,
        );
        let done = commit.await;
        steps::transaction(&self.trace, change, &done);
        let version = match lease.settle(done)? {
            TransactionOutcome::Committed { version } => version,
            // A retry of a change that is committed: whether its event got out, nobody knows.
            TransactionOutcome::Settled(outcome) => return Ok(outcome),
        };
        self.invalidation.committed(change, version).await;
        Ok(match self.publish(change, version).await {
            Ok(()) => Outcome::Committed { version },
            Err(error) => Outcome::Failed { error },
        })
    }

    async fn publish_then_commit(&self, change: &Change) -> Result<Outcome, DatabaseError> {
        let mut lease = self.connections.lend().await?;
        let done = self
            .publish_inside_transaction(&mut lease.connection, change)
            .await;
        if let Err(error) = &done {
            steps::failed(&self.trace, change, error);
        }
        let done = lease.settle(done)?;
        if let Outcome::Committed { version } = done {
            self.invalidation.committed(change, version).await;
        }
        Ok(done)
    }

    async fn publish_inside_transaction(
        &self,
        session: &mut DatabaseSession,
        change: &Change,
    ) -> Result<Outcome, DatabaseError> {
        for _ in 0..transaction::TRIES {
            session.begin().await?;
            let Some(version) = session.write(&self.orders, change).await? else {
                session.roll_back().await?;
                match session.why_not(&self.orders, change).await? {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                }
            };
            if change.directive == Directive::Veto {
                session.roll_back().await?;
                steps::rolled_back(&self.trace, change, version);
                return Ok(transaction::vetoed());
            }
            if let Err(error) = self.publish(change, version).await {
                session.roll_back().await?;
                steps::rolled_back(&self.trace, change, version);
                // Not a rejection: a publish that was given up may still arrive.
                return Ok(Outcome::Failed { error });
            }
            if let Directive::HoldMs(ms) = change.directive {
                sleep(Duration::from_millis(ms.into())).await;
            }
            self.invalidation.before_commit(change).await;
            session.commit().await?;
            steps::committed(&self.trace, change, version);
            return Ok(Outcome::Committed { version });
        }
        Ok(transaction::busy())
    }

    async fn publish(&self, change: &Change, version: u32) -> Result<(), String> {
        let text = EventText::new(self.orders.run(), change);
        self.producer.publish(change, &text, version).await
    }
}

impl WritePath for DualWrite {
    async fn apply(&self, change: &Change) -> Outcome {
        match self.order {
            WriteOrder::CommitThenPublish => self.commit_then_publish(change).await,
            WriteOrder::PublishThenCommit => self.publish_then_commit(change).await,
        }
        .unwrap_or_else(Outcome::from)
    }

    async fn finish(&self) {
        self.producer.flush().await;
    }
}
