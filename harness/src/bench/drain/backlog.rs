//! A backlog: outbox rows as the order service writes them, one transaction each.

use crate::database::postgres::fence;
use crate::history::{Intent, Outcome, Request, Rows};
use crate::identity::Identity;
use relays::config::PostgresTarget;
use relays::order::ChangeType;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Each order is changed so often: it has the versions 1 to this.
pub(super) const CHANGES_PER_ORDER: u32 = 4;
/// An event's content is so long, in bytes.
pub(super) const PAYLOAD_BYTES: usize = 256;
/// So many connections write: a commit without waiting for the disk keeps a core busy.
const WRITERS: u32 = 4;
/// A call of the procedure writes so many events; this is a multiple of [`CHANGES_PER_ORDER`].
const CALL_EVENTS: u32 = 2_000;
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Attempt `n` is event `n`: a version of order `n / 4`.
fn order_and_version(event: u32) -> (u32, u32) {
    (event / CHANGES_PER_ORDER, event % CHANGES_PER_ORDER + 1)
}

/// What would have been asked for, for those who check the events.
pub(super) fn requests(events: u32) -> Rows<Request> {
    let request = |event| {
        let (order, version) = order_and_version(event);
        Request {
            change: event,
            order,
            change_type: ChangeType::for_version(version).code(),
            intent: Intent::Commit,
            outcome: Outcome::Committed,
            status: 201,
            told_version: version,
            intended_ns: 0,
            sent_ns: 0,
            ended_ns: 0,
            lag_ns: 0,
            held_back: false,
        }
    };
    (0..events).map(request).collect()
}

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
    let mut writers = JoinSet::new();
    for range in shares(events) {
        let (admin, identity) = (admin.clone(), Arc::clone(identity));
        let call = format!("call {schema}.write_backlog($1, $2, $3, $4)");
        writers.spawn(async move { write(&admin, &identity, &call, range).await });
    }
    while let Some(written) = writers.join_next().await {
        written.map_err(|e| format!("a writer ended: {e}"))??;
    }
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

/// Orders are never shared between writers: the events of one are committed in their order.
fn shares(events: u32) -> Vec<Range<u32>> {
    let orders = events.div_ceil(CHANGES_PER_ORDER);
    let each = orders.div_ceil(WRITERS) * CHANGES_PER_ORDER;
    (0..WRITERS)
        .map(|n| (n * each).min(events)..((n + 1) * each).min(events))
        .filter(|range| !range.is_empty())
        .collect()
}

async fn write(
    admin: &PostgresTarget,
    identity: &Identity,
    call: &str,
    range: Range<u32>,
) -> Result<(), String> {
    let mut connection = connect(admin).await?;
    execute(&mut connection, "set synchronous_commit = off".to_owned()).await?;
    for start in range.clone().step_by(CALL_EVENTS as usize) {
        let part = start..range.end.min(start + CALL_EVENTS);
        let (mut keys, mut types) = (Vec::new(), Vec::new());
        let (mut versions, mut payloads) = (Vec::new(), Vec::new());
        for event in part {
            let (order, version) = order_and_version(event);
            let kind = ChangeType::for_version(version).event_type();
            let key = identity.order_id(order).to_string();
            payloads.push(payload(identity, event, &key, version, kind));
            keys.push(key);
            types.push(kind.to_owned());
            versions.push(version.cast_signed());
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

/// Returns the event as the order service writes it.
fn payload(identity: &Identity, attempt: u32, key: &str, version: u32, kind: &str) -> String {
    let mut text = String::with_capacity(PAYLOAD_BYTES + 256);
    let _ = write!(
        text,
        r#"{{"run":"{}","order_id":"{key}","version":{version},"attempt":"{}","type":"{kind}","content":""#,
        identity.run(),
        identity.attempt_id(attempt)
    );
    identity.write_content(attempt, PAYLOAD_BYTES, &mut text);
    text.push_str("\"}");
    text
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::event::{Record, Verifier};
    use crate::history::Body;
    use crate::identity::RunKey;
    use proptest::prelude::*;

    #[test]
    fn an_event_of_the_backlog_verifies() {
        let identity = RunKey::random().identity().unwrap();
        let requests = requests(8);
        let (order, version) = order_and_version(6);
        let key = identity.order_id(order).to_string();
        let kind = ChangeType::for_version(version).event_type();
        let value = payload(&identity, 6, &key, version, kind);
        let verifier = Verifier {
            identity: &identity,
            requests: Some(&requests),
            payload_bytes: PAYLOAD_BYTES,
        };
        match verifier.verify(Some(key.as_bytes()), Some(value.as_bytes())) {
            Record::Event(event) => assert_eq!((event.attempt, event.body), (6, Body::Intact)),
            Record::Sentinel => unreachable!(),
        }
    }

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
