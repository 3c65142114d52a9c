//! Keeps the outbox of a change stream from growing: deletes what was acknowledged.
//!
//! The stream reads the log, not the table, so a sweep costs no event and its failure stops none.
//! It asks for the rows that are there and then for the log's position: what a snapshot shows was
//! committed before that position. Once the slot has passed it, those rows are done with. This
//! needs no book-keeping an event, and finds what an earlier relay left behind.

use super::session::{bounded, connect};
use crate::config::{CommitMode, PostgresTarget};
use crate::postgres::schema::quote_identifier;
use crate::source::SourceError;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Between two sweeps of a table that was swept clean.
const INTERVAL: Duration = Duration::from_secs(1);
/// One sweep looks at so many rows at most, which is more than a second brings.
const SWEEP_MAX: u32 = 50_000;
/// One statement deletes so many rows at most, few enough that it is short and in nobody's way.
const DELETE_MAX: usize = 5_000;
/// Between two looks at how far the slot is.
const LOOK: Duration = Duration::from_millis(50);
/// One sweep's rows wait this long at most for the slot; then a fresh look is taken, on a session that is alive.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Sweeps until it is dropped, trying again a while after each failure.
pub(super) async fn sweep_for_ever(
    target: PostgresTarget,
    commit: CommitMode,
    acknowledged: Arc<AtomicU64>,
) {
    loop {
        if let Err(error) = sweep_with_one_session(&target, commit, &acknowledged).await {
            tracing::warn!("the outbox is not swept for now, publishing goes on: {error}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn sweep_with_one_session(
    target: &PostgresTarget,
    commit: CommitMode,
    acknowledged: &AtomicU64,
) -> Result<(), SourceError> {
    let outbox = format!("{}.outbox", quote_identifier(&target.schema));
    // The position is read by the statement whose snapshot shows the rows, that is, after it.
    let find = format!(
        "SELECT coalesce(array_agg(seq), '{{}}'), (pg_current_wal_insert_lsn() - '0/0')::bigint \
         FROM (SELECT seq FROM {outbox} ORDER BY seq LIMIT {SWEEP_MAX}) first"
    );
    let delete = format!("DELETE FROM {outbox} WHERE seq = ANY ($1)");
    let mut session = connect(target, commit).await?;
    loop {
        let query = sqlx::query_as(AssertSqlSafe(find.as_str())).fetch_one(&mut session);
        let (rows, position): (Vec<i64>, i64) = bounded("find rows to sweep", query).await?;
        if rows.is_empty() || !wait_for_slot(acknowledged, position as u64).await {
            tokio::time::sleep(INTERVAL).await;
            continue;
        }
        delete_all(&mut session, &delete, &rows).await?;
        if rows.len() < SWEEP_MAX as usize {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// Whether the slot has passed the position within a bound.
async fn wait_for_slot(acknowledged: &AtomicU64, position: u64) -> bool {
    let wait = async {
        while acknowledged.load(Ordering::Relaxed) < position {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, wait).await.is_ok()
}

async fn delete_all(
    session: &mut PgConnection,
    delete: &str,
    rows: &[i64],
) -> Result<(), SourceError> {
    for chunk in rows.chunks(DELETE_MAX) {
        let statement = sqlx::query(AssertSqlSafe(delete))
            .bind(chunk)
            .execute(&mut *session);
        bounded("delete swept rows", statement).await?;
    }
    Ok(())
}
