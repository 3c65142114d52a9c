//! Two-phase commits on real servers: what becomes of both sides when the coordinator is killed at each moment.

use super::committed;
use super::given::{Given, Proxy, admin, event_text, eventually, placing, transition, two_phase};
use super::process::Service;
use crate::patience::PATIENCE;
use crate::stack;
use harness::fence::database;
use harness::fence::in_doubt::{self, Unfinished};
use nix::sys::signal::Signal as UnixSignal;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use relays::config::{KafkaTarget, PostgresTarget, RecovererConfig};
use relays::order::{ChangeRequest, ChangeType, Directive};
use reqwest::StatusCode;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// So long that no test meets it: what is in doubt is taken because nobody living owns it.
const NEVER_MS: u64 = 3_600_000;

/// A recoverer, on a thread of this program.
struct RunningRecoverer {
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<Result<(), String>>,
}

impl RunningRecoverer {
    async fn start(given: &Given, in_doubt_after_ms: u64) -> Self {
        let bootstrap = stack().await.kafka_bootstrap.clone();
        Self::start_with(given, in_doubt_after_ms, bootstrap).await
    }

    async fn start_with(given: &Given, in_doubt_after_ms: u64, bootstrap: String) -> Self {
        let stack = stack().await;
        let config = RecovererConfig {
            postgres: PostgresTarget {
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

    async fn end(self) {
        let _ = self.stop.send(());
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await;
        ended.unwrap().unwrap().unwrap();
    }
}

/// The events that a reader of what is committed sees, up to the first transaction that is open; and whether
/// there is one.
async fn events(given: &Given) -> (Vec<String>, bool) {
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

async fn prepared(given: &Given) -> i64 {
    let role = given.layout.service_role();
    let sql = format!("select count(*) from pg_prepared_xacts where owner = '{role}'");
    given.rows(&sql).await[0].get(0)
}

async fn states(given: &Given) -> Vec<String> {
    let rows = given.rows("select state from $S.decisions").await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// A session that keeps everybody else from changing the decision log.
async fn locked(given: &Given) -> PgConnection {
    let mut session = admin().await;
    let sql = format!(
        "begin; select from \"{}\".decisions for update",
        given.layout.schema()
    );
    session.execute(AssertSqlSafe(sql)).await.unwrap();
    session
}

/// Sends a change that nobody waits for.
fn sent(given: &Given, change: &ChangeRequest) {
    let body = serde_json::to_vec(change).unwrap();
    let url = format!("{}/orders", given.url);
    tokio::spawn(async move {
        let http = harness::http::direct().build().unwrap();
        let _ = http.post(url).body(body).send().await;
    });
}

/// Waits until an event is on the topic whose transaction is open: nobody sees it, nor anything behind it.
async fn until_published(given: &Given) {
    eventually("an event is on the topic", || async {
        events(given).await == (vec![], true)
    })
    .await;
}

async fn killed(mut service: Service) {
    service.signal(UnixSignal::SIGKILL);
    service.child.wait().await.unwrap();
}

/// Waits until everything has ended on both sides; what is there then.
async fn recovered(given: &Given, in_doubt_after_ms: u64) -> (i64, Vec<String>) {
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

#[tokio::test]
async fn given_orders_when_they_are_changed_vetoed_or_repeated_then_each_commit_has_its_event_once()
{
    two_phase()
        .run(|given| async move {
            // Given an order, a change that is forbidden, one that cannot be, and one that is sent twice
            let order = Uuid::new_v4();
            let (place, pay) = (placing(order), transition(ChangeType::Paid));
            let vetoed = ChangeRequest {
                directive: Directive::Veto,
                ..pay.clone()
            };
            let repeated = ChangeRequest {
                attempt: Uuid::new_v4(),
                ..pay.clone()
            };
            // When they are sent
            assert_eq!(given.change(order, &place).await.1, committed(1));
            let (status, _) = given.change(order, &vetoed).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
            let ship = transition(ChangeType::Shipped);
            assert_eq!(given.change(order, &ship).await.0, StatusCode::CONFLICT);
            for change in [&pay, &repeated] {
                assert_eq!(given.change(order, change).await.1, committed(2));
            }
            // Then each version has its event, nothing is left open, and each producer is free again
            let expected = [event_text(order, 1, &place), event_text(order, 2, &pay)];
            assert_eq!(events(&given).await, (expected.to_vec(), false));
            assert_eq!(prepared(&given).await, 0);
            eventually("both producers are free", || async {
                states(&given).await == ["open", "open"]
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn given_a_coordinator_that_is_killed_before_it_prepares_then_neither_side_has_the_change() {
    let given = two_phase().prepare().await;
    let service = Service::start(&given).await;
    let held = ChangeRequest {
        directive: Directive::HoldMs(10_000),
        ..placing(Uuid::new_v4())
    };
    sent(&given, &held);
    until_published(&given).await;

    killed(service).await;

    assert_eq!(recovered(&given, NEVER_MS).await, (0, vec![]));
    given.take_away().await;
}

#[tokio::test]
async fn given_a_coordinator_that_is_killed_before_it_decides_then_neither_side_has_the_change() {
    let given = two_phase().prepare().await;
    let service = Service::start(&given).await;
    let lock = locked(&given).await;
    sent(&given, &placing(Uuid::new_v4()));
    eventually("it is prepared", || async { prepared(&given).await == 1 }).await;

    killed(service).await;
    // Its last statement would still be done.
    let role = given.layout.service_role();
    let end =
        format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'");
    given.rows(&end).await;
    drop(lock);

    assert_eq!(recovered(&given, NEVER_MS).await, (0, vec![]));
    given.take_away().await;
}

#[tokio::test]
async fn given_a_run_that_is_killed_with_a_prepared_order_when_what_it_owned_is_dropped_then_nothing_is_left()
 {
    let given = two_phase().prepare().await;
    let service = Service::start(&given).await;
    let lock = locked(&given).await;
    sent(&given, &placing(Uuid::new_v4()));
    eventually("it is prepared", || async { prepared(&given).await == 1 }).await;
    killed(service).await;
    drop(lock);
    given.take_away().await;
    assert_eq!(prepared(&given).await, 0);
}

#[tokio::test]
async fn given_a_prepared_order_when_the_run_ends_then_the_recoverer_ends_it_or_the_fence_rolls_it_back()
 {
    for has_recoverer in [true, false] {
        // Given an order that was prepared by a service that is dead
        let given = two_phase().prepare().await;
        let service = Service::start(&given).await;
        let lock = locked(&given).await;
        sent(&given, &placing(Uuid::new_v4()));
        eventually("it is prepared", || async { prepared(&given).await == 1 }).await;
        killed(service).await;
        // When the fence wants to read what is committed
        let (admin, deadline) = (&stack().await.postgres, Instant::now() + PATIENCE);
        let shut = database::shut_out(admin, &given.layout, deadline).await;
        drop(lock);
        let recoverer = match has_recoverer {
            true => Some(RunningRecoverer::start(&given, NEVER_MS).await),
            false => None,
        };
        let goes_on = || has_recoverer;
        let settled = in_doubt::settle(&mut shut.unwrap(), &given.layout, deadline, goes_on).await;
        // Then nothing is in its way, and nothing can come later
        let unfinished = match has_recoverer {
            true => Unfinished::default(),
            false => Unfinished {
                committed: 0,
                rolled_back: 1,
                open: 2,
            },
        };
        assert_eq!(settled, Ok(unfinished));
        database::close(admin, &given.layout, deadline)
            .await
            .unwrap();
        let (found, is_open) = events(&given).await;
        assert_eq!((given.count("orders").await, found), (0, vec![]));
        assert_eq!(is_open, !has_recoverer);
        if let Some(recoverer) = recoverer {
            recoverer.end().await;
        }
        given.take_away().await;
    }
}

#[tokio::test]
async fn given_a_broker_that_does_not_answer_when_orders_are_in_doubt_then_postgresql_waits_for_none_of_it()
 {
    // Given two orders that were prepared by a service that is dead
    let given = two_phase().prepare().await;
    let service = Service::start(&given).await;
    let lock = locked(&given).await;
    for _ in 0..2 {
        sent(&given, &placing(Uuid::new_v4()));
    }
    eventually("both are prepared", || async {
        prepared(&given).await == 2
    })
    .await;
    killed(service).await;
    let role = given.layout.service_role();
    let end =
        format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'");
    given.rows(&end).await;
    drop(lock);
    // When the recoverer asks a broker that says nothing
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bootstrap = silent.local_addr().unwrap().to_string();
    let recoverer = RunningRecoverer::start_with(&given, NEVER_MS, bootstrap).await;
    let (_question, _) = silent.accept().await.unwrap();
    // Then nothing is prepared any more
    assert_eq!(prepared(&given).await, 0);
    recoverer.end().await;
    given.take_away().await;
}

/// Waits until the service wants to write its decision down, and has to wait for that.
async fn until_deciding(given: &Given) {
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
async fn decided_after_its_death(given: &Arc<Given>) -> ChangeRequest {
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

#[tokio::test]
async fn given_a_coordinator_whose_decision_comes_after_its_death_then_both_sides_have_the_change()
{
    let given = two_phase().prepare().await;
    let place = decided_after_its_death(&given).await;
    let expected = vec![event_text(place.order_id.unwrap(), 1, &place)];
    assert_eq!(recovered(&given, NEVER_MS).await, (1, expected));
    given.take_away().await;
}

#[tokio::test]
async fn given_a_decided_order_that_nobody_finished_when_the_run_ends_then_the_fence_commits_it() {
    let given = two_phase().prepare().await;
    decided_after_its_death(&given).await;
    let (admin, deadline) = (&stack().await.postgres, Instant::now() + PATIENCE);
    let shut = database::shut_out(admin, &given.layout, deadline).await;

    let settled = in_doubt::settle(&mut shut.unwrap(), &given.layout, deadline, || false).await;

    let unfinished = Unfinished {
        committed: 1,
        rolled_back: 0,
        open: 2,
    };
    assert_eq!(settled, Ok(unfinished));
    assert_eq!(
        (prepared(&given).await, given.count("orders").await),
        (0, 1)
    );
    // What was decided, and has not ended in Kafka, is told as still held.
    let decided = in_doubt::decided(admin, given.layout.schema()).await;
    assert_eq!(decided.unwrap().len(), 1);
    given.take_away().await;
}

/// A service that is killed when PostgreSQL has committed what was decided, and Kafka has heard nothing of it.
async fn killed_between_the_two_commits(given: &Arc<Given>, kafka: &Proxy) -> ChangeRequest {
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

#[tokio::test]
async fn given_a_coordinator_that_is_killed_between_the_two_commits_then_both_sides_have_the_change()
 {
    let kafka = Proxy::before_kafka().await;
    let given = two_phase().kafka_at(&kafka.address).prepare().await;
    let place = killed_between_the_two_commits(&given, &kafka).await;
    assert_eq!(events(&given).await, (vec![], true));

    let expected = vec![event_text(place.order_id.unwrap(), 1, &place)];
    assert_eq!(recovered(&given, NEVER_MS).await, (1, expected));
    kafka.delete().await;
    given.take_away().await;
}

#[tokio::test]
async fn given_a_broker_that_aborts_by_itself_what_was_decided_then_the_event_is_gone_and_the_log_says_so()
 {
    let kafka = Proxy::before_kafka().await;
    let wanted = two_phase().kafka_at(&kafka.address);
    let given = wanted.aborted_after_ms(1_000).prepare().await;
    killed_between_the_two_commits(&given, &kafka).await;
    // It looks for them every ten seconds.
    eventually("the broker has aborted it", || async {
        !events(&given).await.1
    })
    .await;

    assert_eq!(recovered(&given, NEVER_MS).await, (1, vec![]));
    let mut states = states(&given).await;
    states.sort();
    assert_eq!(states, ["aborted", "heuristic"]);
    kafka.delete().await;
    given.take_away().await;
}

#[tokio::test]
async fn given_a_coordinator_that_is_only_slow_when_the_recoverer_was_first_then_it_aborts_and_says_so()
 {
    two_phase()
        .run(|given| async move {
            // Given an order that is prepared, when the recoverer has just taken all that is not decided
            let mut recoverer = locked(&given).await;
            let (order, place) = (Uuid::new_v4(), placing(Uuid::new_v4()));
            let request = {
                let (given, place) = (Arc::clone(&given), place.clone());
                tokio::spawn(async move { given.change(order, &place).await })
            };
            eventually("it is prepared", || async { prepared(&given).await == 1 }).await;
            let schema = given.layout.schema();
            let take = format!("update \"{schema}\".decisions set state = 'aborting'; commit");
            recoverer.execute(AssertSqlSafe(take)).await.unwrap();
            // Then it is refused, in so many words, and both sides are without it
            let (status, answer) = request.await.unwrap();
            assert_eq!(status, StatusCode::FAILED_DEPENDENCY, "{answer}");
            let reason = answer["reason"].as_str().unwrap();
            assert!(
                reason.contains("the recoverer decided to abort it"),
                "{reason}"
            );
            let recoverer = RunningRecoverer::start(&given, NEVER_MS).await;
            eventually("nothing is open", || async {
                events(&given).await == (vec![], false)
            })
            .await;
            recoverer.end().await;
            assert_eq!(
                (prepared(&given).await, given.count("orders").await),
                (0, 0)
            );
            // And the service goes on with other producers, once it has found that each was taken
            eventually("orders are taken again", || async {
                let other = Uuid::new_v4();
                given.change(other, &placing(other)).await.0 == StatusCode::CREATED
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn given_a_broker_that_is_away_when_an_order_comes_then_it_is_refused_and_nothing_is_left_in_doubt()
 {
    let kafka = Arc::new(Proxy::before_kafka().await);
    let proxy = Arc::clone(&kafka);
    two_phase()
        .kafka_at(&kafka.address)
        .run(move |given| async move {
            let order = Uuid::new_v4();
            assert_eq!(given.change(order, &placing(order)).await.1, committed(1));
            let recoverer = RunningRecoverer::start(&given, NEVER_MS).await;

            proxy.set_enabled(false).await;
            let other = Uuid::new_v4();
            let (status, answer) = given.change(other, &placing(other)).await;
            assert_eq!(status, StatusCode::FAILED_DEPENDENCY, "{answer}");
            proxy.set_enabled(true).await;

            eventually("orders are taken again", || async {
                let other = Uuid::new_v4();
                given.change(other, &placing(other)).await.0 == StatusCode::CREATED
            })
            .await;
            eventually("nothing is open", || async { !events(&given).await.1 }).await;
            recoverer.end().await;
            let (events, _) = events(&given).await;
            assert_eq!(events.len() as i64, given.count("orders").await);
        })
        .await;
    let kafka = Arc::into_inner(kafka).unwrap();
    kafka.delete().await;
}

#[tokio::test]
async fn given_a_coordinator_that_hangs_with_a_prepared_order_then_the_recoverer_aborts_it_after_a_while()
 {
    let given = two_phase().prepare().await;
    let service = Service::start(&given).await;
    let lock = locked(&given).await;
    sent(&given, &placing(Uuid::new_v4()));
    eventually("it is prepared", || async { prepared(&given).await == 1 }).await;
    // It does not hear of the answer to its decision, and its statement ends with its session
    service.signal(UnixSignal::SIGSTOP);
    let role = given.layout.service_role();
    let end = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where usename = '{role}' and wait_event_type = 'Lock'"
    );
    given.rows(&end).await;
    drop(lock);

    let recoverer = RunningRecoverer::start(&given, 1).await;
    eventually("the recoverer takes it", || async {
        prepared(&given).await == 0 && events(&given).await == (vec![], false)
    })
    .await;
    recoverer.end().await;
    // What nobody began with stays the coordinator's
    assert!(states(&given).await.contains(&"open".to_owned()));
    assert_eq!(given.count("orders").await, 0);
    killed(service).await;
    given.take_away().await;
}
