//! The cache of orders as the write paths use it: what was committed makes an entry old, and that is a second write.
//!
//! A change whose entry could not be taken away is committed all the same, and is answered so: nothing is left that
//! could undo it, and nobody repeats the invalidation. That it is lost is counted; what it leaves is a stale entry.

use super::change::Change;
use super::monitor::Monitor;
use crate::cache::{Cache, CacheError, CacheLook};
use crate::config::ServiceCache;
use crate::trace::{Stage, Trace};
use contract::cache::{CacheFill, CacheMode};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The service begins without its cache where that cannot be reached within this time.
const REACHED_WITHIN: Duration = Duration::from_secs(2);

/// The cache, and what this service does with it.
pub(super) struct OrderCache {
    cache: Cache,
    mode: CacheMode,
    fill: CacheFill,
    /// So long it waits between its read of the database and the fill.
    pub fill_hold: Duration,
    monitor: Arc<Monitor>,
    trace: Trace,
}

impl OrderCache {
    /// Connects, or goes on without a connection.
    pub async fn open(config: ServiceCache, monitor: Arc<Monitor>, trace: Trace) -> Arc<Self> {
        let cache = Cache::open(config.target);
        if let Err(error) = cache.reached(REACHED_WITHIN).await {
            tracing::warn!(%error, "the service begins without its cache");
        }
        Arc::new(Self {
            cache,
            mode: config.mode,
            fill: config.fill,
            fill_hold: Duration::from_millis(config.fill_hold_ms),
            monitor,
            trace,
        })
    }

    /// Looks for an order's entry.
    pub async fn get(&self, order: Uuid) -> Result<CacheLook, CacheError> {
        self.cache.get(&order.to_string()).await
    }

    /// Puts what was read of the database after this look there; where that fails, the next reader does it.
    pub async fn fill(&self, look: &CacheLook, order: Uuid, version: u32) {
        let body = body(order, version);
        let order = order.to_string();
        let value = (version, body.as_str());
        let filled = self.cache.fill(look, &order, value, self.fill).await;
        if let Err(error) = filled {
            tracing::debug!(%error, "an entry was not filled");
        }
    }

    async fn before_commit(&self, change: &Change) {
        match self.mode {
            CacheMode::InvalidateBeforeCommit => {
                let removed = self.cache.remove(&change.order.to_string()).await;
                self.note(change, 0, removed);
            }
            CacheMode::InvalidateAfterCommit
            | CacheMode::WriteThrough
            | CacheMode::InvalidateByRelay => {}
        }
    }

    async fn committed(&self, change: &Change, version: u32) {
        let order = change.order.to_string();
        let done = match self.mode {
            CacheMode::InvalidateAfterCommit => {
                self.cache.invalidate(&order, version, self.fill).await
            }
            CacheMode::WriteThrough => {
                let body = body(change.order, version);
                self.cache.put(&order, (version, &body), self.fill).await
            }
            CacheMode::InvalidateBeforeCommit | CacheMode::InvalidateByRelay => return,
        };
        self.note(change, version, done);
    }

    fn note(&self, change: &Change, version: u32, done: Result<(), CacheError>) {
        let stage = match done {
            Ok(()) => Stage::Invalidated,
            Err(error) => {
                self.monitor.not_invalidated(&error.to_string());
                Stage::InvalidationFailed
            }
        };
        self.trace.step(change.attempt, version, stage, 0);
    }
}

/// What a write path has to tell the cache, where there is one.
#[derive(Clone, Default)]
pub(super) struct Invalidation(Option<Arc<OrderCache>>);

impl Invalidation {
    /// Tells this cache.
    pub fn of(cache: Option<Arc<OrderCache>>) -> Self {
        Self(cache)
    }

    /// Whether there is something to do before a commit, for which it must be a statement of its own.
    pub fn precedes_commit(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|cache| cache.mode == CacheMode::InvalidateBeforeCommit)
    }

    /// The change is written, and about to be committed.
    pub async fn before_commit(&self, change: &Change) {
        if let Some(cache) = &self.0 {
            cache.before_commit(change).await;
        }
    }

    /// The change is committed as this version.
    pub async fn committed(&self, change: &Change, version: u32) {
        if let Some(cache) = &self.0 {
            cache.committed(change, version).await;
        }
    }
}

/// The answer to a reader of an order, which is what is cached.
pub(super) fn body(order: Uuid, version: u32) -> String {
    format!("{{\"order_id\":\"{order}\",\"version\":{version}}}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_an_order_when_it_is_answered_then_the_body_is_json_of_its_id_and_version() {
        let order = Uuid::from_u128(7);
        let answer: serde_json::Value = serde_json::from_str(&body(order, 3)).unwrap();
        let expected = serde_json::json!({"order_id": order.to_string(), "version": 3});
        assert_eq!(answer, expected);
    }
}
