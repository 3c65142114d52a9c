//! Orders read through a cache: who keeps it up to date, what a cut of it costs, and the race that no invalidation wins.

use super::given::{Given, Proxy, dual_write, eventually, outbox, placing, transition};
use crate::cache;
use crate::patience::PATIENCE;
use relays::cache::{CacheFill, CacheMode, CachedVersion, read_all, remove_all};
use relays::config::WriteOrder;
use relays::order::ChangeType;
use reqwest::StatusCode;
use std::sync::Arc;
use tokio::time::timeout;
use uuid::Uuid;

const ANY: (CacheFill, u64) = (CacheFill::Any, 0);

async fn place(given: &Given) -> Uuid {
    let order = Uuid::new_v4();
    let (status, answer) = given.change(order, &placing(order)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    order
}

async fn pay(given: &Given, order: Uuid) {
    let (status, answer) = given.change(order, &transition(ChangeType::Paid)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

async fn reads(given: &Given, order: Uuid, version: u64, from: &str) {
    let read = given.read(order).await;
    assert_eq!(read, (StatusCode::OK, Some(version), from.to_owned()));
}

/// What the cache holds of this service.
async fn held(given: &Given) -> Vec<CachedVersion> {
    let target = &given.config.cache.as_ref().unwrap().target;
    read_all(target).await.unwrap()
}

#[tokio::test]
async fn given_each_mode_when_an_order_changes_then_its_next_read_is_of_the_new_version() {
    let Some(redis) = cache().await else { return };
    let naive = || dual_write(WriteOrder::CommitThenPublish, Some(5_000));
    for (mode, then) in [
        (CacheMode::InvalidateAfterCommit, "miss"),
        (CacheMode::InvalidateBeforeCommit, "miss"),
        (CacheMode::WriteThrough, "hit"),
    ] {
        for fill in [ANY, (CacheFill::Newer, 0)] {
            for wanted in [outbox(), naive()] {
                let test = async move |given: Arc<Given>| {
                    let order = place(&given).await;
                    let first = if then == "hit" { "hit" } else { "miss" };
                    reads(&given, order, 1, first).await;
                    reads(&given, order, 1, "hit").await;
                    pay(&given, order).await;
                    reads(&given, order, 2, then).await;
                    reads(&given, order, 2, "hit").await;
                    let held = held(&given).await;
                    assert_eq!(held.len(), 1, "{held:?}");
                    assert_eq!(
                        (held[0].order.clone(), held[0].version),
                        (order.to_string(), 2)
                    );
                };
                wanted.cached(&redis, mode, fill).run(test).await;
            }
        }
    }
}

#[tokio::test]
async fn given_a_cache_that_is_cut_off_when_orders_change_then_they_are_committed_and_their_entries_are_stale()
 {
    let Some(redis) = cache().await else { return };
    let proxy = Arc::new(Proxy::before(&redis, "127.0.0.1:0").await);
    let link = Arc::clone(&proxy);
    outbox()
        .cached(&proxy.address, CacheMode::InvalidateAfterCommit, ANY)
        .run(|given| async move {
            let order = place(&given).await;
            reads(&given, order, 1, "miss").await;
            link.set_enabled(false).await;
            // When it changes, then that is committed, and readers are answered by the database
            pay(&given, order).await;
            reads(&given, order, 2, "unreachable").await;
            link.set_enabled(true).await;
            // And once the cache is back, what it had is wrong for ever
            eventually("the cache is asked again", || async {
                given.read(order).await.2 == "hit"
            })
            .await;
            reads(&given, order, 1, "hit").await;
            assert_eq!(held(&given).await[0].version, 1);
        })
        .await;
    Arc::into_inner(proxy).unwrap().delete().await;
}

#[tokio::test]
async fn given_a_cache_that_swallows_everything_when_it_is_asked_then_nobody_waits_long_and_it_is_found_again()
 {
    let Some(redis) = cache().await else { return };
    let proxy = Arc::new(Proxy::before(&redis, "127.0.0.1:0").await);
    let link = Arc::clone(&proxy);
    outbox()
        .cached(&proxy.address, CacheMode::InvalidateAfterCommit, ANY)
        .run(|given| async move {
            let order = place(&given).await;
            link.blackhole().await;
            let answered = async {
                reads(&given, order, 1, "unreachable").await;
                pay(&given, order).await;
                reads(&given, order, 2, "unreachable").await;
            };
            timeout(PATIENCE, answered).await.unwrap();
            link.heal().await;
            eventually("the cache is asked again", || async {
                given.read(order).await.2 != "unreachable"
            })
            .await;
            reads(&given, order, 2, "hit").await;
        })
        .await;
    Arc::into_inner(proxy).unwrap().delete().await;
}

#[tokio::test]
async fn given_a_fill_that_comes_after_the_invalidation_then_only_a_cache_that_knows_versions_refuses_it()
 {
    let Some(redis) = cache().await else { return };
    for (fill, version, from) in [(CacheFill::Any, 1, "hit"), (CacheFill::Newer, 2, "miss")] {
        let test = async move |given: Arc<Given>| {
            let order = place(&given).await;
            // Given a reader that has read the database and not filled the cache yet
            let reader = Arc::clone(&given);
            let reading = tokio::spawn(async move { reader.read(order).await });
            eventually("the reader has read the database", || async {
                let role = given.layout.service_role();
                let read = format!(
                    "select from pg_stat_activity where usename = '{role}' and state = 'idle'
                     and query like 'select version from orders%'"
                );
                !given.rows(&read).await.is_empty()
            })
            .await;
            // When the order changes, and is invalidated, before it does
            pay(&given, order).await;
            let read = reading.await.unwrap();
            assert_eq!(read, (StatusCode::OK, Some(1), "miss".to_owned()));
            // Then the old version is in the cache, or is not
            reads(&given, order, version, from).await;
        };
        let wanted = outbox().cached(&redis, CacheMode::InvalidateAfterCommit, (fill, 2_000));
        wanted.run(test).await;
    }
}

#[tokio::test]
async fn given_what_is_no_order_when_it_is_read_then_the_answer_says_so_and_nothing_is_cached() {
    let Some(redis) = cache().await else { return };
    outbox()
        .cached(&redis, CacheMode::InvalidateAfterCommit, ANY)
        .run(|given| async move {
            let nobody = given.read(Uuid::new_v4()).await;
            assert_eq!(nobody, (StatusCode::NOT_FOUND, None, "miss".to_owned()));
            assert!(held(&given).await.is_empty());
            let order = place(&given).await;
            reads(&given, order, 1, "miss").await;
            // And what others have there is neither read nor removed
            let target = &given.config.cache.as_ref().unwrap().target;
            let others = relays::config::CacheTarget {
                prefix: format!("not-{}", target.prefix),
                ..target.clone()
            };
            remove_all(&others).await.unwrap();
            assert_eq!(held(&given).await.len(), 1);
            remove_all(target).await.unwrap();
            assert!(held(&given).await.is_empty());
        })
        .await;
}

#[tokio::test]
async fn given_a_service_without_a_cache_when_an_order_is_read_then_it_is_refused_as_ever() {
    outbox()
        .run(|given| async move {
            let order = place(&given).await;
            let (status, version, from) = given.read(order).await;
            assert_eq!((status, version), (StatusCode::NOT_FOUND, None));
            assert_eq!(from, "");
        })
        .await;
}
