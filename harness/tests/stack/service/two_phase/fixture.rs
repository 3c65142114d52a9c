//! A coordinator and a recoverer that a test can stop at any moment, and what is there then.

use super::super::given::{Given, Proxy, admin, eventually, placing};
use super::super::process::Service;
use crate::patience::PATIENCE;
use crate::stack;
use nix::sys::signal::Signal as UnixSignal;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use relays::config::{KafkaTarget, PostgresTarget, RecovererConfig};
use relays::order::ChangeRequest;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};
use std::sync::Arc;
use uuid::Uuid;

/// So long that no test meets it: what is in doubt is taken because nobody living owns it.
pub const NEVER_MS: u64 = 3_600_000;

/// A recoverer, on a thread of this program.
pub struct RunningRecoverer {
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<Result<(), String>>,
}

impl RunningRecoverer {
    pub async fn start(given: &Given, in_doubt_after_ms: u64) -> Self {
        let bootstrap = stack().await.kafka_bootstrap.clone();
        Self::start_with(given, in_doubt_after_ms, bootstrap).await
    }

    pub async fn start_with(given: &Given, in_doubt_after_ms: u64, bootstrap: String) -> Self {
        let stack = stack().await;
        let config = RecovererConfig {
            database: PostgresTarget {
                user: given.layout.relay_role(),
                password: given.layout.password.clone(),
                schema: given.layout.schema().to_owned(),
                ..stack.postgres.clone()
            },
            service_role: given.layout.service_role(),
            kafka: KafkaTarget {
                bootstrap,
                topic: given.topic.clone(),
                linger_ms: 0.0,
                acks: Default::default(),
            },
            in_doubt_after_ms,
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            relays::recoverer::recover(config, async {
                let _ = stopped.await;
            })
        });
        Self { stop, thread }
    }

    pub async fn end(self) {
        let _ = self.stop.send(());
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await;
        ended.unwrap().unwrap().unwrap();
    }
}

/// The events that a reader of what is committed sees, up to the first transaction that is open; and whether
/// there is one.
pub async fn events(given: &Given) -> (Vec<String>, bool) {
    let (topic, bootstrap) = (given.topic.clone(), stack().await.kafka_bootstrap.clone());
    let read = move || {
        let consumer = |isolation: &str| -> BaseConsumer {
            ClientConfig::new()
                .set("bootstrap.servers", &bootstrap)
                .set("group.id", &topic)
                .set("isolation.level", isolation)
                .set("enable.partition.eof", "true")
                .create()
                .unwrap()
        };
        let (stable, all) = (consumer("read_committed"), consumer("read_uncommitted"));
        let end =
            |consumer: &BaseConsumer| consumer.fetch_watermarks(&topic, 0, PATIENCE).unwrap().1;
        let is_open = end(&stable) < end(&all);
        let mut partitions = TopicPartitionList::new();
        let from = Offset::Beginning;
        partitions.add_partition_offset(&topic, 0, from).unwrap();
        stable.assign(&partitions).unwrap();
        let mut events = Vec::new();
        loop {
            match stable.poll(PATIENCE).unwrap() {
                Ok(message) => {
                    let text = message.payload().unwrap().to_vec();
                    events.push(String::from_utf8(text).unwrap());
                }
                Err(KafkaError::PartitionEOF(_)) => return (events, is_open),
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

pub async fn prepared(given: &Given) -> i64 {
    let role = given.layout.service_role();
    let sql = format!("select count(*) from pg_prepared_xacts where owner = '{role}'");
    given.rows(&sql).await[0].get(0)
}

pub async fn states(given: &Given) -> Vec<String> {
    let rows = given.rows("select state from $S.decisions").await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// A session that keeps everybody else from changing the decision log.
pub async fn locked(given: &Given) -> PgConnection {
    let mut session = admin().await;
    let sql = format!(
        "begin; select from \"{}\".decisions for update",
        given.layout.schema()
    );
    session.execute(AssertSqlSafe(sql)).await.unwrap();
    session
}

/// Sends a change that nobody waits for.
pub fn sent(given: &Given, change: &ChangeRequest) {
    let body = serde_json::to_vec(change).unwrap();
    let url = format!("{}/orders", given.url);
    tokio::spawn(async move {
        let http = harness::http::direct().build().unwrap();
        let _ = http.post(url).body(body).send().await;
    });
}

/// Waits until an event is on the topic whose transaction is open: nobody sees it, nor anything behind it.
pub async fn until_published(given: &Given) {
    eventually("an event is on the topic", || async {
        events(given).await == (vec![], true)
    })
    .await;
}

pub async fn killed(mut service: Service) {
    service.signal(UnixSignal::SIGKILL);
    service.child.wait().await.unwrap();
}

/// Waits until everything has ended on both sides; what is there then.
pub async fn recovered(given: &Given, in_doubt_after_ms: u64) -> (i64, Vec<String>) {
    let recoverer = RunningRecoverer::start(given, in_doubt_after_ms).await;
    eventually("everything is ended", || async {
        let is_end = |state: &String| ["aborted", "committed", "heuristic"].contains(&&**state);
        prepared(given).await == 0 && states(given).await.iter().all(is_end)
    })
    .await;
    recoverer.end().await;
    let (events, is_open) = events(given).await;
    assert!(!is_open, "a transaction is open on the topic");
    (given.count("orders").await, events)
}

/// Waits until the service wants to write its decision down, and has to wait for that.
pub async fn until_deciding(given: &Given) {
    let role = given.layout.service_role();
    let waits = format!(
        "select from pg_stat_activity where usename = '{role}' and wait_event_type = 'Lock'"
    );
    eventually("it decides", || async {
        given.rows(&waits).await.len() == 1
    })
    .await;
}

/// A service that is dead when PostgreSQL writes its decision down: the order is prepared, and its event in an open
/// transaction.
pub async fn decided_after_its_death(given: &Arc<Given>) -> ChangeRequest {
    let service = Service::start(given).await;
    let mut lock = locked(given).await;
    let place = placing(Uuid::new_v4());
    sent(given, &place);
    until_deciding(given).await;
    killed(service).await;
    lock.execute("commit").await.unwrap();
    eventually("it is decided", || async {
        states(given).await.contains(&"commit".to_owned())
    })
    .await;
    assert_eq!((prepared(given).await, given.count("orders").await), (1, 0));
    place
}

/// A service that is killed when PostgreSQL has committed what was decided, and Kafka has heard nothing of it.
pub async fn killed_between_the_two_commits(given: &Arc<Given>, kafka: &Proxy) -> ChangeRequest {
    let service = Service::start(given).await;
    let mut lock = locked(given).await;
    let place = placing(Uuid::new_v4());
    sent(given, &place);
    until_deciding(given).await;
    kafka.blackhole().await;
    lock.execute("commit").await.unwrap();
    eventually("PostgreSQL has committed", || async {
        given.count("orders").await == 1
    })
    .await;
    killed(service).await;
    place
}
