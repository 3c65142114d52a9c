//! The outbox in MariaDB, polled.

use super::server::{TestDatabase, database};
use super::source::{Taken, insert, insertion, polling, read_while_many_change};
use mysql_async::prelude::Queryable;
use relays::mariadb::schema::{MariaDbOutbox, close_accounts, connect_admin};
use relays::source::{Source, Standing};
use std::collections::VecDeque;

const KINDS: [MariaDbOutbox; 2] = [MariaDbOutbox::Delete, MariaDbOutbox::Mark];

async fn pending(database: &TestDatabase) -> usize {
    let condition = match database.layout.outbox {
        MariaDbOutbox::Mark => "WHERE status = 'pending'",
        MariaDbOutbox::None | MariaDbOutbox::Delete | MariaDbOutbox::Log => "",
    };
    database
        .rows(&format!("SELECT 1 FROM outbox {condition}"))
        .await
        .len()
}

#[tokio::test]
async fn given_a_backlog_when_it_is_read_then_what_is_confirmed_goes_and_what_is_not_comes_again() {
    for kind in KINDS {
        let Some(database) = database(kind).await else {
            return;
        };
        insert(&database, "p", 0..350).await;
        let (mut source, mut taken) = (polling(&database), Taken::default());
        assert_eq!(source.connect().await, Ok(Standing::Leads));
        taken.until(&mut source, 350).await;
        let expected: Vec<String> = (0..350).map(|n| format!("p{n}")).collect();
        assert_eq!(taken.payloads(), expected);
        // A batch of which half is confirmed when the broker fails
        insert(&database, "q", 0..8).await;
        let mut batch = VecDeque::new();
        while batch.is_empty() {
            source.next(&mut batch).await.unwrap();
        }
        source.confirm(354);
        source.rewind().await;
        assert_eq!(source.settled(), Some(354));
        assert_eq!(source.connect().await, Ok(Standing::Leads));
        taken.count_anew();
        taken.until(&mut source, 354).await;
        assert_eq!(taken.payloads()[350..], ["q4", "q5", "q6", "q7"]);
        source.close().await.unwrap();
        assert_eq!((source.settled(), pending(&database).await), (Some(358), 0));
        let kept = database.rows("SELECT 1 FROM outbox").await.len();
        assert_eq!(kept, if kind == MariaDbOutbox::Mark { 358 } else { 0 });
        database.drop().await;
    }
}

#[tokio::test]
async fn given_a_transaction_that_takes_its_time_when_later_rows_are_committed_then_they_do_not_wait_and_it_is_not_left_out()
 {
    for kind in KINDS {
        let Some(database) = database(kind).await else {
            return;
        };
        // Given a row with the lowest number that is not committed yet, and one behind it that is
        let mut slow = database.session_of(&database.service()).await;
        slow.query_drop(format!("BEGIN; {}", insertion("slow")))
            .await
            .unwrap();
        insert(&database, "quick", 0..40).await;
        // When the outbox is read, and what was read is taken out of it with the next read
        let (mut source, mut taken) = (polling(&database), Taken::default());
        source.connect().await.unwrap();
        taken.until(&mut source, 40).await;
        insert(&database, "quick", 40..41).await;
        taken.until(&mut source, 41).await;
        let quick: Vec<String> = (0..41).map(|n| format!("quick{n}")).collect();
        assert_eq!(taken.payloads(), quick);
        // And the transaction is committed at last
        slow.query_drop("COMMIT").await.unwrap();
        taken.until(&mut source, 42).await;
        assert_eq!(taken.payloads()[41..], ["slow"]);
        source.close().await.unwrap();
        drop(slow);
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_orders_that_many_change_when_they_are_read_meanwhile_then_each_order_comes_in_its_order()
 {
    let Some(database) = database(MariaDbOutbox::Delete).await else {
        return;
    };
    let mut source = polling(&database);
    read_while_many_change(&database, &mut source).await;
    source.close().await.unwrap();
    assert_eq!(pending(&database).await, 0);
    database.drop().await;
}

#[tokio::test]
async fn given_two_relays_when_the_one_that_leads_loses_its_session_then_the_other_leads_and_the_first_can_delete_nothing()
 {
    let Some(database) = database(MariaDbOutbox::Delete).await else {
        return;
    };
    insert(&database, "p", 0..3).await;
    let (mut first, mut second) = (
        polling(&database).of_several(true),
        polling(&database).of_several(true),
    );
    assert_eq!(first.connect().await, Ok(Standing::Leads));
    assert_eq!(second.connect().await, Ok(Standing::StandsBy));
    let mut batch = VecDeque::new();
    first.next(&mut batch).await.unwrap();
    assert_eq!(batch.len(), 3);
    // When the server ends the session of the one that leads
    let mut admin = connect_admin(&database.admin, None).await.unwrap();
    close_accounts(&mut admin, &[database.layout.relay_user()])
        .await
        .unwrap();
    let unlocked = format!(
        "ALTER USER '{}'@'%' ACCOUNT UNLOCK",
        database.layout.relay_user()
    );
    admin.query_drop(unlocked).await.unwrap();
    assert_eq!(second.connect().await, Ok(Standing::Leads));
    // Then what it confirms comes to nothing
    first.confirm(3);
    assert!(first.close().await.is_err());
    assert_eq!(pending(&database).await, 3);
    let mut taken = Taken::default();
    taken.until(&mut second, 3).await;
    second.close().await.unwrap();
    assert_eq!(pending(&database).await, 0);
    drop(admin);
    database.drop().await;
}
