//! What the trace notes of a change's way through the database.

use super::change::{Change, Outcome, Rejection};
use super::database_error::DatabaseError;
use super::transaction::TransactionOutcome;
use crate::trace::{Stage, Trace};

/// Notes what a whole transaction came to. A change that wrote nothing of its own leaves no step.
pub(super) fn transaction(
    trace: &Trace,
    change: &Change,
    done: &Result<TransactionOutcome, DatabaseError>,
) {
    match done {
        Ok(TransactionOutcome::Committed { version }) => committed(trace, change, *version),
        Ok(TransactionOutcome::Settled(Outcome::Rejected {
            why: Rejection::Forbidden,
            ..
        })) => rolled_back(trace, change, 0),
        Ok(TransactionOutcome::Settled(_)) => {}
        Err(error) => failed(trace, change, error),
    }
}

/// The commit was answered.
pub(super) fn committed(trace: &Trace, change: &Change, version: u32) {
    trace.step(change.attempt, version, Stage::Committed, 0);
}

/// The rollback was answered.
pub(super) fn rolled_back(trace: &Trace, change: &Change, version: u32) {
    trace.step(change.attempt, version, Stage::RolledBack, 0);
}

/// An exchange failed. Where the server itself says so, it has rolled back.
pub(super) fn failed(trace: &Trace, change: &Change, error: &DatabaseError) {
    if error.is_loss() {
        doubtful(trace, change);
    } else {
        rolled_back(trace, change, 0);
    }
}

/// Nobody here knows what became of it, or will.
pub(super) fn doubtful(trace: &Trace, change: &Change) {
    trace.step(change.attempt, 0, Stage::Doubtful, 0);
}
