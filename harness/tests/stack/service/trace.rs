//! What the service writes of each change's way through it.

use super::committed;
use super::given::{Given, Proxy, Wanted, dual_write, eventually, outbox, placing, transition};
use relays::config::WriteOrder::{CommitThenPublish, PublishThenCommit};
use relays::order::{ChangeRequest, ChangeType, Directive};
use relays::trace::Stage::{
    Answered, Committed, Delivered, DeliveryFailed, Doubtful, Handed, Received, RolledBack,
};
use reqwest::StatusCode;
use std::sync::Arc;
use uuid::Uuid;

fn vetoed(change: ChangeRequest) -> ChangeRequest {
    ChangeRequest {
        directive: Directive::Veto,
        ..change
    }
}

fn held(change: ChangeRequest, ms: u32) -> ChangeRequest {
    ChangeRequest {
        directive: Directive::HoldMs(ms),
        ..change
    }
}

#[tokio::test]
async fn given_an_outbox_when_changes_are_sent_then_each_leaves_its_steps_in_order() {
    outbox()
        .run(|given| async move {
            let order = Uuid::new_v4();
            let (place, pay) = (placing(order), held(transition(ChangeType::Paid), 5));
            let veto = vetoed(transition(ChangeType::Shipped));
            let early = transition(ChangeType::Delivered);
            for change in [&place, &pay, &veto, &early] {
                given.change(order, change).await;
            }
            let steps = |change: &ChangeRequest| given.traces.of(change.attempt);
            assert_eq!(
                steps(&place),
                [(0, Received, 0), (1, Committed, 0), (0, Answered, 201)]
            );
            assert_eq!(
                steps(&pay),
                [(0, Received, 0), (2, Committed, 0), (0, Answered, 200)]
            );
            assert_eq!(
                steps(&veto),
                [(0, Received, 0), (0, RolledBack, 0), (0, Answered, 422)]
            );
            assert_eq!(steps(&early), [(0, Received, 0), (0, Answered, 409)]);
        })
        .await;
}

#[tokio::test]
async fn given_a_dual_write_when_changes_are_sent_then_each_leaves_its_steps_in_its_order() {
    for write_order in [CommitThenPublish, PublishThenCommit] {
        dual_write(write_order, Some(10_000))
            .run(move |given| async move {
                let order = Uuid::new_v4();
                let (place, veto) = (placing(order), vetoed(transition(ChangeType::Paid)));
                let pay = transition(ChangeType::Paid);
                for change in [&place, &veto, &pay] {
                    given.change(order, change).await;
                }
                for (change, version, offset, status) in [(&place, 1, 0, 201), (&pay, 2, 1, 200)] {
                    let commit = (version, Committed, 0);
                    let publish = [(version, Handed, 0), (version, Delivered, offset)];
                    let mut expected = vec![(0, Received, 0)];
                    match write_order {
                        CommitThenPublish => {
                            expected.push(commit);
                            expected.extend(publish);
                        }
                        PublishThenCommit => {
                            expected.extend(publish);
                            expected.push(commit);
                        }
                    }
                    expected.push((0, Answered, status));
                    assert_eq!(given.traces.of(change.attempt), expected);
                }
                let vetoed = given.traces.of(veto.attempt);
                let stages: Vec<_> = vetoed.iter().map(|step| step.1).collect();
                assert_eq!(stages, [Received, RolledBack, Answered]);
            })
            .await;
    }
}

#[tokio::test]
async fn given_a_broker_that_is_cut_off_when_a_change_is_sent_then_its_delivery_failed_unsent() {
    let proxy = Arc::new(Proxy::before_kafka().await);
    for write_order in [CommitThenPublish, PublishThenCommit] {
        let kafka = Arc::clone(&proxy);
        dual_write(write_order, Some(700))
            .kafka_at(&proxy.address)
            .run(move |given| async move {
                eventually("an event is published", || async {
                    let order = Uuid::new_v4();
                    given.change(order, &placing(order)).await.0 == StatusCode::CREATED
                })
                .await;
                kafka.set_enabled(false).await;
                let order = Uuid::new_v4();
                let place = placing(order);
                let (status, _) = given.change(order, &place).await;
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                let failed = [(1, Handed, 0), (1, DeliveryFailed, 0)];
                let mut expected = vec![(0, Received, 0)];
                match write_order {
                    CommitThenPublish => {
                        expected.push((1, Committed, 0));
                        expected.extend(failed);
                    }
                    PublishThenCommit => {
                        expected.extend(failed);
                        expected.push((1, RolledBack, 0));
                    }
                }
                expected.push((0, Answered, 503));
                assert_eq!(given.traces.of(place.attempt), expected);
                kafka.set_enabled(true).await;
            })
            .await;
    }
    Arc::into_inner(proxy).unwrap().delete().await;
}

#[tokio::test]
async fn given_a_session_that_is_ended_when_its_change_was_published_then_its_commit_is_in_doubt() {
    dual_write(PublishThenCommit, Some(10_000))
        .run(|given| async move {
            let order = Uuid::new_v4();
            let place = held(placing(order), 3_000);
            let request = {
                let (given, place) = (Arc::clone(&given), place.clone());
                tokio::spawn(async move { given.change(order, &place).await })
            };
            given.traces.until(place.attempt, Delivered).await;
            end_held_session(&given).await;
            request.await.unwrap();
            let steps = given.traces.of(place.attempt);
            let stages: Vec<_> = steps.iter().map(|step| step.1).collect();
            assert_eq!(stages, [Received, Handed, Delivered, Doubtful, Answered]);
        })
        .await;
}

#[tokio::test]
async fn given_a_target_that_cannot_be_written_when_changes_are_sent_then_they_are_made() {
    let mut given = prepared(outbox()).await;
    let config = &mut given.config;
    config.trace.as_mut().unwrap().folder = "/dev/null/nowhere".into();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = tokio::spawn(relays::service::serve_until(config.clone(), async move {
        let _ = stopped.await;
    }));
    given.until_healthy().await;
    let order = Uuid::new_v4();
    let answer = given.change(order, &placing(order)).await.1;
    let _ = stop.send(());
    service.await.unwrap().unwrap();
    given.take_away().await;
    assert_eq!(answer, committed(1));
}

async fn prepared(wanted: Wanted) -> Given {
    let given = wanted.prepare().await;
    Arc::into_inner(given).unwrap()
}

async fn end_held_session(given: &Given) {
    given.until_held().await;
    let role = given.layout.service_role();
    given
        .rows(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where usename = '{role}' and state = 'idle in transaction'"
        ))
        .await;
}
