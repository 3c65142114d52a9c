//! Asks a query that a fault waits for: as a role that may only read, by one session after the other.

use super::fence;
use relays::config::PostgresTarget;
use relays::postgres::schema;
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, Row, SqlSafeStr, Statement, TypeInfo};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// This bounds the time of an answer, and is kept by the server.
const STATEMENT_TIMEOUT: &str = "1s";
/// The same, kept here, for a server that does not answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Why a question had no answer.
pub(crate) enum Refusal {
    /// There is no session, or no answer.
    Silence(String),
    /// The query failed with this error of the server's, or of the connection to it.
    Server(sqlx::Error),
    /// It gives something else than one boolean.
    Shape(String),
}

/// This is the SQLSTATE of `query_canceled`: the query took longer than its bound.
const CANCELED: &str = "57014";

impl Refusal {
    /// Returns whether the answer merely took too long.
    pub(crate) fn is_slow(&self) -> bool {
        match self {
            Self::Silence(_) => true,
            Self::Shape(_) => false,
            Self::Server(error) => error
                .as_database_error()
                .is_some_and(|e| e.code().as_deref() == Some(CANCELED)),
        }
    }

    /// Says it in the server's words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Silence(words) | Self::Shape(words) => words.clone(),
            Self::Server(error) => schema::words(error),
        }
    }

    /// Returns the line of the query that it is about, from 1, where the server says so.
    pub(crate) fn line_of(&self, query: &str) -> Option<usize> {
        match self {
            Self::Silence(_) | Self::Shape(_) => None,
            Self::Server(error) => schema::line_of(query, error),
        }
    }
}

/// A session that asks, made anew when it may be broken.
pub(crate) struct QuerySession {
    reader: PostgresTarget,
    session: Option<PgConnection>,
}

impl QuerySession {
    /// Connects at the first question.
    pub(super) fn of(reader: PostgresTarget) -> Self {
        Self {
            reader,
            session: None,
        }
    }

    /// Asks by this session, or by a new one where there is none; one that may be broken is given up.
    pub(crate) async fn answer(&mut self, query: &str) -> Result<bool, Refusal> {
        let asked = async {
            let mut open = match self.session.take() {
                Some(open) => open,
                None => connect(&self.reader).await?,
            };
            let answer = ask(&mut open, query).await;
            let lives = match &answer {
                Ok(_) | Err(Refusal::Shape(_)) => true,
                Err(Refusal::Server(error)) => error.as_database_error().is_some(),
                Err(Refusal::Silence(_)) => false,
            };
            self.session = Some(open).filter(|_| lives);
            answer
        };
        let silent = |_| {
            Err(Refusal::Silence(format!(
                "PostgreSQL did not answer within {ANSWER_WITHIN:?}"
            )))
        };
        timeout(ANSWER_WITHIN, asked).await.unwrap_or_else(silent)
    }
}

async fn connect(reader: &PostgresTarget) -> Result<PgConnection, Refusal> {
    let mut session = fence::connect(reader, Instant::now())
        .await
        .map_err(Refusal::Silence)?;
    let bounds = format!(
        "SET default_transaction_read_only = on; SET statement_timeout = '{STATEMENT_TIMEOUT}'"
    );
    let bounded = session.execute(AssertSqlSafe(bounds)).await;
    bounded.map_err(Refusal::Server)?;
    Ok(session)
}

/// No row, and no value in it, is a no.
async fn ask(session: &mut PgConnection, query: &str) -> Result<bool, Refusal> {
    let sql = AssertSqlSafe(query.to_owned()).into_sql_str();
    let statement = session.prepare(sql).await.map_err(Refusal::Server)?;
    let types: Vec<&str> = statement
        .columns()
        .iter()
        .map(|column| column.type_info().name())
        .collect();
    if types != ["BOOL"] {
        return Err(Refusal::Shape(match types[..] {
            [] => "it gives nothing, and not one boolean".to_owned(),
            _ => format!("it gives {}, and not one boolean", types.join(", ")),
        }));
    }
    let rows = statement.query().fetch_all(session).await;
    match rows.map_err(Refusal::Server)?.as_slice() {
        [] => Ok(false),
        [one] => {
            let value = one.try_get::<Option<bool>, _>(0).map_err(Refusal::Server)?;
            Ok(value == Some(true))
        }
        several => Err(Refusal::Shape(format!(
            "it gives {} rows, and not one boolean",
            several.len()
        ))),
    }
}
