//! The consumer's side to PostgreSQL: one session, made anew when it is lost.

use crate::config::PostgresTarget;
use crate::schema::{connect_options, words};
use crate::signal::{Signal, emit};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgQueryResult};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection, Postgres};
use std::time::Duration;
use tokio::time::timeout;

/// Connecting takes this long at most.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// One statement with its answer takes this long at most, by our own clock: a link that swallows everything gives no
/// error by itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What the server does when it is this side that vanished.
const SESSION: [(&str, &str); 5] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("statement_timeout", "10000"),
];

pub(super) struct ConsumerDatabase {
    options: PgConnectOptions,
    place: String,
    session: Option<PgConnection>,
    was_lost: bool,
}

impl ConsumerDatabase {
    pub fn new(target: &PostgresTarget) -> Self {
        let PostgresTarget {
            host,
            port,
            database,
            ..
        } = target;
        Self {
            options: connect_options(target, "outbox-consumer")
                .options(SESSION)
                .disable_statement_logging(),
            place: format!("{host}:{port}/{database}"),
            session: None,
            was_lost: false,
        }
    }

    /// Makes sure that there is a session.
    pub async fn connect(&mut self) -> Result<(), String> {
        if self.session.is_some() {
            return Ok(());
        }
        let connected = timeout(CONNECT_WITHIN, PgConnection::connect_with(&self.options)).await;
        let reason = match connected {
            Ok(Ok(session)) => {
                self.session = Some(session);
                if std::mem::take(&mut self.was_lost) {
                    emit(Signal::DatabaseUp);
                }
                return Ok(());
            }
            Ok(Err(error)) => words(&error),
            Err(_) => format!("no answer within {CONNECT_WITHIN:?}"),
        };
        Err(self.lost(format!("connect to PostgreSQL at {}: {reason}", self.place)))
    }

    /// Executes a statement, which is a transaction. After an Err it may be done or not: the answer may be what was
    /// lost.
    pub async fn execute(
        &mut self,
        doing: &str,
        statement: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgQueryResult, String> {
        let Some(session) = &mut self.session else {
            return Err(format!("{doing}: there is no session"));
        };
        let reason = match timeout(ANSWER_WITHIN, statement.execute(session)).await {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => words(&error),
            Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
        };
        // Its answer may still be on the way: of no more use.
        self.session = None;
        Err(self.lost(format!("{doing}: {reason}")))
    }

    fn lost(&mut self, reason: String) -> String {
        if !std::mem::replace(&mut self.was_lost, true) {
            emit(Signal::DatabaseLost {
                reason: reason.clone(),
            });
        }
        reason
    }

    /// Says good-bye; nothing depends on whether it is heard.
    pub async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = timeout(Duration::from_secs(1), session.close()).await;
        }
    }
}
