//! One change, one transaction: written, held or vetoed as its directive says, committed.

use super::caching::Invalidation;
use super::change::{Change, Outcome, Rejection};
use super::connections::{DatabaseError, exchange};
use super::orders::Orders;
use crate::order::Directive;
use sqlx::postgres::PgConnection;
use std::time::Duration;
use tokio::time::sleep;

/// How often a change is tried when other changes of its order keep getting in between the write
/// that finds it forbidden and the read that finds out why.
pub(super) const TRIES: usize = 3;

/// This says what a transaction came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TransactionOutcome {
    /// This request committed the change, as this version.
    Committed { version: u32 },
    /// This request wrote nothing, and this is the answer to it.
    Settled(Outcome),
}

impl From<TransactionOutcome> for Outcome {
    fn from(transaction: TransactionOutcome) -> Self {
        match transaction {
            TransactionOutcome::Committed { version } => Self::Committed { version },
            TransactionOutcome::Settled(outcome) => outcome,
        }
    }
}

/// Takes the change through its whole transaction. After an error its fate is not known.
pub(super) async fn commit(
    orders: &Orders,
    conn: &mut PgConnection,
    change: &Change,
    invalidation: &Invalidation,
) -> Result<TransactionOutcome, DatabaseError> {
    for _ in 0..TRIES {
        let written = match change.directive {
            // Alone in its transaction, the statement commits itself: one round trip.
            Directive::Commit if orders.is_one_statement() && !invalidation.precedes_commit() => {
                orders.write(conn, change).await?
            }
            Directive::Commit => held(orders, conn, change, Duration::ZERO, invalidation).await?,
            Directive::HoldMs(ms) => {
                let hold = Duration::from_millis(ms.into());
                held(orders, conn, change, hold, invalidation).await?
            }
            Directive::Veto => {
                begin(conn).await?;
                let written = orders.write(conn, change).await?;
                roll_back(conn).await?;
                if written.is_some() {
                    return Ok(TransactionOutcome::Settled(vetoed()));
                }
                None
            }
        };
        if let Some(version) = written {
            return Ok(TransactionOutcome::Committed { version });
        }
        if let Some(outcome) = orders.why_not(conn, change).await? {
            return Ok(TransactionOutcome::Settled(outcome));
        }
    }
    Ok(TransactionOutcome::Settled(busy()))
}

/// Writes the change, and commits it after so long; just before that it is told to the cache.
async fn held(
    orders: &Orders,
    conn: &mut PgConnection,
    change: &Change,
    hold: Duration,
    invalidation: &Invalidation,
) -> Result<Option<u32>, DatabaseError> {
    begin(conn).await?;
    let written = orders.write(conn, change).await?;
    if written.is_some() {
        if !hold.is_zero() {
            sleep(hold).await;
        }
        invalidation.before_commit(change).await;
    }
    end(conn).await?;
    Ok(written)
}

/// Opens a transaction; an error says whether the connection is lost.
pub(super) async fn begin(conn: &mut PgConnection) -> Result<(), DatabaseError> {
    exchange(
        "beginning a transaction",
        sqlx::raw_sql("begin").execute(conn),
    )
    .await
    .map(drop)
}

/// Commits the open transaction; where an error says that the connection is lost, it may be committed or not.
pub(super) async fn end(conn: &mut PgConnection) -> Result<(), DatabaseError> {
    exchange(
        "committing a transaction",
        sqlx::raw_sql("commit").execute(conn),
    )
    .await
    .map(drop)
}

/// Rolls the transaction back, which is certain only once the server has answered.
pub(super) async fn roll_back(conn: &mut PgConnection) -> Result<(), DatabaseError> {
    exchange(
        "rolling a transaction back",
        sqlx::raw_sql("rollback").execute(conn),
    )
    .await
    .map(drop)
}

/// Returns the answer to a change that a business rule forbids.
pub(super) fn vetoed() -> Outcome {
    Outcome::Rejected {
        why: Rejection::Forbidden,
        reason: "a business rule forbids this change: it was rolled back; do not repeat it".into(),
    }
}

/// Returns the answer for when other changes of the order kept getting in the way.
pub(super) fn busy() -> Outcome {
    Outcome::Failed {
        error: format!(
            "the order changed {TRIES} times between write and read: repeat the request with the \
             same change id"
        ),
    }
}
