//! Says of a harness that it is alive, to others who share some of an external stack with it.
//!
//! Its mark is wherever others may meet its things: a session on the PostgreSQL server holds advisory
//! locks, which every database of the server can see and the server gives back by itself when the
//! holder dies; on the Kafka cluster a topic grows by a record a second. (A proxy leads to one of the
//! two.) The ids of all runs of a harness begin with its own, and so does the name of whatever they
//! make. Who cannot keep its marks up says so, and its run ends: the next one may have been let in.

use super::{StackError, postgres_client};
use crate::broker::{Topic, kafka};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use relays::config::PostgresTarget;
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A harness that has just ended gives its locks back a moment later.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// What is locked for the whole of a stack.
const WHOLE_STACK: &str = "outbox-harness stack";
/// A harness's id has so many hexadecimal digits.
pub(super) const ID_DIGITS: usize = 8;
/// Where the id of a run would follow, in the name of the topic that is the mark.
const NO_RUN: &str = "00000000";
/// Two signs of life are this far apart.
const BEAT: Duration = Duration::from_secs(1);
/// A harness that could give none for so long has lost its mark.
const LOST_AFTER: Duration = Duration::from_secs(8);
/// Whose topic does not grow for so long is dead; longer than [`LOST_AFTER`], so that a harness that
/// was held up knows it before others do.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(12);

/// The stack is held for one harness as long as this lives.
pub struct Tenancy {
    id: String,
    /// `None` once it is being taken away.
    mark: Option<Box<dyn Topic>>,
    /// Why a mark was lost.
    lost: watch::Receiver<Option<String>>,
    keepers: [JoinHandle<()>; 2],
}

impl Tenancy {
    /// Returns a random id for [`Tenancy::begin`], of 8 hexadecimal digits.
    pub fn new_id() -> String {
        format!("{:08x}", rand::random::<u32>())
    }

    /// Takes the stack for one harness, where it is the same database (a route's port serves one
    /// proxy at a time, and two loads would spoil each other's figures), and sets its marks.
    pub async fn begin(
        postgres: &PostgresTarget,
        bootstrap: &str,
        id: String,
    ) -> Result<Self, StackError> {
        let failed = |reason| StackError {
            doing: "take the stack for this run".into(),
            reason,
        };
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
        let mark = kafka::at(bootstrap).topic(&mark_of(&id), 1);
        mark.create().await.map_err(|e| failed(e.into()))?;
        let producer = producer(bootstrap).map_err(failed)?;
        let (tell, lost) = watch::channel(None);
        let keepers = [
            tokio::spawn(keep_session(session, tell.clone())),
            tokio::spawn(keep_growing(producer, mark_of(&id), tell)),
        ];
        Ok(Self {
            id,
            mark: Some(mark),
            lost,
            keepers,
        })
    }

    /// With what the ids of its runs begin.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits until a mark is lost; says which, and why.
    pub async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes the marks away: nothing with its name is there any more.
    pub async fn end(mut self) -> Result<(), String> {
        self.stop_keepers();
        match self.mark.take() {
            Some(mark) => mark.delete().await,
            None => Ok(()),
        }
    }

    fn stop_keepers(&self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
    }
}

impl Drop for Tenancy {
    /// In an end that was not orderly, the next harness need not look for long whether it is one.
    fn drop(&mut self) {
        self.stop_keepers();
        if let (Some(mark), Ok(runtime)) = (self.mark.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move { mark.delete().await });
        }
    }
}

/// Name of the topic that is a harness's mark.
pub(super) fn mark_of(id: &str) -> String {
    format!("oh.{id}{NO_RUN}.alive")
}

/// Whether a topic of this name is some harness's mark.
pub(super) fn is_mark(topic: &str) -> bool {
    let id = topic
        .strip_prefix("oh.")
        .and_then(|rest| rest.get(..ID_DIGITS));
    id.is_some_and(|id| topic == mark_of(id))
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

/// Who uses the stack, as far as its PostgreSQL knows; `None` if nobody does.
pub async fn user(postgres: &PostgresTarget) -> Result<Option<String>, String> {
    holder(&mut postgres_client::connect(postgres).await?).await
}

/// A stack that nobody uses, nor can, as long as this lives.
pub struct Unused {
    _session: PgConnection,
}

/// Sees that nobody uses the stack, and that nobody begins to; where somebody does, the inner Err says who.
pub async fn keep_unused(postgres: &PostgresTarget) -> Result<Result<Unused, String>, String> {
    let mut session = postgres_client::connect(postgres).await?;
    Ok(match take_stack(&mut session).await? {
        None => Ok(Unused { _session: session }),
        Some(user) => Err(user),
    })
}

/// Asks the server for a word again and again, so that neither it nor anything between takes the
/// session for dead, and its end is noticed.
async fn keep_session(mut session: PgConnection, tell: watch::Sender<Option<String>>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let asked = sqlx::query("select 1").execute(&mut session);
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

async fn keep_growing(producer: FutureProducer, mark: String, tell: watch::Sender<Option<String>>) {
    let mut last = Instant::now();
    loop {
        let record = FutureRecord::<str, str>::to(&mark).payload("alive");
        match producer.send(record, BEAT).await {
            Ok(_) => last = Instant::now(),
            Err((e, _)) if is_gone(&e) || last.elapsed() > LOST_AFTER => {
                tell.send_replace(Some(format!(
                    "its topic {mark} takes no sign of life any more ({e}): another harness may \
                     have taken this one for dead, and dropped what it had made"
                )));
                return;
            }
            Err(_) => {}
        }
        tokio::time::sleep(BEAT).await;
    }
}

fn is_gone(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
    )
}

fn producer(bootstrap: &str) -> Result<FutureProducer, String> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("message.timeout.ms", "3000")
        .set("topic.metadata.propagation.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "2000")
        .set("log_level", "3")
        .create()
        .map_err(|e: KafkaError| e.to_string())
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
