//! The fence's own steps against what could still write after them.

use crate::patience::PATIENCE;
use crate::stack;
use harness::broker::{Topic, kafka};
use harness::database::Truth;
use harness::database::postgres::fence;
use harness::history::{NONE, TruthRow};
use harness::identity::{Identity, RunKey};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, FutureProducer, FutureRecord, Producer, ThreadedProducer,
};
use relays::config::{Isolation, PostgresTarget};
use relays::postgres::schema::{self, Layout, OutboxKind};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Tables and roles of one test.
struct GivenTables {
    admin: PostgresTarget,
    layout: Layout,
    identity: Identity,
}

impl GivenTables {
    async fn tables() -> Self {
        Self::of(OutboxKind::Delete).await
    }

    async fn of(outbox: OutboxKind) -> Self {
        let key = RunKey::random();
        let given = Self {
            admin: stack().await.postgres.clone(),
            layout: Layout {
                isolation: Isolation::Schema,
                name: format!("fence_{}", key.run),
                outbox,
                failover_slot: false,
                password: "secret".into(),
            },
            identity: key.identity().unwrap(),
        };
        schema::create(&given.admin, &given.layout).await.unwrap();
        given
    }

    async fn close_and_read(&self, within: Duration) -> Result<Truth, String> {
        fence::close_and_read(&self.admin, &self.layout, &self.identity, within).await
    }

    /// A session of the order service's role.
    async fn service(&self) -> Result<PgConnection, sqlx::Error> {
        let role = self.layout.service_role();
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.admin.host)
            .port(self.admin.port)
            .username(&role)
            .password(&self.layout.password)
            .database(&self.admin.database);
        PgConnection::connect_with(&options).await
    }

    async fn administrator(&self) -> PgConnection {
        let soon = Instant::now() + PATIENCE;
        fence::connect(&self.admin, soon).await.unwrap()
    }

    /// A new order.
    fn order(&self) -> AssertSqlSafe<String> {
        let (order, attempt, change) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        let schema = self.layout.schema();
        AssertSqlSafe(format!(
            "INSERT INTO \"{schema}\".orders (id, state, attempts, changes)
             VALUES ('{order}', 'new', '{{{attempt}}}', '{{{change}}}')"
        ))
    }

    async fn orders(&self) -> usize {
        let count = format!("SELECT count(*) FROM \"{}\".orders", self.layout.schema());
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(count))
            .fetch_one(&mut self.administrator().await)
            .await
            .unwrap();
        count as usize
    }

    async fn drop(self) {
        schema::drop_all(&self.admin, &self.layout).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_open_sessions_and_one_that_comes_again_when_the_database_is_closed_then_none_writes_after_the_read()
 {
    // Given an order that is not committed yet, a session that does nothing, and a client that
    // connects again and again, each time for one order.
    let given = Arc::new(GivenTables::tables().await);
    let mut late = given.service().await.unwrap();
    late.execute("BEGIN").await.unwrap();
    late.execute(given.order()).await.unwrap();
    let mut idle = given.service().await.unwrap();
    let (written, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let client = tokio::spawn({
        let (given, stop) = (Arc::clone(&given), Arc::clone(&stop));
        let (written, refused) = (Arc::clone(&written), Arc::clone(&refused));
        async move {
            while !stop.load(Ordering::SeqCst) {
                match given.service().await {
                    Ok(mut session) => {
                        let order = session.execute(given.order()).await;
                        written.fetch_add(u64::from(order.is_ok()), Ordering::SeqCst);
                    }
                    Err(_) => {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        }
    });
    until("an order is written", || written.load(Ordering::SeqCst) > 0).await;

    // When the fence closes the database
    let truth = given.close_and_read(PATIENCE).await.unwrap();

    // Then what it has read is all there will ever be.
    let before = refused.load(Ordering::SeqCst);
    until("the client is refused", || {
        refused.load(Ordering::SeqCst) > before + 20
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    client.await.unwrap();
    assert!(late.execute("COMMIT").await.is_err());
    assert!(idle.execute(given.order()).await.is_err());
    assert_eq!(given.orders().await, truth.rows.len());
    assert!(truth.lsn > 0);
    Arc::into_inner(given).unwrap().drop().await;
}

#[tokio::test]
async fn given_a_prepared_transaction_when_the_database_is_closed_then_the_step_fails_and_says_so()
{
    let given = GivenTables::tables().await;
    let mut service = given.service().await.unwrap();
    service.execute("BEGIN").await.unwrap();
    service.execute(given.order()).await.unwrap();
    let gid = given.layout.schema().to_owned();
    let prepare = AssertSqlSafe(format!("PREPARE TRANSACTION '{gid}'"));
    service.execute(prepare).await.unwrap();
    service.close().await.unwrap();

    let closed = given.close_and_read(PATIENCE).await;

    let reason = closed.unwrap_err();
    assert!(reason.contains("1 prepared transactions"), "{reason}");
    assert!(reason.contains("could still commit"), "{reason}");
    // And it does not outlive the schema.
    let mut session = given.administrator().await;
    given.drop().await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_prepared_xacts WHERE gid = $1")
        .bind(gid)
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn given_somebody_who_may_still_write_when_the_truth_is_read_then_the_step_ends_and_names_them()
 {
    let given = GivenTables::tables().await;
    let mut somebody = given.administrator().await;
    let table = format!("\"{}\".orders", given.layout.schema());
    somebody.execute("BEGIN").await.unwrap();
    let lock = AssertSqlSafe(format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE"));
    somebody.execute(lock).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut somebody)
        .await
        .unwrap();

    let read = given.close_and_read(Duration::from_millis(300));
    let read = tokio::time::timeout(PATIENCE, read).await;

    let reason = read.expect("the step goes on").unwrap_err();
    assert!(reason.contains("still locked"), "{reason}");
    assert!(reason.contains(&format!("session {pid} (")), "{reason}");
    // Nor does it keep the schema from being dropped.
    given.drop().await;
    assert!(somebody.execute("SELECT 1").await.is_err());
}

#[tokio::test]
async fn given_orders_of_this_run_when_the_truth_is_read_then_it_is_who_made_each_version() {
    let given = GivenTables::tables().await;
    let (schema, ids) = (given.layout.schema(), &given.identity);
    let (first, second) = (ids.attempt_id(5), ids.attempt_id(6));
    let (placed, paid) = (ids.change_id(8), ids.change_id(9));
    let order = ids.order_id(3);
    let insert = format!(
        "INSERT INTO \"{schema}\".orders (id, state, attempts, changes)
         VALUES ('{order}', 'new', '{{{first},{second}}}', '{{{placed},{paid}}}')"
    );
    let mut session = given.administrator().await;
    session.execute(AssertSqlSafe(insert)).await.unwrap();

    let truth = given.close_and_read(PATIENCE).await.unwrap();

    given.drop().await;
    let row = |version, attempt, change| TruthRow {
        order: 3,
        version,
        attempt,
        change,
    };
    let rows: Vec<_> = truth.rows.iter().collect();
    assert_eq!(rows, [row(1, 5, 8), row(2, 6, 9)]);
}

#[tokio::test]
async fn given_events_that_are_the_truth_when_it_is_read_then_each_is_the_version_that_it_says() {
    let given = GivenTables::of(OutboxKind::Events).await;
    let (schema, ids) = (given.layout.schema(), &given.identity);
    let event = |order, version, attempt: u32| {
        let (attempt, change) = (ids.attempt_id(attempt), ids.change_id(attempt + 10));
        format!("('{order}', {version}, gen_random_uuid(), 't', '{attempt}', '{change}', '{{}}')")
    };
    // Given events in any order, with a version left out, and one that is nobody's
    let (order, nobody) = (ids.order_id(3), Uuid::new_v4());
    let rows = [event(order, 3, 6), event(order, 1, 5), event(nobody, 1, 7)].join(", ");
    let insert = format!(
        "INSERT INTO \"{schema}\".events (aggregateid, version, id, type, attempt, change_id, payload)
         VALUES {rows}"
    );
    let mut session = given.administrator().await;
    session.execute(AssertSqlSafe(insert)).await.unwrap();

    let truth = given.close_and_read(PATIENCE).await.unwrap();

    given.drop().await;
    let row = |order, version, attempt| TruthRow {
        order,
        version,
        attempt,
        change: attempt + 10,
    };
    let rows: Vec<_> = truth.rows.iter().collect();
    assert_eq!(rows, [row(3, 1, 5), row(3, 3, 6), row(NONE, 1, 7)]);
}

#[tokio::test]
async fn given_a_session_when_the_time_to_end_it_is_over_then_that_is_said_and_it_is_ended_all_the_same()
 {
    let given = GivenTables::tables().await;
    let mut service = given.service().await.unwrap();
    let mut session = given.administrator().await;
    let role = given.layout.service_role();

    let over = Instant::now();
    let ended = fence::end_sessions(&mut session, &role, over).await;

    let told = format!("1 sessions of role {role} do not end");
    assert_eq!(ended, Err(told));
    assert!(service.execute(given.order()).await.is_err());
    let soon = Instant::now() + PATIENCE;
    let ended = fence::end_sessions(&mut session, &role, soon).await;
    assert_eq!(ended, Ok(()));
    given.drop().await;
}

#[tokio::test]
async fn given_tables_that_are_gone_when_the_truth_is_read_then_that_is_said_and_no_lock_is_blamed()
{
    let given = GivenTables::tables().await;
    let gone = format!("DROP TABLE \"{}\".orders", given.layout.schema());
    let mut session = given.administrator().await;
    session.execute(AssertSqlSafe(gone)).await.unwrap();

    let read = given.close_and_read(PATIENCE).await;

    let reason = read.unwrap_err();
    assert!(reason.contains("does not exist"), "{reason}");
    assert!(!reason.contains("still locked"), "{reason}");
    given.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_producers_that_go_on_when_the_topic_is_closed_then_it_takes_nothing_more() {
    // Given a topic, and producers that keep writing to all of its partitions.
    let (topic, name, identity) = topic(3).await;
    let producer: FutureProducer = client(&[("linger.ms", "0")]).create().unwrap();
    let closed = Arc::new(AtomicBool::new(false));
    let (taken, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let taken_late = Arc::new(AtomicU64::new(0));
    let producers: Vec<_> = (0..6)
        .map(|number| {
            let (producer, name) = (producer.clone(), name.clone());
            let (closed, taken, refused, taken_late) = (
                Arc::clone(&closed),
                Arc::clone(&taken),
                Arc::clone(&refused),
                Arc::clone(&taken_late),
            );
            tokio::spawn(async move {
                let value = "x".repeat(200);
                let deadline = Instant::now() + 2 * PATIENCE;
                while refused.load(Ordering::SeqCst) < 300 && Instant::now() < deadline {
                    let began_late = closed.load(Ordering::SeqCst);
                    let record = FutureRecord::<str, str>::to(&name)
                        .partition(number % 3)
                        .payload(&value);
                    match producer.send(record, PATIENCE).await {
                        Ok(_) if began_late => taken_late.fetch_add(1, Ordering::SeqCst),
                        Ok(_) => taken.fetch_add(1, Ordering::SeqCst),
                        Err(_) if began_late => refused.fetch_add(1, Ordering::SeqCst),
                        Err(_) => 0,
                    };
                }
            })
        })
        .collect();
    until("it takes records", || taken.load(Ordering::SeqCst) > 50).await;

    topic.close(&identity, PATIENCE).await.unwrap();
    closed.store(true, Ordering::SeqCst);

    let length = topic.length().unwrap().records().await.unwrap();
    for producer in producers {
        producer.await.unwrap();
    }
    assert_eq!(taken_late.load(Ordering::SeqCst), 0);
    let later = topic.length().unwrap().records().await.unwrap();
    assert_eq!(later, length);
    topic.delete().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn given_somebody_who_opens_the_topic_again_when_it_is_closed_then_that_fails() {
    let (topic, name, identity) = topic(1).await;
    let admin: AdminClient<DefaultClientContext> = client(&[]).create().unwrap();
    let closed = Arc::new(AtomicBool::new(false));
    let rival = tokio::spawn({
        let (name, closed) = (name.clone(), Arc::clone(&closed));
        async move {
            while !closed.load(Ordering::SeqCst) {
                let open = AlterConfig::new(ResourceSpecifier::Topic(&name))
                    .set("max.message.bytes", "1000000");
                admin
                    .alter_configs([&open], &AdminOptions::new())
                    .await
                    .unwrap();
            }
        }
    });

    // A rival that is slow for once may come after the sentinel: then the topic was closed, and again.
    let deadline = Instant::now() + PATIENCE;
    let reason = loop {
        match topic.close(&identity, Duration::from_secs(1)).await {
            Err(reason) => break reason,
            Ok(()) => assert!(Instant::now() < deadline, "closed every time"),
        }
    };

    closed.store(true, Ordering::SeqCst);
    rival.await.unwrap();
    assert!(reason.contains("still takes 200-byte records"), "{reason}");
    topic.delete().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_transaction_left_open_when_the_topic_is_closed_then_that_fails_until_it_has_ended()
{
    let (topic, name, identity) = topic(1).await;
    let config = client(&[("transactional.id", name.as_str())]);
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(&name).payload("open");
    producer.send(record).map_err(|(e, _)| e).unwrap();
    producer.flush(PATIENCE).unwrap();

    let closed = topic.close(&identity, Duration::from_millis(500)).await;

    let reason = closed.unwrap_err();
    assert!(reason.contains("a transaction never ended"), "{reason}");
    producer.abort_transaction(PATIENCE).unwrap();
    topic.close(&identity, PATIENCE).await.unwrap();
    topic.delete().await.unwrap();
}

fn client(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    let bootstrap = BOOTSTRAP.get().unwrap();
    config.set("bootstrap.servers", bootstrap);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

static BOOTSTRAP: std::sync::OnceLock<String> = std::sync::OnceLock::new();

async fn topic(partitions: i32) -> (Box<dyn Topic>, String, Identity) {
    let bootstrap = stack().await.kafka_bootstrap.clone();
    let key = RunKey::random();
    let name = format!("test.fence.{}", key.run);
    let topic = kafka::at(&bootstrap).topic(&name, partitions);
    let _ = BOOTSTRAP.set(bootstrap);
    topic.create().await.unwrap();
    (topic, name, key.identity().unwrap())
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
