//! Somebody's running stack: found by its file, checked, and left as it was found.

use crate::patience::PATIENCE;
use crate::process::{eventually, kill_and_reap, spawn_test};
use crate::{HARNESS, local, reaper};
use harness::broker::claim;
use harness::process::reaper::Reaper;
use harness::scenario::{Link, Victim};
use harness::stack::external::stack_file;
use harness::stack::tenancy::Tenancy;
use harness::stack::{Provider, Stack, StackInfo};
use harness::toxiproxy::ToxiproxyClient;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use relays::config::BrokerKind;
use relays::config::{Isolation, PostgresTarget};
use relays::postgres::schema::{self, Layout, OutboxKind};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
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
    Stack::start(
        Provider::External {
            file,
            programs: None,
        },
        &reaper(),
    )
    .await
}

/// Everything that one strategy of a run makes on a stack.
struct Made {
    layout: Layout,
    topic: String,
    proxy: String,
}

impl Made {
    fn named(run: &str) -> Self {
        Self::of(run, "cdc", Isolation::Schema)
    }

    /// It has a database of its own. Its name ends like a derived one.
    fn with_database(run: &str) -> Self {
        Self::of(run, "its_pub", Isolation::Database)
    }

    fn of(run: &str, strategy: &str, isolation: Isolation) -> Self {
        let topic = format!("oh.{run}.{strategy}");
        Self {
            layout: Layout {
                name: format!("oh_{run}_{strategy}"),
                isolation,
                outbox: OutboxKind::Cdc,
                failover_slot: false,
                password: "secret".into(),
            },
            proxy: format!("{topic}.relay->kafka"),
            topic,
        }
    }

    async fn make(&self, info: &StackInfo) {
        relays::postgres::schema::create(&info.postgres, &self.layout)
            .await
            .unwrap();
        let admin: AdminClient<DefaultClientContext> = kafka(info).create().unwrap();
        let topic = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(1));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await;
        made.unwrap()[0].as_ref().unwrap();
        let toxiproxy = ToxiproxyClient::new(&info.toxiproxy_url).unwrap();
        let route = &info.routes[&Link::RELAY_KAFKA];
        toxiproxy
            .create(&self.proxy, "127.0.0.1:0", &route.upstream)
            .await
            .unwrap();
    }

    /// What is there of it: schemas, databases, roles, slots and publications; topics; proxies.
    async fn there(&self, info: &StackInfo) -> (i64, usize, usize) {
        let mut session = administrator(&info.postgres).await;
        let in_postgres = sqlx::query_scalar(
            "select (select count(*) from pg_namespace where starts_with(nspname, $1))
                  + (select count(*) from pg_database where starts_with(datname, $1))
                  + (select count(*) from pg_roles where starts_with(rolname, $1))
                  + (select count(*) from pg_replication_slots where starts_with(slot_name, $1))
                  + (select count(*) from pg_publication where starts_with(pubname, $1))",
        )
        .bind(&self.layout.name)
        .fetch_one(&mut session)
        .await
        .unwrap();
        let consumer: BaseConsumer = kafka(info).create().unwrap();
        let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
        let topics = metadata.topics().iter().filter(|t| t.name() == self.topic);
        let toxiproxy = ToxiproxyClient::new(&info.toxiproxy_url).unwrap();
        let proxies = toxiproxy.list().await.unwrap();
        let proxies = proxies.iter().filter(|p| **p == self.proxy);
        (in_postgres, topics.count(), proxies.count())
    }
}

async fn administrator(postgres: &PostgresTarget) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&postgres.host)
        .port(postgres.port)
        .username(&postgres.user)
        .password(&postgres.password)
        .database(&postgres.database);
    PgConnection::connect_with(&options).await.unwrap()
}

fn kafka(info: &StackInfo) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &info.kafka().unwrap().address);
    config
}

/// Schema, two roles, slot and publication; topic; proxy.
const ALL: (i64, usize, usize) = (5, 1, 1);
/// Database, two roles and slot (its publication is in the database); topic; proxy.
const ALL_WITH_DATABASE: (i64, usize, usize) = (4, 1, 1);
const NOTHING: (i64, usize, usize) = (0, 0, 0);

/// The marks of a harness that uses the same servers, but another database.
async fn neighbour(info: &StackInfo) -> Tenancy {
    let elsewhere = other_database(info).await;
    let begun = Tenancy::begin(
        &elsewhere,
        &info.kafka().unwrap().address,
        Tenancy::new_id(),
    )
    .await;
    begun.unwrap()
}

/// Another database of the same server.
async fn other_database(info: &StackInfo) -> PostgresTarget {
    let mut session = administrator(&info.postgres).await;
    // It is there already when another test has made it.
    let _ = sqlx::query("create database neighbour")
        .execute(&mut session)
        .await;
    PostgresTarget {
        database: "neighbour".into(),
        ..info.postgres.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_harness_left_is_dropped_and_a_living_ones_things_are_not() {
    // Given leftovers of a harness that is gone, Debezium's among them, one whose mark is still there
    // but stands still, and things of one that is alive in another database of the server.
    let (theirs, _turn) = theirs().await;
    let info = &theirs.info;
    let folder = tempfile::tempdir().unwrap();
    let dead = Made::named("00000000deadbeef");
    let broker = info.broker(BrokerKind::Kafka).unwrap();
    let heartbeats = broker.topic(&format!("{}.heartbeat", dead.topic), 1);
    let left = Made::named("0000dead0badcafe");
    let mark = broker.topic("oh.0000dead00000000.alive", 1);
    mark.create().await.unwrap();
    let alive = neighbour(info).await;
    let living = Made::named(&format!("{}0000a11e", alive.id()));
    for made in [&dead, &left, &living] {
        made.make(info).await;
        assert_eq!(made.there(info).await, ALL);
    }
    heartbeats.create().await.unwrap();
    // And topics of other names, of the dead one, of the living one, and of nobody.
    for (made, name) in [
        (&dead, "orders-of-the-dead"),
        (&living, "orders-of-the-living"),
    ] {
        let claimed = claim::topic(&broker, &made.topic, name, 1);
        claimed.create().await.unwrap();
    }
    broker.topic("orders-of-nobody", 1).create().await.unwrap();
    // And the proxy of somebody whose servers, and so whose marks, are not those of this stack.
    let toxiproxy = ToxiproxyClient::new(&info.toxiproxy_url).unwrap();
    let stranger = "oh.0000face0badcafe.cdc.relay-kafka";
    toxiproxy
        .create(stranger, "127.0.0.1:0", "127.0.0.1:9")
        .await
        .unwrap();

    // When the next harness comes.
    let next = find(file(info, &folder, |t| t)).await.unwrap();

    // Then the dead ones' things are gone, that was said, and the living one has all of its own.
    assert_eq!(dead.there(info).await, NOTHING);
    assert_eq!(left.there(info).await, NOTHING);
    assert_eq!(living.there(info).await, ALL);
    let proxies = toxiproxy.list().await.unwrap();
    assert!(proxies.iter().any(|p| p == stranger), "{proxies:?}");
    toxiproxy.delete(stranger).await.unwrap();
    let topics = broker.topics().await.unwrap();
    assert!(
        !topics.iter().any(|t| t.starts_with(&dead.topic)),
        "{topics:?}"
    );
    let orders = topics.iter().filter(|t| t.starts_with("orders-of-"));
    let orders: BTreeSet<&str> = orders.map(String::as_str).collect();
    assert_eq!(
        orders,
        BTreeSet::from(["orders-of-nobody", "orders-of-the-living"])
    );
    broker.topic("orders-of-nobody", 1).delete().await.unwrap();
    let notes = next.notes().join("\n");
    assert!(
        notes.contains("dropped topic orders-of-the-dead"),
        "{notes}"
    );
    for name in [&dead.layout.name, &dead.topic, &dead.proxy, &left.topic] {
        assert!(notes.contains(name.as_str()), "{notes}");
    }
    assert!(!notes.contains(&living.topic), "{notes}");
    let sharing = format!("another harness ({}) uses some of this stack", alive.id());
    assert!(notes.contains(&sharing), "{notes}");
    assert_eq!(next.info().provider, "external");
    assert_eq!(next.info().environment["wal_level"], "logical");
    assert!(next.server(Victim::KAFKA).is_none());
    next.stop().await.unwrap();
    // And when that one has ended, what it left is nobody's.
    alive.end().await.unwrap();
    eventually_dropped(&living, info, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_databases_of_runs_when_another_harness_comes_then_those_of_the_dead_are_dropped() {
    // Given those of a run that is dead, whose tables its roles own; of one that was killed as soon as it had made
    // its database; and of one that is alive in another database of the server.
    let (theirs, _turn) = theirs().await;
    let info = &theirs.info;
    let folder = tempfile::tempdir().unwrap();
    let dead = Made::with_database("00000000deadba5e");
    let cut_short = Made::with_database("00000000dead0b0e");
    let alive = neighbour(info).await;
    let living = Made::with_database(&format!("{}0000a11e", alive.id()));
    for made in [&dead, &living] {
        made.make(info).await;
        let relay = PostgresTarget {
            user: made.layout.service_role(),
            password: made.layout.password.clone(),
            ..made.layout.inside(&info.postgres)
        };
        let mut relay = administrator(&relay).await;
        sqlx::query("create temporary table its_own (n int)")
            .execute(&mut relay)
            .await
            .unwrap();
        assert_eq!(made.there(info).await, ALL_WITH_DATABASE);
    }
    let mut session = administrator(&info.postgres).await;
    let create = format!("create database {}", cut_short.layout.name);
    sqlx::query(AssertSqlSafe(create))
        .execute(&mut session)
        .await
        .unwrap();

    let next = find(file(info, &folder, |t| t)).await.unwrap();

    assert_eq!(dead.there(info).await, NOTHING);
    assert_eq!(cut_short.there(info).await, NOTHING);
    assert_eq!(living.there(info).await, ALL_WITH_DATABASE);
    let notes = next.notes().join("\n");
    let said = format!("dropped schema or database {}", dead.layout.name);
    assert!(notes.contains(&said), "{notes}");
    next.stop().await.unwrap();
    alive.end().await.unwrap();
    eventually_dropped(&living, info, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_dead_run_of_which_not_all_can_be_dropped_when_a_harness_comes_then_it_says_so_and_has_the_stack()
 {
    let (theirs, _turn) = theirs().await;
    let info = &theirs.info;
    let folder = tempfile::tempdir().unwrap();
    let left = Made::named("00000000deadd0a1");
    left.make(info).await;
    // Given a database that somebody gave to one of its roles
    let mut session = administrator(&info.postgres).await;
    let owner = left.layout.relay_role();
    for sql in [
        "create database given_away".to_owned(),
        format!("alter database given_away owner to {owner}"),
    ] {
        let made = sqlx::query(AssertSqlSafe(sql)).execute(&mut session);
        made.await.unwrap();
    }

    let next = find(file(info, &folder, |t| t)).await.unwrap();

    let notes = next.notes().join("\n");
    let said = "not all that run 00000000deadd0a1 left could be dropped";
    assert!(notes.contains(said) && notes.contains(&owner), "{notes}");
    next.stop().await.unwrap();
    let drop = sqlx::query("drop database given_away").execute(&mut session);
    drop.await.unwrap();
    eventually_dropped(&left, info, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_dead_runs_database_of_another_administrator_when_a_harness_comes_then_it_is_left_alone()
 {
    let (theirs, _turn) = theirs().await;
    let info = &theirs.info;
    let folder = tempfile::tempdir().unwrap();
    let left = Made::with_database("00000000dead0a55");
    left.make(info).await;
    let mut session = administrator(&info.postgres).await;
    let limited = "create role limited login createrole createdb replication password 'pw'";
    sqlx::query(limited).execute(&mut session).await.unwrap();
    let as_limited = |text: String| {
        let login =
            |user: &str, password: &str| format!("user = \"{user}\"\npassword = \"{password}\"");
        let own = login(&info.postgres.user, &info.postgres.password);
        assert!(text.contains(&own));
        text.replacen(&own, &login("limited", "pw"), 1)
    };

    let next = find(file(info, &folder, as_limited)).await.unwrap();

    assert_eq!(left.there(info).await.0, ALL_WITH_DATABASE.0);
    next.stop().await.unwrap();
    sqlx::query("drop role limited")
        .execute(&mut session)
        .await
        .unwrap();
    eventually_dropped(&left, info, &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_harnesses_that_share_one_server_when_another_comes_then_it_spares_what_they_made() {
    // Given a harness at work with a PostgreSQL server of its own, and one with a Kafka of its own.
    let (theirs, _turn) = theirs().await;
    let info = &theirs.info;
    let folder = tempfile::tempdir().unwrap();
    let other = Stack::start(local(folder.path()), &reaper()).await.unwrap();
    let alive = Tenancy::begin(
        &other.info().postgres,
        &info.kafka().unwrap().address,
        Tenancy::new_id(),
    );
    let alive = alive.await.unwrap();
    let living = Made::named(&format!("{}0000a11e", alive.id()));
    living.make(info).await;
    // Its schema is on that server: here it has none.
    schema::drop_all(&info.postgres, &living.layout)
        .await
        .unwrap();

    let (database, broker) = (
        other_database(info).await,
        &other.info().kafka().unwrap().address,
    );
    let neighbour = Tenancy::begin(&database, broker, Tenancy::new_id()).await;
    let neighbour = neighbour.unwrap();
    let beside = Made::named(&format!("{}0000a11e", neighbour.id()));
    beside.make(info).await;

    let next = find(file(info, &folder, |t| t)).await.unwrap();

    assert_eq!(living.there(info).await, (0, 1, 1));
    assert_eq!(beside.there(info).await, ALL);
    next.stop().await.unwrap();
    alive.end().await.unwrap();
    neighbour.end().await.unwrap();
    eventually_dropped(&living, info, &folder).await;
    eventually_dropped(&beside, info, &folder).await;
    other.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_server_that_ends_idle_sessions_when_another_harness_comes_then_it_is_not_let_in() {
    // Given a server that ends whatever does nothing for a tenth of a second.
    let (theirs, _turn) = theirs().await;
    let info = &theirs.info;
    let folder = tempfile::tempdir().unwrap();
    let set = async |statement: &'static str| {
        let mut session = administrator(&info.postgres).await;
        for statement in [statement, "select pg_reload_conf()"] {
            sqlx::query(statement).execute(&mut session).await.unwrap();
        }
    };
    set("alter system set idle_session_timeout = '100ms'").await;
    let first = find(file(info, &folder, |t| t)).await.unwrap();
    // It ends idle sessions: this one is not there any more when it is asked.
    let mut idle = administrator(&info.postgres).await;
    let mut asked = 0;
    while sqlx::query("select 1").execute(&mut idle).await.is_ok() {
        asked += 1;
        assert!(asked < 100, "the server does not end idle sessions");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // When another one comes
    let second = find(file(info, &folder, |t| t)).await;

    // Then it is refused, and the first has lost nothing.
    set("alter system reset idle_session_timeout").await;
    let error = second.err().unwrap().to_string();
    assert!(error.contains("another run uses it"), "{error}");
    let lost = tokio::time::timeout(Duration::from_millis(1500), first.ends_by_itself());
    assert!(lost.await.is_err());
    first.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_harness_whose_mark_is_taken_when_it_goes_on_then_it_says_that_the_stack_is_lost() {
    let (theirs, _turn) = theirs().await;
    let info = &theirs.info;
    let folder = tempfile::tempdir().unwrap();

    // When an administrator ends the session that holds its lock
    let found = find(file(info, &folder, |t| t)).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'";
    let mut session = administrator(&info.postgres).await;
    sqlx::query(end).execute(&mut session).await.unwrap();
    let lost = tokio::time::timeout(PATIENCE, found.ends_by_itself()).await;
    let reason = lost.unwrap().to_string();
    assert!(reason.contains("keep the stack for this run"), "{reason}");
    assert!(reason.contains("that held its lock is gone"), "{reason}");
    assert!(found.failure().await.is_some());
    found.stop().await.unwrap();

    // When its topic is deleted
    let found = find(file(info, &folder, |t| t)).await.unwrap();
    let broker = info.broker(BrokerKind::Kafka).unwrap();
    let topics = broker.topics().await.unwrap();
    let mark = topics.iter().find(|t| t.ends_with(".alive")).unwrap();
    broker.topic(mark, 1).delete().await.unwrap();
    let lost = tokio::time::timeout(PATIENCE, found.ends_by_itself()).await;
    let reason = lost.unwrap().to_string();
    assert!(reason.contains("takes no sign of life"), "{reason}");
    found.stop().await.unwrap();
}

/// The server notices a closed session a moment later.
async fn eventually_dropped(made: &Made, info: &StackInfo, folder: &TempDir) {
    for _ in 0..50 {
        let found = find(file(info, folder, |t| t)).await.unwrap();
        found.stop().await.unwrap();
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
        let orders = &theirs.info.routes[&Link::ORDERS_KAFKA].upstream;
        text.replace(orders.as_str(), &theirs.info.kafka().unwrap().address)
    };

    let error = find(file(&theirs.info, &folder, wrong))
        .await
        .err()
        .unwrap();

    let error = error.to_string();
    assert!(error.contains("orders->kafka"), "{error}");
    assert!(error.contains("advertised.listeners"), "{error}");
    let toxiproxy = ToxiproxyClient::new(&theirs.info.toxiproxy_url).unwrap();
    assert!(toxiproxy.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_route_whose_port_is_taken_is_an_error_with_the_remedy() {
    let (theirs, _turn) = theirs().await;
    let folder = tempfile::tempdir().unwrap();
    let listen = &theirs.info.routes[&Link::RELAY_KAFKA].listen;
    let taken = std::net::TcpListener::bind(listen).unwrap();

    let found = find(file(&theirs.info, &folder, |text| text)).await;

    let error = found.err().unwrap().to_string();
    assert!(error.contains("check the route of relay->kafka"), "{error}");
    assert!(error.contains("address already in use"), "{error}");
    assert!(error.contains("is `listen` free"), "{error}");
    drop(taken);
    let toxiproxy = ToxiproxyClient::new(&theirs.info.toxiproxy_url).unwrap();
    assert!(toxiproxy.list().await.unwrap().is_empty());
}

/// The port of whoever answers for a server, and says `version` wherever that says its own, which is
/// as long.
async fn another_version(server: &PostgresTarget, own: &str, version: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = (server.host.clone(), server.port);
    let (own, version) = (own.as_bytes().to_vec(), version.as_bytes().to_vec());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(upstream.clone()).await.unwrap();
            let (own, version) = (own.clone(), version.clone());
            tokio::spawn(async move {
                let (mut asks, mut is_told) = client.into_split();
                let (mut tells, mut is_asked) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut asks, &mut is_asked).await });
                let mut bytes = [0; 65_536];
                while let Ok(read @ 1..) = tells.read(&mut bytes).await {
                    for at in 0..read.saturating_sub(own.len() - 1) {
                        if bytes[at..].starts_with(&own) {
                            bytes[at..at + own.len()].copy_from_slice(&version);
                        }
                    }
                    if is_told.write_all(&bytes[..read]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn given_somebodys_postgres_that_is_too_old_when_found_then_the_oldest_version_is_named() {
    let (theirs, _turn) = theirs().await;
    let folder = tempfile::tempdir().unwrap();
    let server = &theirs.info.postgres;
    let own = &theirs.info.postgres_version;
    let old = format!("13{}", &own[2..]);
    let port = another_version(server, own, &old).await;
    let there = |text: String| {
        let (direct, shown) = (format!("port = {}", server.port), format!("port = {port}"));
        text.replacen(&direct, &shown, 1)
    };

    let error = find(file(&theirs.info, &folder, there))
        .await
        .err()
        .unwrap();

    assert_eq!(
        error.to_string(),
        format!(
            "the stack failed: use PostgreSQL at 127.0.0.1:{port}: it is version {old}, and 14 is the \
             oldest that the harness works with; name a newer server"
        )
    );
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
        ("Kafka", nobody, info.kafka().unwrap().address.as_str()),
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
/// It notes this topic too, which is somebody's, and dies before it has tried to make it.
const NEVER_CLAIMED: &str = "somebodys-orders";

/// What that process makes.
fn played() -> [Made; 2] {
    [Made::named(PLAYED_RUN), Made::with_database(PLAYED_RUN)]
}

/// Not a test by itself: notes and makes things on an external stack, and waits to be killed.
#[tokio::test]
async fn play_a_harness_on_an_external_stack() {
    let Some(file) = std::env::var_os(PLAY_HARNESS) else {
        return;
    };
    let file = PathBuf::from(file);
    let reaper = Arc::new(Reaper::start_with(Path::new(HARNESS)).unwrap());
    let stack = Stack::start(
        Provider::External {
            file,
            programs: None,
        },
        &reaper,
    )
    .await
    .unwrap();
    for made in played() {
        let proxies = [made.proxy.clone()];
        let topics = [
            made.topic.clone(),
            claim::found_by(&made.topic, NEVER_CLAIMED),
        ];
        let note = stack.leftover(&made.layout.name, &topics, &proxies);
        reaper.note(&note.unwrap()).unwrap();
        made.make(stack.info()).await;
    }
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
    let broker = theirs.info.broker(BrokerKind::Kafka).unwrap();
    let somebodys = broker.topic(NEVER_CLAIMED, 1);
    somebodys.create().await.unwrap();
    let [made, with_database] = played();
    assert_eq!(made.there(&theirs.info).await, ALL);
    assert_eq!(with_database.there(&theirs.info).await, ALL_WITH_DATABASE);

    kill_and_reap(harness);

    let there = |made: &Made| {
        let now = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| now.block_on(made.there(&theirs.info)))
    };
    eventually("everything is dropped", || {
        there(&made) == NOTHING && there(&with_database) == NOTHING
    });
    let topics = broker.topics().await.unwrap();
    assert!(topics.iter().any(|t| t == NEVER_CLAIMED), "{topics:?}");
    somebodys.delete().await.unwrap();
}

#[tokio::test]
async fn given_two_runs_that_claim_a_topic_at_once_when_one_is_too_late_then_what_the_other_made_stays()
 {
    let broker = crate::stack().await.info.broker(BrokerKind::Kafka).unwrap();
    let runs = ["0000000000000001", "0000000000000002"];
    let name = format!("claimed-{}", uuid::Uuid::new_v4().simple());
    let own = runs.map(|run| format!("oh.{run}.mine"));
    let claims = own
        .each_ref()
        .map(|own| claim::topic(&broker, own, &name, 1));
    // Given that both found the name free
    let made = futures::future::join_all(claims.iter().map(|topic| topic.create())).await;
    let late = made.iter().position(Result::is_err).unwrap();
    assert!(made[1 - late].is_ok(), "{made:?}");
    // When the late one gives up
    claims[late].delete().await.unwrap();
    // Then the topic is there, and known for the other's alone
    let topics = broker.topics().await.unwrap();
    assert!(topics.contains(&name), "{topics:?}");
    let marks = own.each_ref().map(|own| claim::found_by(own, &name));
    assert!(topics.contains(&marks[1 - late]), "{topics:?}");
    assert!(!topics.contains(&marks[late]), "{topics:?}");
    claims[1 - late].delete().await.unwrap();
}
