//! What an outbox in PostgreSQL costs the server, and what keeps its dead rows from being taken away.

use super::fence;
use super::snapshot::HOLDER;
use crate::database::Costs;
use crate::history::{DEAD_ROWS, HORIZON_HELD};
use crate::measure::{
    DEAD_TUPLES, ORDERS_WRITTEN, OUTBOX_BYTES, ROWS_CHANGED, ROWS_WRITTEN, SLOT_WAL_BYTES,
    STORAGE_BYTES, VACUUMS, WAL_BYTES,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::PostgresTarget;
use relays::postgres::schema::{Layout, OutboxKind};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use std::time::{Duration, Instant};

const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Counters of the outbox's tables, which go back with each table that is dropped; so they are not taken then.
const GO_WITH_TABLES: [&str; 3] = [ROWS_CHANGED, ROWS_WRITTEN, VACUUMS];

/// One session, as the administrator, in which all of them are asked for.
pub(super) struct PostgresCosts {
    admin: PostgresTarget,
    layout: Layout,
    connection: Option<PgConnection>,
}

impl PostgresCosts {
    pub(super) fn new(admin: PostgresTarget, layout: Layout) -> Self {
        Self {
            admin,
            layout,
            connection: None,
        }
    }

    async fn ask(&mut self) -> Option<Vec<(&'static str, f64)>> {
        let mut open = match self.connection.take() {
            Some(open) => open,
            None => fence::connect(&self.admin, Instant::now()).await.ok()?,
        };
        let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8, \
             (SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE n.nspname = $2 AND c.relkind = 'r'), \
             sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del)::float8, \
             (SELECT CASE WHEN wal_status IS DISTINCT FROM 'lost' \
                THEN pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::float8 END \
                FROM pg_replication_slots WHERE slot_name = $1), \
             (SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE n.nspname = $2 AND c.relkind = 'r' AND c.relname <> 'orders'), \
             sum(t.n_dead_tup) FILTER (WHERE t.relname <> 'orders')::float8, \
             sum(t.n_tup_upd + t.n_tup_del) FILTER (WHERE t.relname <> 'orders')::float8, \
             sum(t.vacuum_count + t.autovacuum_count) FILTER (WHERE t.relname <> 'orders')::float8, \
             sum(t.n_dead_tup)::float8 AS dead_rows, \
             sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del) FILTER (WHERE t.relname = 'orders')::float8 AS orders_written, \
             (SELECT (max(age(backend_xmin)) FILTER (WHERE application_name = $3) >= greatest(max(age(backend_xmin)), \
                (SELECT max(age(xmin)) FROM pg_replication_slots), \
                (SELECT max(age(transaction)) FROM pg_prepared_xacts)))::int::float8 \
                FROM pg_stat_activity WHERE datname = current_database()) AS horizon_held \
             FROM pg_stat_user_tables t WHERE t.schemaname = $2";
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(self.layout.slot())
            .bind(self.layout.schema())
            .bind(HOLDER)
            .fetch_one(&mut open);
        let row = tokio::time::timeout(ANSWER_WITHIN, query)
            .await
            .ok()?
            .ok()?;
        self.connection = Some(open);
        let names: &[&'static str] = match self.layout.outbox {
            OutboxKind::None | OutboxKind::Decisions => &[WAL_BYTES, STORAGE_BYTES, ROWS_WRITTEN],
            // Which of its tables are the outbox, nobody says.
            OutboxKind::ForeignService { .. } => {
                &[WAL_BYTES, STORAGE_BYTES, ROWS_WRITTEN, SLOT_WAL_BYTES]
            }
            // There is none.
            OutboxKind::Message => &[WAL_BYTES, STORAGE_BYTES, ROWS_WRITTEN, SLOT_WAL_BYTES],
            OutboxKind::Delete
            | OutboxKind::Mark
            | OutboxKind::Partitions { .. }
            | OutboxKind::Turns { .. }
            | OutboxKind::Cdc
            | OutboxKind::Fleeting
            | OutboxKind::Events
            | OutboxKind::LoggedEvents
            | OutboxKind::Foreign { .. } => &[
                WAL_BYTES,
                STORAGE_BYTES,
                ROWS_WRITTEN,
                SLOT_WAL_BYTES,
                OUTBOX_BYTES,
                DEAD_TUPLES,
                ROWS_CHANGED,
                VACUUMS,
            ],
        };
        let has_events = self.layout.outbox.has_events();
        let drops_tables = matches!(self.layout.outbox, OutboxKind::Partitions { .. });
        let mut costs = Vec::new();
        for (column, name) in names.iter().enumerate() {
            // What is kept for ever is no outbox that has grown: it grows with what is committed.
            if *name == OUTBOX_BYTES && has_events {
                continue;
            }
            if drops_tables && GO_WITH_TABLES.contains(name) {
                continue;
            }
            if let Ok(Some(value)) = row.try_get::<Option<f64>, _>(column) {
                costs.push((*name, value));
            }
        }
        let mut named = vec![("dead_rows", DEAD_ROWS), ("horizon_held", HORIZON_HELD)];
        named.extend(drops_tables.then_some(("orders_written", ORDERS_WRITTEN)));
        for (column, name) in named {
            if let Ok(Some(value)) = row.try_get::<Option<f64>, _>(column) {
                costs.push((name, value));
            }
        }
        Some(costs)
    }
}

impl Costs for PostgresCosts {
    fn read(&mut self) -> BoxFuture<'_, Vec<(&'static str, f64)>> {
        async { self.ask().await.unwrap_or_default() }.boxed()
    }
}
