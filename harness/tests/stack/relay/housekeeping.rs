//! Relays that keep their outbox small: what was published goes, and nothing else.

use super::fixture::{Fixture, Kind, Wiring};
use super::process::RelayProcess;
use relays::signal::Signal;

const KINDS: [Kind; 3] = [Kind::Purge, Kind::Partitions, Kind::Rotate];
/// These empty a table as a whole.
const KINDS_OF_TABLES: [Kind; 2] = [Kind::Partitions, Kind::Rotate];

#[tokio::test(flavor = "multi_thread")]
async fn given_two_relays_when_the_first_dies_between_publishing_and_housekeeping_then_the_other_empties_the_outbox()
 {
    for kind in KINDS {
        Fixture::run(kind, Wiring::Direct, async |mut fixture| {
            // Given a relay that has published everything and kept no house since, and one that stands by
            fixture.one_of_several = true;
            fixture.keeps_house_once = true;
            let mut first = RelayProcess::start(&fixture);
            first.wait_for(|s| *s == Signal::Ready).await;
            fixture.keeps_house_once = false;
            let mut second = RelayProcess::start(&fixture);
            second.wait_for(|s| *s == Signal::Ready).await;
            fixture.insert(100, 1..=4).await;
            fixture.wait_until_worked_off(400).await;
            assert_eq!(fixture.rows().await, 400, "{kind:?}");
            // When it is killed
            first.kill().await;
            // Then the other leaves nothing of what it has not published itself, and goes on
            fixture.wait_until_empty().await;
            fixture.insert(100, 5..=6).await;
            fixture.wait_until_worked_off(600).await;
            fixture.wait_until_empty().await;
            second.terminate().await;
            fixture.read_topic().assert_complete(100, 6);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_writer_that_commits_while_the_relay_waits_for_its_table_then_its_row_is_published()
{
    for kind in KINDS_OF_TABLES {
        Fixture::run(kind, Wiring::Direct, async |fixture| {
            let mut relay = RelayProcess::start(&fixture);
            relay.wait_for(|s| *s == Signal::Ready).await;
            for version in 1..=3 {
                // Given a table in which all that can be seen is published, and one row is not committed
                let late = fixture.insert_and_hold(11, version).await;
                fixture.insert(10, version..=version).await;
                // When it commits just as the relay would empty the table
                fixture.wait_until_a_lock_is_waited_for().await;
                late.commit().await;
                // Then it is published before the table is emptied
                fixture.wait_until_seen(11 * version as usize).await;
                fixture.wait_until_empty().await;
            }
            relay.terminate().await;
            let log = fixture.read_topic();
            log.assert_complete(11, 3);
            assert_eq!(log.duplicates(), 0, "{kind:?}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_broker_that_is_away_when_the_time_of_the_tables_is_over_then_nothing_is_dropped() {
    for kind in KINDS {
        Fixture::run(kind, Wiring::ProxiedKafka, async |fixture| {
            // Given a relay whose broker is out of reach, and rows that wait
            let mut relay = RelayProcess::start(&fixture);
            relay.wait_for(|s| *s == Signal::Ready).await;
            fixture.insert(20, 1..=1).await;
            fixture.wait_until_worked_off(20).await;
            fixture.set_proxy(false).await;
            fixture.insert(20, 2..=2).await;
            // When the time of each table is over, and its turn has come again
            fixture.wait_until_periods_passed(4).await;
            relay
                .wait_for(|s| matches!(s, Signal::PublishFailed { .. }))
                .await;
            fixture.insert(20, 3..=3).await;
            // Then all of it is there, and comes when the broker is back
            assert_eq!(fixture.pending().await.len(), 40, "{kind:?}");
            fixture.set_proxy(true).await;
            fixture.wait_until_worked_off(60).await;
            fixture.insert(20, 4..=4).await;
            fixture.wait_until_worked_off(80).await;
            fixture.wait_until_empty().await;
            relay.terminate().await;
            fixture.read_topic().assert_complete(20, 4);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_no_relay_for_longer_than_partitions_are_made_ahead_then_rows_have_a_place_and_leave_it()
 {
    Fixture::run(Kind::Partitions, Wiring::Direct, async |fixture| {
        // Given rows that were inserted when nobody had made a partition
        fixture.insert(20, 1..=2).await;
        // When a relay comes
        let mut relay = RelayProcess::start(&fixture);
        fixture.wait_until_worked_off(40).await;
        // Then they are published, and their place is emptied
        fixture.wait_until_empty().await;
        // And there are partitions for what comes, of which those whose time is over go
        fixture
            .wait_until_partitions("there are some ahead", |numbers| numbers.len() >= 10)
            .await;
        let first = fixture.partitions().await[0];
        fixture
            .wait_until_partitions("the first went", |numbers| numbers[0] > first)
            .await;
        relay.terminate().await;
        fixture.read_topic().assert_complete(20, 2);
    })
    .await;
}
