//! SQL sessions of the sources: how they connect, and what bounds them.

use crate::config::{CommitMode, PostgresTarget};
use crate::source::SessionLease;
use crate::source::SourceError;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use std::future::Future;
use std::time::Duration;

/// Connecting, authentication included, takes this long at most.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One statement with its answer takes this long at most, by the client's clock: a link that swallows everything
/// gives no error by itself.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same of a statement whose answer is large, on a link that may be slow.
pub(super) const LONG_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// What the server does for us when it is this side that vanished: a dead relay must not keep its
/// locks for the two hours that TCP takes by default.
const SESSION: [(&str, &str); 6] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("statement_timeout", "30000"),
    ("application_name", "outbox-relay"),
];

/// Returns `host:port/database`, as errors name the database.
pub(super) fn place(target: &PostgresTarget) -> String {
    format!("{}:{}/{}", target.host, target.port, target.database)
}

/// Returns the options for the relay's own long-lived sessions.
pub(super) fn options(target: &PostgresTarget, commit: CommitMode) -> PgConnectOptions {
    leased(target, commit, SessionLease::ALONE)
}

fn leased(target: &PostgresTarget, commit: CommitMode, lease: SessionLease) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .port(target.port)
        .username(&target.user)
        .password(&target.password)
        .database(&target.database)
        .ssl_mode(PgSslMode::Disable)
        .disable_statement_logging()
        .options(SESSION)
        .options(lease.settings())
        .options([("synchronous_commit", commit.name())]);
    // As libpq has it: a path is the folder of a Unix socket.
    if target.host.starts_with('/') {
        options.socket(&target.host)
    } else {
        options.host(&target.host)
    }
}

/// Connects with the relay's session settings.
pub(super) async fn connect(
    target: &PostgresTarget,
    commit: CommitMode,
) -> Result<PgConnection, SourceError> {
    connect_for(target, commit, SessionLease::ALONE).await
}

/// The same, for a session that ends when nothing is heard of it for so long.
pub(super) async fn connect_for(
    target: &PostgresTarget,
    commit: CommitMode,
    lease: SessionLease,
) -> Result<PgConnection, SourceError> {
    let doing = || {
        format!(
            "connect to PostgreSQL at {} as {}",
            place(target),
            target.user
        )
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, leased(target, commit, lease).connect()).await {
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
    bounded_by(STATEMENT_TIMEOUT, doing, statement).await
}

/// Runs a statement as [`bounded`] does, bounded by another time, `timeout`.
pub(super) async fn bounded_by<T>(
    timeout: Duration,
    doing: &str,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(timeout, statement).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(SourceError::new(doing, error)),
        Err(_) => Err(SourceError::new(
            doing,
            format!("no answer within {timeout:?}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_either_mode_when_a_relay_connects_then_its_commits_wait_for_the_disk_or_do_not() {
        let target = PostgresTarget {
            host: "127.0.0.1".into(),
            port: 5432,
            user: "relay".into(),
            password: "secret".into(),
            database: "postgres".into(),
            schema: "s".into(),
        };
        for (commit, wanted) in [
            (CommitMode::On, "-c synchronous_commit=on"),
            (CommitMode::Off, "-c synchronous_commit=off"),
        ] {
            let options = options(&target, commit);
            let said = options.get_options().unwrap_or_default();
            assert!(said.contains(wanted), "{said}");
        }
    }
}
