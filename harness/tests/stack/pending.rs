//! What a source still holds, read beside whoever relays it.

use crate::patience::PATIENCE;
use crate::stack;
use harness::database::postgres::{fence, pending};
use harness::identity::RunKey;
use relays::config::{AfterPublish, Isolation, PostgresTarget};
use relays::postgres::cdc::CdcSource;
use relays::postgres::schema::{self, Layout, OutboxKind};
use relays::source::Source;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::time::Instant;

/// An outbox of one test.
struct GivenOutbox {
    admin: PostgresTarget,
    layout: Layout,
}

impl GivenOutbox {
    async fn outbox(outbox: OutboxKind) -> Self {
        let given = Self {
            admin: stack().await.postgres.clone(),
            layout: Layout {
                isolation: Isolation::Schema,
                name: format!("pending_{}", RunKey::random().run),
                outbox,
                failover_slot: false,
                password: "secret".into(),
            },
        };
        schema::create(&given.admin, &given.layout).await.unwrap();
        given
    }

    async fn session(&self) -> PgConnection {
        let soon = Instant::now() + PATIENCE;
        fence::connect(&self.admin, soon).await.unwrap()
    }

    fn insert(&self, payload: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!(
            "INSERT INTO \"{}\".outbox (id, aggregatetype, aggregateid, type, version, payload)
             VALUES (gen_random_uuid(), 'Order', 'x', 't', 1, '{payload}')",
            self.layout.schema()
        ))
    }

    /// What a polling relay has left, and how many that is.
    async fn left(&self, after_publish: AfterPublish) -> (u64, Vec<String>) {
        let mut left = Vec::new();
        let keep = |payload: &str| left.push(payload.to_owned());
        let schema = self.layout.schema();
        let count = pending::in_outbox(&self.admin, schema, after_publish, keep).await;
        (count.unwrap(), left)
    }

    /// Appends an event, where these are the truth.
    fn append(&self, payload: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!(
            "INSERT INTO \"{}\".events (aggregateid, version, id, type, attempt, change_id, payload)
             SELECT i, 1, i, 't', i, i, '{payload}' FROM gen_random_uuid() i",
            self.layout.schema()
        ))
    }

    /// Keeps the position of one who has published this event last.
    async fn keep_position_of(&self, session: &mut PgConnection, payload: &str) {
        let schema = self.layout.schema();
        let position = format!(
            "UPDATE \"{schema}\".relay_position SET (xid, seq) =
               (SELECT xid, seq FROM \"{schema}\".events WHERE payload = '{payload}')"
        );
        session.execute(AssertSqlSafe(position)).await.unwrap();
    }

    /// What is behind the position.
    async fn behind_position(&self) -> Vec<String> {
        let mut held = Vec::new();
        let keep = |payload: &str| held.push(payload.to_owned());
        let count = pending::behind_position(&self.admin, self.layout.schema(), keep).await;
        assert_eq!(count, Ok(held.len() as u64));
        held
    }

    async fn drop(self) {
        schema::drop_all(&self.admin, &self.layout).await.unwrap();
    }
}

#[tokio::test]
async fn given_rows_of_any_status_when_asked_then_the_outbox_holds_all_that_are_not_processed() {
    let given = GivenOutbox::outbox(OutboxKind::Mark).await;
    let mut session = given.session().await;
    for payload in ["new", "done", "parked"] {
        session.execute(given.insert(payload)).await.unwrap();
    }
    for (payload, status) in [("done", "processed"), ("parked", "failed")] {
        let mark = format!(
            "UPDATE \"{}\".outbox SET status = '{status}' WHERE payload = '{payload}'",
            given.layout.schema()
        );
        session.execute(AssertSqlSafe(mark)).await.unwrap();
    }

    let left = given.left(AfterPublish::Mark).await;

    given.drop().await;
    assert_eq!(left, (2, vec!["new".to_owned(), "parked".to_owned()]));
}

#[tokio::test]
async fn given_rows_that_are_there_when_asked_then_the_outbox_holds_them_all_by_their_number() {
    let given = GivenOutbox::outbox(OutboxKind::Delete).await;
    let none = given.left(AfterPublish::Delete).await;
    let mut session = given.session().await;
    for payload in ["b", "c", "a"] {
        session.execute(given.insert(payload)).await.unwrap();
    }

    let left = given.left(AfterPublish::Delete).await;

    given.drop().await;
    assert_eq!(none, (0, Vec::new()));
    assert_eq!(left, (3, ["b", "c", "a"].map(str::to_owned).into()));
}

#[tokio::test]
async fn given_transactions_that_overlap_when_asked_then_the_slot_holds_their_events_as_committed()
{
    let given = GivenOutbox::outbox(OutboxKind::Cdc).await;
    let (mut first, mut second) = (given.session().await, given.session().await);
    first.execute("BEGIN").await.unwrap();
    first.execute(given.insert("began first")).await.unwrap();
    second.execute("BEGIN").await.unwrap();
    second.execute(given.insert("rolled back")).await.unwrap();
    second.execute("ROLLBACK").await.unwrap();
    second
        .execute(given.insert("committed first"))
        .await
        .unwrap();
    first.execute("COMMIT").await.unwrap();

    // Asked twice, since asking takes nothing away
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut held = Vec::new();
        let keep = |lsn, payload: &str| held.push((lsn, payload.to_owned()));
        let (slot, publication) = (given.layout.slot(), given.layout.publication());
        let count = pending::in_slot(&given.admin, &slot, &publication, keep).await;
        assert_eq!(count, Ok(2));
        answers.push(held);
    }

    given.drop().await;
    let payloads: Vec<_> = answers[0].iter().map(|(_, payload)| payload).collect();
    assert_eq!(payloads, ["committed first", "began first"]);
    assert!(answers[0][0].0 < answers[0][1].0);
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn given_messages_of_any_kind_when_asked_then_the_slot_holds_those_that_committed_with_its_prefix()
 {
    let given = GivenOutbox::outbox(OutboxKind::Message).await;
    let schema = given.layout.schema().to_owned();
    let emit = |transactional: bool, prefix: &str, payload: &str| {
        let fields = format!("key\\tid\\ttype\\t1\\t{payload}");
        let emit =
            format!("SELECT pg_logical_emit_message({transactional}, '{prefix}', e'{fields}')");
        AssertSqlSafe(emit)
    };
    let (mut first, mut second) = (given.session().await, given.session().await);
    first.execute("BEGIN").await.unwrap();
    first
        .execute(emit(true, &schema, "began first"))
        .await
        .unwrap();
    second.execute("BEGIN").await.unwrap();
    second
        .execute(emit(true, &schema, "rolled back"))
        .await
        .unwrap();
    second.execute("ROLLBACK").await.unwrap();
    for (transactional, prefix, payload) in [
        (false, &*schema, "of no transaction"),
        (true, "another", "of somebody else"),
        (true, &*schema, "committed first"),
    ] {
        second
            .execute(emit(transactional, prefix, payload))
            .await
            .unwrap();
    }
    first.execute("COMMIT").await.unwrap();

    let mut held = Vec::new();
    let keep = |_, payload: &str| held.push(payload.to_owned());
    let (slot, publication) = (given.layout.slot(), given.layout.publication());
    let count = pending::messages_in_slot(&given.admin, &slot, &publication, &schema, keep).await;

    given.drop().await;
    assert_eq!(count, Ok(2));
    assert_eq!(held, ["committed first", "began first"]);
}

#[tokio::test]
async fn given_events_that_stay_when_asked_then_those_behind_the_position_are_held_in_its_order() {
    let given = GivenOutbox::outbox(OutboxKind::Events).await;
    // Given a transaction that begins first and commits last, and a position between the others
    let mut session = given.session().await;
    session.execute(given.append("published")).await.unwrap();
    let mut late = given.session().await;
    late.execute("BEGIN").await.unwrap();
    late.execute(given.append("began first")).await.unwrap();
    session
        .execute(given.append("committed first"))
        .await
        .unwrap();
    late.execute("COMMIT").await.unwrap();
    given.keep_position_of(&mut session, "published").await;

    let held = given.behind_position().await;
    given.drop().await;
    assert_eq!(held, ["began first", "committed first"]);
}

#[tokio::test]
async fn given_events_that_were_read_from_the_log_when_no_slot_tells_what_is_held_then_all_of_them_may_be()
 {
    let given = GivenOutbox::outbox(OutboxKind::LoggedEvents).await;
    let mut session = given.session().await;
    for payload in ["b", "a"] {
        session.execute(given.append(payload)).await.unwrap();
    }

    let mut all = Vec::new();
    let keep = |payload: &str| all.push(payload.to_owned());
    let count = pending::in_events(&given.admin, given.layout.schema(), keep).await;

    given.drop().await;
    all.sort();
    assert_eq!((count, all), (Ok(2), ["a", "b"].map(str::to_owned).into()));
}

#[tokio::test]
async fn given_a_lower_id_with_a_higher_number_when_asked_then_the_id_says_what_is_behind_the_position()
 {
    let given = GivenOutbox::outbox(OutboxKind::Events).await;
    // Given a transaction that has its id first, and its number last
    let (mut first, mut second) = (given.session().await, given.session().await);
    for sql in ["BEGIN", "SELECT pg_current_xact_id()"] {
        first.execute(sql).await.unwrap();
    }
    second.execute(given.append("high id")).await.unwrap();
    first.execute(given.append("low id")).await.unwrap();
    first.execute("COMMIT").await.unwrap();

    let mut held = Vec::new();
    let all = given.behind_position().await;
    for published in ["low id", "high id"] {
        given.keep_position_of(&mut second, published).await;
        held.push(given.behind_position().await);
    }

    given.drop().await;
    assert_eq!(all, ["low id", "high id"]);
    assert_eq!(held, [vec!["high id".to_owned()], vec![]]);
}

async fn pid_of(session: &mut PgConnection) -> i32 {
    let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(session);
    pid.await.unwrap()
}

#[tokio::test]
async fn given_a_stranger_below_what_is_held_when_asked_then_it_is_named_and_the_strategys_own_are_not()
 {
    let given = GivenOutbox::outbox(OutboxKind::Events).await;
    let above = || async { pending::above_the_horizon(&given.admin, &given.layout).await };
    // Given somebody who wrote and did not commit, a prepared transaction, and the relay itself; then an event
    let mut idle = given.session().await;
    let session = format!("session {} of ", pid_of(&mut idle).await);
    for sql in ["BEGIN", "SELECT pg_current_xact_id()"] {
        idle.execute(sql).await.unwrap();
    }
    let before_any = above().await.unwrap();
    let mut forgotten = given.session().await;
    let gid = format!("{}_forgotten", given.layout.schema());
    let prepare = format!("PREPARE TRANSACTION '{gid}'");
    for sql in ["BEGIN", "SELECT pg_current_xact_id()", &prepare] {
        forgotten
            .execute(AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap();
    }
    let relay = PostgresTarget {
        user: given.layout.relay_role(),
        password: given.layout.password.clone(),
        ..given.admin.clone()
    };
    let mut own = fence::connect(&relay, Instant::now() + PATIENCE)
        .await
        .unwrap();
    let pid_of_own = pid_of(&mut own).await;
    for sql in ["BEGIN", "SELECT pg_current_xact_id()"] {
        own.execute(sql).await.unwrap();
    }
    let mut writer = given.session().await;
    writer.execute(given.append("held")).await.unwrap();
    // And somebody who came later
    let mut late = given.session().await;
    let pid_of_late = pid_of(&mut late).await;
    for sql in ["BEGIN", "SELECT pg_current_xact_id()"] {
        late.execute(sql).await.unwrap();
    }

    let both = above().await.unwrap().unwrap_or_default();
    idle.execute("ROLLBACK").await.unwrap();
    let one = above().await.unwrap().unwrap_or_default();
    // And an event behind the one who came later, who holds up that one alone
    writer.execute(given.append("behind")).await.unwrap();
    let rollback = AssertSqlSafe(format!("ROLLBACK PREPARED '{gid}'"));
    forgotten.execute(rollback).await.unwrap();
    let first_is_free = above().await.unwrap();
    given.keep_position_of(&mut writer, "held").await;
    let held_by_late = above().await.unwrap().unwrap_or_default();
    given.keep_position_of(&mut writer, "behind").await;
    let drained = above().await.unwrap();

    late.execute("ROLLBACK").await.unwrap();
    own.close().await.unwrap();
    given.drop().await;
    let prepared = format!("prepared transaction '{gid}' of ");
    assert!(
        both.contains(&session) && both.contains(&prepared),
        "{both}"
    );
    assert!(!one.contains(&session) && one.contains(&prepared), "{one}");
    for pid in [pid_of_own, pid_of_late] {
        assert!(!both.contains(&format!("session {pid} ")), "{both}");
    }
    assert_eq!(first_is_free, None);
    let named = format!("session {pid_of_late} ");
    assert!(held_by_late.contains(&named), "{held_by_late}");
    // Nothing is held, so nobody holds it up
    assert_eq!((before_any, drained), (None, None));
}

#[tokio::test]
async fn what_a_relays_own_query_tells_is_handed_over_row_by_row() {
    let admin = stack().await.postgres.clone();
    let mut held = Vec::new();
    let keep = |id: &str| held.push(id.to_owned());
    let count = pending::by_query(&admin, "values (17), (null), (4)", keep).await;
    assert_eq!(count, Ok(3));
    assert_eq!(held, ["17", "", "4"]);
}

/// Events that are held back at the end may be more than fits into memory.
#[tokio::test]
async fn given_more_than_should_be_held_when_it_is_read_then_it_is_never_held_all_at_once() {
    const EVENTS: u64 = 400;
    const BYTES: u64 = 600_000;
    // Given outbox rows of 240 MB in all, in the table as in the slot
    let given = GivenOutbox::outbox(OutboxKind::Cdc).await;
    let mut session = given.session().await;
    let insert = format!(
        "INSERT INTO \"{}\".outbox (id, aggregatetype, aggregateid, type, version, payload)
         SELECT gen_random_uuid(), 'Order', 'x', 't', i, repeat('x', {BYTES})
         FROM generate_series(1, {EVENTS}) i",
        given.layout.schema()
    );
    session.execute(AssertSqlSafe(insert)).await.unwrap();
    let before = resident_bytes();

    // When they are read, and at each of them it is looked at how much this process holds
    let (mut most, mut bytes) = (0, 0);
    let mut look = |payload: &str| {
        bytes += payload.len() as u64;
        most = resident_bytes().max(most);
    };
    let schema = given.layout.schema();
    let in_outbox = pending::in_outbox(&given.admin, schema, AfterPublish::Delete, &mut look).await;
    let (slot, publication) = (given.layout.slot(), given.layout.publication());
    let in_slot = pending::in_slot(&given.admin, &slot, &publication, |_, p| look(p)).await;

    // Then it is a part of them, whatever the tests beside this one hold
    given.drop().await;
    assert_eq!((in_outbox, in_slot), (Ok(EVENTS), Ok(EVENTS)));
    assert_eq!(bytes, 2 * EVENTS * BYTES);
    let grown = most.saturating_sub(before);
    assert!(grown < EVENTS * BYTES / 2, "{grown} bytes");
}

/// What this process has in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1_024
}

/// As on a standby that took the place of a server whose slot it has not.
#[tokio::test]
async fn given_a_slot_that_is_not_there_when_asked_then_it_holds_nothing_and_its_relay_gives_up() {
    let admin = stack().await.postgres.clone();
    let (slot, publication) = ("oh_never_made_slot", "oh_never_made_pub");

    assert_eq!(pending::is_lost(&admin, slot).await, Ok(true));
    let held = pending::in_slot(&admin, slot, publication, |_, _| {}).await;
    assert_eq!(held, Ok(0));
    let mut source = CdcSource::new(admin, slot.into(), publication.into());
    let error = source.connect().await.unwrap_err();
    assert!(error.is_final, "{error}");
    let said = error.to_string();
    assert!(said.contains("this server has no such slot"), "{said}");
}
