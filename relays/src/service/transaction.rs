//! One change, one transaction: written, held or vetoed as its directive says, committed.

use super::caching::Invalidation;
use super::change::{Change, Outcome, Rejection};
use super::database::{DatabaseSession, Orders};
use super::database_error::DatabaseError;
use crate::order::Directive;
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
    session: &mut DatabaseSession,
    change: &Change,
    invalidation: &Invalidation,
) -> Result<TransactionOutcome, DatabaseError> {
    for _ in 0..TRIES {
        let written = match change.directive {
            // Alone in its transaction, the statement commits itself: one round trip.
            Directive::Commit if orders.is_one_statement() && !invalidation.precedes_commit() => {
                session.write_alone(orders, change).await?
            }
            Directive::Commit => {
                held(orders, session, change, Duration::ZERO, invalidation).await?
            }
            Directive::HoldMs(ms) => {
                let hold = Duration::from_millis(ms.into());
                held(orders, session, change, hold, invalidation).await?
            }
            Directive::Veto => {
                session.begin().await?;
                let written = session.write(orders, change).await?;
                session.roll_back().await?;
                if written.is_some() {
                    return Ok(TransactionOutcome::Settled(vetoed()));
                }
                None
            }
        };
        if let Some(version) = written {
            return Ok(TransactionOutcome::Committed { version });
        }
        if let Some(outcome) = session.why_not(orders, change).await? {
            return Ok(TransactionOutcome::Settled(outcome));
        }
    }
    Ok(TransactionOutcome::Settled(busy()))
}

/// Writes the change, and commits it after so long; just before that it is told to the cache.
async fn held(
    orders: &Orders,
    session: &mut DatabaseSession,
    change: &Change,
    hold: Duration,
    invalidation: &Invalidation,
) -> Result<Option<u32>, DatabaseError> {
    session.begin().await?;
    let written = session.write(orders, change).await?;
    if written.is_some() {
        if !hold.is_zero() {
            sleep(hold).await;
        }
        invalidation.before_commit(change).await;
    }
    session.commit().await?;
    Ok(written)
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
