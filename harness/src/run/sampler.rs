//! Named series over time, a few samples a second: the clocks, CPU and memory of the processes, and
//! what the outbox costs the database. A sample that cannot be taken (a database that is down) is left out.

mod prepared;

use crate::clock::RunClock;
use crate::history::{DEAD_ROWS, HORIZON_HELD, Sample, WALL_DRIFT_NS};
use crate::measure::{
    DEAD_TUPLES, ORDERS_WRITTEN, OUTBOX_BYTES, ROWS_CHANGED, ROWS_WRITTEN, SLOT_WAL_BYTES,
    STORAGE_BYTES, VACUUMS, WAL_BYTES,
};
use crate::nemesis::HOLDER;
use crate::process::Child;
use relays::config::PostgresTarget;
use relays::schema::{Layout, OutboxKind};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const EVERY: Duration = Duration::from_millis(500);
/// Counters of the outbox's tables, which go back with each table that is dropped; so they are not taken then.
const GO_WITH_TABLES: [&str; 3] = [ROWS_CHANGED, ROWS_WRITTEN, VACUUMS];

/// A sampler takes the samples of one strategy's run, of its processes and its database.
pub struct Sampler {
    /// This clock gives the run time (ns) of each sample.
    pub clock: RunClock,
    /// These are the processes to sample, each with its name; the harness itself is always sampled.
    pub processes: Vec<Child>,
    /// By this the sampler reaches the database, directly and as an administrator.
    pub admin: PostgresTarget,
    /// Names in the database.
    pub layout: Layout,
}

impl Sampler {
    /// Samples until `stop` turns true (or its sender is gone), and once more then. A database that does not answer
    /// keeps nobody from looking at the processes.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Vec<Sample> {
        let (mut samples, of_database, of_prepared) = tokio::join!(
            self.of_processes(stop.clone()),
            self.of_database(stop.clone()),
            self.of_prepared(stop)
        );
        samples.extend(of_database);
        samples.extend(of_prepared);
        samples.sort_by_key(|sample| sample.at_ns);
        samples
    }

    async fn of_processes(&self, mut stop: watch::Receiver<bool>) -> Vec<Sample> {
        let mut samples = Vec::new();
        loop {
            samples.push(drift(&self.clock));
            self.processes(&mut samples);
            if has_ended(&mut stop, EVERY).await {
                return samples;
            }
        }
    }

    async fn of_database(&self, mut stop: watch::Receiver<bool>) -> Vec<Sample> {
        let (mut samples, mut connection) = (Vec::new(), None);
        loop {
            self.database(&mut connection, &mut samples).await;
            if has_ended(&mut stop, EVERY).await {
                return samples;
            }
        }
    }

    fn processes(&self, samples: &mut Vec<Sample>) {
        let at_ns = self.clock.now_ns();
        let mut sample = |name: &str, pid: u32| {
            let Some(usage) = usage(pid) else { return };
            samples.push(Sample {
                series: format!("cpu_s.{name}"),
                at_ns,
                value: usage.cpu_s,
            });
            samples.push(Sample {
                series: format!("rss_bytes.{name}"),
                at_ns,
                value: usage.rss_bytes,
            });
        };
        sample("harness", std::process::id());
        for child in &self.processes {
            if let Some(pid) = child.pid() {
                sample(child.name(), pid);
            }
        }
    }

    async fn database(&self, connection: &mut Option<PgConnection>, samples: &mut Vec<Sample>) {
        if connection.is_none() {
            *connection = crate::fence::database::connect(&self.admin, Instant::now())
                .await
                .ok();
        }
        let Some(open) = connection else { return };
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
            .fetch_one(open);
        let Ok(Ok(row)) = tokio::time::timeout(Duration::from_secs(2), query).await else {
            *connection = None;
            return;
        };
        let at_ns = self.clock.now_ns();
        let names: &[&str] = match self.layout.outbox {
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
        let mut push = |series: &str, value: f64| {
            samples.push(Sample {
                series: series.to_owned(),
                at_ns,
                value,
            });
        };
        let has_events = self.layout.outbox.has_events();
        let drops_tables = matches!(self.layout.outbox, OutboxKind::Partitions { .. });
        for (column, name) in names.iter().enumerate() {
            // What is kept for ever is no outbox that has grown: it grows with what is committed.
            if *name == OUTBOX_BYTES && has_events {
                continue;
            }
            if drops_tables && GO_WITH_TABLES.contains(name) {
                continue;
            }
            if let Ok(Some(value)) = row.try_get::<Option<f64>, _>(column) {
                push(name, value);
            }
        }
        let mut named = vec![("dead_rows", DEAD_ROWS), ("horizon_held", HORIZON_HELD)];
        named.extend(drops_tables.then_some(("orders_written", ORDERS_WRITTEN)));
        for (column, name) in named {
            if let Ok(Some(value)) = row.try_get::<Option<f64>, _>(column) {
                push(name, value);
            }
        }
    }
}

/// Whether that was the last sample; waits for the time of the next one.
async fn has_ended(stop: &mut watch::Receiver<bool>, every: Duration) -> bool {
    if *stop.borrow() {
        return true;
    }
    let stopped = tokio::time::timeout(every, stop.wait_for(|s| *s)).await;
    matches!(stopped, Ok(Err(_)))
}

/// Samples by how much the wall clock has drifted from the monotonic clock, in ns, now.
fn drift(clock: &RunClock) -> Sample {
    Sample {
        series: WALL_DRIFT_NS.to_owned(),
        at_ns: clock.now_ns(),
        value: clock.wall_drift_ns() as f64,
    }
}

/// What a process has used.
pub(crate) struct Usage {
    /// This is its user and system time since its start, in seconds.
    pub cpu_s: f64,
    /// Memory it has now.
    pub rss_bytes: f64,
}

/// Reads what a process has used from /proc/PID/stat (fields 14, 15 and 24, proc(5)); `None` where it cannot.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let field = |number: usize| {
        after_name
            .split_whitespace()
            .nth(number - 3)?
            .parse::<f64>()
            .ok()
    };
    let ticks_per_s = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()?? as f64;
    let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()?? as f64;
    Some(Usage {
        cpu_s: (field(14)? + field(15)?) / ticks_per_s,
        rss_bytes: field(24)? * page_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_wall_clock_that_jumped_then_a_sample_shows_by_how_much() {
        let mut clock = RunClock::start();
        assert!(drift(&clock).value.abs() < 1e9);
        // As if it had stood an hour earlier at the begin: it jumped an hour ahead since.
        clock.origin_unix_ns -= 3_600_000_000_000;
        let sample = drift(&clock);
        assert_eq!(sample.series, WALL_DRIFT_NS);
        assert!((sample.value - 3.6e12).abs() < 1e9, "{}", sample.value);
    }
}
