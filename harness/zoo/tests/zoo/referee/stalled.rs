//! A harness that is stopped in mid-load, alone, and continued a second later.

use crate::bench::Ran;
use crate::case::Case;
use crate::stacks;
use crate::turn::Turn;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relays::config::PostgresTarget;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::time::{Duration, Instant};

/// Orders in the database when it is stopped.
const MID_LOAD: i64 = 100;
/// How long it is stopped: under the bound of a request.
const STALL: Duration = Duration::from_secs(1);
/// Bound of the wait for the middle of the load.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the case with that stop.
pub fn run(case: &Case, turn: &Turn) -> Ran {
    let stack = stacks::of(turn);
    turn.run_on(stack, case.defect, &case.scenario(), |pid| {
        let harness = Pid::from_raw(pid.cast_signed());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(mid_load(&stack.postgres));
        kill(harness, Signal::SIGSTOP).unwrap();
        std::thread::sleep(STALL);
        kill(harness, Signal::SIGCONT).unwrap();
    })
}

/// Waits until the run has so many orders.
async fn mid_load(postgres: &PostgresTarget) {
    let mut session = PgConnectOptions::new_without_pgpass()
        .host(&postgres.host)
        .port(postgres.port)
        .username(&postgres.user)
        .password(&postgres.password)
        .database(&postgres.database)
        .ssl_mode(PgSslMode::Disable)
        .connect()
        .await
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while orders(&mut session).await < MID_LOAD {
        assert!(Instant::now() < deadline, "no load within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Orders of the one run on this stack; 0 before it has a table for them, or after.
async fn orders(session: &mut PgConnection) -> i64 {
    let find = "SELECT quote_ident(schemaname) FROM pg_tables WHERE tablename = 'orders'";
    let schema: Option<String> = sqlx::query_scalar(find)
        .fetch_optional(&mut *session)
        .await
        .unwrap();
    let Some(schema) = schema else { return 0 };
    let count = format!("SELECT count(*) FROM {schema}.orders");
    let counted = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(session);
    counted.await.unwrap_or(0)
}
