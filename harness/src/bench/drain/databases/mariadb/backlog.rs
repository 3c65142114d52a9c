//! A backlog in MariaDB, by packets of statements that each commit by themselves.
//!
//! Nobody waits for the disk meanwhile, which is what the server is told for all of its sessions; afterwards it is told
//! what held before, and writes what it has.

use crate::bench::drain::backlog::{by_writers, calls};
use crate::bench::events::{BenchEvent, events};
use crate::identity::Identity;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use relays::config::MariaDbTarget;
use relays::mariadb::connect_admin;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// One packet is written within this time, and whatever else is asked is answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const DURABILITY: &str = "SELECT @@GLOBAL.sync_binlog, @@GLOBAL.innodb_flush_log_at_trx_commit";

/// See [`crate::bench::drain::backlog::fill`].
pub(super) async fn fill(
    admin: &MariaDbTarget,
    database: &str,
    identity: &Arc<Identity>,
    events: u32,
) -> Result<String, String> {
    let mut open = connect_admin(admin, None).await?;
    let held: Option<(u32, u32)> = ask(open.query_first(DURABILITY)).await?;
    let (sync_binlog, flush) = held.ok_or("the server does not say how durable it is")?;
    make_durable(&mut open, (0, 0)).await?;
    let write = |share| {
        let (admin, database) = (admin.clone(), database.to_owned());
        let identity = Arc::clone(identity);
        async move { write(&admin, &database, &identity, share).await }
    };
    let written = by_writers(events, write).await;
    make_durable(&mut open, (sync_binlog, flush)).await?;
    written?;
    ask(open.query_drop("FLUSH BINARY LOGS")).await?;
    ask(open.query_drop("FLUSH ENGINE LOGS")).await?;
    let end: Option<String> = ask(open.query_first("SELECT @@GLOBAL.gtid_binlog_pos")).await?;
    ask(open.disconnect()).await?;
    end.ok_or_else(|| "the server does not say where its binlog is".to_owned())
}

/// Of the binlog, and of InnoDB's log.
async fn make_durable(open: &mut Conn, (sync_binlog, flush): (u32, u32)) -> Result<(), String> {
    let sql = format!(
        "SET GLOBAL sync_binlog = {sync_binlog}, GLOBAL innodb_flush_log_at_trx_commit = {flush}"
    );
    ask(open.query_drop(sql)).await
}

async fn write(
    admin: &MariaDbTarget,
    database: &str,
    identity: &Identity,
    share: Range<u32>,
) -> Result<(), String> {
    let mut open = connect_admin(admin, Some(database)).await?;
    for part in calls(share) {
        let sql: String = events(identity, part).map(|e| insert(&e)).collect();
        ask(open.query_drop(sql)).await?;
    }
    ask(open.disconnect()).await
}

/// No text of an event has a quote or a backslash that is not of its JSON, which has none of either.
fn insert(event: &BenchEvent) -> String {
    let mut sql = String::new();
    let BenchEvent {
        id,
        key,
        kind,
        version,
        payload,
        ..
    } = event;
    // A string takes whatever is written into it.
    let _ = write!(
        sql,
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, version, payload) \
         VALUES ('{id}', 'Order', '{key}', '{kind}', {version}, '{payload}');"
    );
    sql
}

async fn ask<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, work).await;
    let answer =
        answer.map_err(|_| format!("writing events: no answer within {ANSWER_WITHIN:?}"))?;
    answer.map_err(|e| format!("writing events: {e}"))
}
