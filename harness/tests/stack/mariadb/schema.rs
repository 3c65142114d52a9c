//! What a strategy owns in MariaDB.

use super::server::{TestDatabase, database};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use relays::config::MariaDbTarget;
use relays::mariadb::schema::{self, MariaDbOutbox};

async fn owned(database: &TestDatabase) -> [usize; 2] {
    let name = &database.layout.name;
    let mut conn = schema::connect_admin(&database.admin, None).await.unwrap();
    let mut count = async |sql: String| conn.query::<u8, _>(sql).await.unwrap().len();
    let databases = count(format!(
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = '{name}'"
    ));
    let databases = databases.await;
    let users = format!("SELECT 1 FROM mysql.global_priv WHERE user LIKE '{name}\\_%'");
    [databases, count(users).await]
}

async fn refusal(conn: &mut Conn, sql: &str) -> u16 {
    match conn.query_drop(sql).await.unwrap_err() {
        Error::Server(answer) => answer.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn given_a_strategy_of_each_kind_when_it_is_made_then_its_accounts_can_do_no_more_than_they_must()
 {
    for outbox in [
        MariaDbOutbox::Delete,
        MariaDbOutbox::Mark,
        MariaDbOutbox::Log,
    ] {
        let Some(database) = database(outbox).await else {
            return;
        };
        let session = async |target: MariaDbTarget| database.session_of(&target).await;
        let (mut service, mut relay) = (
            session(database.service()).await,
            session(database.relay()).await,
        );
        // The truth is the service's alone, and what is in the outbox it cannot undo
        let of_relay = [
            "UPDATE orders SET version = 2",
            "DELETE FROM order_changes",
            "INSERT INTO outbox (id) VALUES ('x')",
        ];
        let of_service = [
            "DELETE FROM outbox",
            "UPDATE order_changes SET version = 2",
            "CREATE TABLE t (a int)",
            "SHOW BINARY LOGS",
        ];
        let relays = of_relay.map(|sql| (true, sql)).into_iter();
        for (is_relay, sql) in relays.chain(of_service.map(|sql| (false, sql))) {
            let conn = if is_relay { &mut relay } else { &mut service };
            let code = refusal(conn, sql).await;
            assert!([1142, 1227].contains(&code), "{outbox:?}, {sql}: {code}");
        }
        let reads = relay.query_drop("SHOW BINARY LOGS").await.is_ok();
        assert_eq!(reads, outbox == MariaDbOutbox::Log);
        drop((service, relay));
        database.drop().await;
    }
}

#[tokio::test]
async fn given_sessions_in_a_transaction_when_everything_is_dropped_then_nothing_is_left_and_dropping_again_is_no_error()
 {
    let Some(database) = database(MariaDbOutbox::Log).await else {
        return;
    };
    assert_eq!(owned(&database).await, [1, 2]);
    // Given somebody who holds what is to be dropped
    let mut service = database.session_of(&database.service()).await;
    service
        .query_drop("BEGIN; INSERT INTO orders VALUES ('o', 1, 'placed')")
        .await
        .unwrap();
    // When everything is dropped, twice
    for _ in 0..2 {
        schema::drop_all(&database.admin, &database.layout)
            .await
            .unwrap();
        assert_eq!(owned(&database).await, [0, 0]);
    }
    // Then that session has ended
    assert!(service.query_drop("COMMIT").await.is_err());
}

#[tokio::test]
async fn given_a_wrong_password_when_somebody_connects_then_the_error_says_who_where_and_why() {
    let Some(database) = database(MariaDbOutbox::None).await else {
        return;
    };
    let wrong = MariaDbTarget {
        password: "another".into(),
        ..database.service()
    };
    let error = schema::connect_admin(&wrong, None).await.unwrap_err();
    let place = format!(
        "connecting to MariaDB at 127.0.0.1:{} as ",
        database.admin.port
    );
    assert!(error.starts_with(&place), "{error}");
    assert!(
        error.contains("Access denied") && error.contains("error 1045"),
        "{error}"
    );
    database.drop().await;
}
