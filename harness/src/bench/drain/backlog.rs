//! A backlog: outbox rows as the order service writes them, one transaction each.

use super::databases;
use crate::bench::events::CHANGES_PER_ORDER;
use crate::run::RunError;
use crate::run::deployment::{Deployment, failed};
use crate::stack::Stack;
use relays::config::DatabaseKind;
use std::ops::Range;
use tokio::task::JoinSet;

/// So many connections write: a commit without waiting for the disk keeps a core busy.
const WRITERS: u32 = 4;
/// A call writes so many events; this is a multiple of [`CHANGES_PER_ORDER`].
const CALL_EVENTS: u32 = 2_000;

/// Writes a backlog of so many events, and makes it durable; gives the position in the log after its last commit, as the
/// database writes it.
pub(super) async fn fill(
    stack: &Stack,
    deployment: &Deployment<'_>,
    database: DatabaseKind,
    events: u32,
) -> Result<String, RunError> {
    let filled = databases::of(database).fill(stack, deployment, events);
    filled.await.map_err(|e| failed("making the backlog", &e))
}

/// Ends writers that go on in the server after their client has given up, where they would stand in the way of whoever
/// drops what they write to.
pub(super) async fn give_up(
    stack: &Stack,
    deployment: &Deployment<'_>,
    database: DatabaseKind,
) -> Result<(), String> {
    databases::of(database).give_up(stack, deployment).await
}

/// Has writers write all of so many events, each its share, at the same time.
pub(super) async fn by_writers<W>(
    events: u32,
    write: impl Fn(Range<u32>) -> W,
) -> Result<(), String>
where
    W: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut writers: JoinSet<Result<(), String>> = shares(events).into_iter().map(write).collect();
    while let Some(written) = writers.join_next().await {
        written.map_err(|e| format!("a writer ended: {e}"))??;
    }
    Ok(())
}

/// The parts of a share that are written by a call each.
pub(super) fn calls(share: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let starts = share.clone().step_by(CALL_EVENTS as usize);
    starts.map(move |start| start..share.end.min(start + CALL_EVENTS))
}

/// Orders are never shared between writers: the events of one are committed in their order.
fn shares(events: u32) -> Vec<Range<u32>> {
    let orders = events.div_ceil(CHANGES_PER_ORDER);
    let each = orders.div_ceil(WRITERS) * CHANGES_PER_ORDER;
    (0..WRITERS)
        .map(|n| (n * each).min(events)..((n + 1) * each).min(events))
        .filter(|range| !range.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn writers_share_all_events_and_no_order(events in 1u32..100_000) {
            let shares = shares(events);
            let mut next = 0;
            for share in &shares {
                prop_assert_eq!(share.start, next);
                prop_assert_eq!(share.start % CHANGES_PER_ORDER, 0);
                next = share.end;
            }
            prop_assert_eq!(next, events);
        }
    }
}
