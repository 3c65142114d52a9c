//! What a strategy has for itself when that is a database: made, used and dropped on a real PostgreSQL.

use super::given::{admin, connect};
use super::schema::{layout, log_in, traces, try_sql};
use crate::patience::PATIENCE;
use crate::stack;
use harness::database::postgres::pending;
use relays::config::{ForeignStatement, Isolation, Parameter, PostgresTarget};
use relays::postgres::schema::{
    ForeignSchema, Layout, OutboxKind, can_isolate, create, drop_all, lay_out,
};
use sqlx::Connection;
use std::time::Duration;
use tokio::time::{sleep, timeout};

fn with_database(outbox: OutboxKind) -> Layout {
    Layout {
        isolation: Isolation::Database,
        ..layout(outbox)
    }
}

/// How many databases have its name.
async fn databases(layout: &Layout) -> i64 {
    sqlx::query_scalar("select count(*) from pg_database where starts_with(datname, $1)")
        .bind(&layout.name)
        .fetch_one(&mut admin().await)
        .await
        .unwrap()
}

/// What makes this extension, where the server has it.
async fn extension(name: &str) -> Option<String> {
    let there: i64 =
        sqlx::query_scalar("select count(*) from pg_available_extensions where name = $1")
            .bind(name)
            .fetch_one(&mut admin().await)
            .await
            .unwrap();
    (there > 0).then(|| format!("create extension {name}"))
}

#[tokio::test]
async fn given_a_database_of_its_own_when_laid_out_then_public_is_its_own_and_all_of_it_is_dropped()
{
    let admin = &stack().await.postgres;
    let layout = with_database(OutboxKind::Foreign { replication: true });
    create(admin, &layout).await.unwrap();
    // When its tables are made in `public`, and beside it; by its own role an extension that is trusted, and by
    // the administrator one that is not
    let mut ddl: Vec<String> = extension("citext").await.into_iter().collect();
    ddl.push("create table public.mine (n bigserial primary key, payload text)".into());
    ddl.push("create schema beside; create table beside.more (n serial)".into());
    let mut after: Vec<String> = extension("pageinspect").await.into_iter().collect();
    after.push(format!(
        "create publication {} for table public.mine",
        layout.publication()
    ));
    after.push(format!(
        "select pg_create_logical_replication_slot('{}', 'pgoutput')",
        layout.slot()
    ));
    let announce = [ForeignStatement {
        sql: "insert into public.mine (payload) values ($1::text)".to_owned(),
        parameters: vec![Parameter::Payload],
    }];
    let outbox = ForeignSchema {
        ddl: &ddl,
        announce: &announce,
        after: &after,
    };
    lay_out(admin, &layout, &outbox).await.unwrap();
    // Then none of it is in the stack's own database
    assert_eq!(traces(&layout).await, [0, 2, 0, 1]);
    assert_eq!(databases(&layout).await, 1);

    // And each role has its rights, in whichever schema
    let mut service = log_in(layout.service_role(), &layout).await.unwrap();
    let mut relay = log_in(layout.relay_role(), &layout).await.unwrap();
    for allowed in [
        "insert into public.mine (payload) values ('x')",
        "insert into beside.more default values",
        "select * from public.orders",
    ] {
        try_sql(&mut service, allowed, &layout).await.unwrap();
    }
    for allowed in [
        "delete from beside.more",
        "create table public.later (n int)",
        "update mine set payload = 'y' where n = 2",
    ] {
        try_sql(&mut relay, allowed, &layout).await.unwrap();
    }
    assert!(
        try_sql(&mut service, "drop table public.mine", &layout)
            .await
            .is_err()
    );
    for forbidden in ["select * from orders", "create database other_than_ours"] {
        assert!(
            try_sql(&mut relay, forbidden, &layout).await.is_err(),
            "{forbidden}"
        );
    }
    let role = PostgresTarget {
        user: layout.relay_role(),
        password: layout.password.clone(),
        ..layout.inside(admin)
    };
    let held = pending::by_query(&role, "select payload from public.mine", |payload| {
        assert_eq!(payload, "y");
    });
    assert_eq!(held.await.unwrap(), 1);

    // And all of it goes, with a slot that nobody was told of, a transaction that holds a lock, a prepared one, and
    // somebody else's session
    let another_slot = format!(
        "select pg_create_logical_replication_slot('{}_other', 'pgoutput')",
        layout.name
    );
    try_sql(&mut relay, &another_slot, &layout).await.unwrap();
    let _guest = connect(&layout.inside(admin)).await.unwrap();
    try_sql(&mut relay, "begin; lock table mine", &layout)
        .await
        .unwrap();
    let prepared = format!(
        "begin; insert into beside.more default values; prepare transaction '{}'",
        layout.name
    );
    try_sql(&mut service, &prepared, &layout).await.unwrap();
    drop_all(admin, &layout).await.unwrap();
    drop_all(admin, &layout).await.unwrap();
    assert_eq!(traces(&layout).await, [0, 0, 0, 0]);
    assert_eq!(databases(&layout).await, 0);
    assert!(try_sql(&mut relay, "commit", &layout).await.is_err());
}

#[tokio::test]
async fn given_tables_of_our_own_in_a_database_of_their_own_then_what_its_slot_holds_is_read() {
    let admin = &stack().await.postgres;
    let layout = with_database(OutboxKind::Cdc);
    create(admin, &layout).await.unwrap();
    let mut service = log_in(layout.service_role(), &layout).await.unwrap();
    let row = "insert into public.outbox (id, aggregatetype, aggregateid, type, version, payload)
               values (gen_random_uuid(), 'Order', 'x', 't', 1, 'kept')";
    let committed = try_sql(&mut service, row, &layout).await;
    let (slot, publication) = (layout.slot(), layout.publication());
    let held = pending::in_slot(&layout.inside(admin), &slot, &publication, |_, _| {}).await;
    drop_all(admin, &layout).await.unwrap();
    assert_eq!((committed, held), (Ok(()), Ok(1)));
    assert_eq!(databases(&layout).await, 0);
}

#[tokio::test]
async fn given_a_service_of_others_with_a_database_of_its_own_then_its_reader_reads_every_schema() {
    let admin = &stack().await.postgres;
    let layout = with_database(OutboxKind::ForeignService { replication: None });
    create(admin, &layout).await.unwrap();
    let outbox = ForeignSchema {
        ddl: &["create table public.orders (id int)".to_owned()],
        announce: &[],
        after: &[],
    };
    lay_out(admin, &layout, &outbox).await.unwrap();
    // As its migrations would
    let mut service = log_in(layout.service_role(), &layout).await.unwrap();
    let migration = "create schema app; create table app.changes (n int)";
    try_sql(&mut service, migration, &layout).await.unwrap();
    let mut reader = log_in(layout.reader_role(), &layout).await.unwrap();
    for allowed in ["select * from public.orders", "select * from app.changes"] {
        try_sql(&mut reader, allowed, &layout).await.unwrap();
    }
    let written = "begin read write; insert into app.changes values (1)";
    let error = try_sql(&mut reader, written, &layout).await.unwrap_err();
    assert!(error.contains("permission denied"), "{error}");
    drop_all(admin, &layout).await.unwrap();
    assert_eq!(traces(&layout).await, [0, 0, 0, 0]);
    assert_eq!(databases(&layout).await, 0);
}

#[tokio::test]
async fn given_an_administrator_who_may_not_create_databases_then_it_says_what_to_grant_and_that_is_enough()
 {
    let layout = with_database(OutboxKind::Foreign { replication: false });
    let name = format!("{}_admin", layout.name.replace("oh_", ""));
    let mut superuser = admin().await;
    let make = format!("create role \"{name}\" login createrole replication password 'pw'");
    try_sql(&mut superuser, &make, &layout).await.unwrap();
    let limited = PostgresTarget {
        user: name.clone(),
        password: "pw".into(),
        ..stack().await.postgres.clone()
    };
    // A schema of its own takes no such right
    can_isolate(&limited, Isolation::Schema).await.unwrap();
    let cannot = can_isolate(&limited, Isolation::Database).await;
    let error = cannot.unwrap_err().to_string();
    let remedy = format!("alter role \"{name}\" createdb");
    assert!(
        error.contains("may not create databases") && error.contains(&remedy),
        "{error}"
    );
    let refused = create(&limited, &layout).await.unwrap_err().to_string();
    assert!(refused.contains("needs CREATEDB"), "{refused}");

    // When it is granted
    try_sql(&mut superuser, &remedy, &layout).await.unwrap();
    can_isolate(&limited, Isolation::Database).await.unwrap();
    create(&limited, &layout).await.unwrap();
    let announce = [ForeignStatement {
        sql: "insert into public.mine values ($1::text)".to_owned(),
        parameters: vec![Parameter::Payload],
    }];
    let outbox = ForeignSchema {
        ddl: &["create table public.mine (payload text)".to_owned()],
        announce: &announce,
        after: &["create table public.marks (n int)".to_owned()],
    };
    lay_out(&limited, &layout, &outbox).await.unwrap();
    let _service = log_in(layout.service_role(), &layout).await.unwrap();
    let dropped = drop_all(&limited, &layout).await;

    drop_all(&stack().await.postgres, &layout).await.unwrap();
    let unmake = format!("drop role \"{name}\"");
    try_sql(&mut superuser, &unmake, &layout).await.unwrap();
    dropped.unwrap();
    assert_eq!(databases(&layout).await, 0);
}

#[tokio::test]
async fn given_a_database_that_is_still_being_made_when_all_is_dropped_then_it_is_never_there() {
    // Given a run that dies while the server makes its database: nobody sees it yet, and the server goes on
    let target = &stack().await.postgres;
    let layout = with_database(OutboxKind::Foreign { replication: false });
    let mut holder = admin().await;
    let mut gate = holder.begin().await.unwrap();
    sqlx::query("lock table pg_database in share mode")
        .execute(&mut *gate)
        .await
        .unwrap();
    let creating = tokio::spawn({
        let layout = layout.clone();
        async move { create(target, &layout).await }
    });
    let statement = format!("create database \"{}\"", layout.name);
    let waiting = "select count(*) from pg_stat_activity
                   where starts_with(query, $1) and wait_event_type = 'Lock'";
    let is_waiting = async || -> bool {
        let waiting = sqlx::query_scalar::<_, i64>(waiting).bind(&statement);
        waiting.fetch_one(&mut admin().await).await.unwrap() == 1
    };
    while !is_waiting().await {
        sleep(Duration::from_millis(10)).await;
    }
    // When all that is its own is dropped
    let dropping = tokio::spawn({
        let layout = layout.clone();
        async move { drop_all(target, &layout).await }
    });
    let given_up = async {
        while is_waiting().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let given_up = timeout(PATIENCE, given_up).await;
    gate.rollback().await.unwrap();
    dropping.await.unwrap().unwrap();
    // Then it was given up
    assert!(given_up.is_ok(), "the server went on making it");
    let failed = creating.await.unwrap().unwrap_err();
    assert!(format!("{failed:?}").contains("57P01"), "{failed:?}");
    assert_eq!(databases(&layout).await, 0);
}
