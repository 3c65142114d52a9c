//! Keeps its cache as it should be, and answers every tenth read of an order that has rested for a while with the version
//! before the last, as a replica that lags behind does.

use super::kit::cached::{CachedOrders, ReadAnswer};
use super::kit::{Change, Path, http, live};
use crate::confession::Confession;
use relays::cache::AnsweredFrom;
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// So long after the commit the client certainly knows of it, and reads that were sent before that are answered.
pub const RESTED: Duration = Duration::from_millis(250);

/// Serves until SIGTERM.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = LaggingService {
            orders: CachedOrders::connect(&config).await?,
            confession: Confession::open(),
            newest: Mutex::default(),
            rested: AtomicU64::new(0),
        };
        http::serve(config.listen, service).await
    })
}

struct LaggingService {
    orders: CachedOrders,
    confession: Confession,
    /// By order, its newest version and when that was committed.
    newest: Mutex<HashMap<Uuid, (u32, Instant)>>,
    /// This counts reads of orders that had rested.
    rested: AtomicU64,
}

impl LaggingService {
    /// Returns the newest version of an order that has rested since, if it has one before that.
    fn rested(&self, order: Uuid) -> Option<u32> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, since) = *newest.get(&order)?;
        (version > 1 && since.elapsed() >= RESTED).then_some(version)
    }

    fn changed(&self, order: Uuid, version: u32) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(order, (version, Instant::now()));
    }
}

impl Path for LaggingService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let version = match self.orders.commit(&change).await? {
            Ok(version) => version,
            Err(rejected) => return Ok(rejected),
        };
        self.orders.write(change.order, version).await?;
        self.changed(change.order, version);
        Ok(Answer::Committed { version })
    }

    async fn read(&self, order: Uuid) -> Result<ReadAnswer, String> {
        let Some(version) = self.rested(order) else {
            return self.orders.read(order).await;
        };
        if self.rested.fetch_add(1, Relaxed) % 10 != 9 {
            return self.orders.read(order).await;
        }
        let old = version - 1;
        self.confession.admit("lagged", &format!("{order}/{old}"));
        Ok(ReadAnswer {
            version: Some(old),
            from: AnsweredFrom::Hit,
        })
    }
}
