//! Removing what a strategy owns.

use super::isolation::drop_database;
use super::prepared::{PreparedEnd, end_prepared};
use super::session::{bounded, close, connect, execute, quote_identifier};
use super::{Layout, SchemaError};
use crate::config::PostgresTarget;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The sessions of all roles and the slot's walsender must end within this time.
const SESSIONS_END_WITHIN: Duration = Duration::from_secs(15);

/// Drops everything [`create`](super::create) made, and whatever of it is left after a crash; rolls back what
/// its roles left prepared, and ends their sessions and all others that hold or await a lock in the
/// schema first: whoever still reads it would keep it from being dropped for as long as that takes. Dropping what is
/// not there is no error, and of schema and database whichever is there goes. A step that fails does not keep
/// the later ones from being tried; the first failure is returned.
pub async fn drop_all(admin: &PostgresTarget, layout: &Layout) -> Result<(), SchemaError> {
    layout.check_names()?;
    let mut connection = connect(admin).await?;
    let conn = &mut connection;
    let mut outcome = end_sessions(conn, layout).await;
    outcome = outcome.and(roll_back_prepared(admin, conn, layout).await);
    let schema = quote_identifier(&layout.name);
    outcome = outcome.and(drop_slot(conn, layout).await);
    for (doing, statement) in [
        (
            "dropping the publication",
            format!(
                "drop publication if exists {}",
                quote_identifier(&layout.publication())
            ),
        ),
        (
            "dropping the schema",
            format!("drop schema if exists {schema} cascade"),
        ),
    ] {
        outcome = outcome.and(execute(conn, doing, statement).await);
    }
    // It has the grants of the roles.
    outcome = outcome.and(drop_database(conn, &layout.name).await);
    for role in layout.roles() {
        outcome = outcome.and(drop_role(conn, &role).await);
    }
    close(connection).await;
    outcome
}

/// All roles lose their right to log in, and their sessions, the slot's walsender among them,
/// are ended until none is left.
async fn end_sessions(conn: &mut PgConnection, layout: &Layout) -> Result<(), SchemaError> {
    let roles = layout.roles();
    for role in &roles {
        if role_exists(conn, role).await? {
            execute(
                conn,
                "taking LOGIN from a role",
                format!("alter role {} nologin", quote_identifier(role)),
            )
            .await?;
        }
    }
    let deadline = Instant::now() + SESSIONS_END_WITHIN;
    loop {
        let doing = "ending the sessions of its roles, and those with a lock in the schema (the \
                     administrator must be a member of their roles, or have pg_signal_backend)";
        let left = bounded(
            doing,
            sqlx::query(
                "select pid, pg_terminate_backend(pid) from pg_stat_activity
                 where usename = any($1)
                 union all
                 select active_pid, pg_terminate_backend(active_pid) from pg_replication_slots
                 where slot_name = $2 and active_pid is not null
                 union all
                 select pid, pg_terminate_backend(pid) from
                   (select distinct l.pid from pg_locks l
                     join pg_class c on c.oid = l.relation
                     join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = $3 and l.pid is not null and l.pid <> pg_backend_pid()
                       and l.database =
                         (select oid from pg_database where datname = current_database())) locks
                 union all
                 -- It goes on without whoever asked for it, and nobody sees the database before it is done.
                 select pid, pg_terminate_backend(pid) from pg_stat_activity
                 where state = 'active' and pid <> pg_backend_pid() and starts_with(query, $4)",
            )
            .bind(&roles[..])
            .bind(layout.slot())
            .bind(&layout.name)
            .bind(layout.creation_of_database())
            .fetch_all(&mut *conn),
        )
        .await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(SchemaError {
                doing: doing.into(),
                source: sqlx::Error::Protocol(format!(
                    "{} of them are still there after {SESSIONS_END_WITHIN:?}: {:?}",
                    left.len(),
                    left.iter().map(|row| row.get(0)).collect::<Vec<i32>>()
                )),
            });
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// A prepared transaction keeps its locks without any session, and a database from being dropped. It is rolled
/// back from within its database.
async fn roll_back_prepared(
    admin: &PostgresTarget,
    conn: &mut PgConnection,
    layout: &Layout,
) -> Result<(), SchemaError> {
    let prepared = bounded(
        "looking for prepared transactions of its roles",
        sqlx::query(
            "select gid, database::text, database = current_database(), owner::text
             from pg_prepared_xacts
             where owner = any($1) or database = $2",
        )
        .bind(&layout.roles()[..])
        .bind(&layout.name)
        .fetch_all(&mut *conn),
    )
    .await?;
    for found in prepared {
        let (gid, owner) = (found.get(0), found.get(3));
        if found.get(2) {
            end_prepared(conn, gid, owner, PreparedEnd::RollBack).await?;
            continue;
        }
        let there = PostgresTarget {
            database: found.get(1),
            ..admin.clone()
        };
        let mut connection = connect(&there).await?;
        end_prepared(&mut connection, gid, owner, PreparedEnd::RollBack).await?;
        close(connection).await;
    }
    Ok(())
}

async fn drop_slot(conn: &mut PgConnection, layout: &Layout) -> Result<(), SchemaError> {
    bounded(
        "dropping the replication slot (a slot that stays keeps WAL for ever)",
        sqlx::Executor::execute(
            conn,
            sqlx::query(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots
                 where slot_name = $1",
            )
            .bind(layout.slot()),
        ),
    )
    .await
    .map(drop)
}

async fn drop_role(conn: &mut PgConnection, role: &str) -> Result<(), SchemaError> {
    if !role_exists(conn, role).await? {
        return Ok(());
    }
    // Beside its schema a role can have large objects, what it made in `public` where anybody may, and grants on databases,
    // which this takes back as well.
    execute(
        conn,
        "dropping what else a role has in the database",
        format!("drop owned by {} cascade", quote_identifier(role)),
    )
    .await?;
    execute(
        conn,
        "dropping a role",
        format!("drop role {}", quote_identifier(role)),
    )
    .await
}

async fn role_exists(conn: &mut PgConnection, role: &str) -> Result<bool, SchemaError> {
    bounded(
        "looking for a role",
        sqlx::query("select 1 from pg_roles where rolname = $1")
            .bind(role)
            .fetch_optional(conn),
    )
    .await
    .map(|row| row.is_some())
}
