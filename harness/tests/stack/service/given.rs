//! A running order service with tables and a topic of its own, taken away again even if the test
//! fails.

use crate::patience::PATIENCE;
use crate::stack;
use crate::traces::Traces;
use harness::scenario::{Link, Stream, Toxic};
use harness::toxiproxy::ToxiproxyClient;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use relays::cache::{ANSWERED_FROM, CacheFill, CacheMode};
use relays::config::{
    BrokerTarget, CacheTarget, DatabaseTarget, Isolation, KafkaTarget, PostgresTarget,
    ServiceCache, ServiceConfig, WriteOrder, WritePathConfig,
};
use relays::order::{ChangeRequest, ChangeType, Directive};
use relays::postgres::schema::{Layout, OutboxKind};
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Run id in the events of these tests.
pub const RUN: &str = "00c0ffee00c0ffee";

/// What a test starts from.
pub struct Given {
    pub layout: Layout,
    pub topic: String,
    pub url: String,
    pub config: ServiceConfig,
    pub traces: Traces,
    http: reqwest::Client,
}

/// What the service is to be.
pub struct Wanted {
    outbox: OutboxKind,
    dual_write: Option<(WriteOrder, Option<u64>)>,
    /// Of a two-phase commit, the timeout of Kafka's transactions.
    transaction_timeout_ms: Option<u64>,
    notify: bool,
    kafka: Option<String>,
    postgres: Option<SocketAddr>,
    cache: Option<ServiceCache>,
}

pub fn outbox() -> Wanted {
    Wanted {
        outbox: OutboxKind::Delete,
        dual_write: None,
        transaction_timeout_ms: None,
        notify: false,
        kafka: None,
        postgres: None,
        cache: None,
    }
}

/// An outbox without a table.
pub fn messages() -> Wanted {
    Wanted {
        outbox: OutboxKind::Message,
        ..outbox()
    }
}

/// Events that are the truth.
pub fn events() -> Wanted {
    Wanted {
        outbox: OutboxKind::Events,
        ..outbox()
    }
}

pub fn dual_write(order: WriteOrder, publish_timeout_ms: Option<u64>) -> Wanted {
    Wanted {
        outbox: OutboxKind::None,
        dual_write: Some((order, publish_timeout_ms)),
        ..outbox()
    }
}

/// A two-phase commit with two producers.
pub fn two_phase() -> Wanted {
    Wanted {
        outbox: OutboxKind::Decisions,
        transaction_timeout_ms: Some(600_000),
        ..outbox()
    }
}

impl Wanted {
    /// The broker aborts transactions of Kafka by itself after so long.
    pub fn aborted_after_ms(mut self, ms: u64) -> Self {
        self.transaction_timeout_ms = Some(ms);
        self
    }
    pub fn notifying(mut self) -> Self {
        self.notify = true;
        self
    }
    /// Kafka through this bootstrap address.
    pub fn kafka_at(mut self, bootstrap: &str) -> Self {
        self.kafka = Some(bootstrap.into());
        self
    }
    /// PostgreSQL through this proxy.
    pub fn postgres_at(mut self, address: &str) -> Self {
        self.postgres = Some(address.parse().unwrap());
        self
    }

    /// With a cache at this address, whose reads fill it after so long.
    pub fn cached(mut self, address: &str, mode: CacheMode, fill: (CacheFill, u64)) -> Self {
        let target = CacheTarget {
            address: address.to_owned(),
            prefix: format!("{}:", Uuid::new_v4().simple()),
        };
        self.cache = Some(ServiceCache {
            target,
            mode,
            fill: fill.0,
            fill_hold_ms: fill.1,
        });
        self
    }

    /// Starts the service, runs the test, and takes everything away.
    pub async fn run<T: Future<Output = ()> + Send + 'static>(
        self,
        test: impl FnOnce(Arc<Given>) -> T,
    ) {
        let given = self.prepare().await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let service = tokio::spawn(relays::service::serve_until(
            given.config.clone(),
            async move {
                let _ = stopped.await;
            },
        ));
        given.until_healthy().await;
        let tested = tokio::spawn(test(given.clone())).await;
        let _ = stop.send(());
        let served = service.await;
        given.take_away().await;
        if let Err(failed) = tested {
            std::panic::resume_unwind(failed.into_panic());
        }
        served.unwrap().unwrap();
    }

    /// Tables and topic, without a service.
    pub async fn prepare(self) -> Arc<Given> {
        let stack = stack().await;
        let name = Uuid::new_v4().simple().to_string()[..12].to_owned();
        let layout = Layout {
            name: format!("oh_{name}_service"),
            isolation: Isolation::Schema,
            outbox: self.outbox,
            failover_slot: false,
            password: "it's secret".into(),
        };
        let topic = format!("oh.{name}.service");
        relays::postgres::schema::create(&stack.postgres, &layout)
            .await
            .unwrap();
        create_topic(&topic).await;
        let mut postgres = PostgresTarget {
            user: layout.service_role(),
            password: layout.password.clone(),
            schema: layout.schema().to_owned(),
            ..stack.postgres.clone()
        };
        if let Some(proxy) = self.postgres {
            postgres.host = proxy.ip().to_string();
            postgres.port = proxy.port();
        }
        let kafka = KafkaTarget {
            bootstrap: self.kafka.unwrap_or(stack.kafka_bootstrap.clone()),
            topic: topic.clone(),
            linger_ms: 0.0,
            acks: Default::default(),
        };
        let write_path = match self.dual_write {
            None if self.outbox == OutboxKind::Decisions => WritePathConfig::TwoPhase {
                kafka,
                publish_timeout_ms: 1_000,
                transaction_timeout_ms: self.transaction_timeout_ms.unwrap(),
                producers: 2,
            },
            None if self.outbox == OutboxKind::Message => WritePathConfig::Message,
            None if self.outbox.has_events() => WritePathConfig::Events,
            None => WritePathConfig::Outbox {
                notify: self.notify,
            },
            Some((order, publish_timeout_ms)) => WritePathConfig::DualWrite {
                order,
                publish_timeout_ms,
                policy: relays::publish::PublishPolicy::default(),
                broker: BrokerTarget::Kafka(kafka),
            },
        };
        let listen = free_address();
        let traces = Traces::new();
        Arc::new(Given {
            url: format!("http://{listen}"),
            config: ServiceConfig {
                listen,
                run: RUN.into(),
                database: DatabaseTarget::Postgres(postgres),
                database_connections: 4,
                write_path,
                cache: self.cache,
                trace: Some(traces.target()),
            },
            traces,
            layout,
            topic,
            http: harness::http::direct().build().unwrap(),
        })
    }
}

impl Given {
    pub async fn until_healthy(&self) {
        eventually("the service answers", || async {
            let asked = self.http.get(format!("{}/health", self.url)).send().await;
            asked.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    pub async fn take_away(&self) {
        relays::postgres::schema::drop_all(&stack().await.postgres, &self.layout)
            .await
            .unwrap();
        delete_topic(&self.topic).await;
    }

    /// POSTs any body; status and JSON of the answer.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap())
    }

    /// Reads an order: status, version, and where the answer is from.
    pub async fn read(&self, order: Uuid) -> (StatusCode, Option<u64>, String) {
        let request = self.http.get(format!("{}/orders/{order}", self.url));
        let answer = request.send().await.unwrap();
        let from = answer.headers().get(ANSWERED_FROM);
        let from = from.map(|from| from.to_str().unwrap().to_owned());
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        (status, body["version"].as_u64(), from.unwrap_or_default())
    }

    /// Places or transitions, as the change says.
    pub async fn change(&self, order: Uuid, change: &ChangeRequest) -> (StatusCode, Value) {
        let body = serde_json::to_vec(change).unwrap();
        match change.to {
            None => self.post("/orders", body).await,
            Some(_) => {
                self.post(&format!("/orders/{order}/transitions"), body)
                    .await
            }
        }
    }

    /// Rows of a query as administrator; `$S` in it is the schema.
    pub async fn rows(&self, sql: &str) -> Vec<PgRow> {
        let mut admin = admin().await;
        let sql = sql.replace("$S", self.layout.schema());
        sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut admin)
            .await
            .unwrap()
    }

    /// How many rows `orders` and `outbox` have.
    pub async fn count(&self, table: &str) -> i64 {
        use sqlx::Row;
        self.rows(&format!("select count(*) from $S.{table}")).await[0].get(0)
    }

    /// Waits until a transaction of the service is open and idle: it is being held.
    pub async fn until_held(&self) {
        eventually("a transaction is held", || async {
            let role = self.layout.service_role();
            !self
                .rows(&format!(
                    "select pid from pg_stat_activity
                     where usename = '{role}' and state = 'idle in transaction'"
                ))
                .await
                .is_empty()
        })
        .await;
    }

    /// The topic's records, once it has this many.
    pub async fn records(&self, wanted: usize) -> Vec<ConsumedRecord> {
        let (topic, bootstrap) = (self.topic.clone(), stack().await.kafka_bootstrap.clone());
        tokio::task::spawn_blocking(move || read(&bootstrap, &topic, wanted))
            .await
            .unwrap()
    }
}

/// A record as a consumer sees it.
#[derive(Debug)]
pub struct ConsumedRecord {
    pub key: String,
    pub value: String,
    pub headers: Vec<(String, String)>,
}

/// There is one way to Kafka through a proxy, and a proxy that is off gives its port to whoever wants it.
static WAY_TO_KAFKA: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A proxy of this test's own in front of an address.
pub struct Proxy {
    pub name: String,
    pub address: String,
    client: ToxiproxyClient,
    /// Where it is the one way, nobody else has it.
    way: Option<tokio::sync::MutexGuard<'static, ()>>,
}

impl Proxy {
    pub async fn before(upstream: &str, listen: &str) -> Self {
        let client = ToxiproxyClient::new(&stack().await.toxiproxy_url).unwrap();
        let name = format!("service-{}", Uuid::new_v4().simple());
        let deadline = Instant::now() + PATIENCE;
        // A fixed address may still be another test's.
        let address = loop {
            match client.create(&name, listen, upstream).await {
                Ok(address) => break address,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        Self {
            name,
            address,
            client,
            way: None,
        }
    }
    pub async fn before_postgres() -> Self {
        let postgres = &stack().await.postgres;
        let upstream = format!("{}:{}", postgres.host, postgres.port);
        Self::before(&upstream, "127.0.0.1:0").await
    }
    /// In front of the Kafka listener that advertises the proxy's address.
    pub async fn before_kafka() -> Self {
        let way = Some(WAY_TO_KAFKA.lock().await);
        let route = &stack().await.info.routes[&Link::ORDERS_KAFKA];
        let proxy = Self::before(&route.upstream, &route.listen).await;
        Self { way, ..proxy }
    }
    pub async fn set_enabled(&self, enabled: bool) {
        self.client.set_enabled(&self.name, enabled).await.unwrap();
    }
    /// Swallows everything, in both directions.
    pub async fn blackhole(&self) {
        for (name, stream) in [("in", Stream::Upstream), ("out", Stream::Downstream)] {
            let toxic = Toxic::Timeout { timeout: 0 };
            self.client
                .add_toxic(&self.name, name, toxic, stream, 1.0)
                .await
                .unwrap();
        }
    }
    pub async fn heal(&self) {
        for name in ["in", "out"] {
            self.client.remove_toxic(&self.name, name).await.unwrap();
        }
    }
    pub async fn delete(self) {
        self.client.delete(&self.name).await.unwrap();
        drop(self.way);
    }
}

pub fn placing(order: Uuid) -> ChangeRequest {
    ChangeRequest {
        order_id: Some(order),
        to: None,
        change_id: Uuid::new_v4(),
        attempt: Uuid::new_v4(),
        content: "c0ffee".into(),
        directive: Directive::Commit,
    }
}

pub fn transition(to: ChangeType) -> ChangeRequest {
    ChangeRequest {
        order_id: None,
        to: Some(to),
        ..placing(Uuid::nil())
    }
}

/// The event text that the change must lead to.
pub fn event_text(order: Uuid, version: u32, change: &ChangeRequest) -> String {
    format!(
        r#"{{"run":"{RUN}","order_id":"{order}","version":{version},"attempt":"{}","type":"{}","content":"{}"}}"#,
        change.attempt,
        change.to.unwrap_or(ChangeType::Placed).event_type(),
        change.content
    )
}

/// Waits for a condition.
pub async fn eventually<T: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> T) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn admin() -> PgConnection {
    connect(&stack().await.postgres).await.unwrap()
}

pub async fn connect(target: &PostgresTarget) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&target.host)
        .port(target.port)
        .username(&target.user)
        .password(&target.password)
        .database(&target.database);
    PgConnection::connect_with(&options).await
}

pub fn free_address() -> SocketAddr {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap()
}

async fn kafka_admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", &stack().await.kafka_bootstrap)
        .create()
        .unwrap()
}

async fn create_topic(topic: &str) {
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let made = kafka_admin().await.create_topics([&new], &options).await;
    made.unwrap()[0].as_ref().unwrap();
}

async fn delete_topic(topic: &str) {
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let gone = kafka_admin().await.delete_topics(&[topic], &options).await;
    gone.unwrap()[0].as_ref().unwrap();
}

fn read(bootstrap: &str, topic: &str, wanted: usize) -> Vec<ConsumedRecord> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", topic)
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions
        .add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&partitions).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut records = Vec::new();
    loop {
        let (_, end) = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
        if records.len() >= wanted && records.len() as i64 >= end {
            return records;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{wanted} records not within {PATIENCE:?}: {records:?}"
        );
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        records.push(ConsumedRecord {
            key: text(message.key()),
            value: text(message.payload()),
            headers: message
                .headers()
                .unwrap()
                .iter()
                .map(|h| (h.key.to_owned(), text(h.value)))
                .collect(),
        });
    }
}
