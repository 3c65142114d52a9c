//! A login on the database itself, around all proxies: for the referee's own sessions.

use super::fence;
use super::question::QuerySession;
use super::snapshot::HeldSnapshot;
use relays::config::PostgresTarget;
use sqlx::{AssertSqlSafe, Executor};
use std::time::Instant;

/// This is who may open sessions there.
#[derive(Debug, Clone)]
pub struct DirectLogin(PostgresTarget);

impl From<PostgresTarget> for DirectLogin {
    fn from(target: PostgresTarget) -> Self {
        Self(target)
    }
}

impl DirectLogin {
    /// Opens a session that takes a snapshot and keeps it.
    pub(crate) async fn take_snapshot(&self) -> Result<HeldSnapshot, String> {
        HeldSnapshot::take(&self.0).await
    }

    /// Asks once, in a session that may only read; an error says what the answer was instead of yes.
    pub(crate) async fn says_yes(&self, query: String) -> Result<(), String> {
        let explain = |e: sqlx::Error| relays::postgres::schema::words(&e);
        let mut session = fence::connect(&self.0, Instant::now()).await?;
        let only_read = "SET default_transaction_read_only = on";
        session.execute(only_read).await.map_err(explain)?;
        let asked = sqlx::query_scalar::<_, Option<bool>>(AssertSqlSafe(query));
        match asked.fetch_optional(&mut session).await.map_err(explain)? {
            Some(Some(true)) => Ok(()),
            Some(Some(false)) => Err("the query gave false".to_owned()),
            Some(None) => Err("the query gave null".to_owned()),
            None => Err("the query gave no row".to_owned()),
        }
    }

    /// Will ask what faults wait for.
    pub(crate) fn query_session(&self) -> QuerySession {
        QuerySession::of(self.0.clone())
    }
}
