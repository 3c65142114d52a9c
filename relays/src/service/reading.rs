//! Reading an order, cache-aside: from the cache if it is there, else from the database, and then into the cache. A cache
//! that cannot be asked takes no reader away: the database answers.

use super::caching::{OrderCache, body};
use super::connections::Connections;
use super::database_error::DatabaseError;
use crate::cache::{CacheEntry, CacheLook};
use contract::cache::AnsweredFrom;
use std::sync::Arc;
use tokio::time::sleep;
use uuid::Uuid;

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
        let look = match self.cache.get(order).await {
            Ok(look) => Some(look),
            Err(error) => {
                tracing::debug!(%error, "the database answers a reader");
                None
            }
        };
        if let Some(body) = look.as_ref().and_then(found) {
            return Ok(ReadOrder {
                body: Some(body),
                from: AnsweredFrom::Hit,
            });
        }
        let version = self.version(order).await?;
        if let (Some(look), Some(version)) = (&look, version) {
            if !self.cache.fill_hold.is_zero() {
                sleep(self.cache.fill_hold).await;
            }
            self.cache.fill(look, order, version).await;
        }
        let body = version.map(|version| body(order, version));
        let from = match look {
            Some(_) => AnsweredFrom::Miss,
            None => AnsweredFrom::Unreachable,
        };
        Ok(ReadOrder { body, from })
    }

    async fn version(&self, order: Uuid) -> Result<Option<u32>, DatabaseError> {
        let mut lease = self.connections.lend().await?;
        let version = lease.connection.version(order).await;
        lease.settle(version)
    }
}

/// The body of the answer, where a look found a value.
fn found(look: &CacheLook) -> Option<String> {
    match CacheEntry::parse(look.text.as_deref()?)? {
        CacheEntry::Value { body, .. } => Some(body.to_owned()),
        CacheEntry::Marker { .. } => None,
    }
}
