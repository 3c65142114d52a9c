//! Announcing a change in an outbox that was not designed here, by the statements of its relay's file.

use crate::config::{ForeignStatement, Parameter};
use crate::service::change::Change;
use crate::service::connections::exchange;
use crate::service::database_error::DatabaseError;
use crate::service::event::EventText;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::sync::Arc;

/// These statements announce a change in the outbox of a relay that was not written here.
#[derive(Debug, Clone)]
pub(in crate::service) struct ForeignStatements {
    statements: Arc<[Announcing]>,
}

#[derive(Debug)]
struct Announcing {
    sql: Arc<str>,
    parameters: Vec<Parameter>,
}

impl ForeignStatements {
    /// Keeps the statements in this order, in which they are run for each change.
    pub fn new(statements: Vec<ForeignStatement>) -> Self {
        let statements = statements.into_iter().map(|s| Announcing {
            sql: s.sql.into(),
            parameters: s.parameters,
        });
        Self {
            statements: statements.collect(),
        }
    }

    /// Runs them in the transaction that is open.
    pub async fn announce(
        &self,
        conn: &mut PgConnection,
        change: &Change,
        version: u32,
        text: EventText,
    ) -> Result<(), DatabaseError> {
        let payload = text.with_version(version);
        for statement in self.statements.iter() {
            // The file's author wrote it; what a change has of its own is bound, never pasted.
            let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&statement.sql)));
            for parameter in &statement.parameters {
                query = match parameter {
                    Parameter::Attempt => query.bind(change.attempt.to_string()),
                    Parameter::OrderId => query.bind(change.order.to_string()),
                    Parameter::Version => query.bind(version.to_string()),
                    Parameter::EventType => query.bind(change.kind.event_type()),
                    Parameter::Payload => query.bind(payload.as_str()),
                    Parameter::Text(text) => query.bind(text.as_str()),
                };
            }
            exchange("announcing a change", query.execute(&mut *conn)).await?;
        }
        Ok(())
    }
}
