//! Reading an order, cache-aside: from the cache if it is there, else from the database, and then into the cache. A cache
//! that cannot be asked takes no reader away: the database answers.

use super::caching::{OrderCache, body};
use super::connections::{Connections, DatabaseError, exchange};
use crate::cache::CacheEntry;
use contract::cache::AnsweredFrom;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use tokio::time::sleep;
use uuid::Uuid;

/// The version of an order: $1 order.
const VERSION: &str = "select version from orders where id = $1";

/// Reads orders for clients.
pub(super) struct OrderReader {
    cache: Arc<OrderCache>,
    connections: Arc<Connections>,
}

/// This is what a reader is answered.
pub(super) struct ReadOrder {
    /// The body; `None` where there is no such order.
    pub body: Option<String>,
    /// Where it is from.
    pub from: AnsweredFrom,
}

impl OrderReader {
    /// Reads through this cache what is behind these connections.
    pub fn new(cache: Arc<OrderCache>, connections: Arc<Connections>) -> Self {
        Self { cache, connections }
    }

    /// Reads an order; an error says why the database could not tell.
    pub async fn read(&self, order: Uuid) -> Result<ReadOrder, DatabaseError> {
        let from = match self.cache.get(order).await {
            Ok(Some(text)) => match CacheEntry::parse(&text) {
                Some(CacheEntry::Value { body, .. }) => {
                    let body = Some(body.to_owned());
                    return Ok(ReadOrder {
                        body,
                        from: AnsweredFrom::Hit,
                    });
                }
                Some(CacheEntry::Marker { .. }) | None => AnsweredFrom::Miss,
            },
            Ok(None) => AnsweredFrom::Miss,
            Err(error) => {
                tracing::debug!(%error, "the database answers a reader");
                AnsweredFrom::Unreachable
            }
        };
        let version = self.version(order).await?;
        if let (AnsweredFrom::Miss, Some(version)) = (from, version) {
            if !self.cache.fill_hold.is_zero() {
                sleep(self.cache.fill_hold).await;
            }
            self.cache.fill(order, version).await;
        }
        let body = version.map(|version| body(order, version));
        Ok(ReadOrder { body, from })
    }

    async fn version(&self, order: Uuid) -> Result<Option<u32>, DatabaseError> {
        let mut lease = self.connections.lend().await?;
        let version = version(&mut lease.connection, order).await;
        lease.settle(version)
    }
}

async fn version(conn: &mut PgConnection, order: Uuid) -> Result<Option<u32>, DatabaseError> {
    let query = sqlx::query(VERSION).bind(order);
    let row = exchange("reading an order's version", query.fetch_optional(conn)).await?;
    row.map(|row| row.try_get(0).map(i32::cast_unsigned))
        .transpose()
        .map_err(|error| DatabaseError::new("reading an order's version", &error))
}
