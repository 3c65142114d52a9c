//! The recoverer's side to PostgreSQL: the decision log, and the transactions that are prepared there.

use super::frames::ProducerIdentity;
use crate::config::RecovererConfig;
use crate::decisions;
use crate::postgres::schema::{connect_options, quote_identifier, words};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use std::time::Duration;
use tokio::time::timeout;

/// Connecting takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// One statement takes no longer than this, by our own clock.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What the server does when it is this side that vanished, and how it commits.
const SESSION: [(&str, &str); 6] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("statement_timeout", "10000"),
    // What was taken, and how it ended, is on disk before anybody acts on it.
    ("synchronous_commit", "on"),
];
/// There is no prepared transaction of this name (undefined_object).
const IS_NOT_THERE: &str = "42704";

/// Something that the recoverer has to finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InDoubt {
    pub producer: ProducerIdentity,
    /// Whether the decision was to commit.
    pub is_commit: bool,
    /// Whether its producer's transaction has ended already: a prepared one was found late, or the producer is not
    /// fenced yet.
    pub is_over: bool,
    /// Whether the broker takes nothing of its producer any more.
    pub is_fenced: bool,
    /// The transaction that is prepared in PostgreSQL, if one is.
    pub gid: Option<String>,
}

/// A session, made anew when it is lost.
pub(super) struct DecisionLog {
    options: PgConnectOptions,
    role: String,
    place: String,
    in_doubt_after_ms: f64,
    session: Option<PgConnection>,
}

impl DecisionLog {
    /// Connects at the first call.
    pub fn new(config: &RecovererConfig) -> Self {
        let target = &config.database;
        let path = quote_identifier(&target.schema);
        Self {
            options: connect_options(target, "outbox-harness recoverer")
                .options([("search_path", path.as_str())])
                .options(SESSION)
                .disable_statement_logging(),
            role: quote_identifier(&config.service_role),
            place: format!("{}:{}/{}", target.host, target.port, target.database),
            in_doubt_after_ms: config.in_doubt_after_ms as f64,
            session: None,
        }
    }

    /// Takes what is in doubt, and returns all that was taken and is not finished.
    pub async fn take(&mut self) -> Result<Vec<InDoubt>, String> {
        self.connect().await?;
        let after_ms = self.in_doubt_after_ms;
        self.ask("taking what is in doubt", async |session| {
            let take = sqlx::query(decisions::TAKE).bind(after_ms);
            take.execute(session).await.map(drop)
        })
        .await?;
        let rows = self.ask("reading what is in doubt", async |session| {
            let rows = sqlx::query(decisions::TAKEN).fetch_all(session).await?;
            rows.iter().map(in_doubt).collect()
        });
        rows.await
    }

    /// Commits or rolls back what is prepared; that it is not there (any more) is no error.
    pub async fn finish(&mut self, gid: &str, is_commit: bool) -> Result<(), String> {
        let verb = if is_commit { "commit" } else { "rollback" };
        let sql = format!("{verb} prepared '{}'", gid.replace('\'', "''"));
        self.ask("finishing a prepared transaction", async |session| {
            let finished = sqlx::raw_sql(AssertSqlSafe(sql)).execute(session).await;
            match finished {
                Err(e) if is_not_there(&e) => Ok(()),
                finished => finished.map(drop),
            }
        })
        .await
    }

    /// Writes down that both sides have ended.
    pub async fn end(&mut self, transactional_id: &str, state: &str) -> Result<(), String> {
        self.ask("writing down an end", async |session| {
            let end = sqlx::query(decisions::END);
            let end = end.bind(transactional_id).bind(state);
            end.execute(session).await.map(drop)
        })
        .await
    }

    /// Writes down that the broker takes nothing of a producer any more.
    pub async fn fenced(&mut self, transactional_id: &str) -> Result<(), String> {
        self.ask("writing down that a producer is fenced", async |session| {
            let fenced = sqlx::query(decisions::FENCED).bind(transactional_id);
            fenced.execute(session).await.map(drop)
        })
        .await
    }

    /// Makes sure that there is a session, with the rights of the role that prepares.
    pub async fn connect(&mut self) -> Result<(), String> {
        if self.session.is_some() {
            return Ok(());
        }
        let connected = timeout(CONNECT_WITHIN, PgConnection::connect_with(&self.options)).await;
        let connected = connected
            .map_err(|_| format!("no answer within {CONNECT_WITHIN:?}"))
            .and_then(|connected| connected.map_err(|e| words(&e)));
        self.session =
            Some(connected.map_err(|e| format!("connect to PostgreSQL at {}: {e}", self.place))?);
        let role = format!("set role {}", self.role);
        self.ask("taking the order service's role", async |session| {
            let set = sqlx::raw_sql(AssertSqlSafe(role)).execute(session).await;
            set.map(drop)
        })
        .await
    }

    /// Asks, bounded; after an error the session is given up, as its answer may still come.
    async fn ask<T>(
        &mut self,
        doing: &str,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, String> {
        let Some(mut session) = self.session.take() else {
            return Err(format!("{doing}: there is no session"));
        };
        let reason = match timeout(ANSWER_WITHIN, work(&mut session)).await {
            Ok(Ok(done)) => {
                self.session = Some(session);
                return Ok(done);
            }
            Ok(Err(error)) => words(&error),
            Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
        };
        Err(format!("{doing}: {reason}"))
    }
}

fn is_not_there(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.as_deref() == Some(IS_NOT_THERE)
}

fn in_doubt(row: &PgRow) -> Result<InDoubt, sqlx::Error> {
    let state: &str = row.try_get(3)?;
    Ok(InDoubt {
        producer: ProducerIdentity {
            transactional_id: row.try_get(0)?,
            producer_id: row.try_get(1)?,
            producer_epoch: row.try_get(2)?,
        },
        is_commit: matches!(state, "committing" | "committed" | "heuristic"),
        is_over: matches!(state, "aborted" | "committed" | "heuristic"),
        gid: row.try_get(4)?,
        is_fenced: row.try_get(5)?,
    })
}
