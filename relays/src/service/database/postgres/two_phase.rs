//! The two-phase commit: the order service is the coordinator of one transaction in PostgreSQL and one in Kafka.
//! First both are prepared; then the decision is committed, in a table; then both are committed.
//!
//! Until the decision everything is aborted that nobody has decided: by this process, or by the recoverer where it
//! died. From the decision on everything is committed, by whoever of the two is left. What that takes of either side
//! stands in `decisions.rs`.

mod kafka_participant;
mod ownership;
mod pool;

use super::Orders;
use crate::broker::kafka;
use crate::config::DatabaseTarget;
use crate::decisions;
use crate::order::Directive;
use crate::service::WritePath;
use crate::service::change::{Change, Outcome, Rejection};
use crate::service::connections::{Connections, Lease, exchange};
use crate::service::database::{DatabaseSession, Login};
use crate::service::database_error::DatabaseError;
use crate::service::event::EventText;
use crate::service::{producer, steps, transaction};
use crate::trace::Trace;
pub(in crate::service) use kafka_participant::ParticipantSettings;
use kafka_participant::{Participant, TransactionalEvent};
use pool::Lent;
pub(in crate::service) use pool::Participants;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// Returns how the session logs in that says that this process lives, and with what its transactional ids begin.
pub(in crate::service) fn life(
    target: &DatabaseTarget,
    login: &Login,
) -> Result<(PgConnectOptions, String), String> {
    Ok((login.postgres()?.clone(), target.postgres()?.schema.clone()))
}

/// This write path commits the order and its event together, in two phases.
pub(in crate::service) struct TwoPhase {
    orders: Orders,
    connections: Arc<Connections>,
    participants: Arc<Participants>,
    trace: Trace,
}

/// What came of the first phase.
enum FirstPhase {
    /// Both sides have promised to commit.
    Prepared { version: u32, gid: String },
    /// Nothing was prepared, and this is the answer.
    Settled(Outcome),
}

impl TwoPhase {
    /// Writes through these connections, and publishes by these participants; `orders` does not announce.
    pub fn new(
        orders: Orders,
        connections: Arc<Connections>,
        participants: Arc<Participants>,
        trace: Trace,
    ) -> Self {
        Self {
            orders,
            connections,
            participants,
            trace,
        }
    }

    async fn commit(&self, change: &Change) -> Result<Outcome, DatabaseError> {
        // Without Kafka there is nothing to begin with.
        let mut lent = match self.participants.lend().await {
            Ok(lent) => lent,
            Err(reason) => return Ok(refused(&reason)),
        };
        let mut lease = self.connections.lend().await?;
        let first = self.prepare(&mut lease.connection, change, &mut lent).await;
        if let Err(error) = &first {
            steps::failed(&self.trace, change, error);
        }
        match first {
            Ok(FirstPhase::Prepared { version, gid }) => {
                self.decide(lease, lent, change, (version, &gid)).await
            }
            Ok(FirstPhase::Settled(outcome)) => lease.settle(Ok(outcome)),
            Err(error) => lease.settle(Err(error)),
        }
    }

    /// The first phase. After an error the order's transaction may be prepared, and is never committed.
    async fn prepare(
        &self,
        session: &mut DatabaseSession,
        change: &Change,
        lent: &mut Lent,
    ) -> Result<FirstPhase, DatabaseError> {
        for _ in 0..transaction::TRIES {
            session.begin().await?;
            let Some(version) = session.write(&self.orders, change).await? else {
                session.roll_back().await?;
                match session.why_not(&self.orders, change).await? {
                    Some(outcome) => return Ok(FirstPhase::Settled(outcome)),
                    None => continue,
                }
            };
            if change.directive == Directive::Veto {
                self.roll_back(session, change, version).await?;
                return Ok(FirstPhase::Settled(transaction::vetoed()));
            }
            if let Err(reason) = self.publish(change, version, lent).await {
                self.roll_back(session, change, version).await?;
                return Ok(FirstPhase::Settled(refused(&reason)));
            }
            if let Directive::HoldMs(ms) = change.directive {
                sleep(Duration::from_millis(ms.into())).await;
            }
            let (transactional_id, number) = lent.transaction();
            let gid = decisions::gid(transactional_id, number);
            named(
                session,
                "preparing a transaction",
                "prepare transaction",
                &gid,
            )
            .await?;
            return Ok(FirstPhase::Prepared { version, gid });
        }
        Ok(FirstPhase::Settled(transaction::busy()))
    }

    async fn publish(&self, change: &Change, version: u32, lent: &mut Lent) -> Result<(), String> {
        let Some(participant) = lent.touch() else {
            return Err("there is no participant".to_owned());
        };
        let event = TransactionalEvent {
            attempt: change.attempt,
            version,
            key: change.order.to_string(),
            value: EventText::new(self.orders.run(), change).with_version(version),
            headers: kafka::headers(&producer::headers(
                change,
                &version.to_string(),
                &Uuid::now_v7().to_string(),
            )),
        };
        participant.publish(event).await
    }

    async fn roll_back(
        &self,
        session: &mut DatabaseSession,
        change: &Change,
        version: u32,
    ) -> Result<(), DatabaseError> {
        session.roll_back().await?;
        steps::rolled_back(&self.trace, change, version);
        Ok(())
    }

    /// The decision, and the second phase.
    async fn decide(
        &self,
        mut lease: Lease,
        mut lent: Lent,
        change: &Change,
        (version, gid): (u32, &str),
    ) -> Result<Outcome, DatabaseError> {
        lent.deciding();
        let (transactional_id, _) = lent.transaction();
        let decided = sqlx::query(decisions::DECIDE)
            .bind(transactional_id)
            .bind(gid)
            .bind(change.attempt);
        let decided = async {
            let conn = lease.connection.postgres()?;
            exchange("deciding", decided.execute(conn)).await
        };
        let decided = decided.await;
        match decided.map(|done| done.rows_affected()) {
            Ok(1..) => {}
            Ok(0) => {
                lent.aborting();
                return self.lost_the_race(lease, change, (version, gid)).await;
            }
            Err(error) => {
                steps::failed(&self.trace, change, &error);
                return lease.settle(Err(error));
            }
        }
        let doing = "committing a prepared transaction";
        let (in_database, in_kafka) = tokio::join!(
            named(&mut lease.connection, doing, "commit prepared", gid),
            lent.commit()
        );
        match in_database {
            Ok(()) => {}
            // The recoverer was first, and of what is decided it only commits.
            Err(error) if error.is_absent() => {}
            Err(error) => {
                // It is decided, so it will be committed; but not by now, whatever the server says.
                steps::doubtful(&self.trace, change);
                return lease.settle(Err(error));
            }
        }
        steps::committed(&self.trace, change, version);
        match in_kafka {
            Ok(()) => {
                tokio::spawn(reopen(lease, lent));
            }
            Err(reason) => {
                tracing::warn!(reason, gid, "decided, and left to the recoverer");
                lease.settle(Ok(()))?;
            }
        }
        Ok(Outcome::Committed { version })
    }

    /// The recoverer had given this transaction up, and aborts both sides. What it has not come to is done here.
    async fn lost_the_race(
        &self,
        mut lease: Lease,
        change: &Change,
        (version, gid): (u32, &str),
    ) -> Result<Outcome, DatabaseError> {
        let doing = "rolling a prepared transaction back";
        let gone = match named(&mut lease.connection, doing, "rollback prepared", gid).await {
            Err(error) if error.is_loss() => Err(error),
            // The recoverer was first.
            Ok(()) | Err(_) => Ok(()),
        };
        if let Err(error) = &gone {
            steps::failed(&self.trace, change, error);
        }
        lease.settle(gone)?;
        steps::rolled_back(&self.trace, change, version);
        Ok(refused(
            "it was in doubt for so long that the recoverer decided to abort it",
        ))
    }
}

/// The answer where nothing is committed on either side, nor will be.
fn refused(reason: &str) -> Outcome {
    Outcome::Rejected {
        why: Rejection::Dependency,
        reason: format!("nothing is committed, neither the order nor its event: {reason}"),
    }
}

/// Runs a statement on a prepared transaction, which takes no parameters.
async fn named(
    session: &mut DatabaseSession,
    doing: &'static str,
    statement: &str,
    gid: &str,
) -> Result<(), DatabaseError> {
    // It was made here, of letters that need no escaping.
    let sql = format!("{statement} '{gid}'");
    let conn = session.postgres()?;
    exchange(doing, sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn))
        .await
        .map(drop)
}

/// Both sides are committed, and the client has its answer: the participant may begin its next transaction.
async fn reopen(mut lease: Lease, lent: Lent) {
    let reopened = sqlx::query(decisions::REOPEN).bind(lent.transaction().0);
    let reopened = async {
        let conn = lease.connection.postgres()?;
        exchange("reopening", reopened.execute(conn)).await
    };
    let reopened = reopened.await;
    if let Ok(done) = lease.settle(reopened)
        && done.rows_affected() == 1
    {
        lent.ended();
    }
}

impl WritePath for TwoPhase {
    async fn apply(&self, change: &Change) -> Outcome {
        self.commit(change).await.unwrap_or_else(Outcome::from)
    }

    async fn finish(&self) {
        self.participants.close().await;
    }
}
