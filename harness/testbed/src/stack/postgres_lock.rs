//! The lock of a stack, and those of the harnesses on it: advisory locks of sessions on its PostgreSQL.

use super::tenancy::{BEAT, LOST_AFTER, Tenancy, failed};
use super::{StackError, postgres_client};
use relays::config::PostgresTarget;
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A harness that has just ended gives its locks back a moment later.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// What is locked for the whole of a stack.
const WHOLE_STACK: &str = "outbox-harness stack";

impl Tenancy {
    /// Takes the stack for one harness, where it is the same database (a route's port serves one
    /// proxy at a time, and two loads would spoil each other's figures), and sets its marks.
    pub async fn begin(
        postgres: &PostgresTarget,
        bootstrap: &str,
        id: String,
    ) -> Result<Self, StackError> {
        let mut session = postgres_client::connect(postgres).await.map_err(failed)?;
        never_idle(&mut session).await.map_err(failed)?;
        if let Some(user) = take_stack(&mut session).await.map_err(failed)? {
            return Err(failed(format!(
                "another run uses it ({user}); start this one when that has ended, or give it a \
                 stack of its own"
            )));
        }
        if !try_lock(&mut session, &id).await.map_err(failed)? {
            return Err(failed(format!("another harness is called {id} too")));
        }
        Self::with(StackLock { session }, bootstrap, id).await
    }
}

/// The session that holds the lock of the stack, and that of the harness that uses it.
pub(super) struct StackLock {
    session: PgConnection,
}

impl StackLock {
    /// Asks the server for a word again and again, so that neither it nor anything between takes the
    /// session for dead, and its end is noticed.
    pub(super) async fn keep(mut self, tell: watch::Sender<Option<String>>) {
        loop {
            tokio::time::sleep(BEAT).await;
            let asked = sqlx::query("select 1").execute(&mut self.session);
            let reason = match tokio::time::timeout(LOST_AFTER, asked).await {
                Ok(Ok(_)) => continue,
                Ok(Err(e)) => e.to_string(),
                Err(_) => format!("the server did not answer within {LOST_AFTER:?}"),
            };
            tell.send_replace(Some(format!(
                "the session on PostgreSQL that held its lock is gone ({reason}): another harness may \
                 have been let in; find out what ended it"
            )));
            return;
        }
    }
}

/// Without it, `idle_session_timeout` (PostgreSQL 14) ends a session that holds locks and does nothing.
pub(super) async fn never_idle(session: &mut PgConnection) -> Result<(), String> {
    let set = sqlx::query(
        "select set_config('idle_session_timeout', '0', false) from pg_settings
          where name = 'idle_session_timeout'",
    );
    set.execute(session)
        .await
        .map(drop)
        .map_err(|e| e.to_string())
}

/// Takes it, or says who has it.
async fn take_stack(session: &mut PgConnection) -> Result<Option<String>, String> {
    introduce(session).await?;
    let deadline = Instant::now() + GIVEN_BACK_WITHIN;
    while !try_lock_key(session, key(WHOLE_STACK)).await? {
        if Instant::now() > deadline {
            let holder = holder(session).await?;
            return Ok(Some(
                holder.unwrap_or_else(|| "which has just ended".into()),
            ));
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    Ok(None)
}

/// Says to the server, and so to others who ask it, which process this is.
async fn introduce(session: &mut PgConnection) -> Result<(), String> {
    let said = sqlx::query("select set_config('application_name', $1, false)")
        .bind(format!("outbox-harness, pid {}", std::process::id()))
        .execute(session);
    said.await.map(drop).map_err(|e| e.to_string())
}

/// The lock of a stack, for who only looks at it.
pub struct KeptLock {
    server: PostgresTarget,
}

impl KeptLock {
    /// The one of the stack whose PostgreSQL this is.
    pub(super) fn on(server: PostgresTarget) -> Self {
        Self { server }
    }

    /// Who uses the stack, as far as its PostgreSQL knows; `None` if nobody does.
    pub async fn user(&self) -> Result<Option<String>, String> {
        holder(&mut postgres_client::connect(&self.server).await?).await
    }

    /// Sees that nobody uses the stack, and that nobody begins to; where somebody does, the inner Err says who.
    pub async fn keep_unused(&self) -> Result<Result<Unused, String>, String> {
        let mut session = postgres_client::connect(&self.server).await?;
        Ok(match take_stack(&mut session).await? {
            None => Ok(Unused { _session: session }),
            Some(user) => Err(user),
        })
    }
}

/// A stack that nobody uses, nor can, as long as this lives.
pub struct Unused {
    _session: PgConnection,
}

/// Takes the lock of a harness for this session, if no session of this database has it.
pub(super) async fn try_lock(session: &mut PgConnection, id: &str) -> Result<bool, String> {
    try_lock_key(session, tenant_key(id)).await
}

async fn try_lock_key(session: &mut PgConnection, key: i64) -> Result<bool, String> {
    let locked = sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock($1)")
        .bind(key)
        .fetch_one(session);
    locked.await.map_err(|e| e.to_string())
}

/// Whether another session of the server, in whatever database, has the lock of a harness.
pub(super) async fn is_held_by_another(
    session: &mut PgConnection,
    id: &str,
) -> Result<bool, String> {
    let asked = sqlx::query_scalar::<_, bool>(
        "select exists (select from pg_locks
           where locktype = 'advisory' and granted and objsubid = 1
             and (classid::int8 << 32 | objid::int8) = $1 and pid <> pg_backend_pid())",
    )
    .bind(tenant_key(id))
    .fetch_one(session);
    asked.await.map_err(|e| e.to_string())
}

/// Who has the stack, as far as the server knows; `None` if nobody has.
async fn holder(session: &mut PgConnection) -> Result<Option<String>, String> {
    let asked = sqlx::query_scalar::<_, String>(
        "select 'from ' || coalesce(host(a.client_addr), 'the server''s host')
                || ', since ' || to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')
                || coalesce(', ' || nullif(a.application_name, ''), '')
           from pg_locks l join pg_stat_activity a using (pid)
          where l.locktype = 'advisory' and l.granted and l.objsubid = 1
            and l.database = (select oid from pg_database where datname = current_database())
            and (l.classid::int8 << 32 | l.objid::int8) = $1",
    )
    .bind(key(WHOLE_STACK))
    .fetch_optional(session);
    asked.await.map_err(|e| e.to_string())
}

fn tenant_key(id: &str) -> i64 {
    key(&format!("outbox-harness {id}"))
}

fn key(name: &str) -> i64 {
    let hash = blake3::hash(name.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_be_bytes(bytes)
}
