//! Connections to PostgreSQL: a fixed number, lent one request at a time, replaced when they
//! break. (sqlx's own pool pings on every release, which costs a quarter of the throughput.)
//!
//! Nothing here waits for ever: connecting, lending and every use are bounded, so that a link
//! which swallows packets cannot hold a connection beyond its bound.

use crate::signal::{Signal, emit};
use futures::future::join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Making a connection takes no longer than this, authentication included.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
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
/// There is nothing of this name (undefined_object), such as a prepared transaction.
const UNDEFINED_OBJECT: &str = "42704";

/// What went wrong with the database, and whether the connection is to blame.
#[derive(Debug, Error)]
#[error("{doing}: {reason}")]
pub(super) struct DatabaseError {
    doing: &'static str,
    reason: String,
    lost: bool,
    is_absent: bool,
}

impl DatabaseError {
    /// Makes the error from what the server, or the way to it, said.
    pub fn new(doing: &'static str, error: &sqlx::Error) -> Self {
        Self {
            doing,
            lost: is_loss(error),
            is_absent: is_absent(error),
            reason: error.to_string(),
        }
    }

    /// Whether the connection is lost: what was asked of the server may be done or not.
    pub fn is_loss(&self) -> bool {
        self.lost
    }

    /// Whether the server says that there is nothing of the name that it was told, such as a prepared transaction.
    pub fn is_absent(&self) -> bool {
        self.is_absent
    }
}

/// Runs one exchange with the server, bounded.
pub(super) async fn exchange<T>(
    doing: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DatabaseError> {
    bounded(doing, ANSWER_WITHIN, work).await
}

async fn bounded<T>(
    doing: &'static str,
    bound: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DatabaseError> {
    match timeout(bound, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(DatabaseError::new(doing, &error)),
        Err(_) => Err(DatabaseError {
            doing,
            lost: true,
            is_absent: false,
            reason: format!("PostgreSQL did not answer within {bound:?}"),
        }),
    }
}

fn is_absent(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.as_deref() == Some(UNDEFINED_OBJECT)
}

/// Whether an error ends the connection: everything but the server's word on a statement.
fn is_loss(error: &sqlx::Error) -> bool {
    error.as_database_error().is_none_or(|answer| {
        // 57P: shutdown or crash of the server, termination by an administrator, idle limits.
        let code = answer.code().unwrap_or_default();
        code.starts_with("57P") || code.starts_with("08") || code == "25P03"
    })
}

/// Whether retrying is pointless: wrong password, no such role or database.
fn is_permanent(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|answer| {
        let code = answer.code().unwrap_or_default();
        code.starts_with("28") || code == "3D000"
    })
}

/// The service's connections are kept here, and each is lent to one request at a time.
pub(super) struct Connections {
    options: PgConnectOptions,
    size: usize,
    /// As many permits as `idle` has connections.
    available: Semaphore,
    /// The last in is the first out: the most recently used is the warmest. The lock is held for a push or a pop.
    idle: Mutex<Vec<PgConnection>>,
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
    pub async fn open(options: PgConnectOptions, size: usize) -> Result<Arc<Self>, String> {
        let opening = stream::iter((0..size).map(|_| open_patiently(&options)));
        let idle: Vec<_> = opening.buffered(OPENING_MAX).try_collect().await?;
        Ok(Arc::new(Self {
            available: Semaphore::new(idle.len()),
            idle: Mutex::new(idle),
            health: Mutex::default(),
            options,
            size,
        }))
    }

    /// Lends a connection, waiting a bounded time for one.
    pub async fn lend(self: &Arc<Self>) -> Result<Lease, DatabaseError> {
        let nobody = |reason: String| DatabaseError {
            doing: "waiting for a connection to PostgreSQL",
            reason,
            lost: false,
            is_absent: false,
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
        let goodbyes = idle.into_iter().map(Connection::close);
        let _ = timeout(PING_WITHIN, join_all(goodbyes)).await;
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, connection: PgConnection) {
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
            let first = error.lost && !health.lost;
            if first {
                health.lost = true;
                emit(Signal::DatabaseLost {
                    reason: error.to_string(),
                });
            }
            first
        };
        tracing::warn!(%error, "a connection to PostgreSQL is thrown away");
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

    fn returned(&self, connection: PgConnection) {
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
async fn check(home: Weak<Connections>, mut connection: PgConnection) {
    match bounded("asking an idle connection", PING_WITHIN, connection.ping()).await {
        Ok(()) => {
            if let Some(home) = home.upgrade() {
                home.returned(connection);
            }
        }
        Err(_) => {
            drop(connection);
            reconnect(home).await;
        }
    }
}

/// Connects until it works or the service is gone.
async fn reconnect(home: Weak<Connections>) {
    let mut pause = BACK_OFF.0;
    loop {
        let Some(options) = home.upgrade().map(|home| home.options.clone()) else {
            return;
        };
        match connect(&options).await {
            Ok(connection) => {
                if let Some(home) = home.upgrade() {
                    home.returned(connection);
                }
                return;
            }
            Err(error) => tracing::debug!(%error, "still no connection to PostgreSQL"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// Makes a connection within the bound of all of them.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    timeout(CONNECT_WITHIN, PgConnection::connect_with(options))
        .await
        .unwrap_or_else(|_| {
            Err(sqlx::Error::Io(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!("no answer within {CONNECT_WITHIN:?}"),
            )))
        })
}

async fn open_patiently(options: &PgConnectOptions) -> Result<PgConnection, String> {
    let mut pause = BACK_OFF.0;
    loop {
        let error = match connect(options).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let (host, port) = (options.get_host(), options.get_port());
        if is_permanent(&error) {
            return Err(format!(
                "connecting to PostgreSQL at {host}:{port}: {error}; check user, password and \
                 database of the service's configuration"
            ));
        }
        tracing::warn!(%error, host, port, "no connection to PostgreSQL yet");
        sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// This is a connection on loan. Only [`Lease::settle`] with success gives it back: one that is dropped on
/// any other way (a failure, a panic) may be in the middle of something, and is replaced.
pub(super) struct Lease {
    /// This connection is the borrower's until the loan ends.
    pub connection: PgConnection,
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
                    drop(connection);
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
            home.replace(&DatabaseError {
                doing: "using a connection",
                reason: "its use was abandoned midway".into(),
                lost: false,
                is_absent: false,
            });
        }
    }
}
