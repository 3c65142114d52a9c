//! Ends of runs that must not be blamed on the wrong one: a relay that dies by itself is a finding, a
//! database that cannot be read is not.

use crate::bench::Ran;
use crate::case::{USUAL, telling};
use crate::{stacks, turn};
use harness::database::postgres::fence;
use reports::record::Verdict;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::time::{Duration, Instant};
use zoo::relays::dies;

#[test]
fn given_a_relay_that_dies_by_itself_when_judged_then_its_death_heads_what_it_left_undrained() {
    let case = crate::case::Case {
        defect: "dies",
        ..USUAL
    };
    let ran = telling(
        false,
        |ran| ran.tells(&[], 1) && ran.in_time(&[]),
        |turn| turn.run(case.defect, &case.scenario()),
    );

    let left = ran.committed() - dies::ENOUGH;
    let finds = [("undrained", left)];
    ran.found(&finds);
    ran.judged(Verdict::Fail, &finds, &[]);
    let first = &ran.strategy().reasons[0];
    assert!(first.starts_with("zoo's relay died at "), "{first}");
    assert!(first.contains("it exited with code 1"), "{first}");
    assert!(first.contains(dies::LAST_WORDS), "{first}");
    assert!(
        first.ends_with(&format!("; {left} changes are undelivered")),
        "{first}"
    );
}

#[test]
fn given_a_database_that_cannot_be_read_at_the_end_when_judged_then_nothing_is_missing() {
    let turn = turn::beside_another();
    let stack = stacks::of(&turn);
    let ran: Ran = turn.run_on(stack, "honest", &USUAL.scenario(), |_| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(take_orders_away(stack));
    });

    ran.found(&[]);
    ran.judged(Verdict::Unknown, &[], &[]);
    let strategy = ran.strategy();
    let counts = &strategy.counts;
    assert!(counts.acknowledged >= ENOUGH, "{counts:?}");
    for figure in [
        counts.committed,
        counts.missing,
        counts.lost,
        counts.phantom,
    ] {
        assert_eq!(figure, None, "{counts:?}");
    }
    let step = "step 4 of the fence";
    assert!(
        strategy.reasons.iter().any(|r| r.contains(step)),
        "{:?}",
        strategy.reasons
    );
    let missing = strategy
        .expectations
        .iter()
        .find(|e| e.metric == "missing")
        .unwrap();
    assert_eq!((missing.met, missing.observed), (None, None));
    assert!(missing.reason.contains(step), "{}", missing.reason);
}

/// Acknowledged changes that would all be missing.
const ENOUGH: u64 = 100;

/// Gives the run's table another name, as a migration in the wrong minute does.
async fn take_orders_away(stack: &harness::stack::StackInfo) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut connection = fence::connect(&stack.postgres, deadline).await.unwrap();
    while Instant::now() < deadline {
        if let Some(schema) = filled(&mut connection).await {
            let sql = format!("ALTER TABLE \"{schema}\".orders RENAME TO orders_before");
            connection.execute(AssertSqlSafe(sql)).await.unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no schema with {ENOUGH} orders");
}

/// The schema of a run that has placed enough orders.
async fn filled(connection: &mut PgConnection) -> Option<String> {
    let sql = "SELECT nspname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace \
               WHERE relname = 'orders' AND relkind = 'r' AND nspname LIKE 'oh\\_%'";
    let schemas: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    for schema in schemas {
        let sql = format!("SELECT count(*) FROM \"{schema}\".orders");
        let orders: Result<i64, _> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *connection)
            .await;
        if orders.is_ok_and(|orders| orders >= ENOUGH as i64) {
            return Some(schema);
        }
    }
    None
}
