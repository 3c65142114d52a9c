//! A cache of orders in Redis: read, filled and invalidated. It knows no database and no broker.
//!
//! Every order has one key. What stands there is a value of one version, or a marker (see [`CacheEntry`]). Nothing expires: an
//! entry goes by an invalidation, so one that was not invalidated is stale for ever.

mod connection;
mod entry;
mod invalidations;
mod read_out;

pub use contract::cache::{ANSWERED_FROM, AnsweredFrom, CacheFill, CacheMode};
pub use entry::CacheEntry;
pub use invalidations::{Invalidations, RedisInvalidations};
pub use read_out::{CachedVersion, read_all, remove_all};

use crate::config::CacheTarget;
use connection::Live;
use redis::{Cmd, FromRedisValue, RedisError};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A reader waits no longer than this for the cache: then it asks the database.
const READ_WITHIN: Duration = Duration::from_millis(500);
/// A writer waits no longer than this until its entry is gone, or written.
const WRITE_WITHIN: Duration = Duration::from_secs(1);

/// Why the cache could not be used, in words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{doing}: {reason}")]
pub struct CacheError {
    /// What was being done.
    pub doing: String,
    /// Why it failed.
    pub reason: String,
}

/// A cache as an order service uses it: over one connection, which is made anew when it breaks. As long as there is
/// none, everything fails at once.
pub struct Cache {
    target: CacheTarget,
    live: Arc<watch::Sender<Option<Arc<Live>>>>,
    keeper: JoinHandle<()>,
}

impl Cache {
    /// Begins to connect; to be called in a runtime.
    pub fn open(target: CacheTarget) -> Self {
        let live = Arc::new(watch::Sender::new(None));
        let keeper = tokio::spawn(connection::keep(target.address.clone(), Arc::clone(&live)));
        Self {
            target,
            live,
            keeper,
        }
    }

    /// Waits until there is a connection, and no longer than this.
    pub async fn reached(&self, within: Duration) -> Result<(), CacheError> {
        let mut live = self.live.subscribe();
        let reached = timeout(within, live.wait_for(Option::is_some)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.unreachable("connecting")),
        }
    }

    /// Returns the text of an order's entry, for [`CacheEntry::parse`]; `None` where there is none.
    pub async fn get(&self, order: &str) -> Result<Option<String>, CacheError> {
        let get = |_: &Live| redis::cmd("GET").arg(self.key(order)).take();
        self.ask("reading", READ_WITHIN, get).await
    }

    /// Puts a value there; with [`CacheFill::Newer`] only over an older one, and over no newer marker.
    pub async fn put(
        &self,
        order: &str,
        (version, body): (u32, &str),
        fill: CacheFill,
    ) -> Result<(), CacheError> {
        let text = CacheEntry::Value { version, body }.text();
        let put = |live: &Live| match fill {
            CacheFill::Any => redis::cmd("SET").arg(self.key(order)).arg(&text).take(),
            CacheFill::Newer => {
                let script = (&live.fill_if_newer, 1, self.key(order));
                redis::cmd("EVALSHA")
                    .arg(script)
                    .arg(&text)
                    .arg(version)
                    .take()
            }
        };
        self.ask("writing", WRITE_WITHIN, put).await
    }

    /// Takes away what an order's change to this version made old; with [`CacheFill::Newer`] a marker stays.
    pub async fn invalidate(
        &self,
        order: &str,
        version: u32,
        fill: CacheFill,
    ) -> Result<(), CacheError> {
        let invalidate =
            |live: &Live| invalidation(live, self.key(order), &version.to_string(), fill);
        self.ask("invalidating", WRITE_WITHIN, invalidate).await
    }

    /// Takes away whatever is there, of which the version is not known.
    pub async fn remove(&self, order: &str) -> Result<(), CacheError> {
        let remove = |_: &Live| redis::cmd("DEL").arg(self.key(order)).take();
        self.ask("removing", WRITE_WITHIN, remove).await
    }

    fn key(&self, order: &str) -> String {
        key(&self.target.prefix, order)
    }

    /// Sends one command and takes its answer, bounded.
    async fn ask<T: FromRedisValue>(
        &self,
        doing: &'static str,
        within: Duration,
        command: impl FnOnce(&Live) -> Cmd,
    ) -> Result<T, CacheError> {
        let live = self.live.borrow().clone();
        let Some(live) = live else {
            return Err(self.unreachable(doing));
        };
        let command = command(&live);
        let mut connection = live.connection.clone();
        match timeout(within, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if is_loss(&error) {
                    self.lost(live.number);
                }
                Err(self.failed(doing, error.to_string()))
            }
            Err(_) => {
                self.lost(live.number);
                Err(self.failed(doing, format!("no answer within {within:?}")))
            }
        }
    }

    /// That connection is of no more use; one that was made since is.
    fn lost(&self, number: u64) {
        self.live.send_if_modified(|live| {
            let is_it = live.as_ref().is_some_and(|live| live.number == number);
            if is_it {
                *live = None;
            }
            is_it
        });
    }

    fn unreachable(&self, doing: &'static str) -> CacheError {
        self.failed(doing, "there is no connection".to_owned())
    }

    fn failed(&self, doing: &'static str, reason: String) -> CacheError {
        CacheError {
            doing: format!("{doing} an entry of the cache at {}", self.target.address),
            reason,
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Whether an error ends the connection: everything but the server's word on a command.
fn is_loss(error: &RedisError) -> bool {
    !matches!(error.kind(), redis::ErrorKind::Server(_))
}

fn key(prefix: &str, order: &str) -> String {
    format!("{prefix}{order}")
}

fn invalidation(live: &Live, key: String, version: &str, fill: CacheFill) -> Cmd {
    match fill {
        CacheFill::Any => redis::cmd("DEL").arg(key).take(),
        CacheFill::Newer => {
            let script = (&live.mark_if_older, 1, key);
            redis::cmd("EVALSHA").arg(script).arg(version).take()
        }
    }
}
