//! The inbox of a consumer that calls somebody: ids of events, each written by itself, since no transaction covers a call.

use super::ConsumerDatabase;
use crate::postgres::schema::quote_identifier;
use contract::consumer::ConsumerConfig;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

pub(in crate::consumer) struct CallInbox {
    pub database: ConsumerDatabase,
    has: String,
    add: String,
}

impl CallInbox {
    pub fn new(config: &ConsumerConfig, member: u16) -> Self {
        let schema = quote_identifier(&config.database.schema);
        Self {
            database: ConsumerDatabase::new(config, member),
            has: format!("select from {schema}.inbox where event_id = $1"),
            add: format!(
                "insert into {schema}.inbox (event_id) values ($1) on conflict do nothing"
            ),
        }
    }

    /// Whether an event is in it.
    pub async fn has(&mut self, event: Uuid) -> Result<bool, String> {
        let statement = sqlx::query(AssertSqlSafe(self.has.as_str())).bind(event);
        let found = self.database.execute("look into the inbox", statement);
        Ok(found.await?.rows_affected() > 0)
    }

    /// Writes an event into it; tells whether it was not in it.
    pub async fn add(&mut self, event: Uuid) -> Result<bool, String> {
        let statement = sqlx::query(AssertSqlSafe(self.add.as_str())).bind(event);
        let added = self.database.execute("write into the inbox", statement);
        Ok(added.await?.rows_affected() > 0)
    }
}
