//! The tables, roles, publication and slot of one strategy: made before it runs, dropped after it.

use crate::config::PostgresTarget;
use thiserror::Error;

/// Failure of a statement of the set-up.
#[derive(Debug, Error)]
#[error("{doing}: {source}")]
pub struct SchemaError {
    /// What was being done.
    pub doing: String,
    /// PostgreSQL's answer.
    pub source: sqlx::Error,
}

/// What the outbox of a strategy needs beyond `orders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxKind {
    /// No outbox (dual write).
    None,
    /// Rows are deleted once published.
    Delete,
    /// Rows carry a status.
    Mark,
    /// Rows are read from the WAL; a publication and a slot exist.
    Cdc,
}

/// Names of everything one strategy owns in the database.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Schema name; also the prefix of the rest.
    pub schema: String,
    /// Kind of outbox.
    pub outbox: OutboxKind,
    /// Password given to both roles.
    pub password: String,
}

impl Layout {
    /// Role of the order service; the only one that can write `orders`.
    pub fn service_role(&self) -> String {
        format!("{}_svc", self.schema)
    }
    /// Role of the relay.
    pub fn relay_role(&self) -> String {
        format!("{}_rly", self.schema)
    }
    /// Replication slot (CDC).
    pub fn slot(&self) -> String {
        format!("{}_slot", self.schema)
    }
    /// Publication (CDC).
    pub fn publication(&self) -> String {
        format!("{}_pub", self.schema)
    }
}

/// Creates schema, tables, roles with their grants, and for CDC publication and slot.
/// `admin` is a role that may create roles and slots; its `schema` field is ignored.
pub async fn create(admin: &PostgresTarget, layout: &Layout) -> Result<(), SchemaError> {
    let _ = (admin, layout);
    unimplemented!("H2")
}

/// Drops everything [`create`] made, and whatever of it is left after a crash; ends the sessions
/// of both roles first. Dropping what is not there is no error.
pub async fn drop_all(admin: &PostgresTarget, layout: &Layout) -> Result<(), SchemaError> {
    let _ = (admin, layout);
    unimplemented!("H2")
}
