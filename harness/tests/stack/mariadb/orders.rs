//! Changes of orders in MariaDB.

use super::server::{TestDatabase, database};
use super::source::{SUFFIX, change};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use relays::mariadb::orders::{
    FoundOrder, NewChange, NewEvent, OrderStep, WriteUnit, find, version, write,
};
use relays::mariadb::schema::MariaDbOutbox;
use std::collections::BTreeMap;
use uuid::Uuid;

const PLACE: OrderStep = OrderStep::Place("placed");
const AMEND: OrderStep = OrderStep::Transition {
    from: None,
    to: None,
};
const PAY: OrderStep = OrderStep::Transition {
    from: Some("placed"),
    to: Some("paid"),
};
async fn alone(conn: &mut Conn, change: &NewChange<'_>) -> Option<u32> {
    write(conn, change, WriteUnit::Alone).await.unwrap()
}

async fn changes(database: &TestDatabase) -> Vec<Vec<String>> {
    let sql = "SELECT order_id, version, attempt, change_id FROM order_changes ORDER BY order_id, version";
    database.rows(sql).await
}

fn noted(change: &NewChange<'_>, version: u32) -> Vec<String> {
    vec![
        change.order.to_string(),
        version.to_string(),
        change.attempt.to_string(),
        change.change_id.to_string(),
    ]
}

#[tokio::test]
async fn given_an_order_when_it_is_changed_then_each_change_is_there_once_with_the_event_that_announces_it()
 {
    let Some(database) = database(MariaDbOutbox::Delete).await else {
        return;
    };
    let mut conn = database.session_of(&database.service()).await;
    let order = Uuid::new_v4();
    let life = [
        change(order, PLACE),
        change(order, PAY),
        change(order, AMEND),
    ];
    // What may not be yet
    assert_eq!(alone(&mut conn, &life[1]).await, None);
    assert_eq!(
        find(&mut conn, order, life[1].change_id).await.unwrap(),
        None
    );
    // When the changes are made, each tried again as a retry is
    for (change, number) in life.iter().zip(1..) {
        assert_eq!(alone(&mut conn, change).await, Some(number));
        let retry = NewChange {
            attempt: Uuid::new_v4(),
            ..*change
        };
        assert_eq!(alone(&mut conn, &retry).await, None);
        let found = find(&mut conn, order, change.change_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.made, Some(number));
        assert_eq!(version(&mut conn, order).await.unwrap(), Some(number));
    }
    // And what is forbidden is not
    let again = change(order, PAY);
    assert_eq!(alone(&mut conn, &again).await, None);
    let found = find(&mut conn, order, again.change_id).await.unwrap();
    let paid = FoundOrder {
        state: "paid".into(),
        made: None,
    };
    assert_eq!(found, Some(paid));
    // Then the truth is the three of them, and so is the outbox
    let expected: Vec<_> = life.iter().zip(1..).map(|(c, v)| noted(c, v)).collect();
    assert_eq!(changes(&database).await, expected);
    let sql =
        "SELECT id, aggregatetype, aggregateid, type, version, payload FROM outbox ORDER BY seq";
    let expected = life.iter().zip(1..).map(|(change, version): (_, u32)| {
        let id = change.announced.unwrap().id.to_string();
        let payload = format!("{{\"version\":{version}{SUFFIX}");
        let texts = [id, "Order".into(), order.to_string(), "OrderChanged".into()];
        [&texts[..], &[version.to_string(), payload]].concat()
    });
    assert_eq!(database.rows(sql).await, expected.collect::<Vec<_>>());
    drop(conn);
    database.drop().await;
}

#[tokio::test]
async fn given_a_transaction_that_is_rolled_back_or_fails_then_nothing_of_its_change_is_left() {
    let Some(database) = database(MariaDbOutbox::Delete).await else {
        return;
    };
    let mut conn = database.session_of(&database.service()).await;
    let order = Uuid::new_v4();
    let placed = change(order, PLACE);
    for (end, left) in [("ROLLBACK", 0), ("COMMIT", 1)] {
        conn.query_drop("BEGIN").await.unwrap();
        let written = write(&mut conn, &placed, WriteUnit::Within).await.unwrap();
        assert_eq!(written, Some(1));
        conn.query_drop(end).await.unwrap();
        for table in ["orders", "order_changes", "outbox"] {
            let rows = database.rows(&format!("SELECT 1 FROM {table}")).await;
            assert_eq!(rows.len(), left, "{table} after {end}");
        }
    }
    // And of what fails at its last statement nothing is there either
    let too_long = "x".repeat(300);
    let mut failing = change(Uuid::new_v4(), PLACE);
    failing.announced = failing.announced.map(|event| NewEvent {
        event_type: &too_long,
        ..event
    });
    let failed = write(&mut conn, &failing, WriteUnit::Alone).await;
    assert!(failed.unwrap_err().to_string().contains("Data too long"));
    drop(conn);
    for table in ["orders", "order_changes", "outbox"] {
        let rows = database.rows(&format!("SELECT 1 FROM {table}")).await;
        assert_eq!(rows.len(), 1, "{table}");
    }
    database.drop().await;
}

/// Whether somebody waits for a row's lock. (`innodb_trx` tells what it told last time to whoever asks again within a tenth of a
/// second, and so to those who ask in turns for ever.)
async fn is_awaited(database: &TestDatabase) -> bool {
    let sql = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'";
    database.rows(sql).await[0][1] != "0"
}

#[tokio::test]
async fn given_a_change_that_is_not_committed_yet_when_it_is_tried_again_then_it_waits_and_is_made_once()
 {
    let Some(database) = database(MariaDbOutbox::Delete).await else {
        return;
    };
    let mut first = database.session_of(&database.service()).await;
    let mut second = database.session_of(&database.service()).await;
    let order = Uuid::new_v4();
    for step in [PLACE, AMEND] {
        // Given a change in a transaction that is open
        let made = change(order, step);
        first.query_drop("BEGIN").await.unwrap();
        let number = write(&mut first, &made, WriteUnit::Within).await.unwrap();
        // When its retry comes meanwhile
        let retry = NewChange {
            attempt: Uuid::new_v4(),
            ..made
        };
        let (retried, ()) = tokio::join!(alone(&mut second, &retry), async {
            while !is_awaited(&database).await {
                tokio::task::yield_now().await;
            }
            first.query_drop("COMMIT").await.unwrap();
        });
        // Then it finds what was committed
        assert_eq!(retried, None);
        let found = find(&mut second, order, made.change_id).await.unwrap();
        assert_eq!(found.unwrap().made, number);
    }
    assert_eq!(changes(&database).await.len(), 2);
    drop((first, second));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_many_who_change_few_orders_when_they_are_done_then_versions_have_no_gap_and_seq_rises_with_them()
 {
    let Some(database) = database(MariaDbOutbox::Delete).await else {
        return;
    };
    let orders: Vec<Uuid> = (0..3).map(|_| Uuid::new_v4()).collect();
    let work = (0..6).map(|_| {
        let (orders, target) = (orders.clone(), database.service());
        let database = &database;
        async move {
            let mut conn = database.session_of(&target).await;
            for turn in 0..40 {
                let order = orders[turn % orders.len()];
                alone(&mut conn, &change(order, PLACE)).await;
                assert!(alone(&mut conn, &change(order, AMEND)).await.is_some());
            }
        }
    });
    futures::future::join_all(work).await;
    let rows = database
        .rows("SELECT aggregateid, version FROM outbox ORDER BY seq")
        .await;
    assert_eq!(rows.len(), 3 + 6 * 40);
    let mut last = BTreeMap::new();
    for row in &rows {
        let version: u32 = row[1].parse().unwrap();
        assert_eq!(version, last.insert(&row[0], version).unwrap_or(0) + 1);
    }
    assert_eq!(changes(&database).await.len(), rows.len());
    database.drop().await;
}
