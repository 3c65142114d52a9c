//! Consumers as processes of their own, on a real broker and a real database.

use crate::patience::PATIENCE;
use crate::{HARNESS, TestStack};
use harness::observer::committed;
use harness::topic::Topic;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use relays::config::{Isolation, PostgresTarget};
use relays::consumer::{ConsumerConfig, EffectKind, Idempotency, OffsetCommit};
use relays::schema::{self, Layout, OutboxKind};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use uuid::Uuid;

const PARTITIONS: i32 = 2;
const ORDERS: u32 = 200;

/// A topic, and a consumer's schema, of one test's own.
struct ConsumerFixture {
    stack: &'static TestStack,
    layout: Layout,
    topic: Topic,
    config: ConsumerConfig,
    file: tempfile::NamedTempFile,
    admin: PgConnection,
}

impl ConsumerFixture {
    async fn make(effect: EffectKind, idempotency: Idempotency, commit: OffsetCommit) -> Self {
        let stack = crate::stack().await;
        let name = format!("oh_{}", &Uuid::new_v4().simple().to_string()[..16]);
        let strategy = Layout {
            name: format!("{name}_it"),
            isolation: Isolation::Schema,
            outbox: OutboxKind::None,
            password: "secret".to_owned(),
        };
        let layout = strategy.of_consumer(0);
        schema::create_consumer(&stack.postgres, &layout, effect, idempotency)
            .await
            .unwrap();
        let topic = Topic::new(&stack.kafka_bootstrap, &name, PARTITIONS);
        topic.create().await.unwrap();
        let config = ConsumerConfig {
            postgres: PostgresTarget {
                user: layout.service_role(),
                password: layout.password.clone(),
                ..layout.inside(&stack.postgres)
            },
            bootstrap: stack.kafka_bootstrap.clone(),
            topic: name.clone(),
            group: format!("{name}.it"),
            effect,
            idempotency,
            commit,
        };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(&mut file, &config).unwrap();
        let options = PgConnectOptions::new()
            .host(&stack.postgres.host)
            .port(stack.postgres.port)
            .username(&stack.postgres.user)
            .password(&stack.postgres.password)
            .database(&stack.postgres.database);
        Self {
            stack,
            layout,
            topic,
            config,
            file,
            admin: PgConnection::connect_with(&options).await.unwrap(),
        }
    }

    /// Starts the process, and waits until it reads.
    fn start(&self) -> ConsumerProcess {
        let mut child = Command::new(HARNESS)
            .arg("consumer")
            .arg("--config")
            .arg(self.file.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let ready = output
            .lines()
            .map_while(Result::ok)
            .any(|l| l.contains("ready"));
        assert!(ready, "it ended before it was ready");
        ConsumerProcess(child)
    }

    /// Publishes one event of each of these orders.
    fn publish(&self, orders: std::ops::Range<u32>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.config.bootstrap)
            .create()
            .unwrap();
        for order in orders {
            let id = |kind: u128| Uuid::from_u128(kind << 64 | u128::from(order));
            let value = format!(
                "{{\"run\":\"0\",\"order_id\":\"{}\",\"version\":1,\"attempt\":\"{}\"}}",
                id(1),
                id(2)
            );
            let key = id(1).to_string();
            let record = BaseRecord::to(&self.config.topic).key(&key).payload(&value);
            producer.send(record).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let sql = sql.replace("SCHEMA", self.layout.schema());
        let number = sqlx::query_scalar(AssertSqlSafe(sql));
        number.fetch_one(&mut self.admin).await.unwrap()
    }

    async fn effects(&mut self) -> i64 {
        self.number("select count(*) from SCHEMA.effects").await
    }

    async fn orders(&mut self) -> i64 {
        self.number("select count(distinct order_id) from SCHEMA.effects")
            .await
    }

    /// Waits until its group has committed so many records.
    async fn has_read(&self, records: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ConsumerConfig {
                bootstrap,
                group,
                topic,
                ..
            } = &self.config;
            let come = committed(bootstrap, group, topic, PARTITIONS)
                .await
                .unwrap();
            if come.values().sum::<i64>() >= records {
                return;
            }
            assert!(Instant::now() < deadline, "only {come:?} of {records}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn drop_all(mut self) {
        schema::drop_all(&self.stack.postgres, &self.layout)
            .await
            .unwrap();
        self.topic.delete().await.unwrap();
        let left = format!(
            "select (select count(*) from pg_namespace where nspname = '{name}')
                  + (select count(*) from pg_roles where rolname like '{name}%')",
            name = self.layout.name
        );
        assert_eq!(self.number(&left).await, 0, "{} is left", self.layout.name);
    }
}

/// A consumer's process, killed when it is dropped.
struct ConsumerProcess(Child);

impl ConsumerProcess {
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM; it must then end by itself, and well.
    fn terminate(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for ConsumerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn given_events_that_come_twice_when_consumed_then_only_who_knows_them_applies_each_once() {
    use EffectKind::{Increment, Insert};
    for (effect, idempotency, times) in [
        (Insert, Idempotency::None, 2),
        (Insert, Idempotency::Key, 1),
        (Insert, Idempotency::Inbox, 1),
        (Increment, Idempotency::None, 2),
        (Increment, Idempotency::Inbox, 1),
    ] {
        let mut it = ConsumerFixture::make(effect, idempotency, OffsetCommit::After).await;
        // Some of them within one batch, the others when the first ones are applied.
        it.publish(0..ORDERS);
        it.publish(0..ORDERS / 2);
        let process = it.start();
        it.has_read(i64::from(ORDERS + ORDERS / 2)).await;
        it.publish(ORDERS / 2..ORDERS);
        it.has_read(i64::from(2 * ORDERS)).await;
        process.terminate();
        let of_it = format!("{effect:?}, {idempotency:?}");
        let expected = i64::from(ORDERS) * times;
        assert_eq!(it.effects().await, expected, "{of_it}");
        assert_eq!(it.orders().await, i64::from(ORDERS), "{of_it}");
        // The log of effects is what was done.
        let done = match effect {
            Insert => "select count(*) from SCHEMA.charges",
            Increment => "select reserved from SCHEMA.stock",
        };
        assert_eq!(it.number(done).await, expected, "{of_it}");
        it.drop_all().await;
    }
}

#[tokio::test]
async fn given_a_consumer_that_is_killed_when_it_is_back_then_it_goes_on_where_it_was_and_leaves_nothing_out()
 {
    for idempotency in [Idempotency::None, Idempotency::Inbox] {
        let mut it =
            ConsumerFixture::make(EffectKind::Insert, idempotency, OffsetCommit::After).await;
        for round in 0..3 {
            let process = it.start();
            it.publish(round * ORDERS..(round + 1) * ORDERS);
            process.kill();
        }
        let process = it.start();
        it.has_read(i64::from(3 * ORDERS)).await;
        process.terminate();
        assert_eq!(it.orders().await, i64::from(3 * ORDERS));
        if idempotency == Idempotency::Inbox {
            assert_eq!(it.effects().await, i64::from(3 * ORDERS));
        }
        it.drop_all().await;
    }
}

#[tokio::test]
async fn given_sessions_that_are_lost_when_it_consumes_then_it_connects_again_and_an_inbox_keeps_it_exact()
 {
    let mut it = ConsumerFixture::make(
        EffectKind::Increment,
        Idempotency::Inbox,
        OffsetCommit::After,
    )
    .await;
    let process = it.start();
    let role = it.layout.service_role();
    for round in 0..5 {
        it.publish(round * ORDERS..(round + 1) * ORDERS);
        let end = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '{role}'"
        );
        it.number(&end).await;
    }
    it.has_read(i64::from(5 * ORDERS)).await;
    process.terminate();
    assert_eq!(it.effects().await, i64::from(5 * ORDERS));
    assert_eq!(
        it.number("select reserved from SCHEMA.stock").await,
        i64::from(5 * ORDERS)
    );
    it.drop_all().await;
}

#[tokio::test]
async fn given_a_consumer_that_commits_first_when_its_effect_cannot_be_done_then_it_is_never_done()
{
    let mut it =
        ConsumerFixture::make(EffectKind::Insert, Idempotency::Key, OffsetCommit::Before).await;
    let schema = it.layout.schema().to_owned();
    let role = it.layout.service_role();
    it.publish(0..ORDERS);
    let revoke = format!("revoke insert on {schema}.charges from {role}");
    sqlx::query(AssertSqlSafe(revoke))
        .execute(&mut it.admin)
        .await
        .unwrap();
    let process = it.start();
    it.has_read(i64::from(ORDERS)).await;
    process.terminate();
    let grant = format!("grant insert on {schema}.charges to {role}");
    sqlx::query(AssertSqlSafe(grant))
        .execute(&mut it.admin)
        .await
        .unwrap();
    it.publish(ORDERS..2 * ORDERS);
    let process = it.start();
    it.has_read(i64::from(2 * ORDERS)).await;
    process.terminate();
    assert_eq!(it.effects().await, i64::from(ORDERS));
    it.drop_all().await;
}
