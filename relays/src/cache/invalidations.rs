//! Invalidations as a relay needs them: asked for one by one, done in order, many on their way at once.

use super::{CacheError, connection, invalidation, key};
use crate::config::RelayCache;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// So many go out together at most; fewer where the link is too slow to bring so many across within the bound.
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
    /// So many go out together now: what a session learns of the link, the next one knows.
    together: Arc<Together>,
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

/// How many go out together: half as many after a time without an answer, so that a slow link is not asked for the same
/// in vain again and again; twice as many where the answer came in less than a quarter of the bound.
struct Together(AtomicUsize);

impl Default for Together {
    fn default() -> Self {
        Self(AtomicUsize::new(TOGETHER))
    }
}

impl Together {
    fn most(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn too_many(&self) {
        self.0.store((self.most() / 2).max(1), Ordering::Relaxed);
    }

    fn answered_in(&self, took: Duration) {
        if took < ANSWER_WITHIN / 4 {
            self.0
                .store((self.most() * 2).min(TOGETHER), Ordering::Relaxed);
        }
    }
}

impl RedisInvalidations {
    /// Connects later.
    pub fn new(cache: RelayCache) -> Self {
        Self {
            cache,
            session: None,
            together: Arc::new(Together::default()),
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
        let together = Arc::clone(&self.together);
        let worker = tokio::spawn(work(
            live,
            self.cache.clone(),
            orders,
            Arc::clone(&state),
            together,
        ));
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
    at_once: Arc<Together>,
) {
    let mut connection = live.connection.clone();
    let mut together = Vec::with_capacity(TOGETHER);
    while orders.recv_many(&mut together, at_once.most()).await > 0 {
        let count = together.len() as u64;
        let mut commands = redis::pipe();
        for (order, version) in together.drain(..) {
            let order = key(&cache.target.prefix, &order);
            commands.add_command(invalidation(&live, order, &version, cache.fill));
        }
        let sent = Instant::now();
        let answered = timeout(ANSWER_WITHIN, commands.exec_async(&mut connection)).await;
        let reason = match answered {
            Ok(Ok(())) => {
                state.done.fetch_add(count, Ordering::Release);
                state.changed.notify_one();
                at_once.answered_in(sent.elapsed());
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                at_once.too_many();
                format!("no answer within {ANSWER_WITHIN:?}")
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_link_too_slow_for_many_at_once_when_they_come_to_nothing_then_ever_fewer_are_sent() {
        let together = Together::default();
        let seen: Vec<usize> = (0..9)
            .map(|_| {
                together.too_many();
                together.most()
            })
            .collect();
        assert_eq!(seen, [128, 64, 32, 16, 8, 4, 2, 1, 1]);
        // What came just in time leaves no room for twice as many
        together.answered_in(ANSWER_WITHIN / 4);
        assert_eq!(together.most(), 1);
        for _ in 0..9 {
            together.answered_in(Duration::ZERO);
        }
        assert_eq!(together.most(), TOGETHER);
    }
}
