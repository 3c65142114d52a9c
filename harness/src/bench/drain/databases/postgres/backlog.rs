//! A backlog in PostgreSQL, by a procedure that commits after each row.

use crate::bench::drain::backlog::{by_writers, calls};
use crate::bench::events::events;
use crate::database::postgres::fence;
use crate::identity::Identity;
use relays::config::PostgresTarget;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Writes the backlog, makes it durable and asks for a checkpoint; gives the position in the log
/// after its last commit, as PostgreSQL writes it.
pub(super) async fn fill(
    admin: &PostgresTarget,
    schema: &str,
    identity: &Arc<Identity>,
    events: u32,
) -> Result<String, String> {
    let mut connection = connect(admin).await?;
    execute(&mut connection, procedure(schema)).await?;
    let write = |share| {
        let (admin, identity) = (admin.clone(), Arc::clone(identity));
        let call = format!("call {schema}.write_backlog($1, $2, $3, $4)");
        async move { write(&admin, &identity, &call, share).await }
    };
    by_writers(events, write).await?;
    let end = sqlx::query_scalar("select pg_current_wal_insert_lsn()::text")
        .fetch_one(&mut connection)
        .await
        .map_err(|e| format!("asking for the position in the log: {e}"))?;
    // Waits for the disk, for all that was written before it too.
    execute(
        &mut connection,
        format!("drop procedure {schema}.write_backlog"),
    )
    .await?;
    if let Err(reason) = execute(&mut connection, "checkpoint".to_owned()).await {
        tracing::debug!("no checkpoint before the drain: {reason}");
    }
    Ok(end)
}

/// Ends writers that go on in the server after their client has given up: they would stand in the
/// way of whoever drops the schema.
pub(super) async fn give_up(admin: &PostgresTarget, schema: &str) -> Result<(), String> {
    let mut connection = connect(admin).await?;
    let deadline = Instant::now() + CONNECT_WITHIN;
    loop {
        let left: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity \
             where strpos(query, $1) > 0 and state <> 'idle' and pid <> pg_backend_pid()",
        )
        .bind(format!("call {schema}.write_backlog"))
        .fetch_one(&mut connection)
        .await
        .map_err(|e| format!("ending the backlog's writers: {e}"))?;
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{left} writers of the backlog do not end"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn write(
    admin: &PostgresTarget,
    identity: &Identity,
    call: &str,
    share: Range<u32>,
) -> Result<(), String> {
    let mut connection = connect(admin).await?;
    execute(&mut connection, "set synchronous_commit = off".to_owned()).await?;
    for part in calls(share) {
        let (mut keys, mut types) = (Vec::new(), Vec::new());
        let (mut versions, mut payloads) = (Vec::new(), Vec::new());
        for event in events(identity, part) {
            keys.push(event.key);
            types.push(event.kind.to_owned());
            versions.push(event.version.cast_signed());
            payloads.push(event.payload);
        }
        sqlx::query(AssertSqlSafe(call))
            .bind(keys)
            .bind(types)
            .bind(versions)
            .bind(payloads)
            .execute(&mut connection)
            .await
            .map_err(|e| format!("writing events: {e}"))?;
    }
    Ok(())
}

/// Returns the SQL of a procedure that commits a transaction an event, without a round trip an event.
fn procedure(schema: &str) -> String {
    format!(
        "create procedure {schema}.write_backlog(keys text[], types text[], versions int[], payloads text[])
         language plpgsql as $$
         begin
           for i in 1 .. cardinality(keys) loop
             insert into {schema}.outbox (id, aggregatetype, aggregateid, type, version, payload)
             values (gen_random_uuid(), 'Order', keys[i], types[i], versions[i], payloads[i]);
             commit;
           end loop;
         end $$"
    )
}

async fn connect(admin: &PostgresTarget) -> Result<PgConnection, String> {
    fence::connect(admin, Instant::now() + CONNECT_WITHIN).await
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result<(), String> {
    let run = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    run.map(drop).map_err(|e| e.to_string())
}
