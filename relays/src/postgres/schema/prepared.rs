//! Ending a transaction that somebody else prepared.

use super::SchemaError;
use super::session::{execute, quote_identifier, quote_literal};
use sqlx::postgres::PgConnection;

/// What the server answers where a prepared transaction is not there any more (SQLSTATE `undefined_object`), and where
/// somebody is just ending it (`object_not_in_prerequisite_state`).
const ENDED_BY_ANOTHER: [&str; 2] = ["42704", "55000"];

/// This is how a prepared transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreparedEnd {
    /// What it wrote becomes truth.
    Commit,
    /// Nothing of it stays.
    RollBack,
}

impl PreparedEnd {
    fn statement(self) -> &'static str {
        match self {
            Self::Commit => "commit prepared",
            Self::RollBack => "rollback prepared",
        }
    }
}

/// Ends a prepared transaction of this database with the rights of the role that prepared it: else it takes a
/// superuser. Says whether nobody else was faster.
pub async fn end_prepared(
    conn: &mut PgConnection,
    gid: &str,
    owner: &str,
    end: PreparedEnd,
) -> Result<bool, SchemaError> {
    let set = format!("set role {}", quote_identifier(owner));
    execute(conn, "taking the role that prepared a transaction", set).await?;
    let doing = format!("{} {gid}", end.statement());
    let statement = format!("{} {}", end.statement(), quote_literal(gid));
    let ended = match execute(conn, &doing, statement).await {
        Ok(()) => Ok(true),
        Err(e) if is_ended_by_another(&e) => Ok(false),
        Err(e) => Err(e),
    };
    let doing = "giving back the role that prepared a transaction";
    let given_back = execute(conn, doing, "reset role".to_owned()).await;
    // Where both fail the first one says why.
    let ended = ended?;
    given_back.map(|()| ended)
}

fn is_ended_by_another(error: &SchemaError) -> bool {
    let code = error.source.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| ENDED_BY_ANOTHER.contains(&&*code))
}
