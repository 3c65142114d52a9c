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
    read_truth(&mut connection, layout, identity).await
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

async fn read_truth(
    connection: &mut PgConnection,
    layout: &Layout,
    identity: &Identity,
) -> Result<Truth, String> {
    let failed = |e: sqlx::Error| format!("reading the truth from {}.orders: {e}", layout.schema);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let schema = &layout.schema;
    transaction
        .execute(AssertSqlSafe(format!(
            "LOCK TABLE \"{schema}\".orders IN SHARE MODE"
        )))
        .await
        .map_err(failed)?;
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
