//! A consumer that calls somebody, who does not always answer as he should.

use super::ORDERS;
use super::fixture::ConsumerFixture;
use crate::patience::PATIENCE;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use relays::consumer::{CallTarget, EffectKind, IDEMPOTENCY_KEY, Idempotency, OffsetCommit};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How a call is answered.
#[derive(Debug, Clone, Copy)]
enum Answer {
    With(StatusCode),
    Never,
}

#[derive(Default)]
struct Script {
    /// The next calls are answered so, and all behind them well.
    answers: VecDeque<Answer>,
    /// How often each id was called with.
    calls: BTreeMap<String, u32>,
}

type SharedScript = Arc<Mutex<Script>>;

async fn taken(State(script): State<SharedScript>, headers: HeaderMap) -> StatusCode {
    let answer = {
        let mut script = script.lock().unwrap();
        let id = headers[IDEMPOTENCY_KEY].to_str().unwrap().to_owned();
        *script.calls.entry(id).or_default() += 1;
        script.answers.pop_front()
    };
    match answer {
        Some(Answer::With(status)) => status,
        Some(Answer::Never) => std::future::pending().await,
        None => StatusCode::OK,
    }
}

/// Whom a consumer calls, as the test says.
async fn sink(answers: &[Answer]) -> (CallTarget, SharedScript) {
    let script = SharedScript::default();
    script.lock().unwrap().answers.extend(answers);
    let router = Router::new()
        .route("/calls", post(taken))
        .with_state(Arc::clone(&script));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = CallTarget {
        address: listener.local_addr().unwrap(),
        path: "/calls".to_owned(),
    };
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (target, script)
}

/// How many ids were called with so often.
fn counted(script: &SharedScript) -> BTreeMap<u32, usize> {
    let mut counted = BTreeMap::new();
    for times in script.lock().unwrap().calls.values() {
        *counted.entry(*times).or_default() += 1;
    }
    counted
}

/// Waits until so many ids were called with, however often each.
async fn called(script: &SharedScript, ids: usize) {
    let deadline = Instant::now() + PATIENCE;
    while script.lock().unwrap().calls.len() < ids {
        assert!(Instant::now() < deadline, "only {:?}", counted(script));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The first so many times that an id is written into the inbox, that fails.
async fn inbox_fails(it: &mut ConsumerFixture, times: u32) {
    // A sequence is not rolled back.
    let sql = format!(
        "create sequence SCHEMA.tries;
         create function SCHEMA.refuse() returns trigger language plpgsql security definer as $$
           begin
             if nextval('SCHEMA.tries') <= {times} then raise exception 'not now'; end if;
             return new;
           end
         $$;
         create trigger refuse before insert on SCHEMA.inbox
           for each row execute function SCHEMA.refuse()"
    );
    it.execute(&sql).await;
}

/// Waits until there were so many calls.
async fn called_so_often(script: &SharedScript, calls: u32) {
    let deadline = Instant::now() + PATIENCE;
    while script.lock().unwrap().calls.values().sum::<u32>() < calls {
        assert!(Instant::now() < deadline, "only {:?}", counted(script));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

const WELL: Answer = Answer::With(StatusCode::OK);
const BUSY: Answer = Answer::With(StatusCode::SERVICE_UNAVAILABLE);

#[tokio::test(flavor = "multi_thread")]
async fn given_events_that_come_twice_when_called_for_then_an_inbox_leaves_the_copies_out() {
    for commit in OffsetCommit::ALL {
        for (idempotency, times) in [(Idempotency::None, 2), (Idempotency::Inbox, 1)] {
            let (target, script) = sink(&[]).await;
            let mut it = ConsumerFixture::make(EffectKind::Call, idempotency, commit).await;
            it.calls(target);
            it.publish(0..ORDERS);
            it.publish(0..ORDERS);
            let process = it.start();
            it.has_read(i64::from(2 * ORDERS)).await;
            // Behind the commit, if it is before them.
            called_so_often(&script, times * ORDERS).await;
            process.terminate();
            let expected = BTreeMap::from([(times, ORDERS as usize)]);
            assert_eq!(counted(&script), expected, "{idempotency:?}, {commit:?}");
            it.drop_all().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_calls_that_fail_when_the_offset_comes_after_then_they_are_made_again_with_the_same_id_until_one_is_taken()
 {
    // More in a row than it tries at a time.
    let answers = [BUSY; 5];
    let (target, script) = sink(&answers).await;
    let commit = OffsetCommit::After;
    let mut it = ConsumerFixture::make(EffectKind::Call, Idempotency::None, commit).await;
    it.calls(target);
    it.publish(0..ORDERS);
    let process = it.start();
    it.has_read(i64::from(ORDERS)).await;
    process.terminate();
    let counted = counted(&script);
    assert_eq!(counted.values().sum::<usize>(), ORDERS as usize);
    let calls: usize = counted
        .iter()
        .map(|(times, ids)| *times as usize * ids)
        .sum();
    assert_eq!(calls, ORDERS as usize + answers.len());
    it.drop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_calls_that_fail_when_the_offset_comes_before_then_none_is_made_again() {
    let (target, script) = sink(&[BUSY; 3]).await;
    let commit = OffsetCommit::Before;
    let mut it = ConsumerFixture::make(EffectKind::Call, Idempotency::Inbox, commit).await;
    it.calls(target);
    it.publish(0..ORDERS);
    let process = it.start();
    it.has_read(i64::from(ORDERS)).await;
    called(&script, ORDERS as usize).await;
    process.terminate();
    assert_eq!(counted(&script), BTreeMap::from([(1, ORDERS as usize)]));
    it.drop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_an_inbox_that_cannot_be_written_when_called_then_no_call_is_made_again_and_no_other_is_left_out()
 {
    let failing = 3;
    for (commit, never) in [
        // What was called for is written when it can be.
        (OffsetCommit::After, 0),
        // What is not written is not called for, and what is behind it is.
        (OffsetCommit::Before, failing),
    ] {
        let (target, script) = sink(&[]).await;
        let mut it = ConsumerFixture::make(EffectKind::Call, Idempotency::Inbox, commit).await;
        it.calls(target);
        inbox_fails(&mut it, failing).await;
        it.publish(0..ORDERS);
        let process = it.start();
        it.has_read(i64::from(ORDERS)).await;
        let ids = (ORDERS - never) as usize;
        called(&script, ids).await;
        process.terminate();
        assert_eq!(counted(&script), BTreeMap::from([(1, ids)]), "{commit:?}");
        it.drop_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_crash_when_calling_then_what_was_under_way_is_done_twice_or_never_as_the_inbox_says()
 {
    // It dies with a call under way, which is never answered, in the middle of what it had read.
    let done = 50;
    let mut answers = vec![WELL; done];
    answers.push(Answer::Never);
    for (commit, under_way) in [(OffsetCommit::After, 2), (OffsetCommit::Before, 1)] {
        let (target, script) = sink(&answers).await;
        let mut it = ConsumerFixture::make(EffectKind::Call, Idempotency::Inbox, commit).await;
        it.calls(target);
        it.publish(0..ORDERS);
        let process = it.start();
        called(&script, done + 1).await;
        process.kill();
        // All of it again, of which the inbox leaves out what it has.
        it.publish(0..ORDERS);
        let process = it.start();
        it.has_read(i64::from(2 * ORDERS)).await;
        called(&script, ORDERS as usize).await;
        process.terminate();
        let mut expected = BTreeMap::from([(1, ORDERS as usize - 1)]);
        *expected.entry(under_way).or_default() += 1;
        assert_eq!(counted(&script), expected, "{commit:?}");
        it.drop_all().await;
    }
}
