//! A PostgreSQL with a hot standby: a failover keeps its address, what was acknowledged, and the slots that are for it.

use crate::local::connect;
use crate::not_done::not_done;
use crate::{programs, reaper};
use harness::database::postgres::pending;
use harness::scenario::Victim;
use harness::stack::data_folder::DataFolder;
use harness::stack::{
    HotStandby, Jit, Promotion, Provider, ServerSettings, Stack, hot_standby_can_be,
};
use relays::config::PostgresTarget;
use relays::postgres::cdc::CdcSource;
use relays::source::Source;
use sqlx::{AssertSqlSafe, Executor};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Makes a slot that is for a failover, or one that is not.
fn slot(name: &str, failover: bool) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "select pg_create_logical_replication_slot('{name}', 'test_decoding', false, false, {failover})"
    ))
}

/// Kills the server, and has the standby take its place.
async fn fail_over(stack: &Stack, standby: &Arc<HotStandby>) -> Promotion {
    let server = stack.server(Victim::POSTGRES).unwrap();
    server.kill().await.unwrap();
    standby.take_over().await.unwrap()
}

/// Where the standby itself answers, by its command line.
fn target_of_standby(stack: &Stack) -> PostgresTarget {
    let Stack::Own(own) = stack else {
        unreachable!("it was started here");
    };
    let children = own.children();
    let standby = children.iter().find(|c| c.name() == "postgres-hot-standby");
    let pid = standby.unwrap().pid().unwrap();
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let mut arguments = line.split('\0');
    let port = arguments.find_map(|a| a.strip_prefix("port=")).unwrap();
    PostgresTarget {
        port: port.parse().unwrap(),
        ..stack.info().postgres.clone()
    }
}

#[tokio::test]
async fn given_a_hot_standby_when_the_server_is_killed_then_the_standby_has_its_address_its_rows_and_its_slots()
 {
    if let Err(lacking) = hot_standby_can_be(&programs()).await {
        return not_done(&lacking);
    }
    let reaper = reaper();
    let name = format!("oh-hot-standby-{}", std::process::id());
    let folder = DataFolder::make(&std::env::temp_dir().join(name), None, &reaper).unwrap();
    let data = folder.path().join("data");
    let provider = Provider::Local {
        data: data.clone(),
        logs: folder.path().join("logs"),
        programs: programs(),
        jit: Jit::C1,
        settings: ServerSettings {
            hot_standby: true,
            max_slot_wal_keep_bytes: Some(1 << 30),
            servers: BTreeSet::new(),
            ..ServerSettings::default()
        },
    };
    let stack = Stack::start(provider, &reaper).await.unwrap();
    let info = stack.info();
    let mode = "on, and waits for a hot standby that flushes WAL";
    assert_eq!(info.environment["synchronous_commit"], mode);
    let standby = stack.hot_standby().unwrap();
    // A server that lives is nobody's to be taken over
    let refused = standby.take_over().await.unwrap_err();
    assert!(refused.contains("postgres-server lives"), "{refused}");
    let mut session = connect(&info.postgres).await;
    for (name, failover) in [("kept", true), ("gone", false)] {
        session.execute(slot(name, failover)).await.unwrap();
    }
    session.execute("create table t (x int)").await.unwrap();
    standby.has_slot("kept").await.unwrap();
    session.execute("insert into t values (42)").await.unwrap();
    // What a standby does not have, it may get yet
    let follows = target_of_standby(&stack);
    let unknown = pending::is_lost(&follows, "gone").await.unwrap_err();
    assert!(unknown.contains("is a standby"), "{unknown}");
    let mut source = CdcSource::new(follows, "gone".into(), "publication".into());
    let error = source.connect().await.unwrap_err();
    assert!(!error.is_final, "{error}");

    let promotion = fail_over(&stack, standby).await;

    assert_eq!(promotion, Promotion { from: 1, to: 2 });
    let again = standby.take_over().await.unwrap_err();
    assert!(again.contains("there is no other one"), "{again}");
    let mut session = connect(&info.postgres).await;
    session.execute("insert into t values (43)").await.unwrap();
    let rows = "select x from t order by x";
    let rows: Vec<i32> = sqlx::query_scalar(rows)
        .fetch_all(&mut session)
        .await
        .unwrap();
    assert_eq!(rows, [42, 43]);
    let slots = "select slot_name::text from pg_replication_slots";
    let slots: Vec<String> = sqlx::query_scalar(slots)
        .fetch_all(&mut session)
        .await
        .unwrap();
    assert_eq!(slots, ["kept"]);
    // Of before the failover and of after it
    let changes = "select data from pg_logical_slot_get_changes('kept', null, null)";
    let changes: Vec<String> = sqlx::query_scalar(changes)
        .fetch_all(&mut session)
        .await
        .unwrap();
    let changes = changes.join(" ");
    assert!(
        changes.contains("42") && changes.contains("43"),
        "{changes}"
    );
    let limit: String = sqlx::query_scalar("show max_slot_wal_keep_size")
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(limit, "1GB");

    // The next strategy has both again
    stack.make_whole().await.unwrap();
    let mut session = connect(&info.postgres).await;
    session.execute("insert into t values (44)").await.unwrap();

    // And after a failover that fails half-way, where it is no standby any more
    let in_the_way = data.join("postgres/cluster.before");
    std::fs::write(&in_the_way, "").unwrap();
    let server = stack.server(Victim::POSTGRES).unwrap();
    server.kill().await.unwrap();
    let failed = standby.take_over().await.unwrap_err();
    assert!(failed.contains("cluster.before"), "{failed}");
    std::fs::remove_file(&in_the_way).unwrap();
    stack.make_whole().await.unwrap();
    // Or before that, where nobody has started the server again
    server.kill().await.unwrap();
    stack.make_whole().await.unwrap();
    assert_eq!(
        fail_over(&stack, standby).await,
        Promotion { from: 2, to: 3 }
    );
    let mut session = connect(&info.postgres).await;
    let count: i64 = sqlx::query_scalar("select count(*) from t")
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(count, 3);

    let server = stack.server(Victim::POSTGRES).unwrap().clone();
    stack.stop().await.unwrap();
    assert!(!server.is_alive());
    assert!(!data.exists());
}
