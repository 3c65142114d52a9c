//! Two-phase commits on real servers.

mod deaths;
mod ends;
mod fixture;
mod late;

use super::changes::TwoVersions;
use super::committed;
use super::given::{Proxy, eventually, placing, two_phase};
use super::process::Service;
use fixture::{NEVER_MS, RunningRecoverer, events, killed, locked, prepared, sent, states};
use nix::sys::signal::Signal as UnixSignal;
use reqwest::StatusCode;
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;
use uuid::Uuid;

#[tokio::test]
async fn given_orders_when_they_are_changed_vetoed_or_repeated_then_each_commit_has_its_event_once()
{
    two_phase()
        .run(|given| async move {
            // Given changes of an order, of which some commit
            let sent = TwoVersions::send(&given).await;
            // Then each version has its event, nothing is left open, and each producer is free again
            assert_eq!(events(&given).await, (sent.events().to_vec(), false));
            assert_eq!(prepared(&given).await, 0);
            eventually("both producers are free", || async {
                states(&given).await == ["open", "open"]
            })
            .await;
        })
        .await;
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
