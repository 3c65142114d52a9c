//! A session that holds an old snapshot, and nothing else: no lock of a table, no transaction id.

use super::fence::connect;
use relays::config::PostgresTarget;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::time::{Duration, Instant};

/// The session calls itself so, for whoever looks at the server's sessions.
pub const HOLDER: &str = "outbox-harness snapshot";
/// Taking it, and letting go of it, takes this long at most.
const WITHIN: Duration = Duration::from_secs(5);

/// A session with a snapshot that began when it was taken. The server ends it when this is dropped, whichever way.
pub(crate) struct HeldSnapshot(PgConnection);

impl HeldSnapshot {
    /// Opens the session, in the database of the strategy's tables, and takes the snapshot.
    pub async fn take(admin: &PostgresTarget) -> Result<Self, String> {
        let mut session = connect(admin, Instant::now()).await?;
        // Neither READ COMMITTED nor a mere BEGIN would keep a snapshot.
        let take = format!(
            "SET idle_in_transaction_session_timeout = 0; SET application_name = '{HOLDER}'; \
             BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1"
        );
        let taken = session.execute(AssertSqlSafe(take));
        match tokio::time::timeout(WITHIN, taken).await {
            Ok(Ok(_)) => Ok(Self(session)),
            Ok(Err(e)) => Err(format!("taking a snapshot: {e}")),
            Err(_) => Err(format!("taking a snapshot: no answer within {WITHIN:?}")),
        }
    }

    /// Ends the session. One that is gone already, with its server, has no snapshot either.
    pub async fn let_go(self) {
        if tokio::time::timeout(WITHIN, self.0.close()).await.is_err() {
            tracing::debug!("the session with the snapshot did not say goodbye");
        }
    }
}
