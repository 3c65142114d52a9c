//! Orders behind a cache, as a careful service has them: what is committed is written there before it is answered, and
//! never over something newer. The defects are in what the services make of that.

use super::database::{Database, commit, roll_back};
use super::{Change, rejected};
use relays::cache::{AnsweredFrom, Cache, CacheEntry, CacheFill};
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::time::Duration;
use uuid::Uuid;

/// The first answer of the cache may take no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a reader is told: the version of an order, if there is one, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct ReadAnswer {
    /// The version; `None` where there is no such order.
    pub version: Option<u32>,
    /// Where that comes from.
    pub from: AnsweredFrom,
}

/// A database and a cache.
pub struct CachedOrders {
    database: Database,
    cache: Cache,
}

impl CachedOrders {
    /// Connects to both.
    pub async fn connect(config: &ServiceConfig) -> Result<Self, String> {
        let Some(configured) = &config.cache else {
            return Err("this defect is one of a cache: give the strategy a `cache`".to_owned());
        };
        let cache = Cache::open(configured.target.clone());
        let reached = cache.reached(PATIENCE).await;
        reached.map_err(|e| e.to_string())?;
        let database = Database::connect(config).await?;
        Ok(Self { database, cache })
    }

    /// Makes a change durable, with its outbox row; gives its version, or the answer to one that is not written.
    pub async fn commit(&self, change: &Change) -> Result<Result<u32, Answer>, String> {
        let mut transaction = self.database.begin().await?;
        let Some(version) = self.database.write(&mut transaction, change).await? else {
            roll_back(transaction).await?;
            return Ok(Err(rejected("the order does not allow it")));
        };
        let announced = self.database.announce(&mut transaction, change, version);
        announced.await?;
        if change.is_forbidden().await {
            roll_back(transaction).await?;
            return Ok(Err(rejected("a business rule forbids it")));
        }
        commit(transaction).await?;
        Ok(Ok(version))
    }

    /// Writes a version into the cache, unless a newer one is there.
    pub async fn write(&self, order: Uuid, version: u32) -> Result<(), String> {
        let order = order.to_string();
        let written = self.cache.put(&order, (version, "{}"), CacheFill::Newer);
        written.await.map_err(|e| e.to_string())
    }

    /// Takes an order out of the cache.
    pub async fn evict(&self, order: Uuid) -> Result<(), String> {
        let order = order.to_string();
        let removed = self.cache.remove(&order);
        removed.await.map_err(|e| e.to_string())
    }

    /// Reads an order through the cache, and fills nothing.
    pub async fn read(&self, order: Uuid) -> Result<ReadAnswer, String> {
        let held = self.cache.get(&order.to_string()).await;
        let held = held.map_err(|e| e.to_string())?;
        match held.text.as_deref().and_then(CacheEntry::parse) {
            Some(CacheEntry::Value { version, .. }) => Ok(ReadAnswer {
                version: Some(version),
                from: AnsweredFrom::Hit,
            }),
            Some(CacheEntry::Marker { .. }) | None => self.read_past_the_cache(order).await,
        }
    }

    /// Reads an order from the database.
    pub async fn read_past_the_cache(&self, order: Uuid) -> Result<ReadAnswer, String> {
        Ok(ReadAnswer {
            version: self.database.version(order).await?,
            from: AnsweredFrom::Miss,
        })
    }
}
