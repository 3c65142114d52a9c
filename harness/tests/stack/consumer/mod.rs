//! Consumers as processes of their own, on a real broker and a real database.

mod calls;
mod fixture;

use crate::relay::kafka_link;
use fixture::ConsumerFixture;
use harness::process::Stop;
use harness::toxiproxy::ToxiproxyClient;
use relays::consumer::{EffectKind, Idempotency, OffsetCommit};
use sqlx::AssertSqlSafe;
use std::time::Instant;
use uuid::Uuid;

const ORDERS: u32 = 200;

#[tokio::test]
async fn given_events_that_come_twice_when_consumed_then_only_who_knows_them_applies_each_once() {
    use EffectKind::{Call, Increment, Insert, State};
    for (effect, idempotency, times) in [
        (Insert, Idempotency::None, 2),
        (Insert, Idempotency::Key, 1),
        (Insert, Idempotency::Inbox, 1),
        (Increment, Idempotency::None, 2),
        (Increment, Idempotency::Inbox, 1),
        (State, Idempotency::None, 2),
        (State, Idempotency::Key, 1),
        (State, Idempotency::Inbox, 1),
    ] {
        let mut it = ConsumerFixture::make(effect, idempotency, OffsetCommit::After).await;
        // Some of them within one batch, the others when the first ones are applied.
        it.publish(0..ORDERS);
        it.publish(0..ORDERS / 2);
        let process = it.start();
        it.has_read(i64::from(ORDERS + ORDERS / 2)).await;
        it.publish(ORDERS / 2..ORDERS);
        it.has_read(i64::from(2 * ORDERS)).await;
        process.terminate();
        let of_it = format!("{effect:?}, {idempotency:?}");
        let expected = i64::from(ORDERS) * times;
        assert_eq!(it.effects().await, expected, "{of_it}");
        assert_eq!(it.orders().await, i64::from(ORDERS), "{of_it}");
        // The log of effects is what was done; a state is there once, however often it was set.
        let (done, expected) = match effect {
            Insert => ("select count(*) from SCHEMA.charges", expected),
            Increment => ("select reserved from SCHEMA.stock", expected),
            State => (
                "select sum(version) from SCHEMA.shipments",
                i64::from(ORDERS),
            ),
            Call => unreachable!("it has no table"),
        };
        assert_eq!(it.number(done).await, expected, "{of_it}");
        it.drop_all().await;
    }
}

#[tokio::test]
async fn given_a_consumer_that_is_killed_when_it_is_back_then_it_goes_on_where_it_was_and_leaves_nothing_out()
 {
    for idempotency in [Idempotency::None, Idempotency::Inbox] {
        let mut it =
            ConsumerFixture::make(EffectKind::Insert, idempotency, OffsetCommit::After).await;
        for round in 0..3 {
            let process = it.start();
            it.publish(round * ORDERS..(round + 1) * ORDERS);
            process.kill();
        }
        let process = it.start();
        it.has_read(i64::from(3 * ORDERS)).await;
        process.terminate();
        assert_eq!(it.orders().await, i64::from(3 * ORDERS));
        if idempotency == Idempotency::Inbox {
            assert_eq!(it.effects().await, i64::from(3 * ORDERS));
        }
        it.drop_all().await;
    }
}

#[tokio::test]
async fn given_sessions_that_are_lost_when_it_consumes_then_it_connects_again_and_an_inbox_keeps_it_exact()
 {
    let mut it = ConsumerFixture::make(
        EffectKind::Increment,
        Idempotency::Inbox,
        OffsetCommit::After,
    )
    .await;
    let process = it.start();
    let role = it.layout.service_role();
    for round in 0..5 {
        it.publish(round * ORDERS..(round + 1) * ORDERS);
        let end = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '{role}'"
        );
        it.number(&end).await;
    }
    it.has_read(i64::from(5 * ORDERS)).await;
    process.terminate();
    assert_eq!(it.effects().await, i64::from(5 * ORDERS));
    assert_eq!(
        it.number("select reserved from SCHEMA.stock").await,
        i64::from(5 * ORDERS)
    );
    it.drop_all().await;
}

#[tokio::test]
async fn given_a_consumer_that_commits_first_when_its_effect_cannot_be_done_then_it_is_never_done()
{
    let mut it =
        ConsumerFixture::make(EffectKind::Insert, Idempotency::Key, OffsetCommit::Before).await;
    let schema = it.layout.schema().to_owned();
    let role = it.layout.service_role();
    it.publish(0..ORDERS);
    let revoke = format!("revoke insert on {schema}.charges from {role}");
    sqlx::query(AssertSqlSafe(revoke))
        .execute(&mut it.admin)
        .await
        .unwrap();
    let process = it.start();
    it.has_read(i64::from(ORDERS)).await;
    process.terminate();
    let grant = format!("grant insert on {schema}.charges to {role}");
    sqlx::query(AssertSqlSafe(grant))
        .execute(&mut it.admin)
        .await
        .unwrap();
    it.publish(ORDERS..2 * ORDERS);
    let process = it.start();
    it.has_read(i64::from(2 * ORDERS)).await;
    process.terminate();
    assert_eq!(it.effects().await, i64::from(ORDERS));
    it.drop_all().await;
}

/// Versions of two orders, with copies and some that come late, in two batches.
const JUMBLED: [&[(u32, u32)]; 2] = [
    &[(0, 1), (0, 2), (1, 1), (0, 1), (1, 3), (1, 2), (0, 3)],
    &[(0, 2), (1, 3), (1, 1), (0, 4), (0, 3)],
];

/// What a consumer makes of them.
struct Kept {
    idempotency: Idempotency,
    /// By order, the versions that were set, in their order.
    effects: [&'static [i32]; 2],
    /// By order, the version at the end.
    states: [i32; 2],
}

#[tokio::test]
async fn given_versions_that_come_again_and_late_when_a_state_is_kept_then_only_by_its_version_it_never_goes_back()
 {
    let all = [
        Kept {
            idempotency: Idempotency::None,
            effects: [&[1, 2, 1, 3, 2, 4, 3], &[1, 3, 2, 3, 1]],
            states: [3, 1],
        },
        Kept {
            idempotency: Idempotency::Key,
            effects: [&[1, 2, 3, 4], &[1, 3]],
            states: [4, 3],
        },
        // It knows copies, and cannot know that one comes late.
        Kept {
            idempotency: Idempotency::Inbox,
            effects: [&[1, 2, 3, 4], &[1, 3, 2]],
            states: [4, 2],
        },
    ];
    for Kept {
        idempotency,
        effects,
        states,
    } in all
    {
        let commit = OffsetCommit::After;
        let mut it = ConsumerFixture::make(EffectKind::State, idempotency, commit).await;
        it.publish_versions(JUMBLED[0]);
        let process = it.start();
        it.has_read(JUMBLED[0].len() as i64).await;
        it.publish_versions(JUMBLED[1]);
        it.has_read((JUMBLED[0].len() + JUMBLED[1].len()) as i64)
            .await;
        process.terminate();
        for (order, (effects, state)) in effects.iter().zip(states).enumerate() {
            let of_order = format!("order_id = '{}'", Uuid::from_u128(1 << 64 | order as u128));
            let done = it.versions(&of_order).await;
            assert_eq!(done, *effects, "{idempotency:?}, {order}");
            let kept = format!("select version::bigint from SCHEMA.shipments where {of_order}");
            let kept = it.number(&kept).await;
            assert_eq!(kept, i64::from(state), "{idempotency:?}, {order}");
        }
        it.drop_all().await;
    }
}

#[tokio::test]
async fn given_a_broker_that_is_gone_when_an_offset_is_to_be_committed_then_a_stop_does_not_wait_for_it()
 {
    let link = kafka_link().await;
    let mut it =
        ConsumerFixture::make(EffectKind::Insert, Idempotency::Inbox, OffsetCommit::After).await;
    let proxy = ToxiproxyClient::new(&it.stack.toxiproxy_url).unwrap();
    let route = it.stack.info.routes[&*link].clone();
    let name = format!("{}.commit", it.layout.name);
    proxy
        .create(&name, &route.listen, &route.upstream)
        .await
        .unwrap();
    it.reaches_kafka_at(&route.connect);
    // Its effect waits for a lock while the broker goes.
    let schema = it.layout.schema();
    let lock = format!("begin; lock table {schema}.charges in access exclusive mode");
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut it.admin)
        .await
        .unwrap();
    let process = it.start();
    it.publish(0..ORDERS);
    let waiting = "select count(*) from pg_locks
                     where relation = 'SCHEMA.charges'::regclass and not granted";
    it.is_so(waiting).await;
    proxy.delete(&name).await.unwrap();
    sqlx::raw_sql("commit")
        .execute(&mut it.admin)
        .await
        .unwrap();
    it.is_so("select count(*) from SCHEMA.effects").await;
    let told = Instant::now();
    process.terminate();
    let (took, within) = (told.elapsed(), Stop::default().within);
    assert!(took < within, "{took:?}, and is killed after {within:?}");
    it.drop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_session_that_is_still_committing_when_its_process_is_followed_then_nothing_is_done_beside_it()
 {
    let commit = OffsetCommit::After;
    let mut it = ConsumerFixture::make(EffectKind::State, Idempotency::Key, commit).await;
    // A commit waits for as long as the gate is held.
    it.execute(
        "create table SCHEMA.gate ();
         create function SCHEMA.wait() returns trigger language plpgsql security definer as $$
           begin lock table SCHEMA.gate in share mode; return null; end
         $$;
         create constraint trigger wait after insert on SCHEMA.effects
           deferrable initially deferred for each row execute function SCHEMA.wait()",
    )
    .await;
    it.execute("begin; lock table SCHEMA.gate in access exclusive mode")
        .await;
    it.publish_versions(&[(0, 1)]);
    let process = it.start();
    let waiting = "select count(*) from pg_locks
                     where relation = 'SCHEMA.gate'::regclass and not granted";
    it.is_so(waiting).await;
    process.kill();
    it.publish_versions(&[(0, 2)]);
    // The next one does not see what the first did: version 1 would be new to it.
    let mut process = it.spawn();
    let before = process.says("database_lost");
    assert!(
        before.iter().all(|line| !line.contains("ready")),
        "{before:?}"
    );
    it.execute("commit").await;
    it.has_read(2).await;
    process.terminate();
    assert_eq!(it.versions("true").await, [1, 2]);
    it.drop_all().await;
}
