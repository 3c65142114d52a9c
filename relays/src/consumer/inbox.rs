//! The inbox of a consumer that calls somebody: ids of events, each written by itself, since no transaction covers a call.

use super::database::ConsumerDatabase;
use crate::postgres::schema::quote_identifier;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

pub(super) struct CallInbox {
    pub database: ConsumerDatabase,
    has: String,
    add: String,
}

impl CallInbox {
    pub fn new(database: ConsumerDatabase, schema: &str) -> Self {
        let schema = quote_identifier(schema);
        Self {
            database,
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
