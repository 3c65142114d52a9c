//! Invalidations as a relay needs them: asked for one by one, done in order, many on their way at once.

use super::{CacheError, connection, invalidation, key};
use crate::config::RelayCache;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// So many go out together. They are small, so that also a slow link brings them across within the bound.
const TOGETHER: usize = 256;
/// So many that go out together are answered within this time, or given up with the connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Takes entries out of a cache, in the order in which that is asked for.
///
/// They are counted from 0, anew with each [`Invalidations::connect`] that follows an [`Invalidations::abandon`].
pub trait Invalidations {
    /// Connects if it is not connected; returns when the cache answers. Bounded; may be called again after a failure.
    fn connect(&mut self) -> impl Future<Output = Result<(), CacheError>>;

    /// Has what an order's change to this version made old be taken away; never blocks. Whoever calls it sees to a bound.
    fn ask(&mut self, order: &str, version: &str);

    /// How many of the first that were asked for are done.
    fn done(&self) -> u64;

    /// Why no further one will be done, if so: then only [`Invalidations::abandon`] helps.
    fn failure(&self) -> Option<CacheError>;

    /// Waits until more are done than when this was last waited for, or none will be. Cancel-safe.
    fn progress(&self) -> impl Future<Output = ()>;

    /// Gives up everything that is not done, and the connection with it.
    fn abandon(&mut self);
}

/// Does them in Redis.
pub struct RedisInvalidations {
    cache: RelayCache,
    session: Option<Session>,
}

/// One connection, and who works on it.
struct Session {
    asked: mpsc::UnboundedSender<(String, String)>,
    state: Arc<State>,
    worker: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    done: AtomicU64,
    /// It is locked on a failure, and by the one who asks for it.
    failure: Mutex<Option<CacheError>>,
    changed: Notify,
}

impl RedisInvalidations {
    /// Connects later.
    pub fn new(cache: RelayCache) -> Self {
        Self {
            cache,
            session: None,
        }
    }
}

impl Invalidations for RedisInvalidations {
    async fn connect(&mut self) -> Result<(), CacheError> {
        if self.session.is_some() {
            return Ok(());
        }
        let live = connection::connect(&self.cache.target.address, 0).await?;
        let (asked, orders) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        let worker = tokio::spawn(work(live, self.cache.clone(), orders, Arc::clone(&state)));
        self.session = Some(Session {
            asked,
            state,
            worker,
        });
        Ok(())
    }

    fn ask(&mut self, order: &str, version: &str) {
        if let Some(session) = &self.session {
            // Where nobody takes it any more, the failure says so.
            let _ = session.asked.send((order.to_owned(), version.to_owned()));
        }
    }

    fn done(&self) -> u64 {
        let session = self.session.as_ref();
        session.map_or(0, |session| session.state.done.load(Ordering::Acquire))
    }

    fn failure(&self) -> Option<CacheError> {
        let failure = &self.session.as_ref()?.state.failure;
        failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn progress(&self) {
        match &self.session {
            Some(session) => session.state.changed.notified().await,
            None => std::future::pending().await,
        }
    }

    fn abandon(&mut self) {
        self.session = None;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

/// Works until one fails, or nobody asks any more.
async fn work(
    live: connection::Live,
    cache: RelayCache,
    mut orders: mpsc::UnboundedReceiver<(String, String)>,
    state: Arc<State>,
) {
    let mut connection = live.connection.clone();
    let mut together = Vec::with_capacity(TOGETHER);
    while orders.recv_many(&mut together, TOGETHER).await > 0 {
        let count = together.len() as u64;
        let mut commands = redis::pipe();
        for (order, version) in together.drain(..) {
            let order = key(&cache.target.prefix, &order);
            commands.add_command(invalidation(&live, order, &version, cache.fill));
        }
        let answered = timeout(ANSWER_WITHIN, commands.exec_async(&mut connection)).await;
        let reason = match answered {
            Ok(Ok(())) => {
                state.done.fetch_add(count, Ordering::Release);
                state.changed.notify_one();
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
        };
        let mut failure = state.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *failure = Some(CacheError {
            doing: format!("invalidate in the cache at {}", cache.target.address),
            reason,
        });
        state.changed.notify_one();
        return;
    }
}
