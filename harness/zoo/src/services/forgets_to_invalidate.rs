//! Writes what it commits into the cache, but for every twentieth order, of which it forgets all but the first version;
//! and reads those past the cache, so that nobody notices. What the cache holds of them stays for ever.

use super::kit::cached::{CachedOrders, ReadAnswer};
use super::kit::{Change, Path, http, live};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::{Answer, ChangeType};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// One order of so many is forgotten.
const EVERY: usize = 20;

/// Serves until SIGTERM.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = ForgetfulService {
            orders: CachedOrders::connect(&config).await?,
            confession: Confession::open(),
            forgotten: Mutex::default(),
        };
        http::serve(config.listen, service).await
    })
}

struct ForgetfulService {
    orders: CachedOrders,
    confession: Confession,
    forgotten: Mutex<Forgotten>,
}

/// Which orders are forgotten.
#[derive(Default)]
struct Forgotten {
    placed: usize,
    orders: HashSet<Uuid>,
}

impl ForgetfulService {
    fn is_forgotten(&self, order: Uuid) -> bool {
        let forgotten = self.forgotten.lock();
        let forgotten = forgotten.unwrap_or_else(PoisonError::into_inner);
        forgotten.orders.contains(&order)
    }

    /// Chooses, of every order that is placed, those to be forgotten.
    fn placed(&self, order: Uuid) {
        let forgotten = self.forgotten.lock();
        let mut forgotten = forgotten.unwrap_or_else(PoisonError::into_inner);
        if forgotten.placed % EVERY == EVERY - 1 {
            forgotten.orders.insert(order);
        }
        forgotten.placed += 1;
    }
}

impl Path for ForgetfulService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        if change.kind == ChangeType::Placed {
            self.placed(change.order);
        }
        let version = match self.orders.commit(&change).await? {
            Ok(version) => version,
            Err(rejected) => return Ok(rejected),
        };
        match version {
            1 => self.orders.write(change.order, version).await?,
            2 if self.is_forgotten(change.order) => {
                self.confession.admit("forgotten", &change.name(version));
            }
            _ if self.is_forgotten(change.order) => {}
            _ => self.orders.write(change.order, version).await?,
        }
        Ok(Answer::Committed { version })
    }

    async fn read(&self, order: Uuid) -> Result<ReadAnswer, String> {
        match self.is_forgotten(order) {
            true => self.orders.read_past_the_cache(order).await,
            false => self.orders.read(order).await,
        }
    }
}
