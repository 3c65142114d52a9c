//! What a source still holds: events that a relay has not confirmed. Read as the administrator, one
//! event at a time, since they may be many and large; nothing is consumed.

use super::fence::connect;
use bytes::Bytes;
use futures::TryStreamExt;
use relays::config::{AfterPublish, PostgresTarget};
use relays::postgres::pgoutput::OutboxDecoder;
use relays::postgres::schema::{Layout, quote_identifier};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::{Duration, Instant};

/// A server that is just recovering gets so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// An option of pgoutput. A publication chooses tables, and nothing chooses messages: those of everybody in the
/// database are sent to whoever asks for any.
const MESSAGES: &str = ", 'messages', 'true'";

/// Hands over the payload of each row of a schema's outbox that is not processed, by `seq`, and counts
/// them.
pub async fn in_outbox(
    admin: &PostgresTarget,
    schema: &str,
    after_publish: AfterPublish,
    each: impl FnMut(&str),
) -> Result<u64, String> {
    let condition = match after_publish {
        AfterPublish::Delete => "",
        // Whatever else a relay calls a row that it did not publish, parked or failed: it is there.
        AfterPublish::Mark => "WHERE status <> 'processed'",
    };
    let outbox = format!("{}.outbox", quote_identifier(schema));
    let sql = format!("SELECT payload FROM {outbox} {condition} ORDER BY seq");
    rows(
        admin,
        &format!("read the pending rows of {outbox}"),
        sql,
        each,
    )
    .await
}

/// Hands over the payload of each event of a schema that is behind the position which the relay has kept, in the order in
/// which it would read them, and counts them.
pub async fn behind_position(
    admin: &PostgresTarget,
    schema: &str,
    each: impl FnMut(&str),
) -> Result<u64, String> {
    let (events, position) = (
        format!("{}.events", quote_identifier(schema)),
        format!("{}.relay_position", quote_identifier(schema)),
    );
    let sql = format!(
        "SELECT payload FROM {events} WHERE (xid, seq) > (SELECT xid, seq FROM {position}) \
         ORDER BY xid, seq"
    );
    rows(
        admin,
        &format!("read the events of {events} behind the relay's position"),
        sql,
        each,
    )
    .await
}

/// Hands over the payload of each event of a schema, whoever has published it, in any order, and counts
/// them.
pub async fn in_events(
    admin: &PostgresTarget,
    schema: &str,
    each: impl FnMut(&str),
) -> Result<u64, String> {
    let events = format!("{}.events", quote_identifier(schema));
    let sql = format!("SELECT payload FROM {events}");
    rows(admin, &format!("read the events of {events}"), sql, each).await
}

/// Names whose transaction keeps every relay that goes by positions from all events that are held: it has written something,
/// anywhere on the server, before the oldest of them, and has not ended. (One that came between them keeps nobody from
/// the older ones.) The roles of the layout are not strangers. `None`: nobody's.
pub async fn above_the_horizon(
    admin: &PostgresTarget,
    layout: &Layout,
) -> Result<Option<String>, String> {
    let doing = |e: sqlx::Error| format!("ask who holds up the events that are held: {e}");
    let schema = quote_identifier(layout.schema());
    let sql = format!(
        "WITH held AS (
           SELECT xid FROM {schema}.events
           WHERE (xid, seq) > (SELECT xid, seq FROM {schema}.relay_position)
           ORDER BY xid, seq LIMIT 1
         ), open(xid, role, who) AS (
           SELECT backend_xid, coalesce(usename::text, backend_type),
                  format('session %s of %s in database %s', pid, coalesce(usename::text, backend_type),
                         coalesce(datname::text, '(none)'))
           FROM pg_stat_activity WHERE backend_xid IS NOT NULL
           UNION ALL
           SELECT transaction, owner::text,
                  format('prepared transaction %L of %s in database %s', gid, owner, database)
           FROM pg_prepared_xacts
         )
         SELECT string_agg(who, ', ' ORDER BY age(open.xid) DESC) FROM open, held
         WHERE age(open.xid) > age(held.xid::xid) AND role <> ALL($1)"
    );
    let own = vec![
        layout.service_role(),
        layout.relay_role(),
        layout.reader_role(),
    ];
    let mut connection = connect(admin, Instant::now() + CONNECT_WITHIN).await?;
    let asked = sqlx::query_scalar(AssertSqlSafe(sql)).bind(own);
    asked.fetch_one(&mut connection).await.map_err(doing)
}

/// Hands over the one column of each row, and counts them.
async fn rows(
    admin: &PostgresTarget,
    what: &str,
    sql: String,
    mut each: impl FnMut(&str),
) -> Result<u64, String> {
    let doing = |e: sqlx::Error| format!("{what}: {e}");
    let mut connection = connect(admin, Instant::now() + CONNECT_WITHIN).await?;
    let mut rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch(&mut connection);
    let mut count = 0;
    while let Some(payload) = rows.try_next().await.map_err(doing)? {
        each(&payload);
        count += 1;
    }
    Ok(count)
}

/// Hands over what each row of a query has in its one column, as text, and counts them. `relay` is the
/// relay's own role, which may do no more than it could itself, and here only read. Unqualified names are
/// of its search path.
pub async fn by_query(
    relay: &PostgresTarget,
    query: &str,
    mut each: impl FnMut(&str),
) -> Result<u64, String> {
    let doing = |e: sqlx::Error| {
        let words = relays::postgres::schema::words(&e);
        format!("read what the source still holds by `{query}`: {words}")
    };
    let mut connection = connect(relay, Instant::now() + CONNECT_WITHIN).await?;
    let only_read = "SET default_transaction_read_only = on; SET statement_timeout = '30s'";
    sqlx::Executor::execute(&mut connection, only_read)
        .await
        .map_err(doing)?;
    let query = query.trim_end().trim_end_matches(';');
    // Whatever the type of the column; and a comment may be the query's end.
    let sql = format!("SELECT held.id::text FROM ({query}\n) AS held(id)");
    let mut rows =
        sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql)).fetch(&mut connection);
    let mut count = 0;
    while let Some(id) = rows.try_next().await.map_err(doing)? {
        each(id.as_deref().unwrap_or_default());
        count += 1;
    }
    Ok(count)
}

/// Hands over the payload of each event that a slot has not had confirmed, with the position of its
/// commit, in the order of the commits, and counts them. No relay may hold the slot.
pub async fn in_slot(
    admin: &PostgresTarget,
    slot: &str,
    publication: &str,
    each: impl FnMut(u64, &str),
) -> Result<u64, String> {
    peek(admin, slot, publication, OutboxDecoder::default(), "", each).await
}

/// Whether nothing comes from a slot any more: the server has removed log that it needed, or has no such slot.
pub async fn is_lost(admin: &PostgresTarget, slot: &str) -> Result<bool, String> {
    let mut connection = connect(admin, Instant::now() + CONNECT_WITHIN).await?;
    let asked = slot_is_lost(&mut connection, slot).await;
    asked.map_err(|e| format!("ask what became of slot {slot}: {e}"))
}

/// As [`in_slot`], where the events are logical decoding messages with this prefix.
pub async fn messages_in_slot(
    admin: &PostgresTarget,
    slot: &str,
    publication: &str,
    prefix: &str,
    each: impl FnMut(u64, &str),
) -> Result<u64, String> {
    let decoder = OutboxDecoder::of_messages(prefix.to_owned());
    peek(admin, slot, publication, decoder, MESSAGES, each).await
}

async fn peek(
    admin: &PostgresTarget,
    slot: &str,
    publication: &str,
    mut decoder: OutboxDecoder,
    options: &str,
    mut each: impl FnMut(u64, &str),
) -> Result<u64, String> {
    let doing =
        |reason: &dyn std::fmt::Display| format!("read what slot {slot} still holds: {reason}");
    let mut connection = connect(admin, Instant::now() + CONNECT_WITHIN).await?;
    if slot_is_lost(&mut connection, slot)
        .await
        .map_err(|e| doing(&e))?
    {
        return Ok(0);
    }
    let sql = format!(
        "SELECT data FROM pg_logical_slot_peek_binary_changes(\
           $1, NULL, NULL, 'proto_version', '1', 'publication_names', $2{options})"
    );
    let mut changes = sqlx::query_scalar::<_, Vec<u8>>(AssertSqlSafe(sql))
        .bind(slot)
        .bind(publication)
        .fetch(&mut connection);
    let mut count = 0;
    while let Some(change) = changes.try_next().await.map_err(|e| doing(&e))? {
        let decoded = decoder.decode(Bytes::from(change)).map_err(|e| doing(&e))?;
        if let Some(row) = decoded {
            each(row.commit_lsn(), row.payload().map_err(|e| doing(&e))?);
            count += 1;
        }
    }
    Ok(count)
}

/// Whether the server has removed log that the slot needed, or has no such slot: then it holds nothing, for ever. A
/// standby that has none may get it from its primary yet, so there nobody knows.
async fn slot_is_lost(connection: &mut PgConnection, slot: &str) -> Result<bool, String> {
    let sql = "SELECT pg_is_in_recovery(), (SELECT coalesce(wal_status = 'lost', false) \
               FROM pg_replication_slots WHERE slot_name = $1)";
    let asked = sqlx::query_as::<_, (bool, Option<bool>)>(sql).bind(slot);
    match asked.fetch_one(connection).await {
        Ok((true, None)) => Err("the server is a standby, and has no such slot so far".to_owned()),
        Ok((false, None)) => Ok(true),
        Ok((_, Some(lost))) => Ok(lost),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::postgres::fixture::{recovering, tried_again};

    /// As after a crash of the database: that it is not there yet is no reason to know nothing.
    #[tokio::test]
    async fn given_a_server_that_recovers_when_asked_what_is_held_then_it_is_waited_for() {
        let (listener, target) = recovering().await;
        tokio::select! {
            read = in_outbox(&target, "s", AfterPublish::Delete, |_| {}) => panic!("{read:?}"),
            () = tried_again(&listener) => {}
        }
        tokio::select! {
            read = by_query(&target, "values (1)", |_| {}) => panic!("{read:?}"),
            () = tried_again(&listener) => {}
        }
        tokio::select! {
            read = in_slot(&target, "slot", "publication", |_, _| {}) => panic!("{read:?}"),
            () = tried_again(&listener) => {}
        }
    }
}
