//! The way to PostgreSQL fails: no request hangs, none gets a wrong answer, and the service
//! recovers by itself.

use super::given::{Proxy, eventually, outbox, placing};
use crate::patience::PATIENCE;
use futures::future::join_all;
use reqwest::StatusCode;
use std::sync::Arc;
use tokio::time::timeout;
use uuid::Uuid;

#[tokio::test]
async fn a_blackholed_link_leaves_requests_unsettled_and_no_connection_stuck() {
    let proxy = Arc::new(Proxy::before_postgres().await);
    let link = Arc::clone(&proxy);
    outbox()
        .postgres_at(&proxy.address)
        .run(|given| async move {
            // given more requests than connections, on a link that swallows everything
            link.blackhole().await;
            let orders: Vec<Uuid> = (0..8).map(|_| Uuid::new_v4()).collect();
            let requests = orders.iter().map(|&order| {
                let given = Arc::clone(&given);
                async move { given.change(order, &placing(order)).await }
            });

            // when they are sent, then all are answered in bounded time, none as settled
            let answers = timeout(PATIENCE, join_all(requests)).await;
            for (status, answer) in answers.unwrap() {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(answer["error"].is_string() && answer["outcome"].is_null());
            }

            // and when the link is back, all connections work at the same time
            link.heal().await;
            eventually("a full round of requests succeeds", || async {
                let round = (0..4).map(|_| {
                    let order = Uuid::new_v4();
                    let given = Arc::clone(&given);
                    async move { given.change(order, &placing(order)).await.0 }
                });
                let round = join_all(round).await;
                round
                    .into_iter()
                    .all(|status| status == StatusCode::CREATED)
            })
            .await;
        })
        .await;
    Arc::into_inner(proxy).unwrap().delete().await;
}

#[tokio::test]
async fn after_an_outage_no_request_meets_a_connection_that_died_in_it() {
    let proxy = Arc::new(Proxy::before_postgres().await);
    let link = Arc::clone(&proxy);
    outbox()
        .postgres_at(&proxy.address)
        .run(|given| async move {
            // given a link that was cut while the service noticed it on one connection only
            link.set_enabled(false).await;
            let order = Uuid::new_v4();
            let (status, _) = given.change(order, &placing(order)).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            link.set_enabled(true).await;

            // when it works again
            eventually("a request succeeds", || async {
                given.change(order, &placing(order)).await.0 == StatusCode::CREATED
            })
            .await;

            // then it works on every connection
            let round = (0..16).map(|_| {
                let order = Uuid::new_v4();
                let given = Arc::clone(&given);
                async move { given.change(order, &placing(order)).await }
            });
            for (status, answer) in join_all(round).await {
                assert_eq!(status, StatusCode::CREATED, "{answer}");
            }
        })
        .await;
    Arc::into_inner(proxy).unwrap().delete().await;
}
