//! The fence's work in the database: nobody can write `orders` any more, or the events where they are the truth, and
//! only then it is read.
//! (Measured: the transaction of a client that was killed while it waited for a lock committed
//! afterwards.)

use crate::database::Truth;
use crate::database::versions::{in_order, versions};
use crate::history::{NONE, TruthRow};
use crate::identity::Identity;
use futures::TryStreamExt;
use relays::config::PostgresTarget;
use relays::postgres::schema::Layout;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use std::time::{Duration, Instant};
use uuid::Uuid;

const POLL: Duration = Duration::from_millis(20);
/// A wait for a lock lasts no longer than this, which the server sees to: nothing of ours goes on waiting there,
/// whatever becomes of us.
const LOCK_TIMEOUT: &str = "30s";
/// What the server answers when that is over (SQLSTATE `lock_not_available`).
const LOCK_NOT_AVAILABLE: &str = "55P03";

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

/// Closes the database to the order service, and reads what is the truth under a share lock.
pub async fn close_and_read(
    admin: &PostgresTarget,
    layout: &Layout,
    identity: &Identity,
    within: Duration,
) -> Result<Truth, String> {
    let deadline = Instant::now() + within;
    let mut connection = close(admin, layout, deadline).await?;
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

/// Takes the order service's role its login, ends its sessions until none is left, and makes sure that
/// no prepared transaction could commit later.
pub async fn close(
    admin: &PostgresTarget,
    layout: &Layout,
    deadline: Instant,
) -> Result<PgConnection, String> {
    let mut connection = shut_out(admin, layout, deadline).await?;
    let role = layout.service_role();
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
    Ok(connection)
}

/// Takes the order service's role its login, and ends its sessions until none is left.
pub async fn shut_out(
    admin: &PostgresTarget,
    layout: &Layout,
    deadline: Instant,
) -> Result<PgConnection, String> {
    let mut connection = connect(admin, deadline).await?;
    let role = layout.service_role();
    connection
        .execute(AssertSqlSafe(format!("ALTER ROLE \"{role}\" NOLOGIN")))
        .await
        .map_err(|e| format!("taking role {role} its login: {e}"))?;
    end_sessions(&mut connection, &role, deadline).await?;
    Ok(connection)
}

/// Where the log ends now.
pub async fn log_position(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let lsn: i64 =
        sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            .fetch_one(connection)
            .await?;
    Ok(lsn.cast_unsigned())
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

/// Who has a lock on the table that is the truth, as far as the server knows.
async fn holders(connection: &mut PgConnection, layout: &Layout) -> Result<String, String> {
    let asked = sqlx::query_scalar::<_, Option<String>>(
        "SELECT string_agg(coalesce('session ' || l.pid || ' (' || a.usename || ', ' || \
                  a.application_name || ')', 'a prepared transaction'), ', ') \
           FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
           JOIN pg_namespace n ON n.oid = c.relnamespace \
           LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
          WHERE n.nspname = $1 AND c.relname = $2 AND l.granted \
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .bind(layout.schema())
    .bind(layout.truth_table())
    .fetch_one(connection);
    let found = asked.await.map_err(|e| {
        let (schema, table) = (layout.schema(), layout.truth_table());
        format!("asking who holds {schema}.{table}: {e}")
    })?;
    Ok(found.unwrap_or_else(|| "somebody who has just let go of it".to_owned()))
}

/// What `orders` holds now, or the events where they are the truth. Others may go on writing: a look, and no truth of
/// a run.
pub async fn read_committed(
    connection: &mut PgConnection,
    layout: &Layout,
    identity: &Identity,
) -> Result<Vec<TruthRow>, sqlx::Error> {
    match layout.outbox.has_events() {
        true => read_events(connection, layout, identity).await,
        false => read_orders(connection, layout, identity).await,
    }
}

/// Each event is a version of its order, and says so itself.
async fn read_events(
    connection: &mut PgConnection,
    layout: &Layout,
    identity: &Identity,
) -> Result<Vec<TruthRow>, sqlx::Error> {
    let mut rows: Vec<TruthRow> = Vec::new();
    let schema = layout.schema();
    let sql = format!("SELECT aggregateid, version, attempt, change_id FROM \"{schema}\".events");
    let mut stream = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = stream.try_next().await? {
        let (order, version): (Uuid, i32) = (row.try_get(0)?, row.try_get(1)?);
        let (attempt, change): (Uuid, Uuid) = (row.try_get(2)?, row.try_get(3)?);
        rows.push(TruthRow {
            order: identity.order_index(order).unwrap_or(NONE),
            version: version.cast_unsigned(),
            attempt: identity.attempt_number(attempt).unwrap_or(NONE),
            change: identity.change_number(change).unwrap_or(NONE),
        });
    }
    Ok(rows)
}

async fn read_orders(
    connection: &mut PgConnection,
    layout: &Layout,
    identity: &Identity,
) -> Result<Vec<TruthRow>, sqlx::Error> {
    let mut rows: Vec<TruthRow> = Vec::new();
    let schema = layout.schema();
    let sql = format!("SELECT id, attempts, changes FROM \"{schema}\".orders");
    let mut stream = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = stream.try_next().await? {
        let id: Uuid = row.try_get(0)?;
        let attempts: Vec<Uuid> = row.try_get(1)?;
        let changes: Vec<Uuid> = row.try_get(2)?;
        rows.extend(versions(identity, id, &attempts, &changes));
    }
    Ok(rows)
}

async fn read_truth(
    connection: &mut PgConnection,
    layout: &Layout,
    identity: &Identity,
    within: Duration,
) -> Result<Truth, String> {
    let (schema, table) = (layout.schema(), layout.truth_table());
    let failed = |e: sqlx::Error| format!("reading the truth from {schema}.{table}: {e}");
    let mut transaction = connection.begin().await.map_err(failed)?;
    let locked = transaction
        .execute(AssertSqlSafe(format!(
            "LOCK TABLE \"{schema}\".{table} IN SHARE MODE"
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
            "reading the truth from {schema}.{table}: it is still locked against that after \
             {within:?}, by {holders}"
        ));
    }
    let rows = read_committed(&mut transaction, layout, identity)
        .await
        .map_err(failed)?;
    let lsn = log_position(&mut transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Truth {
        rows: in_order(rows).into_iter().collect(),
        lsn,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::database::postgres::fixture::{SOON, recovering, tried_again};

    #[tokio::test]
    async fn given_a_server_that_recovers_when_connecting_then_it_is_tried_again_until_the_deadline()
     {
        let (listener, target) = recovering().await;
        let later = Instant::now() + Duration::from_secs(3600);
        tokio::select! {
            connected = connect(&target, later) => panic!("{connected:?}"),
            () = tried_again(&listener) => {}
        }
    }

    #[tokio::test]
    async fn given_a_deadline_that_is_over_when_connecting_fails_then_it_says_where_to() {
        let (listener, target) = recovering().await;
        drop(listener);
        let over = Instant::now();
        let failed = tokio::time::timeout(SOON, connect(&target, over)).await;
        let error = failed.unwrap().unwrap_err();
        let where_to = format!("connecting to PostgreSQL at 127.0.0.1:{}: ", target.port);
        assert!(error.starts_with(&where_to), "{error}");
    }
}
