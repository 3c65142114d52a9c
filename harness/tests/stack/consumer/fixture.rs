//! What a consumer works between: a topic, a schema of its own, and its process.

use crate::patience::PATIENCE;
use crate::{HARNESS, TestStack};
use harness::broker::{ConsumerGroup, GroupProgress, Topic};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use relays::config::{
    BrokerKind, BrokerTarget, Isolation, KafkaTarget, PostgresTarget, RabbitMqGroup,
};
use relays::consumer::{CallTarget, ConsumerConfig, EffectKind, Idempotency, OffsetCommit};
use relays::postgres::schema::{self, Layout, OutboxKind};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use uuid::Uuid;

const PARTITIONS: i32 = 2;

/// A topic, and a consumer's schema, of one test's own.
pub struct ConsumerFixture {
    pub stack: &'static TestStack,
    pub layout: Layout,
    topic: Box<dyn Topic>,
    config: ConsumerConfig,
    file: tempfile::NamedTempFile,
    pub admin: PgConnection,
}

impl ConsumerFixture {
    pub async fn make(effect: EffectKind, idempotency: Idempotency, commit: OffsetCommit) -> Self {
        let stack = crate::stack().await;
        let name = format!("oh_{}", &Uuid::new_v4().simple().to_string()[..16]);
        let strategy = Layout {
            name: format!("{name}_it"),
            isolation: Isolation::Schema,
            outbox: OutboxKind::None,
            failover_slot: false,
            password: "secret".to_owned(),
        };
        let layout = strategy.of_consumer(0);
        schema::create_consumer(&stack.postgres, &layout, effect, idempotency)
            .await
            .unwrap();
        let topic = stack
            .info
            .broker(BrokerKind::Kafka)
            .unwrap()
            .topic(&name, PARTITIONS);
        topic.create().await.unwrap();
        let config = ConsumerConfig {
            database: PostgresTarget {
                user: layout.service_role(),
                password: layout.password.clone(),
                ..layout.inside(&stack.postgres)
            },
            broker: BrokerTarget::Kafka(KafkaTarget {
                bootstrap: stack.kafka_bootstrap.clone(),
                topic: name.clone(),
                linger_ms: 0.0,
                acks: Default::default(),
            }),
            group: format!("{name}.it"),
            rabbitmq: RabbitMqGroup::default(),
            effect,
            idempotency,
            commit,
            sink: None,
        };
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
            file: tempfile::NamedTempFile::new().unwrap(),
            admin: PgConnection::connect_with(&options).await.unwrap(),
        }
    }

    /// It calls this one.
    pub fn calls(&mut self, target: CallTarget) {
        self.config.sink = Some(target);
    }

    /// It reaches Kafka there; everything else here does as before.
    pub fn reaches_kafka_at(&mut self, bootstrap: &str) {
        let BrokerTarget::Kafka(kafka) = &mut self.config.broker else {
            panic!("consumers read from Kafka");
        };
        bootstrap.clone_into(&mut kafka.bootstrap);
    }

    /// Starts the process, and waits until it reads.
    pub fn start(&self) -> ConsumerProcess {
        let mut process = self.spawn();
        process.says("ready");
        process
    }

    /// Starts the process.
    pub fn spawn(&self) -> ConsumerProcess {
        serde_json::to_writer(self.file.reopen().unwrap(), &self.config).unwrap();
        let mut child = Command::new(HARNESS)
            .arg("consumer")
            .arg("--config")
            .arg(self.file.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap()).lines();
        ConsumerProcess { child, says }
    }

    /// Publishes one event of each of these orders.
    pub fn publish(&self, orders: std::ops::Range<u32>) {
        let events: Vec<(u32, u32)> = orders.map(|order| (order, 1)).collect();
        self.publish_versions(&events);
    }

    /// Publishes these versions of these orders.
    pub fn publish_versions(&self, events: &[(u32, u32)]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.stack.kafka_bootstrap)
            .create()
            .unwrap();
        for (order, version) in events {
            let id = |kind: u32| {
                let (kind, order) = (u128::from(kind), u128::from(*order));
                Uuid::from_u128(kind << 64 | order)
            };
            let value = format!(
                "{{\"run\":\"0\",\"order_id\":\"{}\",\"version\":{version},\"attempt\":\"{}\"}}",
                id(1),
                id(1 + version)
            );
            let key = id(1).to_string();
            let record = BaseRecord::to(self.config.broker.topic())
                .key(&key)
                .payload(&value);
            producer.send(record).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Executes statements as the administrator.
    pub async fn execute(&mut self, sql: &str) {
        let sql = sql.replace("SCHEMA", self.layout.schema());
        let executed = sqlx::raw_sql(AssertSqlSafe(sql));
        executed.execute(&mut self.admin).await.unwrap();
    }

    pub async fn number(&mut self, sql: &str) -> i64 {
        let sql = sql.replace("SCHEMA", self.layout.schema());
        let number = sqlx::query_scalar(AssertSqlSafe(sql));
        number.fetch_one(&mut self.admin).await.unwrap()
    }

    /// The versions of the effects of which this is so, in their order.
    pub async fn versions(&mut self, of: &str) -> Vec<i32> {
        let schema = self.layout.schema();
        let sql = format!("select version from {schema}.effects where {of} order by seq");
        let versions = sqlx::query_scalar(AssertSqlSafe(sql));
        versions.fetch_all(&mut self.admin).await.unwrap()
    }

    /// Waits until a number is above 0.
    pub async fn is_so(&mut self, sql: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.number(sql).await == 0 {
            assert!(Instant::now() < deadline, "never so: {sql}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn effects(&mut self) -> i64 {
        self.number("select count(*) from SCHEMA.effects").await
    }

    pub async fn orders(&mut self) -> i64 {
        self.number("select count(distinct order_id) from SCHEMA.effects")
            .await
    }

    /// Waits until its group has committed so many records.
    pub async fn has_read(&self, records: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let broker = self.stack.info.broker(BrokerKind::Kafka).unwrap();
            let group = ConsumerGroup {
                name: self.config.group.clone(),
                topic: self.config.broker.topic(),
                partitions: PARTITIONS,
                rabbitmq: self.config.rabbitmq,
            };
            let told = broker.progress(group).await.unwrap();
            let GroupProgress::Committed(come) = told else {
                panic!("a group of Kafka has offsets: {told:?}");
            };
            if come.values().sum::<i64>() >= records {
                return;
            }
            assert!(Instant::now() < deadline, "only {come:?} of {records}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn drop_all(mut self) {
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
pub struct ConsumerProcess {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
}

impl ConsumerProcess {
    /// Waits until it says this, and returns what it said before.
    pub fn says(&mut self, what: &str) -> Vec<String> {
        let mut before = Vec::new();
        for line in self.says.by_ref().map_while(Result::ok) {
            if line.contains(what) {
                return before;
            }
            before.push(line);
        }
        panic!("it ended without saying {what}: {before:?}");
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; it must then end by itself, and well.
    pub fn terminate(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
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
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
