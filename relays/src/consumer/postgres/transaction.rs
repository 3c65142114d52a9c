//! Effects that one transaction of the consumer's own database does, with whatever makes them idempotent.

use super::ConsumerDatabase;
use super::effect::statement;
use crate::consumer::batch::ConsumedEvent;
use crate::postgres::schema::quote_identifier;
use crate::signal::monotonic_ns;
use contract::consumer::ConsumerConfig;
use sqlx::AssertSqlSafe;
use std::sync::Arc;
use tokio::sync::Mutex;
use uuid::Uuid;

pub(in crate::consumer) struct EffectTransaction {
    pub database: ConsumerDatabase,
    statement: String,
    /// The members of a group have it in turn: of two transactions at a time one would not see what the other one does,
    /// and would take for done, or not done, what is not.
    turn: Arc<Mutex<()>>,
}

impl EffectTransaction {
    /// The effect of one member of the group, counted from 0; `turn` is shared by all of them. `None` where no transaction
    /// does it.
    pub fn of(config: &ConsumerConfig, member: u16, turn: &Arc<Mutex<()>>) -> Option<Self> {
        let schema = quote_identifier(&config.database.schema);
        Some(Self {
            statement: statement(&schema, config.effect, config.idempotency)?,
            database: ConsumerDatabase::new(config, member),
            turn: Arc::clone(turn),
        })
    }

    /// Applies events in one transaction. After an Err they may be applied or not: the answer may be what was lost.
    pub async fn apply(&mut self, events: &[ConsumedEvent]) -> Result<(), String> {
        let orders: Vec<Uuid> = events.iter().map(|e| e.order).collect();
        let versions: Vec<i32> = events.iter().map(|e| e.version).collect();
        let ids: Vec<Uuid> = events.iter().map(|e| e.id).collect();
        let statement = sqlx::query(AssertSqlSafe(self.statement.as_str()))
            .bind(orders)
            .bind(versions)
            .bind(ids)
            .bind(i64::try_from(monotonic_ns()).unwrap_or(i64::MAX));
        let _turn = self.turn.lock().await;
        let doing = format!("apply {} events", events.len());
        self.database.execute(&doing, statement).await.map(|_| ())
    }
}
