//! Connections to the database: a fixed number, lent one request at a time, replaced when they
//! break. (sqlx's own pool pings on every release, which costs a quarter of the throughput.)
//!
//! Nothing here waits for ever: connecting, lending and every use are bounded, so that a link
//! which swallows packets cannot hold a connection beyond its bound.

use super::database::{DatabaseSession, Login};
use super::database_error::{ClientError, DatabaseError};
use crate::signal::{Signal, emit};
use futures::future::join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// So many are made at a time: all at once, on a busy machine, none would be ready within its bound.
const OPENING_MAX: usize = 8;
/// A request waits no longer than this for a connection; one that gets none is answered 503.
const LEND_WITHIN: Duration = Duration::from_secs(1);
/// One answer of the server may take no longer than this. A connection that exceeds it is thrown away.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// An idle connection that is asked whether it still works must answer within this time.
const PING_WITHIN: Duration = Duration::from_secs(1);
/// These are the pauses between attempts to connect: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Runs one exchange with the server, bounded.
pub(super) async fn exchange<T, E: ClientError>(
    doing: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, DatabaseError> {
    bounded(doing, ANSWER_WITHIN, work).await
}

/// The same, bounded by another time.
pub(super) async fn bounded<T, E: ClientError>(
    doing: &'static str,
    bound: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, DatabaseError> {
    match timeout(bound, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(DatabaseError::new(doing, &error)),
        Err(_) => {
            let reason = format!("{} did not answer within {bound:?}", E::DATABASE);
            Err(DatabaseError::lost(doing, reason))
        }
    }
}

/// The service's connections are kept here, and each is lent to one request at a time.
pub(super) struct Connections {
    login: Login,
    size: usize,
    /// As many permits as `idle` has connections.
    available: Semaphore,
    /// The last in is the first out: the most recently used is the warmest. The lock is held for a push or a pop.
    idle: Mutex<Vec<DatabaseSession>>,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// So many connections are being replaced or checked.
    absent: usize,
    /// Whether a loss was reported and not yet its end.
    lost: bool,
}

impl Connections {
    /// Opens all of them, retrying with back-off while the server cannot be reached; an answer
    /// that no retry will change is an error.
    pub async fn open(login: Login, size: usize) -> Result<Arc<Self>, String> {
        let opening = stream::iter((0..size).map(|_| open_patiently(&login)));
        let idle: Vec<_> = opening.buffered(OPENING_MAX).try_collect().await?;
        Ok(Arc::new(Self {
            available: Semaphore::new(idle.len()),
            idle: Mutex::new(idle),
            health: Mutex::default(),
            login,
            size,
        }))
    }

    /// Lends a connection, waiting a bounded time for one.
    pub async fn lend(self: &Arc<Self>) -> Result<Lease, DatabaseError> {
        let nobody = |reason: String| {
            DatabaseError::kept("waiting for a connection to the database", reason)
        };
        match timeout(LEND_WITHIN, self.available.acquire()).await {
            Ok(Ok(permit)) => permit.forget(),
            Ok(Err(_)) => return Err(nobody("the service is stopping".into())),
            Err(_) => {
                return Err(nobody(format!(
                    "none of {} was free within {LEND_WITHIN:?} ({} are being replaced): the \
                     database is out of reach, or more connections are needed",
                    self.size,
                    self.health().absent
                )));
            }
        }
        // A permit stands for a connection, until `close` takes them all.
        let connection = self.idle().pop();
        let connection = connection.ok_or_else(|| nobody("the service is stopping".into()))?;
        let home = Some(Arc::clone(self));
        Ok(Lease {
            connection,
            seat: Seat { home },
        })
    }

    /// Closes every idle connection; nothing is lent any more.
    pub async fn close(&self) {
        self.available.close();
        let idle = std::mem::take(&mut *self.idle());
        let goodbyes = idle.into_iter().map(DatabaseSession::close);
        let _ = timeout(PING_WITHIN, join_all(goodbyes)).await;
    }

    fn idle(&self) -> MutexGuard<'_, Vec<DatabaseSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, connection: DatabaseSession) {
        self.idle().push(connection);
        self.available.add_permits(1);
    }

    /// A connection broke. What broke it often broke its neighbours too, and an idle connection
    /// does not notice: the first loss has all of them checked, so that no later request fails on
    /// one that died long ago.
    fn replace(self: &Arc<Self>, error: &DatabaseError) {
        let first_loss = {
            let mut health = self.health();
            health.absent += 1;
            let first = error.is_loss() && !health.lost;
            if first {
                health.lost = true;
                emit(Signal::DatabaseLost {
                    reason: error.to_string(),
                });
            }
            first
        };
        tracing::warn!(%error, "a connection to the database is thrown away");
        tokio::spawn(reconnect(Arc::downgrade(self)));
        if first_loss {
            while let Ok(permit) = self.available.try_acquire() {
                permit.forget();
                if let Some(connection) = self.idle().pop() {
                    self.health().absent += 1;
                    tokio::spawn(check(Arc::downgrade(self), connection));
                }
            }
        }
    }

    fn returned(&self, connection: DatabaseSession) {
        self.give_back(connection);
        let mut health = self.health();
        health.absent -= 1;
        if health.absent == 0 && health.lost {
            health.lost = false;
            emit(Signal::DatabaseUp);
        }
    }
}

/// Gives an idle connection back if it still answers, or a new one in its place.
async fn check(home: Weak<Connections>, mut connection: DatabaseSession) {
    match connection.ping(PING_WITHIN).await {
        Ok(()) => {
            if let Some(home) = home.upgrade() {
                home.returned(connection);
            }
        }
        Err(_) => {
            connection.abandon();
            reconnect(home).await;
        }
    }
}

/// Connects until it works or the service is gone.
async fn reconnect(home: Weak<Connections>) {
    let mut pause = BACK_OFF.0;
    loop {
        let Some(login) = home.upgrade().map(|home| home.login.clone()) else {
            return;
        };
        match DatabaseSession::connect(&login).await {
            Ok(connection) => {
                if let Some(home) = home.upgrade() {
                    home.returned(connection);
                }
                return;
            }
            Err(error) => {
                tracing::debug!(error = error.reason, "still no connection to the database")
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

async fn open_patiently(login: &Login) -> Result<DatabaseSession, String> {
    let mut pause = BACK_OFF.0;
    loop {
        let error = match DatabaseSession::connect(login).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let place = login.place();
        if error.is_permanent {
            return Err(format!(
                "connecting to {place}: {}; check user, password and database of the service's \
                 configuration",
                error.reason
            ));
        }
        tracing::warn!(
            error = error.reason,
            place,
            "no connection to the database yet"
        );
        sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// This is a connection on loan. Only [`Lease::settle`] with success gives it back: one that is dropped on
/// any other way (a failure, a panic) may be in the middle of something, and is replaced.
pub(super) struct Lease {
    /// This connection is the borrower's until the loan ends.
    pub connection: DatabaseSession,
    seat: Seat,
}

impl Lease {
    /// Ends the loan: after success the connection is clean, after any error it is thrown away.
    pub fn settle<T>(self, result: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        let Self {
            connection,
            mut seat,
        } = self;
        if let Some(home) = seat.home.take() {
            match &result {
                Ok(_) => home.give_back(connection),
                Err(error) => {
                    connection.abandon();
                    home.replace(error);
                }
            }
        }
        result
    }
}

/// The place that a lent connection, or its successor, comes back to.
struct Seat {
    home: Option<Arc<Connections>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let reason = "its use was abandoned midway".to_owned();
            home.replace(&DatabaseError::kept("using a connection", reason));
        }
    }
}
