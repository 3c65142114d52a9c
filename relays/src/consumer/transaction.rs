//! Effects that one transaction of the consumer's own database does, with whatever makes them idempotent.

use super::batch::ConsumedEvent;
use super::database::ConsumerDatabase;
use crate::signal::monotonic_ns;
use sqlx::AssertSqlSafe;
use std::sync::Arc;
use tokio::sync::Mutex;
use uuid::Uuid;

pub(super) struct EffectTransaction {
    pub database: ConsumerDatabase,
    pub statement: String,
    /// The members of a group have it in turn: of two transactions at a time one would not see what the other one does,
    /// and would take for done, or not done, what is not.
    pub turn: Arc<Mutex<()>>,
}

impl EffectTransaction {
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
