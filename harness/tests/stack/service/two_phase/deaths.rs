//! What becomes of both sides when the coordinator is killed at each moment.

use super::super::given::{Proxy, admin, event_text, eventually, placing, two_phase};
use super::super::process::Service;
use super::fixture::{
    NEVER_MS, RunningRecoverer, decided_after_its_death, events, killed,
    killed_between_the_two_commits, locked, prepared, recovered, sent, states, until_published,
};
use crate::stack;
use harness::database::postgres::in_doubt::{self, Decided};
use relays::order::{ChangeRequest, Directive};
use sqlx::{AssertSqlSafe, Executor, Row};
use uuid::Uuid;

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
    // And what is found prepared later waits no longer, while that question is still under way
    let id = "select transactional_id from $S.decisions where state = 'aborting' limit 1";
    let id: String = given.rows(id).await[0].get(0);
    let late = format!("set role \"{role}\"; begin; prepare transaction '{id}/99'");
    let mut session = admin().await;
    session.execute(AssertSqlSafe(late)).await.unwrap();
    tokio::select! {
        biased;
        _ = silent.accept() => panic!("the question was given up first"),
        () = eventually("that is rolled back", || async { prepared(&given).await == 0 }) => {}
    }
    recoverer.end().await;
    given.take_away().await;
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
    let place = killed_between_the_two_commits(&given, &kafka).await;
    // It looks for them every second.
    eventually("the broker has aborted it", || async {
        !events(&given).await.1
    })
    .await;

    assert_eq!(recovered(&given, NEVER_MS).await, (1, vec![]));
    let mut states = states(&given).await;
    states.sort();
    assert_eq!(states, ["aborted", "heuristic"]);
    let admin = &stack().await.postgres;
    let decided = in_doubt::decided(admin, given.layout.schema()).await;
    let gone = Decided {
        attempt: place.attempt.to_string(),
        is_heuristic: true,
    };
    assert_eq!(decided, Ok(vec![gone]));
    kafka.delete().await;
    given.take_away().await;
}
