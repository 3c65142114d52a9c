//! The fence's work in the database: nobody can write `orders` any more, and only then it is read.
//! (Measured: the transaction of a client that was killed while it waited for a lock committed
//! afterwards.)

use crate::history::{NONE, Rows, TruthRow};
use crate::identity::Identity;
use futures::TryStreamExt;
use relays::config::PostgresTarget;
use relays::schema::Layout;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use std::time::{Duration, Instant};
use uuid::Uuid;

const POLL: Duration = Duration::from_millis(20);
/// Bound on a wait for a lock, kept by the server: nothing of ours goes on waiting there, whatever
/// becomes of us.
const LOCK_TIMEOUT: &str = "30s";
/// What the server answers when that is over (SQLSTATE `lock_not_available`).
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What the database holds.
#[derive(Debug)]
pub struct Truth {
    /// By order and version.
    pub rows: Rows<TruthRow>,
    /// WAL position at which it was read.
    pub lsn: u64,
}

/// Connects as the administrator, directly; a server that is just recovering gets until `deadline`.
pub async fn connect(admin: &PostgresTarget, deadline: Instant) -> Result<PgConnection, String> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&admin.host)
        .port(admin.port)
        .username(&admin.user)
        .password(&admin.password)
        .database(&admin.database)
        .application_name("outbox-harness referee")
        .options([("lock_timeout", LOCK_TIMEOUT)])
        .ssl_mode(PgSslMode::Disable)
        .disable_statement_logging();
    loop {
        let attempt =
            tokio::time::timeout(Duration::from_secs(5), PgConnection::connect_with(&options))
                .await;
        let reason = match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer within 5 s".to_owned(),
        };
        if Instant::now() > deadline {
            return Err(format!(
                "connecting to PostgreSQL at {}:{}: {reason}",
                admin.host, admin.port
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Takes the order service's role its login, ends its sessions until none is left, makes sure that
/// no prepared transaction could commit later, and reads `orders` under a share lock.
pub async fn close_and_read(
    admin: &PostgresTarget,
    layout: &Layout,
    identity: &Identity,
    within: Duration,
) -> Result<Truth, String> {
    let deadline = Instant::now() + within;
    let mut connection = connect(admin, deadline).await?;
    let role = layout.service_role();
    connection
        .execute(AssertSqlSafe(format!("ALTER ROLE \"{role}\" NOLOGIN")))
        .await
        .map_err(|e| format!("taking role {role} its login: {e}"))?;
    end_sessions(&mut connection, &role, deadline).await?;
    let prepared: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_prepared_xacts WHERE owner = $1")
            .bind(&role)
            .fetch_one(&mut connection)
            .await
            .map_err(|e| format!("counting prepared transactions: {e}"))?;
    if prepared > 0 {
        return Err(format!(
            "{prepared} prepared transactions of role {role} could still commit"
        ));
    }
    let left_ms = deadline
        .saturating_duration_since(Instant::now())
        .as_millis();
    let lock_timeout = format!("SET lock_timeout = {}", left_ms.max(1));
    connection
        .execute(AssertSqlSafe(lock_timeout))
        .await
        .map_err(|e| format!("bounding the wait for a lock: {e}"))?;
    read_truth(&mut connection, layout, identity, within).await
}

/// Ends a role's sessions again and again until none is left.
pub async fn end_sessions(
    connection: &mut PgConnection,
    role: &str,
    deadline: Instant,
) -> Result<(), String> {
    loop {
        let left: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1",
        )
        .bind(role)
        .fetch_one(&mut *connection)
        .await
        .map_err(|e| format!("ending the sessions of role {role}: {e}"))?;
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{left} sessions of role {role} do not end"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Who has a lock on `orders`, as far as the server knows.
async fn holders(connection: &mut PgConnection, layout: &Layout) -> Result<String, String> {
    let asked = sqlx::query_scalar::<_, Option<String>>(
        "SELECT string_agg(coalesce('session ' || l.pid || ' (' || a.usename || ', ' || \
                  a.application_name || ')', 'a prepared transaction'), ', ') \
           FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
           JOIN pg_namespace n ON n.oid = c.relnamespace \
           LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
          WHERE n.nspname = $1 AND c.relname = 'orders' AND l.granted \
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .bind(&layout.schema)
    .fetch_one(connection);
    let found = asked
        .await
        .map_err(|e| format!("asking who holds {}.orders: {e}", layout.schema))?;
    Ok(found.unwrap_or_else(|| "somebody who has just let go of it".to_owned()))
}

async fn read_truth(
    connection: &mut PgConnection,
    layout: &Layout,
    identity: &Identity,
    within: Duration,
) -> Result<Truth, String> {
    let failed = |e: sqlx::Error| format!("reading the truth from {}.orders: {e}", layout.schema);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let schema = &layout.schema;
    let locked = transaction
        .execute(AssertSqlSafe(format!(
            "LOCK TABLE \"{schema}\".orders IN SHARE MODE"
        )))
        .await;
    if let Err(e) = locked {
        let code = e.as_database_error().and_then(|e| e.code());
        if code.as_deref() != Some(LOCK_NOT_AVAILABLE) {
            return Err(failed(e));
        }
        transaction.rollback().await.map_err(failed)?;
        let holders = holders(connection, layout).await?;
        return Err(format!(
            "reading the truth from {schema}.orders: it is still locked against that after \
             {within:?}, by {holders}"
        ));
    }
    let mut rows: Vec<TruthRow> = Vec::new();
    {
        let sql = format!("SELECT id, attempts, changes FROM \"{schema}\".orders");
        let mut stream = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *transaction);
        while let Some(row) = stream.try_next().await.map_err(failed)? {
            let id: Uuid = row.try_get(0).map_err(failed)?;
            let attempts: Vec<Uuid> = row.try_get(1).map_err(failed)?;
            let changes: Vec<Uuid> = row.try_get(2).map_err(failed)?;
            let order = identity.order_index(id).unwrap_or(NONE);
            rows.extend(attempts.iter().enumerate().map(|(i, attempt)| {
                TruthRow {
                    order,
                    version: i as u32 + 1,
                    attempt: identity.attempt_number(*attempt).unwrap_or(NONE),
                    change: changes
                        .get(i)
                        .and_then(|c| identity.change_number(*c))
                        .unwrap_or(NONE),
                }
            }));
        }
    }
    let lsn: i64 =
        sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    rows.sort_unstable_by_key(|r| (r.order, r.version));
    Ok(Truth {
        rows: rows.into_iter().collect(),
        lsn: lsn as u64,
    })
}
