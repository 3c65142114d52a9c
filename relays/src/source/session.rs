//! SQL sessions of the sources: how they connect, and what bounds them.

use super::SourceError;
use crate::config::PostgresTarget;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use std::future::Future;
use std::time::Duration;

/// Bound of connecting, authentication included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bound of one statement with its answer. The client's clock: a link that swallows everything
/// gives no error by itself.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server does for us when it is this side that vanished: a dead relay must not keep its
/// locks for the two hours that TCP takes by default.
const SESSION: [(&str, &str); 9] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("statement_timeout", "10000"),
    ("idle_in_transaction_session_timeout", "30000"),
    ("idle_session_timeout", "30000"),
    // Not waiting for the disk: if the server crashes and forgets a commit of the relay, rows are
    // published twice, which at-least-once delivery allows; none is lost.
    ("synchronous_commit", "off"),
    ("application_name", "outbox-relay"),
];

/// `host:port/database`, for errors.
pub(super) fn place(target: &PostgresTarget) -> String {
    format!("{}:{}/{}", target.host, target.port, target.database)
}

/// The schema or another name, quoted as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Options for the relay's own long-lived sessions.
pub(super) fn options(target: &PostgresTarget) -> PgConnectOptions {
    plain_options(target).options(SESSION)
}

fn plain_options(target: &PostgresTarget) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .port(target.port)
        .username(&target.user)
        .password(&target.password)
        .database(&target.database)
        .ssl_mode(PgSslMode::Disable)
        .disable_statement_logging();
    // As libpq has it: a path is the folder of a Unix socket.
    if target.host.starts_with('/') {
        options.socket(&target.host)
    } else {
        options.host(&target.host)
    }
}

/// Connects with the relay's session settings.
pub(super) async fn connect(target: &PostgresTarget) -> Result<PgConnection, SourceError> {
    open(target, &options(target)).await
}

/// Connects as the referee does, without limits on how long a statement takes.
pub(super) async fn connect_plain(target: &PostgresTarget) -> Result<PgConnection, SourceError> {
    open(target, &plain_options(target)).await
}

async fn open(
    target: &PostgresTarget,
    options: &PgConnectOptions,
) -> Result<PgConnection, SourceError> {
    let doing = || {
        format!(
            "connect to PostgreSQL at {} as {}",
            place(target),
            target.user
        )
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(SourceError::new(doing(), error)),
        Err(_) => Err(SourceError::new(
            doing(),
            format!("no answer within {CONNECT_TIMEOUT:?}"),
        )),
    }
}

/// Runs one statement of a session, bounded in time. After a failure the session is of no more
/// use: its answer may still be on the way.
pub(super) async fn bounded<T>(
    doing: &str,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(STATEMENT_TIMEOUT, statement).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(SourceError::new(doing, error)),
        Err(_) => Err(SourceError::new(
            doing,
            format!("no answer within {STATEMENT_TIMEOUT:?}"),
        )),
    }
}
