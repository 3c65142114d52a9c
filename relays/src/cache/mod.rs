//! A cache of orders in Redis: read, filled and invalidated. It knows no database and no broker.
//!
//! Every order has one key. What stands there is a value of one version, or a marker (see [`CacheEntry`]). Nothing expires: an
//! entry goes by an invalidation, so one that was not invalidated is stale for ever.

mod connection;
mod entry;
mod invalidations;
mod read_out;
mod silence;

pub use contract::cache::{ANSWERED_FROM, AnsweredFrom, CacheFill, CacheMode};
pub use entry::CacheEntry;
pub use invalidations::{Invalidations, RedisInvalidations};
pub use read_out::{CacheLosses, CachedVersion, losses, read_all, remove_all};

use crate::config::CacheTarget;
use connection::Live;
use redis::{Cmd, FromRedisValue, RedisError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A reader waits no longer than this for the cache: then it asks the database. The connection is given up for that only
/// where it has answered nobody for as long as a writer waits.
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

/// What a reader found in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLook {
    /// The text of the entry, for [`CacheEntry::parse`]; `None` where there is none.
    pub text: Option<String>,
    /// This is the connection on which it looked.
    pub connection: u64,
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

    /// Looks for an order's entry.
    pub async fn get(&self, order: &str) -> Result<CacheLook, CacheError> {
        let doing = "reading";
        let live = self.live(doing)?;
        let get = redis::cmd("GET").arg(self.key(order)).take();
        let text = self.ask(&live, doing, READ_WITHIN, get).await?;
        Ok(CacheLook {
            text,
            connection: live.number,
        })
    }

    /// Puts what was read after a look that found nothing there, as [`Cache::put`] does; but not where that look was on
    /// another connection. There may be another server behind this one, which has lost what would keep it away.
    pub async fn fill(
        &self,
        look: &CacheLook,
        order: &str,
        value: (u32, &str),
        fill: CacheFill,
    ) -> Result<(), CacheError> {
        let doing = "filling";
        let live = self.live(doing)?;
        if live.number != look.connection {
            let reason = "the connection is another one than that of the look before it";
            return Err(self.failed(doing, reason.to_owned()));
        }
        self.put_on(&live, doing, order, value, fill).await
    }

    /// Puts a value there; with [`CacheFill::Newer`] only over an older one, and over no newer marker.
    pub async fn put(
        &self,
        order: &str,
        value: (u32, &str),
        fill: CacheFill,
    ) -> Result<(), CacheError> {
        let doing = "writing";
        let live = self.live(doing)?;
        self.put_on(&live, doing, order, value, fill).await
    }

    async fn put_on(
        &self,
        live: &Live,
        doing: &'static str,
        order: &str,
        (version, body): (u32, &str),
        fill: CacheFill,
    ) -> Result<(), CacheError> {
        let text = CacheEntry::Value { version, body }.text();
        let put = match fill {
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
        self.ask(live, doing, WRITE_WITHIN, put).await
    }

    /// Takes away what an order's change to this version made old; with [`CacheFill::Newer`] a marker stays.
    pub async fn invalidate(
        &self,
        order: &str,
        version: u32,
        fill: CacheFill,
    ) -> Result<(), CacheError> {
        let doing = "invalidating";
        let live = self.live(doing)?;
        let invalidate = invalidation(&live, self.key(order), &version.to_string(), fill);
        self.ask(&live, doing, WRITE_WITHIN, invalidate).await
    }

    /// Takes away whatever is there, of which the version is not known.
    pub async fn remove(&self, order: &str) -> Result<(), CacheError> {
        let doing = "removing";
        let live = self.live(doing)?;
        let remove = redis::cmd("DEL").arg(self.key(order)).take();
        self.ask(&live, doing, WRITE_WITHIN, remove).await
    }

    fn key(&self, order: &str) -> String {
        key(&self.target.prefix, order)
    }

    /// Sends one command and takes its answer, bounded.
    async fn ask<T: FromRedisValue>(
        &self,
        live: &Live,
        doing: &'static str,
        within: Duration,
        command: Cmd,
    ) -> Result<T, CacheError> {
        let mut connection = live.connection.clone();
        live.silence.asked(Instant::now());
        match timeout(within, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => {
                live.silence.answered();
                Ok(answer)
            }
            Ok(Err(error)) => {
                match is_loss(&error) {
                    true => self.lost(live.number),
                    false => live.silence.answered(),
                }
                Err(self.failed(doing, error.to_string()))
            }
            Err(_) => {
                if within >= WRITE_WITHIN || live.silence.lasts(WRITE_WITHIN, Instant::now()) {
                    self.lost(live.number);
                }
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

    fn live(&self, doing: &'static str) -> Result<Arc<Live>, CacheError> {
        let live = self.live.borrow().clone();
        live.ok_or_else(|| self.unreachable(doing))
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
