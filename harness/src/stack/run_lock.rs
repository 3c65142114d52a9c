//! Says of a harness and of its run that they are alive, to others who want the same external
//! stack: session-level advisory locks, which PostgreSQL gives back by itself when the holder dies.

use super::{StackError, postgres_client};
use relays::config::PostgresTarget;
use sqlx::PgConnection;
use std::time::{Duration, Instant};

/// A harness that has just ended gives its locks back a moment later.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// What is locked for the whole of a stack.
const WHOLE_STACK: &str = "outbox-harness stack";

/// Held as long as this lives.
pub struct RunLock {
    _session: Option<PgConnection>,
}

impl RunLock {
    /// Takes the stack for one harness: a route's port serves one proxy at a time, and two loads
    /// would spoil each other's figures.
    pub async fn take_stack(postgres: &PostgresTarget) -> Result<Self, StackError> {
        let failed = |reason| StackError {
            doing: "take the stack for this run".into(),
            reason,
        };
        let mut session = postgres_client::connect(postgres).await.map_err(failed)?;
        let deadline = Instant::now() + GIVEN_BACK_WITHIN;
        while !try_lock_key(&mut session, key(WHOLE_STACK))
            .await
            .map_err(failed)?
        {
            if Instant::now() > deadline {
                let holder = holder(&mut session).await.map_err(failed)?;
                return Err(failed(format!(
                    "another run uses it ({holder}); start this one when that has ended, or give \
                     it a stack of its own"
                )));
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        Ok(Self {
            _session: Some(session),
        })
    }

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
    try_lock_key(session, run_key(run)).await
}

async fn try_lock_key(session: &mut PgConnection, key: i64) -> Result<bool, String> {
    let locked = sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock($1)")
        .bind(key)
        .fetch_one(session);
    locked.await.map_err(|e| e.to_string())
}

/// Who has the stack, as far as the server knows.
async fn holder(session: &mut PgConnection) -> Result<String, String> {
    let asked = sqlx::query_scalar::<_, String>(
        "select 'from ' || coalesce(host(a.client_addr), 'the server''s host')
                || ', since ' || to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')
           from pg_locks l join pg_stat_activity a using (pid)
          where l.locktype = 'advisory' and l.granted and l.objsubid = 1
            and (l.classid::int8 << 32 | l.objid::int8) = $1",
    )
    .bind(key(WHOLE_STACK))
    .fetch_optional(session);
    let found = asked.await.map_err(|e| e.to_string())?;
    Ok(found.unwrap_or_else(|| "which has just ended".into()))
}

/// Gives it back.
pub(super) async fn unlock(session: &mut PgConnection, run: &str) -> Result<(), String> {
    let unlocked = sqlx::query("select pg_advisory_unlock($1)")
        .bind(run_key(run))
        .execute(session);
    unlocked.await.map(drop).map_err(|e| e.to_string())
}

fn run_key(run: &str) -> i64 {
    key(&format!("outbox-harness run {run}"))
}

fn key(name: &str) -> i64 {
    let hash = blake3::hash(name.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_be_bytes(bytes)
}
