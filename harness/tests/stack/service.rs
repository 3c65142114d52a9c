//! The order service over HTTP, on a real PostgreSQL and a real Kafka.

#![allow(clippy::unwrap_used)]

mod cache;
mod changes;
mod contract;
mod dual_write;
mod event_store;
mod faults;
mod given;
mod isolation;
mod process;
mod schema;
mod told;
mod trace;
mod two_phase;

use crate::patience::PATIENCE;
use changes::TwoVersions;
use given::{event_text, eventually, messages, outbox, placing, transition};
use harness::database::postgres::pending;
use relays::order::{CONTENT_BYTES_MAX, ChangeRequest, ChangeType, Directive};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::Row;
use std::sync::Arc;
use uuid::Uuid;

fn committed(version: u32) -> Value {
    json!({"outcome": "committed", "version": version})
}

#[tokio::test]
async fn each_change_commits_with_the_outbox_row_that_announces_it() {
    outbox()
        .run(|given| async move {
            // given an order and its regular life, one content in need of escaping
            let order = Uuid::new_v4();
            let mut life = vec![placing(order)];
            life.extend((2..=5).map(|version| transition(ChangeType::for_version(version))));

            // when the changes are sent
            for (index, change) in life.iter().enumerate() {
                let (status, answer) = given.change(order, change).await;
                let created = if index == 0 { 201 } else { 200 };
                assert_eq!(
                    (status.as_u16(), answer),
                    (created, committed(index as u32 + 1))
                );
            }

            // then the order holds every attempt, and the outbox every event, in order
            let orders = given
                .rows("select version, state, attempts from $S.orders")
                .await;
            let attempts: Vec<Uuid> = life.iter().map(|change| change.attempt).collect();
            assert_eq!(orders[0].get::<i32, _>("version"), 5);
            assert_eq!(orders[0].get::<&str, _>("state"), "delivered");
            assert_eq!(orders[0].get::<Vec<Uuid>, _>("attempts"), attempts);
            let rows = given.rows("select * from $S.outbox order by seq").await;
            assert_eq!(rows.len(), life.len());
            for (index, (row, change)) in rows.iter().zip(&life).enumerate() {
                let version = index as u32 + 1;
                let event_type = ChangeType::for_version(version).event_type();
                assert_eq!(
                    row.get::<&str, _>("payload"),
                    event_text(order, version, change)
                );
                assert_eq!(row.get::<i32, _>("version") as u32, version);
                assert_eq!(row.get::<&str, _>("aggregatetype"), "Order");
                assert_eq!(row.get::<&str, _>("aggregateid"), order.to_string());
                assert_eq!(row.get::<&str, _>("type"), event_type);
                assert_eq!(row.get::<Uuid, _>("id").get_version_num(), 7);
            }
        })
        .await;
}

#[tokio::test]
async fn content_is_escaped_in_the_event() {
    outbox()
        .run(|given| async move {
            let order = Uuid::new_v4();
            let content = "\"quoted\" \\ \n \u{0} ü".to_owned();
            let change = ChangeRequest {
                content: content.clone(),
                ..placing(order)
            };
            assert_eq!(given.change(order, &change).await.0, StatusCode::CREATED);
            let rows = given.rows("select payload from $S.outbox").await;
            let event: Value = serde_json::from_str(rows[0].get(0)).unwrap();
            assert_eq!(event["content"], content);
        })
        .await;
}

#[tokio::test]
async fn a_retry_gets_the_version_of_the_first_try_and_no_second_event() {
    outbox()
        .run(|given| async move {
            // given two committed changes
            let order = Uuid::new_v4();
            let (place, pay) = (placing(order), transition(ChangeType::Paid));
            given.change(order, &place).await;
            given.change(order, &pay).await;

            // when each is sent again as a new attempt, even one that would now be vetoed
            for (change, version, status) in [(&place, 1, 201), (&pay, 2, 200)] {
                for directive in [Directive::Commit, Directive::HoldMs(1), Directive::Veto] {
                    let retry = ChangeRequest {
                        attempt: Uuid::new_v4(),
                        directive,
                        ..change.clone()
                    };
                    let (got, answer) = given.change(order, &retry).await;
                    assert_eq!((got.as_u16(), answer), (status, committed(version)));
                }
            }

            // then nothing was written by the retries
            assert_eq!(given.count("outbox").await, 2);
            let orders = given.rows("select attempts from $S.orders").await;
            assert_eq!(
                orders[0].get::<Vec<Uuid>, _>(0),
                [place.attempt, pay.attempt]
            );
        })
        .await;
}

#[tokio::test]
async fn a_veto_leaves_nothing() {
    outbox()
        .run(|given| async move {
            let order = Uuid::new_v4();
            let vetoed = ChangeRequest {
                directive: Directive::Veto,
                ..placing(order)
            };
            let (status, answer) = given.change(order, &vetoed).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(answer["outcome"], "rejected");
            assert_eq!(given.count("orders").await, 0);
            assert_eq!(given.count("outbox").await, 0);

            // and the version it had is free for the next change
            let (_, answer) = given.change(order, &placing(order)).await;
            assert_eq!(answer, committed(1));
        })
        .await;
}

#[tokio::test]
async fn given_an_outbox_without_a_table_when_changes_commit_are_vetoed_or_repeated_then_the_log_has_each_commit_once()
 {
    messages()
        .run(|given| async move {
            // Given changes of an order, of which some commit
            let sent = TwoVersions::send(&given).await;
            // Then the log has the event of each version, as a row would have had it
            let mut held = Vec::new();
            let keep = |_, payload: &str| held.push(payload.to_owned());
            let (layout, admin) = (&given.layout, &crate::stack().await.postgres);
            let (slot, publication) = (layout.slot(), layout.publication());
            let prefix = layout.schema();
            let count = pending::messages_in_slot(admin, &slot, &publication, prefix, keep).await;
            assert_eq!(count, Ok(2));
            assert_eq!(held, sent.events());
        })
        .await;
}

#[tokio::test]
async fn a_held_change_is_seen_only_when_it_commits() {
    outbox()
        .run(|given| async move {
            let order = Uuid::new_v4();
            let held = ChangeRequest {
                directive: Directive::HoldMs(400),
                ..placing(order)
            };
            let request = {
                let given = Arc::clone(&given);
                tokio::spawn(async move { given.change(order, &held).await })
            };
            given.until_held().await;
            assert_eq!(given.count("orders").await, 0);
            assert!(!request.is_finished());
            let (_, answer) = request.await.unwrap();
            assert_eq!(answer, committed(1));
            assert_eq!(given.count("outbox").await, 1);
        })
        .await;
}

#[tokio::test]
async fn per_order_the_outbox_sequence_rises_in_commit_order() {
    outbox()
        .run(|given| async move {
            // given an order, and a change of it that is written but held
            let order = Uuid::new_v4();
            given.change(order, &placing(order)).await;
            let amend = |directive| {
                let given = Arc::clone(&given);
                let change = ChangeRequest {
                    directive,
                    ..transition(ChangeType::Amended)
                };
                tokio::spawn(async move { given.change(order, &change).await })
            };
            let first = amend(Directive::HoldMs(900));
            given.until_held().await;

            // when others want to change it too
            let others: Vec<_> = (0..3).map(|_| amend(Directive::Commit)).collect();
            let role = given.layout.service_role();
            let waiting = format!(
                "select (select last_value from $S.outbox_seq_seq) from pg_stat_activity
                 where usename = '{role}' and wait_event_type = 'Lock'"
            );
            eventually("all others wait for the row", || async {
                given.rows(&waiting).await.len() == others.len()
            })
            .await;

            // then no number is drawn before the row is theirs
            let drawn: i64 = given.rows(&waiting).await[0].get(0);
            assert_eq!(drawn, 2);
            assert!(!first.is_finished());
            assert_eq!(first.await.unwrap().1, committed(2));
            let more: Vec<_> = (0..12).map(|n| amend(Directive::HoldMs(n % 3))).collect();
            for other in others.into_iter().chain(more) {
                assert_eq!(other.await.unwrap().0, StatusCode::OK);
            }
            let rows = given
                .rows("select version from $S.outbox order by seq")
                .await;
            let versions: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(versions, (1..=17).collect::<Vec<_>>());
        })
        .await;
}

#[tokio::test]
async fn given_the_longest_content_that_a_scenario_may_ask_for_when_it_is_sent_then_it_is_committed()
 {
    outbox()
        .run(|given| async move {
            let longest = ChangeRequest {
                content: "a".repeat(CONTENT_BYTES_MAX as usize),
                ..placing(Uuid::new_v4())
            };
            let body = serde_json::to_vec(&longest).unwrap();
            let (status, answer) = given.post("/orders", body).await;
            assert_eq!(status.as_u16(), 201, "{answer}");
            assert_eq!(given.count("outbox").await, 1);
        })
        .await;
}

#[tokio::test]
async fn what_the_client_did_wrong_is_rejected_with_a_reason_and_writes_nothing() {
    outbox()
        .run(|given| async move {
            // given a placed order
            let order = Uuid::new_v4();
            given.change(order, &placing(order)).await;
            let body = |change: &ChangeRequest| serde_json::to_vec(change).unwrap();
            let ship = body(&transition(ChangeType::Shipped));
            let pay = body(&transition(ChangeType::Paid));
            let large = ChangeRequest {
                content: "a".repeat(CONTENT_BYTES_MAX as usize + 4 * 1024),
                ..placing(Uuid::new_v4())
            };
            let transitions = format!("/orders/{order}/transitions");
            let elsewhere = format!("/orders/{}/transitions", Uuid::new_v4());

            // when requests come that cannot be granted
            let cases = [
                ("/orders", body(&placing(order)), 409, "another id"),
                (&transitions, ship, 409, "can become paid"),
                (
                    &transitions,
                    body(&transition(ChangeType::Placed)),
                    400,
                    "POST /orders",
                ),
                (&elsewhere, pay.clone(), 404, "place it first"),
                ("/orders/7/transitions", pay.clone(), 400, "UUID"),
                ("/orders", pay, 400, "transitions"),
                ("/orders", b"{\"order".to_vec(), 400, "no JSON of a change"),
                ("/orders", body(&large), 413, "less content"),
                ("/order", Vec::new(), 404, "no such resource"),
            ];

            // then each is refused in so many words
            for (path, body, wanted, word) in cases {
                let (status, answer) = given.post(path, body).await;
                assert_eq!(status.as_u16(), wanted, "{path}: {answer}");
                assert_eq!(answer["outcome"], "rejected");
                let reason = answer["reason"].as_str().unwrap();
                assert!(reason.contains(word), "{path}: {reason}");
            }
            assert_eq!(given.count("orders").await, 1);
            assert_eq!(given.count("outbox").await, 1);
        })
        .await;
}

#[tokio::test]
async fn a_notifying_service_wakes_listeners_on_the_channel_named_like_the_schema() {
    outbox()
        .notifying()
        .run(|given| async move {
            let postgres = &crate::stack().await.postgres;
            let url = format!(
                "postgres://{}:{}@{}:{}/{}",
                postgres.user, postgres.password, postgres.host, postgres.port, postgres.database
            );
            let mut listener = sqlx::postgres::PgListener::connect(&url).await.unwrap();
            listener.listen(given.layout.schema()).await.unwrap();

            let order = Uuid::new_v4();
            for change in [placing(order), transition(ChangeType::Paid)] {
                assert!(given.change(order, &change).await.0.is_success());
                let woken = tokio::time::timeout(PATIENCE, listener.recv()).await;
                assert_eq!(woken.unwrap().unwrap().channel(), given.layout.schema());
            }
        })
        .await;
}
