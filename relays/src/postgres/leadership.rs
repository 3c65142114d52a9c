//! Which of the relays of a schema works: the one whose session has an advisory lock.

use super::session::bounded;
use crate::source::SourceError;
use sqlx::postgres::PgConnection;
use std::time::Duration;
use tokio::time::Instant;

/// How long one call of `connect` waits for another relay to give up leadership.
pub(super) const LEADER_WAIT: Duration = Duration::from_secs(4);
/// A relay that does not lead waits this long between two attempts to become the leader.
const LEADER_RETRY: Duration = Duration::from_millis(50);

/// Waits until this session leads the relays of a schema, or until the deadline; says whether it does.
pub(super) async fn leads_before(
    connection: &mut PgConnection,
    schema: &str,
    deadline: Instant,
) -> Result<bool, SourceError> {
    let name = format!("outbox-relay of schema {schema}");
    loop {
        let attempt = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(&name)
            .fetch_one(&mut *connection);
        if bounded("ask for the relay leadership", attempt).await? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(LEADER_RETRY).await;
    }
}

/// This is the failure of a relay that does not stand by while another one leads.
pub(super) fn another_leads(source: &str) -> SourceError {
    SourceError::new(
        format!("lead the relays of the {source}"),
        "another relay does; it must end first (see pg_locks, locktype advisory)",
    )
}
