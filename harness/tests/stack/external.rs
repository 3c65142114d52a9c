//! Somebody's running stack: found by its file, checked, and left as it was found.

use crate::process::{eventually, kill_and_reap, spawn_test};
use crate::{HARNESS, local, reaper};
use harness::process::reaper::Reaper;
use harness::scenario::{Link, Victim};
use harness::stack::external::stack_file;
use harness::stack::run_lock::RunLock;
use harness::stack::{Provider, Stack, StackInfo};
use harness::toxiproxy::Toxiproxy;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use relays::schema::{Layout, OutboxKind};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// A stack that plays somebody's: not the shared one, whose tests hold no run's lock and would be
/// swept away. One test at a time, since routes have fixed ports.
struct Theirs {
    info: StackInfo,
    turn: Mutex<()>,
    _stack: Stack,
    _folder: TempDir,
}

async fn theirs() -> (&'static Theirs, MutexGuard<'static, ()>) {
    static THEIRS: OnceCell<Theirs> = OnceCell::const_new();
    let theirs = THEIRS
        .get_or_init(|| async {
            let folder = tempfile::tempdir().unwrap();
            let stack = Stack::start(local(folder.path()), &reaper()).await.unwrap();
            Theirs {
                info: stack.info().clone(),
                turn: Mutex::new(()),
                _stack: stack,
                _folder: folder,
            }
        })
        .await;
    (theirs, theirs.turn.lock().await)
}

/// A stack file for it; `change` edits its text.
fn file(info: &StackInfo, folder: &TempDir, change: impl FnOnce(String) -> String) -> PathBuf {
    let path = folder.path().join("stack.toml");
    std::fs::write(&path, change(stack_file(info))).unwrap();
    path
}

async fn find(file: PathBuf) -> Result<Stack, harness::stack::StackError> {
    Stack::start(Provider::External { file }, &reaper()).await
}

/// Everything that one strategy of a run makes on a stack.
struct Made {
    layout: Layout,
    topic: String,
    proxy: String,
}

impl Made {
    fn named(run: &str) -> Self {
        let topic = format!("oh.{run}.cdc");
        Self {
            layout: Layout {
                schema: format!("oh_{run}_cdc"),
                outbox: OutboxKind::Cdc,
                password: "secret".into(),
            },
            proxy: format!("{topic}.relay->kafka"),
            topic,
        }
    }

    async fn make(&self, info: &StackInfo) {
        relays::schema::create(&info.postgres, &self.layout)
            .await
            .unwrap();
        let admin: AdminClient<DefaultClientContext> = kafka(info).create().unwrap();
        let topic = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(1));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await;
        made.unwrap()[0].as_ref().unwrap();
        let toxiproxy = Toxiproxy::new(&info.toxiproxy_url).unwrap();
        let route = &info.routes[&Link::RelayKafka];
        toxiproxy
            .create(&self.proxy, "127.0.0.1:0", &route.upstream)
            .await
            .unwrap();
    }

    /// What is there of it: schemas, roles, slots and publications; topics; proxies.
    async fn there(&self, info: &StackInfo) -> (i64, usize, usize) {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&info.postgres.host)
            .port(info.postgres.port)
            .username(&info.postgres.user)
            .password(&info.postgres.password)
            .database(&info.postgres.database);
        let mut session = PgConnection::connect_with(&options).await.unwrap();
        let in_postgres = sqlx::query_scalar(
            "select (select count(*) from pg_namespace where starts_with(nspname, $1))
                  + (select count(*) from pg_roles where starts_with(rolname, $1))
                  + (select count(*) from pg_replication_slots where starts_with(slot_name, $1))
                  + (select count(*) from pg_publication where starts_with(pubname, $1))",
        )
        .bind(&self.layout.schema)
        .fetch_one(&mut session)
        .await
        .unwrap();
        let consumer: BaseConsumer = kafka(info).create().unwrap();
        let metadata = consumer
            .fetch_metadata(None, Duration::from_secs(20))
            .unwrap();
        let topics = metadata.topics().iter().filter(|t| t.name() == self.topic);
        let toxiproxy = Toxiproxy::new(&info.toxiproxy_url).unwrap();
        let proxies = toxiproxy.list().await.unwrap();
        let proxies = proxies.iter().filter(|p| **p == self.proxy);
        (in_postgres, topics.count(), proxies.count())
    }
}

fn kafka(info: &StackInfo) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &info.kafka_bootstrap);
    config
}

/// Schema, two roles, slot and publication; topic; proxy.
const ALL: (i64, usize, usize) = (5, 1, 1);
const NOTHING: (i64, usize, usize) = (0, 0, 0);

#[tokio::test]
async fn what_a_dead_run_left_is_dropped_and_a_living_runs_things_are_not() {
    // Given leftovers of one run whose lock is free, and things of one whose lock is held.
    let (theirs, _turn) = theirs().await;
    let folder = tempfile::tempdir().unwrap();
    let dead = Made::named("00000000deadbeef");
    let living = Made::named("000000000000a11e");
    let lock = RunLock::take(&theirs.info.postgres, "000000000000a11e").await;
    let lock = lock.unwrap();
    dead.make(&theirs.info).await;
    living.make(&theirs.info).await;
    assert_eq!(dead.there(&theirs.info).await, ALL);

    // When the next harness comes.
    let next = find(file(&theirs.info, &folder, |t| t)).await.unwrap();

    // Then the dead run's things are gone, that was said, and the living run has all of its own.
    assert_eq!(dead.there(&theirs.info).await, NOTHING);
    assert_eq!(living.there(&theirs.info).await, ALL);
    let notes = next.notes().join("\n");
    for name in [&dead.layout.schema, &dead.topic, &dead.proxy] {
        assert!(notes.contains(name.as_str()), "{notes}");
    }
    assert!(!notes.contains("000000000000a11e"), "{notes}");
    assert_eq!(next.info().provider, "external");
    assert_eq!(next.info().environment["wal_level"], "logical");
    assert!(next.server(Victim::KafkaServer).is_none());
    drop((lock, next));
    eventually_dropped(&living, &theirs.info, &folder).await;
}

/// The server notices a closed session a moment later.
async fn eventually_dropped(made: &Made, info: &StackInfo, folder: &TempDir) {
    for _ in 0..50 {
        find(file(info, folder, |t| t)).await.unwrap();
        if made.there(info).await == NOTHING {
            return;
        }
    }
    panic!("it was never dropped");
}

#[tokio::test]
async fn a_stack_in_use_is_refused_and_the_user_is_named() {
    // Given a harness that uses it.
    let (theirs, _turn) = theirs().await;
    let folder = tempfile::tempdir().unwrap();
    let first = find(file(&theirs.info, &folder, |t| t)).await.unwrap();

    // When another one comes.
    let second = find(file(&theirs.info, &folder, |t| t)).await;

    // Then it is told who is there and what to do, and it gets the stack when that one has gone.
    let error = second.err().unwrap().to_string();
    assert!(
        error.contains("another run uses it (from 127.0.0.1, since 20"),
        "{error}"
    );
    assert!(
        error.contains("start this one when that has ended"),
        "{error}"
    );
    drop(first);
    find(file(&theirs.info, &folder, |t| t)).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_advertises_another_address_is_an_error_with_the_remedy() {
    let (theirs, _turn) = theirs().await;
    let folder = tempfile::tempdir().unwrap();
    let wrong = |text: String| {
        let orders = &theirs.info.routes[&Link::OrdersKafka].upstream;
        text.replace(orders.as_str(), &theirs.info.kafka_bootstrap)
    };

    let error = find(file(&theirs.info, &folder, wrong))
        .await
        .err()
        .unwrap();

    let error = error.to_string();
    assert!(error.contains("orders->kafka"), "{error}");
    assert!(error.contains("advertised.listeners"), "{error}");
    let toxiproxy = Toxiproxy::new(&theirs.info.toxiproxy_url).unwrap();
    assert!(toxiproxy.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_route_whose_port_is_taken_is_an_error_with_the_remedy() {
    let (theirs, _turn) = theirs().await;
    let folder = tempfile::tempdir().unwrap();
    let listen = &theirs.info.routes[&Link::RelayKafka].listen;
    let taken = std::net::TcpListener::bind(listen).unwrap();

    let found = find(file(&theirs.info, &folder, |text| text)).await;

    let error = found.err().unwrap().to_string();
    assert!(error.contains("check the route of relay->kafka"), "{error}");
    assert!(error.contains("address already in use"), "{error}");
    assert!(error.contains("is `listen` free"), "{error}");
    drop(taken);
    let toxiproxy = Toxiproxy::new(&theirs.info.toxiproxy_url).unwrap();
    assert!(toxiproxy.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_answer_is_named() {
    let (theirs, _turn) = theirs().await;
    let folder = tempfile::tempdir().unwrap();
    let info = &theirs.info;
    let nobody = "127.0.0.1:1";
    let port = format!("port = {}", info.postgres.port);
    for (name, wrong, right) in [
        ("PostgreSQL", "port = 1", port.as_str()),
        ("Kafka", nobody, info.kafka_bootstrap.as_str()),
        (
            "Toxiproxy",
            "http://127.0.0.1:1",
            info.toxiproxy_url.as_str(),
        ),
    ] {
        let found = find(file(info, &folder, |text| text.replacen(right, wrong, 1))).await;
        let error = found.err().unwrap().to_string();
        assert!(error.contains(&format!("use {name}")), "{error}");
    }
}

/// Set for the process that plays the harness in the test below.
const PLAY_HARNESS: &str = "OUTBOX_HARNESS_TEST_PLAY_EXTERNAL";
const PLAYED_RUN: &str = "0000000000000dad";

/// Not a test by itself: notes and makes things on an external stack, and waits to be killed.
#[tokio::test]
async fn play_a_harness_on_an_external_stack() {
    let Some(file) = std::env::var_os(PLAY_HARNESS) else {
        return;
    };
    let file = PathBuf::from(file);
    let reaper = Arc::new(Reaper::start_with(Path::new(HARNESS)).unwrap());
    let stack = Stack::start(Provider::External { file }, &reaper)
        .await
        .unwrap();
    let made = Made::named(PLAYED_RUN);
    let _lock = stack.hold_run(PLAYED_RUN).await.unwrap();
    let proxies = [made.proxy.clone()];
    let note = stack.leftover(&made.layout.schema, &made.topic, &proxies);
    reaper.note_external(&note.unwrap()).unwrap();
    made.make(stack.info()).await;
    println!("up");
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reaper_drops_what_a_killed_harness_made() {
    let (theirs, _turn) = theirs().await;
    let folder = tempfile::tempdir().unwrap();
    let file = file(&theirs.info, &folder, |t| t);
    let harness = spawn_test("external::play_a_harness_on_an_external_stack", |command| {
        command.env(PLAY_HARNESS, &file);
    });
    let made = Made::named(PLAYED_RUN);
    assert_eq!(made.there(&theirs.info).await, ALL);

    kill_and_reap(harness);

    let there = || {
        let now = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| now.block_on(made.there(&theirs.info)))
    };
    eventually("everything is dropped", || there() == NOTHING);
}
