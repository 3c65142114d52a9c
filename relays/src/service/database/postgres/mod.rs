//! PostgreSQL, for the order service: sessions, orders and what announces them.

mod appending;
mod foreign;
mod orders;
pub(in crate::service) mod two_phase;

pub(in crate::service) use foreign::ForeignStatements;
pub(in crate::service) use orders::{Announcement, Orders, session, settled_by};
pub use orders::{PLACING, SESSION};

use super::CONNECT_WITHIN;
use crate::service::connections::exchange;
use crate::service::database_error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Row};
use tokio::time::timeout;
use uuid::Uuid;

/// The version of an order: $1 order.
const VERSION: &str = "select version from orders where id = $1";

/// Makes a connection to PostgreSQL within the bound of all of them.
pub(in crate::service) async fn connect(
    options: &PgConnectOptions,
) -> Result<PgConnection, sqlx::Error> {
    timeout(CONNECT_WITHIN, PgConnection::connect_with(options))
        .await
        .unwrap_or_else(|_| {
            Err(sqlx::Error::Io(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!("no answer within {CONNECT_WITHIN:?}"),
            )))
        })
}

/// Returns the version of an order in PostgreSQL; `None` where there is no such order.
pub(in crate::service) async fn version(
    conn: &mut PgConnection,
    order: Uuid,
) -> Result<Option<u32>, DatabaseError> {
    let query = sqlx::query(VERSION).bind(order);
    let row = exchange("reading an order's version", query.fetch_optional(conn)).await?;
    row.map(|row| row.try_get(0).map(i32::cast_unsigned))
        .transpose()
        .map_err(|error| DatabaseError::new("reading an order's version", &error))
}
