//! Two-phase commits at the end of a run: what is prepared keeps its locks until somebody ends it, and what is open in
//! Kafka hides what lies behind it. All of it must have ended before the truth is read.

use super::database;
use relays::config::PostgresTarget;
use relays::schema::Layout;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);
/// A server that is asked here gets this long to accept a session.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Waits until a strategy has nothing in doubt any more, on either side. What is left prepared then, because nobody
/// goes on or the time is over, is rolled back, as an operator would have to. Says how many these were.
///
/// It is no truth before it is committed. If its event is on the topic then, that is a phantom, which is what it is.
pub async fn settle(
    connection: &mut PgConnection,
    layout: &Layout,
    deadline: Instant,
    goes_on: impl Fn() -> bool,
) -> Result<u64, String> {
    loop {
        let left = prepared(connection, &layout.service_role()).await?;
        if left.is_empty() && !is_anything_open(connection, layout.schema()).await? {
            return Ok(0);
        }
        if Instant::now() < deadline && goes_on() {
            tokio::time::sleep(POLL).await;
            continue;
        }
        let mut ended = 0;
        for gid in left {
            let sql = format!("rollback prepared '{}'", gid.replace('\'', "''"));
            match connection.execute(AssertSqlSafe(sql)).await {
                Ok(_) => ended += 1,
                // Somebody was faster after all, or is at it: that there is none is checked after this.
                Err(sqlx::Error::Database(_)) => {}
                Err(e) => return Err(format!("rolling a prepared transaction back: {e}")),
            }
        }
        return Ok(ended);
    }
}

async fn prepared(connection: &mut PgConnection, role: &str) -> Result<Vec<String>, String> {
    let asked = sqlx::query_scalar(
        "select gid from pg_prepared_xacts where owner = $1 and database = current_database()",
    );
    let asked = asked.bind(role).fetch_all(connection).await;
    asked.map_err(|e| format!("looking for prepared transactions: {e}"))
}

/// Whether the log has a producer that the recoverer has not ended; with the coordinator dead it ends all of them.
async fn is_anything_open(connection: &mut PgConnection, schema: &str) -> Result<bool, String> {
    let sql = format!(
        "select exists (select from \"{schema}\".decisions
           where state in ('open', 'commit', 'aborting', 'committing'))"
    );
    let asked = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection);
    asked
        .await
        .map_err(|e| format!("reading what has not ended: {e}"))
}

/// Whether the server lets so many transactions be prepared at a time; an error says what to set.
pub async fn can_prepare(admin: &PostgresTarget, needed: u64) -> Result<(), String> {
    let mut connection = database::connect(admin, Instant::now() + CONNECT_WITHIN).await?;
    let asked = sqlx::query_scalar::<_, String>("show max_prepared_transactions");
    let most = asked.fetch_one(&mut connection).await;
    let most = most.map_err(|e| format!("asking for max_prepared_transactions: {e}"))?;
    enough(&most, needed)
}

fn enough(most: &str, needed: u64) -> Result<(), String> {
    match most.parse::<u64>() {
        Ok(most) if most >= needed => Ok(()),
        _ => Err(format!(
            "max_prepared_transactions is {most}, and a two-phase commit needs {needed} (twice its `producers`: what \
             an order service left prepared when it died is still there when the next one works): set it in \
             postgresql.conf and restart the server, or take fewer `producers`"
        )),
    }
}

/// Returns the attempts that were decided, and of whose end nobody has written down that it was the right one.
pub async fn decided(admin: &PostgresTarget, schema: &str) -> Result<Vec<String>, String> {
    let mut connection = database::connect(admin, Instant::now() + CONNECT_WITHIN).await?;
    let sql = format!(
        "select attempt::text from \"{schema}\".decisions
         where state in ('commit', 'committing') and attempt is not null"
    );
    let asked = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection);
    asked
        .await
        .map_err(|e| format!("reading what was decided and is not finished: {e}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_server_that_prepares_too_few_transactions_then_the_error_says_what_to_set() {
        assert_eq!(enough("16", 16), Ok(()));
        let error = enough("0", 16).unwrap_err();
        let words = "max_prepared_transactions is 0, and a two-phase commit needs 16";
        assert!(error.starts_with(words), "{error}");
        assert!(error.contains("postgresql.conf"), "{error}");
    }
}
