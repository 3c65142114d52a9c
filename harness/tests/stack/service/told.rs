//! An order service that is not ours, in the database: its tables are its own, and whoever reads the truth
//! may do nothing but read it.

use super::given::connect;
use super::schema::{layout, traces, try_sql};
use crate::patience::PATIENCE;
use crate::stack;
use harness::checkers::fixture::clean;
use harness::database::postgres::told::TruthQuery;
use harness::history::History;
use harness::scenario::StrategyKind;
use relays::config::PostgresTarget;
use relays::postgres::schema::{
    ForeignSchema, Layout, OutboxKind, Role, create, drop_all, lay_out,
};
use sqlx::PgConnection;
use std::time::Duration;

async fn by(role: String, layout: &Layout) -> PostgresTarget {
    PostgresTarget {
        user: role,
        password: layout.password.clone(),
        ..layout.inside(&stack().await.postgres)
    }
}

/// A schema as such a service finds it, with a session of its own.
async fn prepared(ddl: &[String]) -> (Layout, PgConnection) {
    let admin = &stack().await.postgres;
    let layout = layout(OutboxKind::ForeignService {
        replication: Some(Role::Service),
    });
    create(admin, &layout).await.unwrap();
    let outbox = ForeignSchema {
        ddl,
        announce: &[],
        after: &[],
    };
    lay_out(admin, &layout, &outbox).await.unwrap();
    let service = by(layout.service_role(), &layout).await;
    let session = connect(&service).await.unwrap();
    (layout, session)
}

#[tokio::test]
async fn given_a_service_of_its_own_when_laid_out_then_each_role_has_its_rights_and_all_of_it_is_dropped()
 {
    let (layout, mut service) = prepared(&["create table orders (id int)".to_owned()]).await;
    assert_eq!(traces(&layout).await, [1, 3, 0, 0]);
    // It makes tables at any time, by their plain names
    for allowed in [
        "insert into orders values (1)",
        "create table later (id int primary key)",
        "insert into later values (1)",
    ] {
        try_sql(&mut service, allowed, &layout).await.unwrap();
    }
    // A relay beside it works on all of them
    let mut relay = connect(&by(layout.relay_role(), &layout).await)
        .await
        .unwrap();
    for allowed in ["delete from later", "create table marks (n int)"] {
        try_sql(&mut relay, allowed, &layout).await.unwrap();
    }
    assert!(
        try_sql(&mut relay, "drop table later", &layout)
            .await
            .is_err()
    );
    // And whoever reads the truth reads all of them, and does nothing else, whatever its session says
    let mut reader = connect(&by(layout.reader_role(), &layout).await)
        .await
        .unwrap();
    for allowed in [
        "select * from orders",
        "select * from later",
        "select * from marks",
    ] {
        try_sql(&mut reader, allowed, &layout).await.unwrap();
    }
    for forbidden in [
        "begin read write; insert into orders values (2)",
        "begin read write; create table mine (n int)",
    ] {
        let error = try_sql(&mut reader, forbidden, &layout).await.unwrap_err();
        assert!(error.contains("permission denied"), "{forbidden}: {error}");
        try_sql(&mut reader, "rollback", &layout).await.unwrap();
    }

    drop_all(&stack().await.postgres, &layout).await.unwrap();
    assert_eq!(traces(&layout).await, [0, 0, 0, 0]);
}

fn told(reader: &PostgresTarget, query: &str) -> TruthQuery {
    TruthQuery {
        reader: reader.clone(),
        query: query.to_owned(),
        place: "relay.toml:7".to_owned(),
    }
}

/// Everything that a clean run committed, as a service would have stored it.
async fn store(service: &mut PgConnection, history: &History) {
    let identity = history.meta.key.identity().unwrap();
    for row in &history.truth {
        sqlx::query("insert into made values ($1, $2, $3)")
            .bind(identity.order_id(row.order))
            .bind(row.version.cast_signed())
            .bind(identity.attempt_id(row.attempt).to_string())
            .execute(&mut *service)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn given_what_a_service_committed_when_its_query_is_asked_then_it_is_the_truth_or_says_what_is_wrong()
 {
    let table = "create table made (order_id uuid, version int, attempt text)".to_owned();
    let (layout, mut service) = prepared(&[table]).await;
    let reader = by(layout.reader_role(), &layout).await;
    let history = clean(20, StrategyKind::Cdc {});
    let identity = history.meta.key.identity().unwrap();
    let read = async |query: &str| {
        let told = told(&reader, query);
        told.read(&identity, &history.requests, PATIENCE).await
    };

    // Before anything is there, a good query is known as one
    let good = "select order_id, version, attempt from made -- of all orders\n;";
    told(&reader, good).try_out(PATIENCE).await.unwrap();
    store(&mut service, &history).await;
    let error = told(&reader, good).try_out(PATIENCE).await.unwrap_err();
    assert!(error.contains("before any order was placed"), "{error}");

    // Then it is the truth, row by row
    let found = read(good).await.unwrap();
    let expected: Vec<_> = history.truth.iter().collect();
    assert_eq!(found, expected);
    // Or says where it stands and what is wrong with it
    for (query, what) in [
        ("select order_id, version from made", "gives 2 columns"),
        (
            "select order_id, version::text, attempt from made",
            "must be the version",
        ),
        (
            "select order_id, version, attempt from maid",
            "relation \"maid\" does not exist",
        ),
        (
            "select order_id,\nversion,\natempt from made",
            "in its line 3, column \"atempt\"",
        ),
        (
            "select order_id, version + 1, attempt from made",
            "and no version 1",
        ),
        (
            "select order_id, version, attempt from made, (values (1), (2)) as twice",
            "twice",
        ),
        (
            "select order_id, version, order_id from made",
            "none of this run",
        ),
        (
            "select order_id, version, null::text from made",
            "null as an attempt",
        ),
        (
            "select order_id, version, repeat(attempt, 1000000) from made",
            "none of this run",
        ),
        (
            "select made.* from made, made as again, made as and_again",
            "does a join repeat them?",
        ),
        (
            "delete from made returning order_id, version, attempt",
            "syntax error",
        ),
        ("select 1; select 2", "cannot insert multiple commands"),
    ] {
        let error = read(query).await.unwrap_err();
        assert!(
            error.contains("relay.toml:7: `query` of [truth]"),
            "{error}"
        );
        assert!(error.contains(what), "{query}: {error}");
        assert!(error.len() < 600, "{error}");
    }
    // And is not waited for without an end
    let endless = told(
        &reader,
        "select order_id, version, attempt from made, pg_sleep(600)",
    );
    let brief = Duration::from_millis(200);
    let error = endless
        .read(&identity, &history.requests, brief)
        .await
        .unwrap_err();
    assert!(error.contains("statement timeout"), "{error}");

    drop_all(&stack().await.postgres, &layout).await.unwrap();
}
