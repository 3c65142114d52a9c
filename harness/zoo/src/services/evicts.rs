//! Keeps its cache as it should be, loses every second entry at once, as a cache that is too small does, and lets every
//! tenth client wait for its answer, while readers see already what it is going to be told.

use super::kit::cached::{CachedOrders, ReadAnswer};
use super::kit::{Change, Path, http, live};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use uuid::Uuid;

/// So long a client waits for what readers can see.
const WAIT: Duration = Duration::from_millis(30);

/// Serves until SIGTERM.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = EvictingService {
            orders: CachedOrders::connect(&config).await?,
            confession: Confession::open(),
            committed: AtomicU64::new(0),
        };
        http::serve(config.listen, service).await
    })
}

struct EvictingService {
    orders: CachedOrders,
    confession: Confession,
    committed: AtomicU64,
}

impl Path for EvictingService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let version = match self.orders.commit(&change).await? {
            Ok(version) => version,
            Err(rejected) => return Ok(rejected),
        };
        self.orders.write(change.order, version).await?;
        let number = self.committed.fetch_add(1, Relaxed);
        if number % 2 == 1 {
            self.orders.evict(change.order).await?;
            self.confession.admit("evicted", &change.name(version));
        }
        if number.is_multiple_of(10) {
            tokio::time::sleep(WAIT).await;
            self.confession.admit("kept-waiting", &change.name(version));
        }
        Ok(Answer::Committed { version })
    }

    async fn read(&self, order: Uuid) -> Result<ReadAnswer, String> {
        self.orders.read(order).await
    }
}
