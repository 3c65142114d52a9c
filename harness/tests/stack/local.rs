//! The local stack: up in seconds, restartable after kills, gone without a trace.

use crate::patience::PATIENCE;
use crate::process::{below, eventually, identify, kill_and_reap, lives, spawn_test};
use crate::{cache, local, programs, reaper, stack};
use harness::scenario::{Link, Server, Victim};
use harness::stack::Jit;
use harness::stack::local::{FirstServers, LocalStack};
use harness::stack::{Provider, Stack, ports};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use relays::cache::{Cache, CacheFill, CacheLosses, losses, read_all};
use relays::config::{CacheTarget, PostgresTarget};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub async fn connect(target: &PostgresTarget) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&target.host)
        .port(target.port)
        .username(&target.user)
        .password(&target.password)
        .database(&target.database);
    PgConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn the_shared_stack_says_what_it_is() {
    let info = &stack().await.info;

    assert_eq!(info.provider, "local");
    assert!(
        info.postgres_version
            .starts_with(|c: char| c.is_ascii_digit())
    );
    assert!(
        info.kafka().unwrap().version.starts_with("4."),
        "{}",
        info.kafka().unwrap().version
    );
    assert_eq!(info.toxiproxy_version, "2.12.0");
    // Those of consumers too.
    let to = |server| {
        let all = Link::ALL.into_iter();
        all.filter(|link| link.server() == server).count()
    };
    let to_cache = if info.redis.is_some() {
        to(Server::Redis)
    } else {
        0
    };
    let to_others = to(Server::POSTGRES) + to(Server::KAFKA);
    assert_eq!(info.routes.len(), to_others + to_cache);
    for (name, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("wal_level", "logical"),
        ("replication_factor", "1"),
        ("kafka_acks", "all"),
    ] {
        assert_eq!(info.environment[name], value, "{name}");
    }
    for name in ["cores", "memory_mib", "kernel", "jvm"] {
        assert!(info.environment.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_proxied_listener_advertises_its_proxy() {
    let info = &stack().await.info;
    for link in Link::to(Server::KAFKA) {
        let route = &info.routes[&link];
        let upstream = route.upstream.clone();
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &upstream)
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
        let broker = &metadata.brokers()[0];
        let advertised = format!("{}:{}", broker.host(), broker.port());
        assert_eq!(advertised, route.connect);
    }
}

#[tokio::test]
async fn a_killed_postgres_restarts_with_what_was_committed() {
    // Given a stack of our own with a committed row and an open session.
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(local(folder.path()), &reaper()).await.unwrap();
    let target = stack.info().postgres.clone();
    let mut session = connect(&target).await;
    session
        .execute("create table t as select 42 as x")
        .await
        .unwrap();
    let server = stack.server(Victim::POSTGRES).unwrap();
    let tree = identify(&server.tree());
    assert!(tree.len() > 4, "the server has backends: {tree:?}");

    // When the whole tree is killed.
    server.kill().await.unwrap();

    // Then nothing of it lives, and a restart brings back the row.
    assert!(!tree.iter().any(|id| lives(*id)));
    server.restart().await.unwrap();
    let mut session = connect(&target).await;
    let x: i32 = sqlx::query_scalar("select x from t")
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(x, 42);
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn given_a_synchronous_standby_then_commits_wait_for_it_also_after_the_server_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut provider = local(folder.path());
    if let Provider::Local { settings, .. } = &mut provider {
        settings.synchronous_standby = true;
    }
    let stack = Stack::start(provider, &reaper()).await.unwrap();
    let info = stack.info();
    assert_eq!(
        info.environment["synchronous_commit"],
        "on, and waits for a standby that flushes WAL"
    );
    let mut session = connect(&info.postgres).await;
    let state = "select sync_state::text from pg_stat_replication";
    let state: String = sqlx::query_scalar(state)
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(state, "sync");
    session.execute("create table t as select 1").await.unwrap();

    // The standby finds the server again, and until then nobody's commit returns
    let server = stack.server(Victim::POSTGRES).unwrap();
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    let mut session = connect(&info.postgres).await;
    session.execute("insert into t values (2)").await.unwrap();
    let count: i64 = sqlx::query_scalar("select count(*) from pg_stat_replication")
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(count, 1);
    stack.stop().await.unwrap();
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn a_postgres_whose_postmaster_alone_died_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(local(folder.path()), &reaper()).await.unwrap();
    let target = stack.info().postgres.clone();
    // A backend that does not look up for its postmaster meanwhile.
    let mut busy = connect(&target).await;
    let work = tokio::spawn(async move {
        let _ = busy
            .execute("do $$ begin loop perform 1; end loop; end $$")
            .await;
    });
    let server = stack.server(Victim::POSTGRES).unwrap();
    let postmaster = identify(&server.tree())[0];
    harness::process::tree::send(postmaster, nix::sys::signal::Signal::SIGKILL);
    eventually("its death is seen", || !server.is_alive());

    server.restart().await.unwrap();

    connect(&target).await;
    work.abort();
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_kafka_restarts_with_its_data() {
    // Given a record that was acknowledged.
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(local(folder.path()), &reaper()).await.unwrap();
    let bootstrap = stack.info().kafka().unwrap().address.clone();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &bootstrap);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let topic = NewTopic::new("kept", 1, TopicReplication::Fixed(1));
    admin
        .create_topics([&topic], &AdminOptions::new())
        .await
        .unwrap()[0]
        .as_ref()
        .unwrap();
    let producer: FutureProducer = config.create().unwrap();
    let record = FutureRecord::to("kept").key("k").payload("v");
    producer.send(record, PATIENCE).await.unwrap();

    // When the server is killed and started again.
    let server = stack.server(Victim::KAFKA).unwrap();
    server.kill().await.unwrap();
    server.restart().await.unwrap();

    // Then the record is there.
    let consumer: BaseConsumer = config.clone().create().unwrap();
    let (low, high) = consumer.fetch_watermarks("kept", 0, PATIENCE).unwrap();
    assert_eq!((low, high), (0, 1));
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn given_a_cache_when_its_server_is_killed_and_started_again_then_it_answers_and_is_empty() {
    if cache().await.is_none() {
        return;
    }
    // Given a stack of our own, with an entry in its cache
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(local(folder.path()), &reaper()).await.unwrap();
    let target = CacheTarget {
        address: stack.info().redis.clone().unwrap().address,
        prefix: "test:".into(),
    };
    let cache = Cache::open(target.clone());
    cache.reached(PATIENCE).await.unwrap();
    cache.put("a", (1, "{}"), CacheFill::Any).await.unwrap();
    assert_eq!(read_all(&target).await.unwrap().len(), 1);
    let lost = losses(&target).await.unwrap();
    assert_eq!(lost.since(&CacheLosses::default()), None);
    // And a reader who found nothing there
    let look = cache.get("b").await.unwrap();
    assert_eq!(look.text, None);
    let server = stack.server(Victim::REDIS).unwrap();

    // When it is killed, then nobody waits for it
    server.kill().await.unwrap();
    assert!(cache.get("a").await.is_err());
    let at_once = tokio::time::timeout(PATIENCE, cache.get("a"))
        .await
        .unwrap();
    assert!(at_once.unwrap_err().to_string().contains("no connection"));

    // And when it is there again, then so is the connection, to an empty cache
    server.restart().await.unwrap();
    cache.reached(PATIENCE).await.unwrap();
    assert_eq!(cache.get("a").await.unwrap().text, None);
    // But what was read before it died is no longer taken, and what is read now is
    let late = cache.fill(&look, "b", (1, "{}"), CacheFill::Newer).await;
    assert!(late.unwrap_err().to_string().contains("another one"));
    let look = cache.get("b").await.unwrap();
    assert_eq!(look.text, None);
    let fill = cache.fill(&look, "b", (1, "{}"), CacheFill::Newer);
    fill.await.unwrap();
    assert_eq!(read_all(&target).await.unwrap().len(), 1);
    assert!(stack.stop_of_server(Victim::REDIS).is_some());
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_stack_leaves_its_logs_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(local(folder.path()), &reaper()).await.unwrap();
    let mut trees = Vec::new();
    for victim in [Victim::POSTGRES, Victim::KAFKA] {
        trees.extend(identify(&stack.server(victim).unwrap().tree()));
    }
    trees.extend(identify(&stack.toxiproxy().unwrap().tree()));
    let cache = stack.server(Victim::REDIS);
    trees.extend(cache.iter().flat_map(|server| identify(&server.tree())));
    assert!(trees.len() > 6);
    let mut logs = vec!["kafka-server.log", "postgres-server.log", "toxiproxy.log"];
    if cache.is_some() {
        logs.insert(2, "redis-server.log");
    }

    stack.stop().await.unwrap();

    assert!(!trees.iter().any(|id| lives(*id)));
    assert_eq!(entries(folder.path()), ["logs"]);
    assert_eq!(entries(&folder.path().join("logs")), logs);
}

#[tokio::test]
async fn a_port_that_is_taken_meanwhile_is_replaced() {
    // Given a choice of ports of which Kafka's is taken at the first try.
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tries = Mutex::new(0);
    let choose = || {
        let mut ports = ports::reserve()?;
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        if *tries == 1 {
            ports.numbers[2] = taken.local_addr().unwrap().port();
        }
        Ok(ports)
    };
    let (data, logs) = (folder.path().join("data"), folder.path().join("logs"));

    let stack = LocalStack::start_on((&data, &logs), first(&programs()), &reaper(), choose).await;

    stack.unwrap().stop().await.unwrap();
    assert_eq!(*tries.lock().unwrap(), 2);
}

/// Of a stack whose programs are here.
fn first(programs: &Path) -> FirstServers<'_> {
    FirstServers {
        programs,
        hot_standby: false,
        jit: Some(Jit::C1),
    }
}

#[tokio::test]
async fn a_stack_without_its_programs_says_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let (data, logs) = (folder.path().join("data"), folder.path().join("logs"));
    let nowhere = folder.path().join("nowhere");
    let started = LocalStack::start((&data, &logs), first(&nowhere), &reaper()).await;
    let error = started.err().unwrap().to_string();
    assert!(error.contains("stack/install.sh"), "{error}");
    assert!(!data.exists());
}

/// Set for the process that plays the harness in the tests below.
const PLAY_HARNESS: &str = "OUTBOX_HARNESS_TEST_PLAY_STACK";

/// Not a test by itself: starts a stack, pauses a server, says so, and waits to be killed.
#[tokio::test]
async fn play_a_harness_with_a_stack() {
    let Some(folder) = std::env::var_os(PLAY_HARNESS) else {
        return;
    };
    let stack = Stack::start(local(Path::new(&folder)), &reaper())
        .await
        .unwrap();
    let _session = connect(&stack.info().postgres).await;
    let server = stack.server(Victim::POSTGRES).unwrap();
    server.pause().await.unwrap();
    println!("up");
    std::future::pending().await
}

#[test]
fn a_killed_harness_leaves_no_server_no_data_and_no_shared_memory() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL's data may be below the temporary folder: give it one to look at.
    let temporary = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(temporary.path(), open).unwrap();
    let harness = spawn_test("local::play_a_harness_with_a_stack", |command| {
        command
            .env(PLAY_HARNESS, folder.path())
            .env("TMPDIR", temporary.path());
    });
    let below = below(&harness);
    assert!(below.len() > 8, "{below:?}");
    let segments = shared_memory_of(&below);

    kill_and_reap(harness);

    eventually("every process is gone", || {
        !below.iter().any(|id| lives(*id))
    });
    eventually("the data is gone", || {
        entries(folder.path()) == ["logs"] && entries(temporary.path()).is_empty()
    });
    assert!(!segments.is_empty());
    let left = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let left: Vec<&str> = left
        .lines()
        .filter_map(|l| l.split_whitespace().nth(1))
        .collect();
    assert!(segments.iter().all(|id| !left.contains(&id.as_str())));
}

/// Ids of the System V segments that these processes created.
fn shared_memory_of(processes: &[harness::process::tree::ProcessId]) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let rows = table
        .lines()
        .skip(1)
        .map(|l| l.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| processes.iter().any(|p| row[4] == p.pid.to_string()))
        .map(|row| row[1].to_owned())
        .collect()
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| PathBuf::from(entry.unwrap().file_name()))
        .collect();
    names.sort();
    names.iter().map(|n| n.display().to_string()).collect()
}
