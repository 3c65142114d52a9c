//! The fence's step in MariaDB, against what could still write after it.

use super::server::{PREPARED, TestDatabase, database};
use crate::patience::PATIENCE;
use harness::database::Truth;
use harness::database::mariadb::close_and_read;
use harness::history::{NONE, TruthRow};
use harness::identity::{Identity, RunKey};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use relays::mariadb::schema::{MariaDbOutbox, connect_admin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A strategy's database, and the run whose orders are in it.
struct GivenMariaDb {
    database: TestDatabase,
    identity: Identity,
}

impl GivenMariaDb {
    async fn tables() -> Option<Self> {
        Some(Self {
            database: database(MariaDbOutbox::Delete).await?,
            identity: RunKey::random().identity().unwrap(),
        })
    }

    async fn close_and_read(&self, within: Duration) -> Result<Truth, String> {
        let TestDatabase { admin, layout } = &self.database;
        close_and_read(admin, layout, &self.identity, within).await
    }

    /// A session of the order service; an Err says why it got none.
    async fn service(&self) -> Result<Conn, String> {
        let mut session = connect_admin(&self.database.service(), None).await?;
        let entered = session.query_drop(format!("USE {}", self.database.layout.name));
        entered.await.map_err(|e| e.to_string())?;
        Ok(session)
    }

    /// How many changes are there.
    async fn changes(&self) -> usize {
        let changes = self.database.rows("SELECT attempt FROM order_changes");
        changes.await.len()
    }
}

/// What writes a change of a new order.
fn change() -> String {
    format!(
        "INSERT INTO order_changes VALUES ('{}', 1, uuid(), uuid())",
        Uuid::new_v4()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn given_open_sessions_and_one_that_comes_again_when_mariadb_is_closed_then_none_writes_after_the_read()
 {
    let Some(given) = GivenMariaDb::tables().await.map(Arc::new) else {
        return;
    };
    let _prepared = PREPARED.read().await;
    // Given a change that is not committed yet, a session that does nothing, and a client that
    // connects again and again, each time for one change
    let mut late = given.service().await.unwrap();
    late.query_drop("BEGIN").await.unwrap();
    late.query_drop(change()).await.unwrap();
    let mut idle = given.service().await.unwrap();
    let (written, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let client = tokio::spawn({
        let (given, stop) = (Arc::clone(&given), Arc::clone(&stop));
        let (written, refused) = (Arc::clone(&written), Arc::clone(&refused));
        async move {
            while !stop.load(Ordering::SeqCst) {
                match given.service().await {
                    Ok(mut session) => {
                        let done = session.query_drop(change()).await.is_ok();
                        written.fetch_add(u64::from(done), Ordering::SeqCst);
                    }
                    Err(_) => {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        }
    });
    until("a change is written", || written.load(Ordering::SeqCst) > 0).await;

    // When the fence closes the database
    let truth = given.close_and_read(PATIENCE).await.unwrap();

    // Then what it has read is all there will ever be
    let before = refused.load(Ordering::SeqCst);
    until("the client is refused", || {
        refused.load(Ordering::SeqCst) > before + 20
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    client.await.unwrap();
    assert!(late.query_drop("COMMIT").await.is_err());
    assert!(idle.query_drop(change()).await.is_err());
    assert_eq!(given.changes().await, truth.rows.len());
    assert!(truth.lsn > 0);
    Arc::into_inner(given).unwrap().database.drop().await;
}

#[tokio::test]
async fn given_a_prepared_transaction_when_mariadb_is_closed_then_the_step_fails_until_somebody_has_decided()
 {
    let Some(given) = GivenMariaDb::tables().await else {
        return;
    };
    let _prepared = PREPARED.write().await;
    let mut service = given.service().await.unwrap();
    let xa = format!("'{}'", given.database.layout.name);
    let prepared = format!("XA START {xa}; {}; XA END {xa}; XA PREPARE {xa}", change());
    service.query_drop(prepared).await.unwrap();
    service.disconnect().await.unwrap();

    let closed = given.close_and_read(PATIENCE).await;

    let reason = closed.unwrap_err();
    let told = "1 prepared transactions (XA RECOVER) could still commit";
    assert_eq!(reason, told);
    given.database.run(&format!("XA COMMIT {xa}")).await;
    let truth = given.close_and_read(PATIENCE).await.unwrap();
    assert_eq!(truth.rows.len(), 1);
    given.database.drop().await;
}

#[tokio::test]
async fn given_somebody_who_may_still_write_when_mariadbs_truth_is_read_then_the_step_ends_and_names_them()
 {
    let Some(given) = GivenMariaDb::tables().await else {
        return;
    };
    let _prepared = PREPARED.read().await;
    // Given somebody else than the order service, in a transaction
    let mut somebody = given.database.session().await;
    somebody.query_drop("BEGIN").await.unwrap();
    somebody.query_drop(change()).await.unwrap();
    let session = somebody.id();

    let read = given.close_and_read(Duration::from_millis(300));
    let read = tokio::time::timeout(PATIENCE, read).await;

    let reason = read.expect("the step goes on").unwrap_err();
    assert!(reason.contains("still locked"), "{reason}");
    assert!(reason.contains(&format!("session {session} (")), "{reason}");
    // And when they have ended, it is read
    somebody.query_drop("ROLLBACK").await.unwrap();
    let truth = given.close_and_read(PATIENCE).await.unwrap();
    assert_eq!(truth.rows.len(), 0);
    given.database.drop().await;
}

#[tokio::test]
async fn given_changes_of_this_run_when_mariadbs_truth_is_read_then_it_is_who_made_each_version() {
    let Some(given) = GivenMariaDb::tables().await else {
        return;
    };
    let _prepared = PREPARED.read().await;
    let ids = &given.identity;
    // Given changes in any order, one of them nobody's
    let row = |order: Uuid, version: u32, attempt: u32| {
        let (attempt, change) = (ids.attempt_id(attempt), ids.change_id(attempt + 10));
        format!("('{order}', {version}, '{attempt}', '{change}')")
    };
    let (order, nobody) = (ids.order_id(3), Uuid::new_v4());
    let rows = [row(order, 2, 6), row(nobody, 1, 7), row(order, 1, 5)].join(", ");
    let insert = format!("INSERT INTO order_changes VALUES {rows}");
    given.database.run(&insert).await;

    let truth = given.close_and_read(PATIENCE).await.unwrap();

    let row = |order, version, attempt| TruthRow {
        order,
        version,
        attempt,
        change: attempt + 10,
    };
    let rows: Vec<_> = truth.rows.iter().collect();
    assert_eq!(rows, [row(3, 1, 5), row(3, 2, 6), row(NONE, 1, 7)]);
    // And where the table is gone, that is said, and no lock is blamed
    given.database.run("DROP TABLE order_changes").await;
    let reason = given.close_and_read(PATIENCE).await.unwrap_err();
    assert!(reason.contains("doesn't exist"), "{reason}");
    assert!(!reason.contains("still locked"), "{reason}");
    given.database.drop().await;
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
