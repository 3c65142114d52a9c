//! kill -9 of the harness at moments that are spread over a run with a process of every kind of ours, a recoverer and
//! consumers among them, with orders that are prepared: nothing is left of it, and what nobody could remove the next
//! run does. A few moments here, and all of them with `make test-moments`.

use super::external::{AsFound, until};
use super::interruption::{Run, nothing_left};
use super::turn::beside_another;
use crate::all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::AssertSqlSafe;
use sqlx::PgConnection;
use std::path::Path;
use std::time::Duration;

/// This environment variable asks for so many moments.
const ASKED_FOR: &str = "OUTBOX_HARNESS_MOMENTS";
const USUAL: usize = 3;

/// The order service is killed within it, so the recoverer has something to do.
const SCENARIO: &str = r#"
name = "moments"

[workload]
rate = 60
duration = "2500ms"
hold_ratio = 0.5
hold = "100ms"
postgres_connections = 24
min_committed_per_phase = 0
request_timeout = "500ms"

[[fault]]
target = "order-service"
kind = "kill"
at = "900ms"
for = "400ms"

[drain]
settle = "500ms"

[strategy.two-phase]
kind = "two-phase-commit"
producers = 12

[consumer.payments]
effect = "insert"
idempotency = "inbox"

[consumer.mailer]
effect = "call"

[expect.two-phase]
lost = 0
"#;

/// A moment: after what the run has said, and how much later.
type Moment = (&'static str, u64);

const MOMENTS: [Moment; 20] = [
    ("load:", 300),
    ("fence 4 of 8", 0),
    ("load:", 1_000),
    ("setting up", 0),
    ("setting up", 150),
    ("setting up", 400),
    ("load:", 0),
    ("load:", 600),
    ("load:", 800),
    ("load:", 1_200),
    ("load:", 1_400),
    ("load:", 1_800),
    ("load:", 2_200),
    ("fence 1 of 8", 0),
    ("fence 2 of 8", 0),
    ("fence 3 of 8", 0),
    ("fence 5 of 8", 0),
    ("fence 6 of 8", 0),
    ("fence 7 of 8", 0),
    ("fence 8 of 8", 0),
];

/// How many moments are asked for.
fn how_many(asked: Option<&str>) -> usize {
    let number = asked.and_then(|text| text.parse().ok());
    number.unwrap_or(USUAL).clamp(1, MOMENTS.len())
}

#[test]
fn given_any_number_of_moments_asked_for_then_there_are_as_many_as_there_can_be() {
    assert_eq!(how_many(None), USUAL);
    assert_eq!(how_many(Some("20")), 20);
    for (odd, number) in [("0", 1), ("21", 20), ("many", USUAL)] {
        assert_eq!(how_many(Some(odd)), number, "{odd}");
    }
}

/// Has the run's orders stay prepared: whoever wants to decide waits for this session.
async fn keeps_them_prepared(theirs: &AsFound) -> PgConnection {
    let mut session = theirs.session().await;
    let found = "SELECT schemaname::text FROM pg_tables WHERE tablename = 'decisions'";
    let schema: String = sqlx::query_scalar(found)
        .fetch_one(&mut session)
        .await
        .unwrap();
    let lock = format!("BEGIN; LOCK TABLE \"{schema}\".decisions IN SHARE MODE");
    let locked = sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut session)
        .await;
    locked.unwrap();
    until("an order is prepared", async || prepared(theirs).await > 0).await;
    session
}

async fn prepared(theirs: &AsFound) -> i64 {
    let mut session = theirs.session().await;
    let counted = sqlx::query_scalar("SELECT count(*) FROM pg_prepared_xacts");
    counted.fetch_one(&mut session).await.unwrap()
}

/// Processes that this one has started, and those that they have started.
fn descendants(of: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let all = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_below = |pid: &i32| {
        let ancestors = std::iter::successors(parent(*pid), |pid| parent(*pid));
        ancestors.take(16).any(|ancestor| ancestor == of)
    };
    all.filter(is_below).collect()
}

fn start(home: &Path, theirs: &AsFound) -> Run {
    Run::start_with(home, SCENARIO, &theirs.arguments("two-phase"))
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_two_phase_commit_with_consumers_when_killed_at_any_moment_then_nothing_is_left() {
    if !all::is_asked_for() {
        return;
    }
    let turn = beside_another();
    let theirs = AsFound::look(&turn).await;
    let asked = std::env::var(ASKED_FOR).ok();
    for (said, later_ms) in &MOMENTS[..how_many(asked.as_deref())] {
        let home = tempfile::tempdir().unwrap();
        let mut run = start(home.path(), &theirs);
        run.until_said(said);
        // Which moment of the work this hits is not known, and need not be.
        tokio::time::sleep(Duration::from_millis(*later_ms)).await;
        run.signal(Signal::SIGKILL);
        let (code, text) = run.ended();
        assert_eq!(code, None, "{later_ms} ms after `{said}`:\n{text}");
        let what = format!("nothing is left of what was killed {later_ms} ms after `{said}`");
        until(&what, async || theirs.is_as_found().await).await;
        nothing_left(home.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_prepared_orders_when_the_harness_is_killed_then_its_reaper_or_the_next_run_ends_them()
 {
    let turn = beside_another();
    let theirs = AsFound::look(&turn).await;
    for has_reaper in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let mut run = start(home.path(), &theirs);
        run.until_said("load:");
        let session = keeps_them_prepared(&theirs).await;
        if !has_reaper {
            // All at once, as when the machine's memory is at its end
            run.signal(Signal::SIGSTOP);
            for pid in descendants(run.pid()) {
                // Where its parent was killed before, it may have gone.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        run.signal(Signal::SIGKILL);
        run.ended();
        nothing_left(home.path());
        if !has_reaper {
            drop(session);
            assert!(prepared(&theirs).await > 0 && !theirs.is_as_found().await);
            let next = tempfile::tempdir().unwrap();
            let mut run = start(next.path(), &theirs);
            run.until_said("left by run");
            run.signal(Signal::SIGINT);
            run.ended();
        }
        until("nothing of it is left", async || theirs.is_as_found().await).await;
        assert_eq!(prepared(&theirs).await, 0);
    }
}
