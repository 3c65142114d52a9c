//! What the database alone takes for the same backlog.

use super::{FROM_START, RATE, add_used, per_s};
use crate::bench::ground::Ground;
use crate::bench::program::{self, Program};
use crate::bench::sheet::Measured;
use crate::clock::RunClock;
use crate::database::Role;
use crate::run::RunError;
use crate::run::deployment::{Deployment, failed};
use crate::scenario::Instance;
use relays::config::AfterPublish;
use std::time::Duration;

/// pg_recvlogical says this once the server sends; the drain is timed from there.
const STREAMING: &str = "streaming initiated";
const RECEIVE_WITHIN: Duration = Duration::from_secs(600);

/// pg_recvlogical, of the slot that a relay would have, to nowhere, up to `end`.
pub(super) async fn receive(
    ground: &Ground<'_>,
    deployment: &Deployment<'_>,
    end: &str,
    events: u32,
) -> Result<Measured, RunError> {
    let publication = format!("publication_names={}", deployment.layout.publication());
    let args = [
        "--start",
        "--slot",
        &deployment.layout.slot(),
        "--dbname",
        deployment.own_schema().database(),
        "--file",
        "/dev/null",
        "--option",
        "proto_version=1",
        "--option",
        &publication,
        "--endpos",
        end,
        "--no-loop",
        "--status-interval",
        "1",
        "--verbose",
    ];
    let clock = RunClock::start();
    let ran = program::run(
        ground,
        Program {
            name: "pg_recvlogical",
            args: args.map(str::to_owned).into(),
            login: (deployment.own_schema())
                .login(Role::Relay, deployment.database_of_relay(Instance::FIRST))
                .into(),
            session: String::new(),
            log: format!("{}.pg_recvlogical.log", deployment.layout.name),
            mark: Some(STREAMING),
            within: RECEIVE_WITHIN,
        },
        &clock,
    )
    .await?;
    let mut measured = Measured::default();
    let took = ran.marked_ns.map(|from| (ran.ended_ns - from) as f64 / 1e9);
    match took.and_then(|took_s| per_s(events, took_s)) {
        Some(rate) => {
            measured.values.insert(RATE, rate);
        }
        None => measured
            .inconclusive
            .push("it ended before its start was seen: take more events".to_owned()),
    }
    measured
        .values
        .insert(FROM_START, ran.ended_ns as f64 / 1e9);
    add_used(&mut measured, ran.used, events);
    Ok(measured)
}

/// Takes the backlog by the relay's claims, without a relay; an Err says why claiming failed.
pub(super) async fn claims(
    deployment: &Deployment<'_>,
    after_publish: AfterPublish,
    batch: u32,
    events: u32,
) -> Result<Measured, RunError> {
    let target = deployment.relay_database();
    let clock = RunClock::start();
    let claimed = relays::pump::claim_all(target, after_publish, batch).await;
    let claimed = claimed.map_err(|e| failed("claiming without publishing", &e))?;
    let took_s = clock.now_ns() as f64 / 1e9;
    Ok(taken(claimed, "rows were claimed", took_s, events))
}

/// Reads the backlog in the binlog from where a relay would, without one; an Err says why reading failed.
pub(super) async fn read_binlog(
    deployment: &Deployment<'_>,
    events: u32,
) -> Result<Measured, RunError> {
    let clock = RunClock::start();
    let read = deployment.database().in_log(&mut |_, _| {}).await;
    let read = read.map_err(|e| failed("reading the binlog without publishing", &e))?;
    let took_s = clock.now_ns() as f64 / 1e9;
    Ok(taken(read, "events were read", took_s, events))
}

/// What is to be said of so many that were taken from the database in this time.
fn taken(count: u64, what: &str, took_s: f64, events: u32) -> Measured {
    let mut measured = Measured::default();
    if count != u64::from(events) {
        measured.wrong.push(format!("{count} of {events} {what}"));
    }
    measured
        .values
        .extend(per_s(events, took_s).map(|rate| (RATE, rate)));
    measured.values.insert(FROM_START, took_s);
    measured
}
