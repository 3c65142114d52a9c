//! Says of a run that it is alive, to others who use the same external stack: a session-level
//! advisory lock, which PostgreSQL gives back by itself when the holder dies.

use super::{StackError, postgres_client};
use relays::config::PostgresTarget;
use sqlx::PgConnection;

/// Held as long as this lives.
pub struct RunLock {
    _session: Option<PgConnection>,
}

impl RunLock {
    /// Takes the lock of a run, before anything that carries its name is made.
    pub async fn take(postgres: &PostgresTarget, run: &str) -> Result<Self, StackError> {
        let failed = |reason| StackError {
            doing: format!("take the lock of run {run}"),
            reason,
        };
        let mut session = postgres_client::connect(postgres).await.map_err(failed)?;
        if try_lock(&mut session, run).await.map_err(failed)? {
            return Ok(Self {
                _session: Some(session),
            });
        }
        Err(failed("another session holds it".into()))
    }

    /// For a stack that nobody else uses.
    pub fn not_needed() -> Self {
        Self { _session: None }
    }
}

/// Takes the lock for this session if it is free.
pub(super) async fn try_lock(session: &mut PgConnection, run: &str) -> Result<bool, String> {
    let locked = sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock($1)")
        .bind(key(run))
        .fetch_one(session);
    locked.await.map_err(|e| e.to_string())
}

/// Gives it back.
pub(super) async fn unlock(session: &mut PgConnection, run: &str) -> Result<(), String> {
    let unlocked = sqlx::query("select pg_advisory_unlock($1)")
        .bind(key(run))
        .execute(session);
    unlocked.await.map(drop).map_err(|e| e.to_string())
}

fn key(run: &str) -> i64 {
    let hash = blake3::hash(format!("outbox-harness run {run}").as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_be_bytes(bytes)
}
