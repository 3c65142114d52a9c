//! The outbox in MariaDB, read from the binlog.

use super::server::{PREPARED, TestDatabase, TestMariaDb, database};
use super::source::{Taken, binlog, insert, insertion, read_while_many_change};
use crate::installed::lacks;
use crate::patience::PATIENCE;
use harness::scenario::Server;
use mysql_async::prelude::Queryable;
use relays::mariadb::read_unconfirmed;
use relays::mariadb::schema::MariaDbOutbox;
use relays::source::{Source, Standing};
use std::collections::VecDeque;
use tokio::time::Instant;

async fn one(database: &TestDatabase, sql: &str) -> String {
    database.rows(sql).await.concat().concat()
}

/// What nobody has confirmed.
async fn unconfirmed(database: &TestDatabase) -> Vec<String> {
    let mut heard = Vec::new();
    let mut hear = |_: u64, payload: &str| heard.push(payload.to_owned());
    let count = read_unconfirmed(&database.admin, &database.layout, &mut hear)
        .await
        .unwrap();
    assert_eq!(count, Some(heard.len() as u64));
    heard
}

#[tokio::test]
async fn given_rows_when_they_are_read_from_the_log_then_they_go_once_confirmed_and_a_successor_goes_on_from_there()
 {
    let Some(database) = database(MariaDbOutbox::Log).await else {
        return;
    };
    let Some(other) = self::database(MariaDbOutbox::Log).await else {
        return;
    };
    insert(&database, "p", 0..200).await;
    insert(&other, "not ours", 0..3).await;
    // Of what is rolled back nothing is in the log
    database
        .run(&format!("BEGIN; {}; ROLLBACK", insertion("undone")))
        .await;
    let expected: Vec<String> = (0..200).map(|n| format!("p{n}")).collect();
    assert_eq!(unconfirmed(&database).await, expected);
    let (mut source, mut taken) = (binlog(&database), Taken::default());
    assert_eq!(source.connect().await, Ok(Standing::Leads));
    taken.until(&mut source, 200).await;
    assert_eq!(taken.payloads(), expected);
    source.close().await.unwrap();
    assert_eq!(source.settled(), Some(200));
    assert_eq!(one(&database, "SELECT count(*) FROM outbox").await, "0");
    assert_eq!(unconfirmed(&database).await, Vec::<String>::new());
    // Its successor finds what came since, of which one transaction has several rows, of which some are confirmed
    database
        .run(&format!(
            "BEGIN; {}; {}; COMMIT",
            insertion("a"),
            insertion("b")
        ))
        .await;
    let mut successor = binlog(&database);
    successor.connect().await.unwrap();
    let mut batch = VecDeque::new();
    while batch.is_empty() {
        successor.next(&mut batch).await.unwrap();
    }
    successor.confirm(1);
    successor.close().await.unwrap();
    // A transaction that is not confirmed to its end comes again, whole
    assert_eq!(unconfirmed(&database).await, ["a", "b"]);
    assert_eq!(one(&database, "SELECT payload FROM outbox").await, "b");
    other.drop().await;
    database.drop().await;
}

#[tokio::test]
async fn given_a_broker_that_fails_when_the_relay_goes_on_then_it_reads_again_what_was_not_confirmed()
 {
    let Some(database) = database(MariaDbOutbox::Log).await else {
        return;
    };
    insert(&database, "p", 0..10).await;
    let mut source = binlog(&database);
    source.connect().await.unwrap();
    let mut batch = VecDeque::new();
    while batch.len() < 10 {
        source.next(&mut batch).await.unwrap();
    }
    source.confirm(4);
    source.rewind().await;
    assert_eq!(source.connect().await, Ok(Standing::Leads));
    let mut taken = Taken::default();
    taken.until(&mut source, 6).await;
    assert_eq!(taken.payloads(), ["p4", "p5", "p6", "p7", "p8", "p9"]);
    source.close().await.unwrap();
    assert_eq!(unconfirmed(&database).await, Vec::<String>::new());
    database.drop().await;
}

/// Decides on a prepared transaction, as soon as the session that prepared it is gone.
async fn decide(database: &TestDatabase, sql: &str) {
    let mut conn = database.session().await;
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = conn.query_drop(sql).await {
        assert!(
            error.to_string().contains("XAER_NOTA") && Instant::now() < deadline,
            "{error}"
        );
    }
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn given_xa_transactions_when_they_are_decided_then_only_what_was_committed_comes_and_not_before()
 {
    let Some(database) = database(MariaDbOutbox::Log).await else {
        return;
    };
    let _prepared = PREPARED.write().await;
    let name = |which: &str| format!("'{}{which}'", database.layout.name);
    let (mut source, mut taken) = (binlog(&database), Taken::default());
    source.connect().await.unwrap();
    for which in ["kept", "undone"] {
        let xa = name(which);
        let sql = format!(
            "XA START {xa}; {}; XA END {xa}; XA PREPARE {xa}",
            insertion(which)
        );
        // A prepared transaction is nobody's session's any more once that has ended.
        let mut session = database.session().await;
        session.query_drop(sql).await.unwrap();
        session.disconnect().await.unwrap();
    }
    // Others go on meanwhile, and the position stays before what is undecided
    insert(&database, "other", 0..2).await;
    taken.until(&mut source, 2).await;
    assert_eq!(taken.payloads(), ["other0", "other1"]);
    source.close().await.unwrap();
    // Who comes after finds it again
    let (mut successor, mut later) = (binlog(&database), Taken::default());
    successor.connect().await.unwrap();
    later.until(&mut successor, 2).await;
    decide(&database, &format!("XA ROLLBACK {}", name("undone"))).await;
    decide(&database, &format!("XA COMMIT {}", name("kept"))).await;
    insert(&database, "last", 0..1).await;
    later.until(&mut successor, 4).await;
    assert_eq!(later.payloads(), ["other0", "other1", "kept", "last0"]);
    successor.close().await.unwrap();
    assert_eq!(unconfirmed(&database).await, Vec::<String>::new());
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_orders_that_many_change_when_the_log_is_read_meanwhile_then_each_order_comes_in_its_order()
 {
    let Some(database) = database(MariaDbOutbox::Log).await else {
        return;
    };
    let mut source = binlog(&database);
    read_while_many_change(&database, &mut source).await;
    source.close().await.unwrap();
    assert_eq!(one(&database, "SELECT count(*) FROM outbox").await, "0");
    database.drop().await;
}

#[tokio::test]
async fn given_a_server_of_its_own_when_it_is_killed_then_what_follows_is_read_and_when_it_is_idle_the_relay_writes_nothing()
 {
    if lacks(Server::MARIADB) {
        return;
    }
    let server = TestMariaDb::start("killed").await;
    let database = server.database(MariaDbOutbox::Log).await;
    insert(&database, "p", 0..20).await;
    let (mut source, mut taken) = (binlog(&database), Taken::default());
    source.connect().await.unwrap();
    taken.until(&mut source, 20).await;
    // When the server is killed and comes back
    server.process().kill().await.unwrap();
    while taken.once(&mut source).await.is_ok() {}
    source.rewind().await;
    assert!(source.connect().await.is_err());
    server.process().restart().await.unwrap();
    insert(&database, "q", 0..20).await;
    source.connect().await.unwrap();
    taken.count_anew();
    let is_whole = |taken: &Taken| taken.payloads().contains(&"q19");
    while !is_whole(&taken) {
        taken.once(&mut source).await.unwrap();
    }
    // Then nothing is left out, and in whatever is repeated nothing overtakes
    let tail = taken.payloads().len() - 20;
    let expected: Vec<String> = (0..20).map(|n| format!("q{n}")).collect();
    assert_eq!(taken.payloads()[tail..], expected);
    // And what the relay writes itself is no reason to write
    while one(&database, "SELECT count(*) FROM outbox").await != "0" {
        taken.once(&mut source).await.unwrap();
    }
    let position = one(&database, "SELECT @@gtid_binlog_pos").await;
    for _ in 0..12 {
        taken.once(&mut source).await.unwrap();
    }
    assert_eq!(one(&database, "SELECT @@gtid_binlog_pos").await, position);
    source.close().await.unwrap();
    drop(database);
}

#[tokio::test]
async fn given_a_log_that_cannot_be_read_when_a_relay_connects_then_it_ends_and_says_what_to_do() {
    if lacks(Server::MARIADB) {
        return;
    }
    let server = TestMariaDb::start("unread").await;
    let database = server.database(MariaDbOutbox::Log).await;
    database
        .run("SET GLOBAL binlog_row_image = 'MINIMAL'")
        .await;
    let error = binlog(&database).connect().await.unwrap_err();
    assert!(error.is_final, "{error}");
    assert!(
        error
            .reason
            .contains("are 1, ROW, MINIMAL: they have to be 1, ROW and FULL"),
        "{error}"
    );
    database.run("SET GLOBAL binlog_row_image = 'FULL'").await;
    // Given a log that was purged behind the position that is kept
    insert(&database, "purged", 0..1).await;
    database.run("FLUSH BINARY LOGS").await;
    insert(&database, "r", 0..1).await;
    database.run("FLUSH BINARY LOGS").await;
    let last = database.rows("SHOW BINARY LOGS").await.pop().unwrap();
    // What needs older logs still keeps them for a moment
    while database.rows("SHOW BINARY LOGS").await.len() > 1 {
        database
            .run(&format!("PURGE BINARY LOGS TO '{}'", last[0]))
            .await;
    }
    // Then it ends, and says what is lost
    let error = binlog(&database).connect().await.unwrap_err();
    assert!(error.is_final, "{error}");
    assert!(
        error.reason.contains("error 1236") && error.reason.contains("relay_position"),
        "{error}"
    );
    // And whoever asks what the log has for nobody is told that it is gone
    let nothing = &mut |_: u64, _: &str| {};
    let asked = read_unconfirmed(&database.admin, &database.layout, nothing).await;
    assert_eq!(asked, Ok(None));
    drop(database);
}
