//! MariaDB as a strategy's database.

use super::{
    Costs, Database, DatabaseClient, Hear, Layout, OutboxKind, Truth, TruthLook, versions,
};
use crate::history::{NONE, TruthRow};
use crate::identity::Identity;
use crate::measure::{STORAGE_BYTES, WAL_BYTES};
use futures::FutureExt;
use futures::future::BoxFuture;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};
use relays::config::{AfterPublish, DatabaseTarget, MariaDbTarget, SourceConfig};
use relays::mariadb::read_unconfirmed;
use relays::mariadb::schema::{self, MariaDbLayout, MariaDbOutbox};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use uuid::Uuid;

const POLL: Duration = Duration::from_millis(20);
/// A server that is just recovering gets so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// And so long for an attempt, however late it is.
const ATTEMPT_AT_LEAST: Duration = Duration::from_secs(1);
/// A look, or a sample of costs, is bounded by this.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// What the server answers who waited in vain for a lock: ER_LOCK_WAIT_TIMEOUT.
const LOCK_WAIT_TIMEOUT: u16 = 1205;

/// What is read grows with the run, and so does the bound of whoever reads it: the server keeps none.
const UNBOUNDED: &str = "SET STATEMENT max_statement_time = 0 FOR";

/// The strategy's own database on the server.
pub(super) struct MariaDb {
    /// The administrator's way there, around all proxies.
    admin: MariaDbTarget,
    layout: MariaDbLayout,
}

impl MariaDb {
    /// The same names as in PostgreSQL, in a database of its own.
    pub(super) fn new(admin: MariaDbTarget, layout: &Layout) -> Self {
        let layout = MariaDbLayout {
            name: layout.name.clone(),
            password: layout.password.clone(),
            outbox: match layout.outbox {
                OutboxKind::Delete => MariaDbOutbox::Delete,
                OutboxKind::Mark => MariaDbOutbox::Mark,
                OutboxKind::Cdc => MariaDbOutbox::Log,
                OutboxKind::None
                | OutboxKind::Partitions { .. }
                | OutboxKind::Turns { .. }
                | OutboxKind::Fleeting
                | OutboxKind::Message
                | OutboxKind::Events
                | OutboxKind::LoggedEvents
                | OutboxKind::Decisions
                | OutboxKind::Foreign { .. }
                | OutboxKind::ForeignService { .. } => MariaDbOutbox::None,
            },
        };
        Self { admin, layout }
    }

    async fn pending(&self, after_publish: AfterPublish, hear: Hear<'_>) -> Result<u64, String> {
        let condition = match after_publish {
            AfterPublish::Delete => "",
            // Whatever else a relay calls a row that it did not publish: it is there.
            AfterPublish::Mark => "WHERE status <> 'processed'",
        };
        let name = &self.layout.name;
        let failed = |e: Error| format!("reading the pending rows of {name}.outbox: {e}");
        let mut open = connect(&self.admin, Instant::now() + CONNECT_WITHIN).await?;
        let mut rows = open
            .exec_iter(
                format!("{UNBOUNDED} SELECT payload FROM `{name}`.outbox {condition} ORDER BY seq"),
                (),
            )
            .await
            .map_err(failed)?;
        let mut count = 0;
        while let Some(row) = rows.next().await.map_err(failed)? {
            let payload: Option<String> = row.get(0);
            hear(0, &payload.unwrap_or_default());
            count += 1;
        }
        drop(rows);
        let _ = timeout(ANSWER_WITHIN, open.disconnect()).await;
        Ok(count)
    }
}

/// Closes the strategy's database to the order service, and reads what is the truth while nobody can write it.
pub async fn close_and_read(
    admin: &MariaDbTarget,
    layout: &MariaDbLayout,
    identity: &Identity,
    within: Duration,
) -> Result<Truth, String> {
    let deadline = Instant::now() + within;
    let mut open = connect(admin, deadline).await?;
    shut_out(&mut open, layout.service_user()).await?;
    nothing_is_prepared(&mut open).await?;
    let left = deadline.saturating_duration_since(Instant::now());
    let truth = read_truth(&mut open, &layout.name, identity, left).await?;
    let _ = timeout(ANSWER_WITHIN, open.disconnect()).await;
    Ok(truth)
}

/// Connects as the administrator; a server that is just recovering gets until `deadline`, and one that is silent no longer.
async fn connect(admin: &MariaDbTarget, deadline: Instant) -> Result<Conn, String> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let attempt = timeout(
            left.max(ATTEMPT_AT_LEAST),
            schema::connect_admin(admin, None),
        );
        let reason = match attempt.await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(reason)) => reason,
            Err(_) => {
                let (host, port) = (&admin.host, admin.port);
                format!("connecting to MariaDB at {host}:{port}: no answer in time")
            }
        };
        if Instant::now() > deadline {
            return Err(reason);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Takes an account its log-in, and ends its sessions until none is left. What a session did is rolled back by then.
async fn shut_out(open: &mut Conn, user: String) -> Result<(), String> {
    schema::close_accounts(open, &[user]).await
}

/// Nobody's prepared transaction could commit later. The server does not say whose it is, so those of everybody count.
async fn nothing_is_prepared(open: &mut Conn) -> Result<(), String> {
    let prepared: Vec<Row> = open
        .query("XA RECOVER")
        .await
        .map_err(|e| format!("asking for prepared transactions: {e}"))?;
    match prepared.len() {
        0 => Ok(()),
        n => Err(format!(
            "{n} prepared transactions (XA RECOVER) could still commit"
        )),
    }
}

/// Reads what is committed under a lock of the table that is the truth, for which it waits so long.
async fn read_truth(
    open: &mut Conn,
    name: &str,
    identity: &Identity,
    within: Duration,
) -> Result<Truth, String> {
    let doing = format!("reading the truth from {name}.order_changes");
    let failed = |e: Error| format!("{doing}: {e}");
    // Any transaction that has touched the table and not ended keeps it from being locked. The wait has a bound of its own,
    // whose end is said in other words than that of a statement's time.
    let locking = format!(
        "SET SESSION lock_wait_timeout = {}, max_statement_time = 0; \
         LOCK TABLES `{name}`.order_changes READ",
        within.as_secs().max(1)
    );
    match open.query_drop(locking).await {
        Ok(()) => {}
        Err(Error::Server(answer)) if answer.code == LOCK_WAIT_TIMEOUT => {
            let holders = holders(open).await.map_err(failed)?;
            return Err(format!(
                "{doing}: it is still locked against that; {holders}"
            ));
        }
        Err(e) => return Err(failed(e)),
    }
    let rows = committed(open, name, identity).await.map_err(failed)?;
    let position = log_position(open).await.map_err(failed)?;
    open.query_drop("UNLOCK TABLES").await.map_err(failed)?;
    Ok(Truth {
        rows: versions::in_order(rows),
        lsn: position,
    })
}

/// Who is in a transaction, and may have the lock. (Who has which is told by a plugin, which not every server has.)
async fn holders(open: &mut Conn) -> Result<String, Error> {
    let sql = "SELECT coalesce(concat('session ', p.id, ' (', p.user, ')'), 'a prepared transaction') \
         FROM information_schema.innodb_trx t \
         LEFT JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id";
    let holders: Vec<String> = open.query(sql).await?;
    Ok(match holders.is_empty() {
        true => "nobody is in a transaction".to_owned(),
        false => format!("in a transaction are: {}", holders.join(", ")),
    })
}

impl Database for MariaDb {
    fn create(&self) -> BoxFuture<'_, Result<(), String>> {
        schema::create(&self.admin, &self.layout).boxed()
    }

    fn drop_all(&self) -> BoxFuture<'_, Result<(), String>> {
        schema::drop_all(&self.admin, &self.layout).boxed()
    }

    fn place(&self) -> String {
        format!("database {} of MariaDB", self.layout.name)
    }

    fn direct(&self) -> (String, u16) {
        (self.admin.host.clone(), self.admin.port)
    }

    fn target(&self, client: DatabaseClient, (host, port): (String, u16)) -> DatabaseTarget {
        DatabaseTarget::MariaDb(MariaDbTarget {
            host,
            port,
            user: match client {
                DatabaseClient::OrderService => self.layout.service_user(),
                DatabaseClient::Relay => self.layout.relay_user(),
            },
            password: self.layout.password.clone(),
            database: self.layout.name.clone(),
        })
    }

    fn log(&self) -> SourceConfig {
        SourceConfig::Binlog
    }

    fn end_relays(&self, deadline: Instant) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let mut open = connect(&self.admin, deadline).await?;
            shut_out(&mut open, self.layout.relay_user()).await
        }
        .boxed()
    }

    fn close_and_read<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<Truth, String>> {
        close_and_read(&self.admin, &self.layout, identity, within).boxed()
    }

    fn in_outbox<'a>(
        &'a self,
        after_publish: AfterPublish,
        hear: Hear<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        self.pending(after_publish, hear).boxed()
    }

    fn in_log<'a>(&'a self, hear: Hear<'a>) -> BoxFuture<'a, Result<u64, String>> {
        async move {
            match read_unconfirmed(&self.admin, &self.layout, hear).await? {
                Some(count) => Ok(count),
                // Nothing can come from there any more. Its rows are in the table, for nobody deletes what was not
                // published.
                None => self.pending(AfterPublish::Delete, hear).await,
            }
        }
        .boxed()
    }

    fn look(&self) -> Box<dyn TruthLook> {
        Box::new(MariaDbLook(MariaDbSession::new(self)))
    }

    fn log_bytes(&self) -> BoxFuture<'_, Result<f64, String>> {
        async {
            // It keeps all of its log, whose length is among the costs.
            let series = self.costs().read().await;
            let bytes = series.iter().find(|(name, _)| *name == WAL_BYTES);
            let bytes = bytes.map(|(_, bytes)| *bytes);
            bytes.ok_or_else(|| format!("{} did not answer", self.place()))
        }
        .boxed()
    }

    fn costs(&self) -> Box<dyn Costs> {
        Box::new(MariaDbCosts(MariaDbSession::new(self)))
    }
}

/// A session that is opened when it is needed.
struct MariaDbSession {
    admin: MariaDbTarget,
    name: String,
    open: Option<Conn>,
}

impl MariaDbSession {
    fn new(database: &MariaDb) -> Self {
        Self {
            admin: database.admin.clone(),
            name: database.layout.name.clone(),
            open: None,
        }
    }

    /// Takes the session, or a new one; whoever had an answer on it puts it back.
    async fn take(&mut self) -> Option<Conn> {
        match self.open.take() {
            Some(open) => Some(open),
            None => schema::connect_admin(&self.admin, None).await.ok(),
        }
    }
}

struct MariaDbLook(MariaDbSession);

impl TruthLook for MariaDbLook {
    fn read<'a>(&'a mut self, identity: &'a Identity) -> BoxFuture<'a, Option<Vec<TruthRow>>> {
        async move {
            let mut open = self.0.take().await?;
            let rows = committed(&mut open, &self.0.name, identity).await.ok()?;
            self.0.open = Some(open);
            Some(rows)
        }
        .boxed()
    }
}

struct MariaDbCosts(MariaDbSession);

impl MariaDbCosts {
    async fn ask(&mut self) -> Option<Vec<(&'static str, f64)>> {
        let mut open = self.0.take().await?;
        let logs: Vec<(String, u64)> = open.query("SHOW BINARY LOGS").await.ok()?;
        let stored: Option<Option<f64>> = open
            .exec_first(
                "SELECT CAST(SUM(data_length + index_length) AS DOUBLE) \
                   FROM information_schema.tables WHERE table_schema = ?",
                (&self.0.name,),
            )
            .await
            .ok()?;
        self.0.open = Some(open);
        let log_bytes: u64 = logs.iter().map(|(_, bytes)| bytes).sum();
        let log = (WAL_BYTES, log_bytes as f64);
        let stored = stored.flatten().map(|bytes| (STORAGE_BYTES, bytes));
        Some([log].into_iter().chain(stored).collect())
    }
}

impl Costs for MariaDbCosts {
    fn read(&mut self) -> BoxFuture<'_, Vec<(&'static str, f64)>> {
        async {
            let asked = timeout(ANSWER_WITHIN, self.ask()).await;
            asked.ok().flatten().unwrap_or_default()
        }
        .boxed()
    }
}

/// What is committed now; what is not of this run is `NONE`.
async fn committed(
    open: &mut Conn,
    name: &str,
    identity: &Identity,
) -> Result<Vec<TruthRow>, Error> {
    let mut rows = Vec::new();
    let mut answers = open
        .query_iter(format!(
            "{UNBOUNDED} SELECT order_id, version, attempt, change_id FROM `{name}`.order_changes"
        ))
        .await?;
    while let Some(row) = answers.next().await? {
        let (order, version, attempt, change): (Vec<u8>, u32, Vec<u8>, Vec<u8>) =
            mysql_async::from_row_opt(row).map_err(|e| Error::Other(e.to_string().into()))?;
        let id = |bytes: &[u8]| Uuid::try_parse_ascii(bytes).ok();
        rows.push(TruthRow {
            order: id(&order)
                .and_then(|id| identity.order_index(id))
                .unwrap_or(NONE),
            version,
            attempt: id(&attempt)
                .and_then(|id| identity.attempt_number(id))
                .unwrap_or(NONE),
            change: id(&change)
                .and_then(|id| identity.change_number(id))
                .unwrap_or(NONE),
        });
    }
    Ok(rows)
}

/// How far the binlog has come: the sequence number of its last transaction.
async fn log_position(open: &mut Conn) -> Result<u64, Error> {
    let gtid: Option<Option<String>> = open.query_first("SELECT @@GLOBAL.gtid_binlog_pos").await?;
    Ok(sequence_of(&gtid.flatten().unwrap_or_default()))
}

/// The sequence number of a position of one domain, `DOMAIN-SERVER-SEQUENCE`; 0 where nothing was written yet.
fn sequence_of(gtid: &str) -> u64 {
    let last = gtid.rsplit('-').next();
    last.and_then(|sequence| sequence.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn given_a_server_that_is_silent_when_the_time_is_over_then_connecting_has_failed_and_says_where_to()
     {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let admin = MariaDbTarget {
            host: "127.0.0.1".into(),
            port,
            user: "admin".into(),
            password: String::new(),
            database: String::new(),
        };
        let failed = connect(&admin, Instant::now()).await.unwrap_err();
        let told = format!("connecting to MariaDB at 127.0.0.1:{port}: no answer in time");
        assert_eq!(failed, told);
    }

    #[test]
    fn given_a_position_of_the_binlog_then_it_is_its_last_number() {
        assert_eq!(sequence_of("0-1-4711"), 4711);
        assert_eq!(sequence_of(""), 0);
    }
}
