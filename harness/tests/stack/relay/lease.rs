//! One of several relays, whose link from the database is so slow that one answer takes longer than its lease.

use super::fixture::{Fixture, Kind, Wiring};
use super::process::RelayProcess;
use relays::signal::Signal;

/// What a transaction of two events takes on it: 1.2 s and 3.3 s. The server ends a session of which it hears
/// nothing for 3 s at first, and for 6 s after a loss.
///
/// The reader of the log reports between messages, but not while it reads one that came right behind another: it
/// takes a second event to keep it silent.
const KILOBYTES_A_SECOND: u64 = 100;
const CONTENT_BYTES: [usize; 2] = [120_000, 330_000];

async fn insert_both(fixture: &mut Fixture, version: u32) {
    fixture.content_bytes = CONTENT_BYTES[0];
    let mut transaction = fixture.insert_and_hold(1, version).await;
    fixture.content_bytes = CONTENT_BYTES[1];
    transaction.insert(fixture, 2, version).await;
    transaction.commit().await;
}

async fn makes_progress(kind: Kind) {
    Fixture::run(kind, Wiring::ProxiedPostgres, async |mut fixture| {
        // Given a relay that leads over a slow link
        fixture.one_of_several = true;
        let mut relay = RelayProcess::start(&fixture);
        relay.wait_for(|s| *s == Signal::Ready).await;
        fixture.limit_answers(Some(KILOBYTES_A_SECOND)).await;
        // When the server ends its session while an answer is on its way
        let first = fixture.leading_session().await;
        insert_both(&mut fixture, 1).await;
        fixture.wait_until_led_anew(first).await;
        // Then everything is confirmed all the same, on this very link
        fixture.wait_until_worked_off(2).await;
        insert_both(&mut fixture, 2).await;
        fixture.wait_until_worked_off(4).await;
        // And once it is quick, nothing is repeated any more, whether its session stays or not
        let learned = fixture.leading_session().await;
        fixture.limit_answers(None).await;
        let records = fixture.records();
        fixture.content_bytes = 200;
        fixture.insert(2, 3..=22).await;
        fixture.wait_until_worked_off(44).await;
        match kind {
            Kind::Delete
            | Kind::Mark
            | Kind::Purge
            | Kind::Partitions
            | Kind::Rotate
            | Kind::Position => {
                assert_eq!(fixture.leading_session().await, learned, "{kind:?}");
            }
            // The server takes another lease at the start of a session only
            Kind::Cdc | Kind::Message => fixture.wait_until_led_anew(learned).await,
        }
        fixture.insert(2, 23..=42).await;
        fixture.wait_until_worked_off(84).await;
        assert_eq!(fixture.records(), records + 80, "{kind:?}");
        relay.terminate().await;
        fixture.read_topic().assert_complete(2, 42);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_one_of_several_relays_when_an_answer_takes_longer_than_its_lease_then_the_next_one_is_longer()
 {
    tokio::join!(makes_progress(Kind::Delete), makes_progress(Kind::Cdc));
}
