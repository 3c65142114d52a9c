//! Tables, roles and the slot of a strategy, made and dropped on a real PostgreSQL.

use super::given::{admin, connect};
use crate::stack;
use harness::database::postgres::in_doubt::{self, Unfinished};
use harness::database::postgres::pending;
use relays::config::PostgresTarget;
use relays::config::{ForeignStatement, Isolation, Parameter};
use relays::postgres::schema::{ForeignSchema, Layout, OutboxKind, create, drop_all, lay_out};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::time::Instant;
use uuid::Uuid;

pub fn layout(outbox: OutboxKind) -> Layout {
    let name = Uuid::new_v4().simple().to_string();
    Layout {
        name: format!("oh_{}_schema", &name[..12]),
        isolation: Isolation::Schema,
        outbox,
        failover_slot: false,
        password: "it's \\ secret".into(),
    }
}

pub async fn log_in(role: String, layout: &Layout) -> Result<PgConnection, sqlx::Error> {
    connect(&PostgresTarget {
        user: role,
        password: layout.password.clone(),
        ..layout.inside(&stack().await.postgres)
    })
    .await
}

pub async fn try_sql(conn: &mut PgConnection, sql: &str, layout: &Layout) -> Result<(), String> {
    let sql = sql.replace("$S", layout.schema());
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(conn)
        .await
        .map(drop)
        .map_err(|e| e.to_string())
}

/// What of a layout is there: schemas, roles, publications, all in the stack's own database, and slots.
pub async fn traces(layout: &Layout) -> Vec<i64> {
    let row = sqlx::query(
        "select (select count(*) from pg_namespace where nspname = $1),
                (select count(*) from pg_roles where starts_with(rolname, $1)),
                (select count(*) from pg_publication where starts_with(pubname, $1)),
                (select count(*) from pg_replication_slots where starts_with(slot_name, $1))",
    )
    .bind(&layout.name)
    .fetch_one(&mut admin().await)
    .await
    .unwrap();
    (0..4).map(|column| row.get(column)).collect()
}

#[tokio::test]
async fn everything_made_is_dropped_again_under_living_sessions_and_twice() {
    let admin = &stack().await.postgres;
    for (outbox, made) in [
        (OutboxKind::None, [1, 2, 0, 0]),
        (OutboxKind::Delete, [1, 2, 0, 0]),
        (OutboxKind::Mark, [1, 2, 0, 0]),
        (OutboxKind::Partitions { period_ms: 1_000 }, [1, 2, 0, 0]),
        (
            OutboxKind::Turns {
                period_ms: 1_000,
                tables: 3,
            },
            [1, 2, 0, 0],
        ),
        (OutboxKind::Cdc, [1, 2, 1, 1]),
        (OutboxKind::Fleeting, [1, 2, 1, 1]),
        (OutboxKind::Message, [1, 2, 1, 1]),
        (OutboxKind::Events, [1, 2, 0, 0]),
        (OutboxKind::LoggedEvents, [1, 2, 1, 1]),
        (OutboxKind::Decisions, [1, 2, 0, 0]),
        (OutboxKind::Foreign { replication: true }, [1, 2, 0, 0]),
    ] {
        // given a layout with a session of each role, one in a transaction that holds a lock
        let layout = layout(outbox);
        create(admin, &layout).await.unwrap();
        assert_eq!(traces(&layout).await, made);
        let mut service = log_in(layout.service_role(), &layout).await.unwrap();
        let _relay = log_in(layout.relay_role(), &layout).await.unwrap();
        let table = layout.truth_table();
        let lock = format!("begin; lock table $S.{table} in row exclusive mode");
        try_sql(&mut service, &lock, &layout).await.unwrap();

        // when it is dropped twice
        drop_all(admin, &layout).await.unwrap();
        drop_all(admin, &layout).await.unwrap();

        // then nothing is left, and the sessions are over
        assert_eq!(traces(&layout).await, [0, 0, 0, 0]);
        assert!(try_sql(&mut service, "commit", &layout).await.is_err());
    }
}

#[tokio::test]
async fn each_role_can_do_its_work_and_no_more() {
    let admin = &stack().await.postgres;
    let layout = layout(OutboxKind::Mark);
    create(admin, &layout).await.unwrap();
    let mut service = log_in(layout.service_role(), &layout).await.unwrap();
    let mut relay = log_in(layout.relay_role(), &layout).await.unwrap();
    let row = "insert into $S.outbox (id, aggregatetype, aggregateid, type, version, payload)
               values (gen_random_uuid(), 'Order', 'x', 't', 1, '{}')";
    let order = "insert into $S.orders (id, state, attempts, changes)
                 values (gen_random_uuid(), 'placed', '{}', '{}')";

    let allowed = [
        try_sql(&mut service, row, &layout).await,
        try_sql(&mut service, order, &layout).await,
        try_sql(
            &mut relay,
            "select * from $S.outbox for update skip locked",
            &layout,
        )
        .await,
        try_sql(
            &mut relay,
            "update $S.outbox set status = 'processed'",
            &layout,
        )
        .await,
        try_sql(&mut relay, "delete from $S.outbox", &layout).await,
    ];
    let forbidden = [
        try_sql(&mut relay, order, &layout).await,
        try_sql(&mut relay, "update $S.orders set state = ''", &layout).await,
        try_sql(&mut relay, row, &layout).await,
        try_sql(&mut service, "delete from $S.outbox", &layout).await,
        try_sql(&mut service, "delete from $S.orders", &layout).await,
        try_sql(&mut service, "create table $S.more ()", &layout).await,
    ];

    drop_all(admin, &layout).await.unwrap();
    assert_eq!(allowed, [const { Ok(()) }; 5]);
    for answer in forbidden {
        assert!(answer.unwrap_err().contains("permission denied"));
    }
}

#[tokio::test]
async fn given_events_that_are_the_truth_then_neither_role_can_change_or_delete_one() {
    let admin = &stack().await.postgres;
    let layout = layout(OutboxKind::Events);
    create(admin, &layout).await.unwrap();
    let mut service = log_in(layout.service_role(), &layout).await.unwrap();
    let mut relay = log_in(layout.relay_role(), &layout).await.unwrap();
    let event =
        "insert into $S.events (aggregateid, version, id, type, attempt, change_id, payload)
                 select i, 1, i, 't', i, i, '{}' from gen_random_uuid() i";
    let position = "update $S.relay_position set seq = seq";

    let allowed = [
        try_sql(&mut service, event, &layout).await,
        try_sql(&mut relay, "select * from $S.events", &layout).await,
        try_sql(&mut relay, position, &layout).await,
    ];
    let mut forbidden = vec![
        try_sql(&mut relay, event, &layout).await,
        try_sql(&mut relay, "delete from $S.relay_position", &layout).await,
        try_sql(&mut service, position, &layout).await,
    ];
    for session in [&mut service, &mut relay] {
        for change in ["update $S.events set version = 2", "delete from $S.events"] {
            forbidden.push(try_sql(session, change, &layout).await);
        }
    }

    drop_all(admin, &layout).await.unwrap();
    assert_eq!(allowed, [const { Ok(()) }; 3]);
    for answer in forbidden {
        assert!(answer.unwrap_err().contains("permission denied"));
    }
}

#[tokio::test]
async fn a_row_that_is_deleted_as_it_is_inserted_is_in_the_log_all_the_same() {
    // given an outbox whose rows are fleeting
    let admin = &stack().await.postgres;
    let layout = layout(OutboxKind::Fleeting);
    create(admin, &layout).await.unwrap();
    let mut service = log_in(layout.service_role(), &layout).await.unwrap();

    // when the order service inserts, commits one row and rolls another back
    let row = |payload| {
        format!(
            "insert into $S.outbox (id, aggregatetype, aggregateid, type, version, payload)
             values (gen_random_uuid(), 'Order', 'x', 't', 1, '{payload}')"
        )
    };
    let committed = try_sql(&mut service, &row("kept"), &layout).await;
    let rolled_back = format!("begin; {}; rollback", row("rolled back"));
    let rolled_back = try_sql(&mut service, &rolled_back, &layout).await;

    // then the table is empty, and the slot holds what was committed
    let mut session = super::given::admin().await;
    let count = format!("select count(*) from {}.outbox", layout.schema());
    let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count))
        .fetch_one(&mut session)
        .await
        .unwrap();
    let mut payloads = Vec::new();
    let keep = |_, payload: &str| payloads.push(payload.to_owned());
    let held = pending::in_slot(admin, &layout.slot(), &layout.publication(), keep).await;
    drop_all(admin, &layout).await.unwrap();
    assert_eq!((committed, rolled_back), (Ok(()), Ok(())));
    assert_eq!(rows, 0);
    assert_eq!(held, Ok(1));
    assert_eq!(payloads, ["kept"]);
}

/// An administrator with CREATEROLE, REPLICATION and CREATE on the database.
async fn limited_admin(layout: &Layout) -> PostgresTarget {
    let name = format!("{}_admin", layout.name.replace("oh_", ""));
    let make = format!(
        "create role \"{name}\" login createrole replication password 'pw';
         grant create on database postgres to \"{name}\""
    );
    try_sql(&mut admin().await, &make, layout).await.unwrap();
    PostgresTarget {
        user: name,
        password: "pw".into(),
        ..stack().await.postgres.clone()
    }
}

async fn drop_limited_admin(limited: &PostgresTarget, layout: &Layout) {
    let name = &limited.user;
    let unmake = format!(
        "revoke create on database postgres from \"{name}\"; drop owned by \"{name}\";
         drop role \"{name}\""
    );
    try_sql(&mut admin().await, &unmake, layout).await.unwrap();
}

#[tokio::test]
async fn an_administrator_without_superuser_is_enough_for_polling() {
    // given such an administrator
    let layout = layout(OutboxKind::Delete);
    let limited = limited_admin(&layout).await;

    // when it makes and drops a layout that is in use
    let made = create(&limited, &layout).await;
    let mut session = log_in(layout.service_role(), &layout).await;
    let dropped = drop_all(&limited, &layout).await;

    // then both work
    let left = traces(&layout).await;
    drop_all(&stack().await.postgres, &layout).await.unwrap();
    drop_limited_admin(&limited, &layout).await;
    made.unwrap();
    dropped.unwrap();
    assert_eq!(left, [0, 0, 0, 0]);
    let session = session.as_mut().unwrap();
    assert!(try_sql(session, "select 1", &layout).await.is_err());
}

#[tokio::test]
async fn given_an_administrator_without_superuser_when_something_is_prepared_then_it_can_end_it() {
    let layout = layout(OutboxKind::Decisions);
    let limited = limited_admin(&layout).await;
    create(&limited, &layout).await.unwrap();
    let prepare = async |name: &str| {
        let mut service = log_in(layout.service_role(), &layout).await.unwrap();
        let lock = "begin; lock table $S.orders in row exclusive mode";
        try_sql(&mut service, lock, &layout).await.unwrap();
        let prepare = format!("prepare transaction '{}/{name}'", layout.name);
        try_sql(&mut service, &prepare, &layout).await.unwrap();
    };

    // When the fence ends what is left, and when all is dropped
    prepare("1").await;
    let mut session = connect(&limited).await.unwrap();
    let settled = in_doubt::settle(&mut session, &layout, Instant::now(), || false).await;
    prepare("2").await;
    let dropped = drop_all(&limited, &layout).await;

    // Then both work
    let left = traces(&layout).await;
    drop_all(&stack().await.postgres, &layout).await.unwrap();
    drop_limited_admin(&limited, &layout).await;
    let unfinished = Unfinished {
        committed: 0,
        rolled_back: 1,
        open: 0,
    };
    assert_eq!(settled, Ok(unfinished));
    dropped.unwrap();
    assert_eq!(left, [0, 0, 0, 0]);
}

#[tokio::test]
async fn given_an_outbox_of_a_file_when_laid_out_then_each_role_has_its_rights_and_all_of_it_is_dropped()
 {
    let admin = &stack().await.postgres;
    let layout = layout(OutboxKind::Foreign { replication: true });
    create(admin, &layout).await.unwrap();
    // When its tables are made, and where the log is read
    let ddl = [
        "create table mine (n bigserial primary key, payload text)".to_owned(),
        "create function tell() returns int language sql as $$ select 7 $$".to_owned(),
    ];
    let after = [
        format!("create publication {} for table mine", layout.publication()),
        format!(
            "select pg_create_logical_replication_slot('{}', 'pgoutput')",
            layout.slot()
        ),
    ];
    let announce = [ForeignStatement {
        sql: "insert into mine (payload) values ($1::text)".to_owned(),
        parameters: vec![Parameter::Payload],
    }];
    let outbox = ForeignSchema {
        ddl: &ddl,
        announce: &announce,
        after: &after,
    };
    lay_out(admin, &layout, &outbox).await.unwrap();
    assert_eq!(traces(&layout).await, [1, 2, 1, 1]);

    // Then the service writes it, with the sequence behind its key, under its qualified name
    let mut service = log_in(layout.service_role(), &layout).await.unwrap();
    let insert = "insert into $S.mine (payload) values ('x')";
    try_sql(&mut service, insert, &layout).await.unwrap();
    assert!(
        try_sql(&mut service, "drop table $S.mine", &layout)
            .await
            .is_err()
    );
    // And the relay reads and changes it by its plain name, makes tables that the service can write, and
    // has no say in the orders
    let mut relay = log_in(layout.relay_role(), &layout).await.unwrap();
    for allowed in [
        "update mine set payload = 'y' where n = 2",
        "select tell()",
        "create table later (n int)",
    ] {
        try_sql(&mut relay, allowed, &layout).await.unwrap();
    }
    try_sql(&mut service, "insert into $S.later values (1)", &layout)
        .await
        .unwrap();
    for forbidden in ["select * from orders", "create schema other_than_ours"] {
        assert!(
            try_sql(&mut relay, forbidden, &layout).await.is_err(),
            "{forbidden}"
        );
    }
    // And it is asked as itself, and may only read
    let role = PostgresTarget {
        user: layout.relay_role(),
        password: layout.password.clone(),
        ..admin.clone()
    };
    for query in ["select n from mine;", "select n from mine -- all of it"] {
        // The trial used up the first number.
        let held = pending::by_query(&role, query, |n| assert_eq!(n, "2"));
        assert_eq!(held.await.unwrap(), 1);
    }
    for wrong in [
        "select m from mine",
        "select attempts from orders",
        "select nextval('mine_n_seq')",
    ] {
        let error = pending::by_query(&role, wrong, |_| {}).await.unwrap_err();
        assert!(
            error.contains(wrong) && !error.contains("at line"),
            "{error}"
        );
    }

    // And it makes what is in no schema
    try_sql(&mut relay, "select lo_from_bytea(0, 'x')", &layout)
        .await
        .unwrap();

    drop_all(admin, &layout).await.unwrap();
    assert_eq!(traces(&layout).await, [0, 0, 0, 0]);
}

#[tokio::test]
async fn given_ddl_that_is_wrong_when_laid_out_then_the_statement_is_named_and_none_of_it_stays() {
    let admin = &stack().await.postgres;
    let layout = layout(OutboxKind::Foreign { replication: false });
    create(admin, &layout).await.unwrap();
    let make = async |ddl: &str, insert: &str| {
        let announce = [ForeignStatement {
            sql: insert.to_owned(),
            parameters: vec![Parameter::Version],
        }];
        let outbox = ForeignSchema {
            ddl: &[ddl.to_owned()],
            announce: &announce,
            after: &[],
        };
        let made = lay_out(admin, &layout, &outbox).await;
        made.map_err(|e| e.to_string())
    };
    let insert = "insert into mine values ($1::text)";
    let ddl = "create table mine (n text unique);\n\ncreate tabel yours (n int)";
    let error = make(ddl, insert).await.unwrap_err();
    assert!(
        error.contains("statement 1") && error.contains("line 3"),
        "{error}"
    );
    assert!(
        error.contains("tabel") && !error.contains("at line"),
        "{error}"
    );
    // And an `insert` that cannot work is known before any load, and leaves nothing
    let wrong = "insert into mine (m) values ($1::text)";
    let error = make("create table mine (n text unique)", wrong)
        .await
        .unwrap_err();
    assert!(
        error.contains("`insert`") && error.contains("column \"m\""),
        "{error}"
    );
    make("select 1; commit; select 1", insert).await.unwrap();
    make("select 1", insert).await.unwrap();
    drop_all(admin, &layout).await.unwrap();
}
