//! What a consumer did, as its own database tells: read when the consumer has ended.

use super::fence::{connect, end_sessions};
use crate::clock::RunClock;
use crate::history::{EffectRow, NONE, Rows};
use crate::identity::Identity;
use futures::TryStreamExt;
use relays::config::PostgresTarget;
use relays::postgres::schema::Layout;
use sqlx::{AssertSqlSafe, Row};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A server that is just recovering, and sessions that are to end, get so long.
const WITHIN: Duration = Duration::from_secs(30);

/// Reads the effects of a consumer in their order. Its sessions are ended first: what one of them had not committed
/// by then was not done.
pub async fn read(
    admin: &PostgresTarget,
    layout: &Layout,
    (identity, clock): (&Identity, &RunClock),
    consumer: u32,
) -> Result<Rows<EffectRow>, String> {
    let deadline = Instant::now() + WITHIN;
    let mut connection = connect(admin, deadline).await?;
    end_sessions(&mut connection, &layout.service_role(), deadline).await?;
    let schema = layout.schema();
    let failed = |e: sqlx::Error| format!("reading {schema}.effects: {e}");
    let sql =
        format!("SELECT order_id, version, attempt, at_ns FROM \"{schema}\".effects ORDER BY seq");
    let mut rows = Rows::new();
    let mut stream = sqlx::query(AssertSqlSafe(sql)).fetch(&mut connection);
    while let Some(row) = stream.try_next().await.map_err(failed)? {
        let order: Uuid = row.try_get(0).map_err(failed)?;
        let version: i32 = row.try_get(1).map_err(failed)?;
        let attempt: Uuid = row.try_get(2).map_err(failed)?;
        let at_ns: i64 = row.try_get(3).map_err(failed)?;
        rows.push(EffectRow {
            consumer,
            order: identity.order_index(order).unwrap_or(NONE),
            version: u32::try_from(version).unwrap_or(0),
            attempt: identity.attempt_number(attempt).unwrap_or(NONE),
            at_ns: clock.at(at_ns.cast_unsigned()),
        });
    }
    Ok(rows)
}
