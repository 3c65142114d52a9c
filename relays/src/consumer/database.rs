//! The consumer's side to PostgreSQL: one session, made anew when it is lost.

use super::batch::ConsumedEvent;
use super::effect::statement;
use crate::config::PostgresTarget;
use crate::schema::{connect_options, quote_identifier, words};
use crate::signal::{Signal, emit, monotonic_ns};
use contract::consumer::ConsumerConfig;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Connecting takes this long at most.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// One batch with its answer takes this long at most, by our own clock: a link that swallows everything gives no
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

pub(super) struct EffectDatabase {
    options: PgConnectOptions,
    place: String,
    statement: String,
    session: Option<PgConnection>,
    was_lost: bool,
}

impl EffectDatabase {
    pub fn new(config: &ConsumerConfig) -> Self {
        let PostgresTarget {
            host,
            port,
            database,
            schema,
            ..
        } = &config.postgres;
        Self {
            options: connect_options(&config.postgres, "outbox-consumer")
                .options(SESSION)
                .disable_statement_logging(),
            place: format!("{host}:{port}/{database}"),
            statement: statement(&quote_identifier(schema), config.effect, config.idempotency),
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

    /// Applies events in one transaction. After an Err they may be applied or not: the answer may be what was lost.
    pub async fn apply(&mut self, events: &[ConsumedEvent]) -> Result<(), String> {
        let Some(session) = &mut self.session else {
            return Err("there is no session".to_owned());
        };
        let orders: Vec<Uuid> = events.iter().map(|e| e.order).collect();
        let versions: Vec<i32> = events.iter().map(|e| e.version).collect();
        let ids: Vec<Uuid> = events.iter().map(|e| e.id).collect();
        let applied = sqlx::query(AssertSqlSafe(self.statement.as_str()))
            .bind(orders)
            .bind(versions)
            .bind(ids)
            .bind(i64::try_from(monotonic_ns()).unwrap_or(i64::MAX))
            .execute(session);
        let reason = match timeout(ANSWER_WITHIN, applied).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => words(&error),
            Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
        };
        // Its answer may still be on the way: of no more use.
        self.session = None;
        Err(self.lost(format!("apply {} events: {reason}", events.len())))
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
