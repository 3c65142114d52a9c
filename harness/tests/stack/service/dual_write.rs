//! The dual-write paths: what is written where when all goes well, and when one side fails.

use super::committed;
use super::given::{Proxy, dual_write, event_text, eventually, placing, transition};
use relays::config::WriteOrder::{CommitThenPublish, PublishThenCommit};
use relays::order::{ChangeRequest, ChangeType, Directive};
use reqwest::StatusCode;
use std::sync::Arc;
use uuid::Uuid;

#[tokio::test]
async fn both_orders_write_the_order_and_publish_its_event() {
    for write_order in [CommitThenPublish, PublishThenCommit] {
        dual_write(write_order, Some(10_000))
            .run(|given| async move {
                // given two changes of an order, between them a vetoed and a forbidden one
                let order = Uuid::new_v4();
                let (place, pay) = (placing(order), transition(ChangeType::Paid));
                let veto = ChangeRequest {
                    directive: Directive::Veto,
                    ..transition(ChangeType::Paid)
                };
                let early = transition(ChangeType::Delivered);

                // when they are sent, the last one twice
                assert_eq!(given.change(order, &place).await.1, committed(1));
                assert_eq!(given.change(order, &veto).await.0.as_u16(), 422);
                assert_eq!(given.change(order, &early).await.0.as_u16(), 409);
                assert_eq!(given.change(order, &pay).await.1, committed(2));
                assert_eq!(given.change(order, &pay).await.1, committed(2));

                // then exactly the two are on the topic, as agreed
                let records = given.records(2).await;
                assert_eq!(records.len(), 2);
                for (index, (record, change)) in records.iter().zip([&place, &pay]).enumerate() {
                    let version = index as u32 + 1;
                    assert_eq!(record.key, order.to_string());
                    assert_eq!(record.value, event_text(order, version, change));
                    let header = |name| {
                        let found = record.headers.iter().find(|(key, _)| key == name);
                        found.unwrap().1.clone()
                    };
                    let kind = ChangeType::for_version(version);
                    assert_eq!(header("eventType"), kind.event_type());
                    assert_eq!(header("version"), version.to_string());
                    assert_eq!(Uuid::try_parse(&header("id")).unwrap().get_version_num(), 7);
                }
            })
            .await;
    }
}

#[tokio::test]
async fn an_event_that_is_not_delivered_in_time_is_lost_or_undoes_its_order() {
    let proxy = Arc::new(Proxy::before_kafka().await);
    for (write_order, orders_kept) in [(CommitThenPublish, 1), (PublishThenCommit, 0)] {
        let kafka = Arc::clone(&proxy);
        dual_write(write_order, Some(700))
            .kafka_at(&proxy.address)
            .run(move |given| async move {
                // given a service that works
                eventually("an event is published", || async {
                    let order = Uuid::new_v4();
                    given.change(order, &placing(order)).await.0 == StatusCode::CREATED
                })
                .await;
                let before = given.count("orders").await;

                // when the broker is cut off
                kafka.set_enabled(false).await;
                let order = Uuid::new_v4();
                let place = placing(order);
                let (status, answer) = given.change(order, &place).await;

                // then the client is told nothing either way
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(answer["error"].is_string() && answer["outcome"].is_null());
                assert_eq!(given.count("orders").await - before, orders_kept);

                // and after the cut the service works again, while that event never comes
                kafka.set_enabled(true).await;
                eventually("events are published again", || async {
                    let order = Uuid::new_v4();
                    given.change(order, &placing(order)).await.0 == StatusCode::CREATED
                })
                .await;
                let records = given.records(2).await;
                assert!(records.iter().all(|record| record.key != order.to_string()));
            })
            .await;
    }
    Arc::into_inner(proxy).unwrap().delete().await;
}

#[tokio::test]
async fn a_commit_that_fails_after_the_publish_leaves_a_phantom() {
    dual_write(PublishThenCommit, Some(10_000))
        .run(|given| async move {
            // given a change that is published and held before its commit
            let order = Uuid::new_v4();
            let held = ChangeRequest {
                directive: Directive::HoldMs(3_000),
                ..placing(order)
            };
            let request = {
                let given = Arc::clone(&given);
                tokio::spawn(async move { given.change(order, &held).await })
            };
            assert_eq!(given.records(1).await[0].key, order.to_string());

            // when the database ends its session
            let role = given.layout.service_role();
            given
                .rows(&format!(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where usename = '{role}' and state = 'idle in transaction'"
                ))
                .await;

            // then the client is told nothing, and the event has no order
            let (status, answer) = request.await.unwrap();
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
            assert_eq!(given.count("orders").await, 0);

            // and the service goes on with a new connection
            let order = Uuid::new_v4();
            assert_eq!(given.change(order, &placing(order)).await.1, committed(1));
        })
        .await;
}
