//! What is prepared when a run ends: the recoverer, the fence or whoever removes the rest ends it.

use super::super::given::{admin, eventually, placing, two_phase};
use super::super::process::Service;
use super::fixture::{
    NEVER_MS, RunningRecoverer, decided_after_its_death, events, killed, locked, prepared, sent,
};
use crate::patience::PATIENCE;
use crate::stack;
use harness::database::postgres::fence;
use harness::database::postgres::in_doubt::{self, Unfinished};
use std::time::Instant;
use uuid::Uuid;

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
        let shut = fence::shut_out(admin, &given.layout, deadline).await;
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
        fence::close(admin, &given.layout, deadline).await.unwrap();
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
async fn given_a_decided_order_that_nobody_finished_when_the_run_ends_then_the_fence_commits_it() {
    let given = two_phase().prepare().await;
    decided_after_its_death(&given).await;
    let (admin, deadline) = (&stack().await.postgres, Instant::now() + PATIENCE);
    let shut = fence::shut_out(admin, &given.layout, deadline).await;

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
    let decided = in_doubt::decided(admin, given.layout.schema())
        .await
        .unwrap();
    assert_eq!(decided.len(), 1);
    assert!(!decided[0].is_heuristic);
    given.take_away().await;
}

#[tokio::test]
async fn given_a_prepared_order_when_asked_for_how_long_it_is_then_that_grows_until_somebody_ends_it()
 {
    let given = two_phase().prepare().await;
    let (mut session, role) = (admin().await, given.layout.service_role());
    let mut oldest_ms = async || in_doubt::oldest_ms(&mut session, &role).await.unwrap();
    let service = Service::start(&given).await;
    assert_eq!(oldest_ms().await, 0.0);
    let lock = locked(&given).await;
    sent(&given, &placing(Uuid::new_v4()));
    eventually("it is prepared", || async { prepared(&given).await == 1 }).await;
    let before_ms = oldest_ms().await;
    killed(service).await;
    drop(lock);
    let after_ms = oldest_ms().await;
    assert!(
        0.0 < before_ms && before_ms < after_ms,
        "{before_ms}, {after_ms}"
    );
    given.take_away().await;
    assert_eq!(oldest_ms().await, 0.0);
}
