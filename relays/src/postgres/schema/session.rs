//! The administrator's session: every statement bounded, every failure with what was being done.

use super::SchemaError;
use crate::config::PostgresTarget;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgErrorPosition, PgSslMode};
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;
use tokio::time::timeout;

/// Connecting as the administrator takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// This bounds each statement of the set-up, and is kept by the server. Creating a slot waits for every
/// transaction of the cluster that is running at that moment.
const STATEMENT_TIMEOUT: &str = "30s";
/// Bound on the same, kept here, for a server that does not answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// Returns how to log in to a target. TLS is not built in.
pub(crate) fn connect_options(target: &PostgresTarget, application: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&target.host)
        .port(target.port)
        .username(&target.user)
        .password(&target.password)
        .database(&target.database)
        .ssl_mode(PgSslMode::Disable)
        .application_name(application)
}

pub(super) async fn connect(admin: &PostgresTarget) -> Result<PgConnection, SchemaError> {
    let options = connect_options(admin, "outbox-harness set-up").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", "15s"),
        ("standard_conforming_strings", "on"),
        ("client_min_messages", "warning"),
    ]);
    timeout(CONNECT_WITHIN, PgConnection::connect_with(&options))
        .await
        .unwrap_or_else(|_| Err(silent(CONNECT_WITHIN)))
        .map_err(|source| SchemaError {
            doing: format!(
                "connecting to database {} at {}:{} as {}",
                admin.database, admin.host, admin.port, admin.user
            ),
            source,
        })
}

/// Says good-bye; nothing depends on whether it is heard.
pub(super) async fn close(connection: PgConnection) {
    let _ = timeout(Duration::from_secs(1), connection.close()).await;
}

pub(super) async fn execute(
    conn: &mut PgConnection,
    doing: &str,
    statement: String,
) -> Result<(), SchemaError> {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    bounded(doing, statement.execute(conn)).await.map(drop)
}

pub(super) async fn bounded<T>(
    doing: &str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, SchemaError> {
    timeout(ANSWER_WITHIN, work)
        .await
        .unwrap_or_else(|_| Err(silent(ANSWER_WITHIN)))
        .map_err(|source| SchemaError {
            doing: doing.into(),
            source,
        })
}

/// Returns what went wrong, in the server's own words: message, detail and hint. (The error's own text has a
/// line number, which is of the server's sources.)
pub fn words(error: &sqlx::Error) -> String {
    let Some(answer) = error.as_database_error() else {
        return error.to_string();
    };
    let mut words = answer.message().to_owned();
    if let Some(answer) = answer.try_downcast_ref::<PgDatabaseError>() {
        for more in [answer.detail(), answer.hint()].into_iter().flatten() {
            words.push_str("; ");
            words.push_str(more);
        }
    }
    words
}

/// The line of a statement, from 1, that the server's error is about.
pub fn line_of(statement: &str, error: &sqlx::Error) -> Option<usize> {
    let answer = error.as_database_error()?;
    match answer.try_downcast_ref::<PgDatabaseError>()?.position()? {
        PgErrorPosition::Original(at) => {
            let before = statement.chars().take(at.saturating_sub(1));
            Some(before.filter(|c| *c == '\n').count() + 1)
        }
        PgErrorPosition::Internal { .. } => None,
    }
}

pub(super) fn silent(bound: Duration) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        format!("PostgreSQL did not answer within {bound:?}"),
    ))
}

/// Gives `name` as a quoted SQL identifier.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as a quoted SQL literal (standard_conforming_strings is on).
pub(super) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
