//! The few questions a stack asks PostgreSQL.

use relays::config::PostgresTarget;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, Executor, PgConnection};
use std::time::Duration;

/// One question must be answered within this time: a server that takes longer is asked again, or is not there.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// What it is told must be done within this time.
const DONE_WITHIN: Duration = Duration::from_secs(30);

/// Logs in as the target says; `application` shows in pg_stat_activity.
pub(super) async fn connect(target: &PostgresTarget) -> Result<PgConnection, String> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&target.host)
        .port(target.port)
        .username(&target.user)
        .password(&target.password)
        .database(&target.database)
        .application_name("outbox-harness")
        .ssl_mode(PgSslMode::Prefer);
    match tokio::time::timeout(ANSWER_WITHIN, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("no answer within {ANSWER_WITHIN:?}")),
    }
}

/// It accepts a login and answers a query, or says why not.
pub(super) async fn answers(target: &PostgresTarget) -> Result<(), String> {
    let mut connection = connect(target).await?;
    ask(&mut connection, "select '1'").await?;
    let _ = connection.close().await;
    Ok(())
}

/// The text that a query gives.
pub(super) async fn ask(
    connection: &mut PgConnection,
    query: &'static str,
) -> Result<String, String> {
    let answer = ask_for(connection, query, &[]).await?;
    answer.ok_or_else(|| format!("{query}: {}", sqlx::Error::RowNotFound))
}

/// Returns the one text that a query with these values gives, if it gives any.
pub(super) async fn ask_for(
    connection: &mut PgConnection,
    query: &'static str,
    values: &[&str],
) -> Result<Option<String>, String> {
    let asked = sqlx::query_scalar::<_, String>(query);
    let asked = values.iter().fold(asked, |asked, value| asked.bind(*value));
    let answer = asked.fetch_optional(connection);
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(e)) => Err(format!("{query}: {e}")),
        Err(_) => Err(format!("{query}: no answer within {ANSWER_WITHIN:?}")),
    }
}

/// Returns `server_version` without the packager's addition: `15.18`.
pub(super) async fn version(connection: &mut PgConnection) -> Result<String, String> {
    let text = ask(connection, "show server_version").await?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

/// Executes each statement by itself: `alter system` is not for a transaction.
pub(super) async fn say(target: &PostgresTarget, statements: &[&str]) -> Result<(), String> {
    let mut session = connect(target).await?;
    for statement in statements {
        let said = session.execute(sqlx::AssertSqlSafe((*statement).to_owned()));
        match tokio::time::timeout(DONE_WITHIN, said).await {
            Ok(Ok(_)) => {}
            Ok(Err(e)) => return Err(format!("{statement}: {e}")),
            Err(_) => return Err(format!("{statement}: not done within {DONE_WITHIN:?}")),
        }
    }
    Ok(())
}
