//! A relay that reads events by their position, and transactions that commit late.

use super::fixture::{Fixture, Kind, Wiring};
use super::process::RelayProcess;
use relays::signal::Signal;

#[tokio::test(flavor = "multi_thread")]
async fn given_a_transaction_that_commits_late_when_others_commit_before_it_then_they_wait_and_none_is_skipped()
 {
    Fixture::run(Kind::Position, Wiring::Direct, async |fixture| {
        // Given a relay that has caught up, and a transaction that has its number and holds its commit
        let mut relay = RelayProcess::start(&fixture);
        relay.wait_for(|s| *s == Signal::Ready).await;
        fixture.insert(5, 1..=1).await;
        fixture.wait_until_worked_off(5).await;
        let late = fixture.insert_and_hold(6, 1).await;
        let kept = fixture.position().await;
        // When others with higher numbers are committed, and the relay asks
        fixture.insert(50, 2..=2).await;
        fixture.wait_until_polled().await;
        // Then none of them is published and the position stays: what is late would be behind it
        assert_eq!(fixture.records(), 5);
        assert_eq!(fixture.position().await, kept);
        // Until it commits
        late.commit().await;
        fixture.wait_until_worked_off(56).await;
        relay.terminate().await;
        let log = fixture.read_topic();
        assert_eq!((log.different(), log.duplicates()), (56, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_relay_that_is_killed_when_its_successor_starts_then_it_reads_on_where_that_one_was()
 {
    Fixture::run(Kind::Position, Wiring::Direct, async |fixture| {
        // Given a relay that has published everything and kept its position, and is killed
        fixture.insert(100, 1..=5).await;
        let mut relay = RelayProcess::start(&fixture);
        fixture.wait_until_worked_off(500).await;
        let kept = fixture.position().await;
        relay.kill().await;
        assert_eq!(fixture.position().await, kept);
        // When its successor goes on
        fixture.insert(100, 6..=6).await;
        let mut relay = RelayProcess::start(&fixture);
        fixture.wait_until_worked_off(600).await;
        relay.terminate().await;
        // Then it published what came after that, and nothing twice
        let log = fixture.read_topic();
        log.assert_complete(100, 6);
        assert_eq!(log.duplicates(), 0);
        assert!(fixture.pending().await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_lower_id_with_a_higher_number_when_it_is_published_first_then_neither_is_skipped_nor_repeated()
 {
    Fixture::run(Kind::Position, Wiring::Direct, async |fixture| {
        // Given a transaction that has its id first and its number last, and one with which it is the other way about
        let mut relay = RelayProcess::start(&fixture);
        relay.wait_for(|s| *s == Signal::Ready).await;
        let mut low_id = fixture.begin().await;
        let low_number = fixture.insert_and_hold(1, 1).await;
        low_id.insert(&fixture, 2, 1).await;
        // When the one is published while the other is still open
        low_id.commit().await;
        fixture.wait_until_seen(1).await;
        // Then the other one, which has the lower number, is no less behind the position
        low_number.commit().await;
        fixture.wait_until_worked_off(2).await;
        relay.terminate().await;
        // And the next relay begins behind both
        let mut relay = RelayProcess::start(&fixture);
        fixture.insert(1, 2..=2).await;
        fixture.wait_until_worked_off(3).await;
        relay.terminate().await;
        let log = fixture.read_topic();
        assert_eq!((log.different(), log.duplicates()), (3, 0));
    })
    .await;
}
