//! The consumer's side to PostgreSQL: one session, made anew when it is lost.

mod effect;
mod inbox;
mod transaction;

use super::ending::EndSignal;
use crate::config::PostgresTarget;
use crate::postgres::schema::{connect_options, words};
use crate::pump::backoff::Backoff;
use crate::signal::{Signal, emit};
use contract::consumer::ConsumerConfig;
pub(super) use inbox::CallInbox;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgQueryResult};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection, Postgres};
use std::time::Duration;
use tokio::time::timeout;
pub(super) use transaction::EffectTransaction;

/// Connecting takes this long at most, with waiting for an older session of this consumer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// One statement with its answer takes this long at most, by our own clock: a link that swallows everything gives no
/// error by itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at whether an older session is gone.
const LOOK: Duration = Duration::from_millis(20);
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
    /// Of this name there is one session at work at a time.
    name: String,
    session: Option<PgConnection>,
    was_lost: bool,
}

impl ConsumerDatabase {
    /// Will connect for this member of the consumer's group, counted from 0.
    pub fn new(config: &ConsumerConfig, member: u16) -> Self {
        let target = &config.database;
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
            name: match member {
                0 => target.schema.clone(),
                _ => format!("{}.{member}", target.schema),
            },
            session: None,
            was_lost: false,
        }
    }

    /// Makes sure that there is a session, and that it is the only one of this member which does anything.
    pub async fn connect(&mut self) -> Result<(), String> {
        if self.session.is_some() {
            return Ok(());
        }
        let opened = timeout(CONNECT_WITHIN, self.open()).await;
        let reason = match opened {
            Ok(Ok(session)) => {
                self.session = Some(session);
                if std::mem::take(&mut self.was_lost) {
                    emit(Signal::DatabaseUp);
                }
                return Ok(());
            }
            Ok(Err(error)) => words(&error),
            Err(_) => {
                format!("no answer, or an older session of its own at work, for {CONNECT_WITHIN:?}")
            }
        };
        Err(self.lost(format!("connect to PostgreSQL at {}: {reason}", self.place)))
    }

    /// The same, tried until it is so or the consumer has to end.
    pub async fn connect_until(&mut self, ending: &EndSignal) -> Result<(), String> {
        let mut backoff = Backoff::default();
        let connected = async {
            while let Err(reason) = self.connect().await {
                if ending.is_told() {
                    return Err(reason);
                }
                tokio::time::sleep(backoff.next()).await;
            }
            Ok(())
        };
        tokio::select! {
            connected = connected => connected,
            () = ending.over() => Err("it was told to end".to_owned()),
        }
    }

    /// Opens a session, and waits until none of its predecessors is at work any more: one that this side gave up, or
    /// whose process died, may still be committing, and a statement that does not see that yet would do the same again.
    /// The lock goes with the session that has it. There is one process a consumer; several would need another way.
    async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        let mut session = PgConnection::connect_with(&self.options).await?;
        let lock = "select pg_try_advisory_lock(hashtextextended($1, 0))";
        loop {
            let locked = sqlx::query_scalar(lock).bind(&self.name);
            if locked.fetch_one(&mut session).await? {
                return Ok(session);
            }
            tokio::time::sleep(LOOK).await;
        }
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
