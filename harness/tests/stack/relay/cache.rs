//! A relay that invalidates a cache: what is confirmed to its outbox is out of the cache, whatever the link to it did.

use super::fixture::{Fixture, Kind, Wiring};
use super::process::RelayProcess;
use crate::cache;
use crate::patience::PATIENCE;
use relays::cache::{Cache, CacheFill, read_all};
use relays::signal::Signal;

#[tokio::test(flavor = "multi_thread")]
async fn given_a_cut_of_the_link_to_the_cache_when_it_is_back_then_no_event_and_no_invalidation_is_lost()
 {
    if cache().await.is_none() {
        return;
    }
    for kind in [Kind::Delete, Kind::Cdc] {
        Fixture::run(kind, Wiring::ProxiedRedis, async |fixture| {
            // Given a cache that has an old version of each order, and a relay at work
            let target = fixture.cache_around_proxy();
            let cache = Cache::open(target.clone());
            cache.reached(PATIENCE).await.unwrap();
            let orders = fixture.order_ids(200).await;
            for order in &orders {
                cache.put(order, (9, "{}"), CacheFill::Any).await.unwrap();
            }
            fixture.insert(200, 1..=5).await;
            let mut relay = RelayProcess::start(&fixture);
            relay
                .wait_for(|s| matches!(s, Signal::Progress { delivered, .. } if *delivered > 100))
                .await;

            // When the cache is out of reach for a while, and new versions are committed meanwhile
            fixture.set_proxy(false).await;
            fixture.insert(200, 6..=10).await;
            relay
                .wait_for(|s| matches!(s, Signal::InvalidationFailed { .. }))
                .await;

            // Then the outbox keeps what is not invalidated, since the last version is not out of the cache
            assert_eq!(read_all(&target).await.unwrap().len(), orders.len());
            assert!(fixture.rows().await > 0);
            fixture.set_proxy(true).await;
            fixture.wait_until_worked_off(2_000).await;
            relay.terminate().await;
            fixture.read_topic().assert_complete(200, 10);
            assert_eq!(read_all(&target).await.unwrap(), []);
            // And a fill that comes too late is refused, one of the last version is not
            for (version, held) in [(9, 0), (10, 1)] {
                let fill = cache.put(&orders[0], (version, "{}"), CacheFill::Newer);
                fill.await.unwrap();
                assert_eq!(read_all(&target).await.unwrap().len(), held);
            }
        })
        .await;
    }
}
