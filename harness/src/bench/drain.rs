//! `bench drain`: a backlog of events, made before the relay starts, until the last of them is on
//! the topic; next to what the database alone takes for the same backlog.

mod arrival;
mod backlog;
mod limits;
mod subjects;

use super::Results;
use super::ground::Ground;
use super::rounds::turn;
use super::sheet::{Measured, Sheet};
use super::{costs, scenarios, usage};
use crate::clock::RunClock;
use crate::observer::Watch;
use crate::run::deployment::{Deployment, Leave, failed};
use crate::run::{self, RunError};
use crate::scenario::{Scenario, Strategy, StrategyKind};
use arrival::{Appended, Arrived};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use subjects::{DrainSubject, Has, Rows, SUBJECTS, Transport, Work};

const RATE: &str = "drained";
const SECOND_HALF: &str = "second half";
const FROM_START: &str = "from start";
const FIRST: &str = "first event";
const CPU: &str = "CPU an event";
const MEMORY: &str = "peak memory";
const COLUMNS: [(&str, &str); 7] = [
    (RATE, "/s"),
    (SECOND_HALF, "/s"),
    (FROM_START, "s"),
    (FIRST, "s"),
    (CPU, "µs"),
    (MEMORY, "MiB"),
    (costs::WAL, "B"),
];

/// The warm-up drains so many events at most.
const WARM_UP_EVENTS: u32 = 20_000;
/// The JVM's compiler is at work for so long under full load, and takes half a core meanwhile.
const WARM_UP_BROKER: Duration = Duration::from_secs(10);
/// But a small benchmark is not kept waiting: so long for each of its events.
const WARM_UP_AN_EVENT: Duration = Duration::from_micros(50);
/// A backlog has so many events at most: the attempt of an event is a number of 32 bits, and a backlog is kept in
/// memory to be checked.
const EVENTS_MAX: u32 = 5_000_000;

/// What is its own.
#[derive(Debug, Clone)]
pub struct DrainOptions {
    /// The backlog has so many events.
    pub events: u32,
    /// The polling relay takes so many rows a claim.
    pub batch: u32,
    /// Only rows whose name begins like this are measured, with their limits; `None` means all of them.
    pub strategy: Option<String>,
}

impl DrainOptions {
    /// What is wrong, with the remedy.
    pub fn check(&self) -> Result<(), String> {
        if self.events == 0 || self.events > EVENTS_MAX {
            return Err(format!("--events {}: take 1 to {EVENTS_MAX}", self.events));
        }
        if self.batch == 0 || self.batch > crate::scenario::limits::BATCH {
            return Err(format!(
                "--batch {}: take 1 to {}",
                self.batch,
                crate::scenario::limits::BATCH
            ));
        }
        match &self.strategy {
            Some(name) if !SUBJECTS.iter().any(|s| s.is_chosen(Some(name))) => Err(format!(
                "--strategy {name}: take one of {}, or the beginning of some",
                SUBJECTS
                    .iter()
                    .filter(|s| s.limit_of.is_none())
                    .map(|s| s.name)
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
            _ => Ok(()),
        }
    }
}

/// No load is ever offered in it, and no fault injected: it names the strategies and the wiring.
fn scenario(options: &DrainOptions, transport: Transport) -> Result<Scenario, RunError> {
    let fault = match transport {
        Transport::Tcp | Transport::Socket => "",
        Transport::Proxied => {
            "[[fault]]\ntarget = \"relay->postgres\"\nkind = \"down\"\nat = \"100ms\"\nfor = \"100ms\"\n"
        }
    };
    let batch = options.batch;
    scenarios::parse(&format!(
        "name = \"bench-drain\"\n\
         [workload]\nrate = 100\nduration = \"1s\"\nchanges_per_order = {}\npayload_bytes = {}\n\
         min_committed_per_phase = 0\n{fault}\
         [strategy.polling-delete]\nkind = \"polling\"\nafter_publish = \"delete\"\nbatch = {batch}\n\
         [strategy.polling-durable]\nkind = \"polling\"\nafter_publish = \"delete\"\nbatch = {batch}\n\
         synchronous_commit = \"on\"\n\
         [strategy.polling-mark]\nkind = \"polling\"\nafter_publish = \"mark\"\nbatch = {batch}\n\
         [strategy.cdc]\nkind = \"cdc\"\n\
         [strategy.debezium]\nkind = \"debezium\"\n",
        backlog::CHANGES_PER_ORDER,
        backlog::PAYLOAD_BYTES
    ))
}

/// Drains a backlog with each row in each round, and returns what the report shows; a failure ends the rounds.
pub(super) async fn run(
    ground: &Ground<'_>,
    options: &DrainOptions,
    repetitions: u32,
) -> Result<Results, RunError> {
    let has = Has {
        socket: ground.stack.info().postgres_socket.is_some(),
        debezium: ground.debezium().map_err(|missing| missing.to_string()),
    };
    let Rows {
        subjects,
        left_out,
        debezium,
    } = subjects::choose(options.strategy.as_deref(), has)
        .map_err(|reason| failed("choosing rows", &reason))?;
    for text in &left_out {
        ground.note(text.clone());
    }
    let mut sheet = Sheet::new("drain", &COLUMNS);
    for subject in &subjects {
        sheet.row(subject.name, subject.role, subject.note);
    }
    if let Some(first) = subjects.iter().find(|s| s.work == Work::Relay) {
        let warm_up = DrainOptions {
            events: options.events.min(WARM_UP_EVENTS),
            ..options.clone()
        };
        let lasts = WARM_UP_BROKER.min(WARM_UP_AN_EVENT * options.events);
        ground.note(format!(
            "warm-up: {:.1} s of records through the broker, {} events through {}",
            lasts.as_secs_f64(),
            warm_up.events,
            first.name
        ));
        run::stack::warm_up(ground.stack, lasts).await?;
        measure(ground, first, &warm_up).await?;
    }
    'rounds: for round in 1..=repetitions {
        for (row, subject) in turn(&subjects, round) {
            let measured = measure(ground, subject, options).await;
            let Some(measured) = ground.unless_cut_short(measured) else {
                break 'rounds;
            };
            ground.note(format!(
                "round {round} of {repetitions}, {}: {}",
                subject.name,
                said(&measured)
            ));
            sheet.add(row, measured);
        }
    }
    let ratios = subjects::pairs(&subjects)
        .into_iter()
        .filter_map(|(of, against)| sheet.ratio(RATE, of, against))
        .collect();
    Ok(Results {
        question: "How fast is a backlog of committed events on the topic?",
        method: method(options).into_iter().chain(left_out).collect(),
        settings: settings(options, debezium),
        sheets: vec![sheet],
        ratios,
    })
}

fn settings(options: &DrainOptions, debezium: Option<String>) -> BTreeMap<String, String> {
    [
        ("events", Some(options.events.to_string())),
        ("payload", Some(format!("{} bytes", backlog::PAYLOAD_BYTES))),
        (
            "events an order",
            Some(backlog::CHANGES_PER_ORDER.to_string()),
        ),
        ("rows a claim", Some(options.batch.to_string())),
        ("debezium", debezium),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

fn said(measured: &Measured) -> String {
    let problems = measured.wrong.iter().chain(&measured.inconclusive).next();
    match (measured.values.get(RATE), problems) {
        (_, Some(problem)) => problem.clone(),
        (Some(rate), None) => format!("{rate:.0} events/s"),
        (None, None) => "no figure".to_owned(),
    }
}

fn method(options: &DrainOptions) -> Vec<String> {
    [
        format!(
            "Each row of each round has a schema, a slot, a topic and a backlog of {} events of its \
             own, one transaction an event, made before the relay starts. The rows are outbox rows \
             alone, without their orders', written by several connections with a procedure that \
             commits after each.",
            options.events
        ),
        "drained: events by the time from the first to the last of them on the topic, by the \
         broker's own append times, read back afterwards: while the relay works, the harness asks \
         for the topic's length and nothing else. second half: the same for the later half of the \
         events alone; where it is much above drained, a JVM was still compiling in the first half, \
         and a longer backlog drains faster. from start: from the relay's start to the last \
         event; first event: from its start to the first one."
            .to_owned(),
        "Every drain is checked: each event of the backlog at least once, byte for byte, each \
         order's events in order, nothing else on the topic."
            .to_owned(),
        "Limits: pg_recvlogical writes the same stream to /dev/null, timed from its start of \
         streaming to its end; the claims are the relay's own statements with the same number of \
         rows each, from the harness, timed from connecting to the last commit."
            .to_owned(),
        "Start-up is not in drained, which begins with the first event on the topic. It is in from \
         start, in first event, in the CPU time and in the memory, of all relays alike: a relay of \
         this project needs milliseconds for it, Kafka Connect's JVM seconds, which weigh the less \
         the longer the backlog is. It drains as it was started: no relay is warmed up by other \
         events before."
            .to_owned(),
        "debezium: the same outbox rows, deleted by a trigger in the transaction that inserts \
         them, as Debezium's own outbox library does, so before it starts, and what the deletes \
         write is not in its WAL an event; until it is ready it is asked for that as well, ten \
         times a second at most."
            .to_owned(),
        "CPU and peak memory are those of the relay's processes (of pg_recvlogical: a sample up to \
         50 ms before its end); a claim loop is part of the harness, so it has none."
            .to_owned(),
        "WAL an event: what the server wrote to its log from the end of the backlog until the work \
         was done and its process stopped, by events: marks, deletes, commits. It is the first work \
         on these pages since a checkpoint, so each page is in it once as a whole, where \
         full_page_writes is on; of a CDC relay, deletes that were still to come at its end are \
         not in it."
            .to_owned(),
        format!(
            "Before the first round: {} s of records through the broker (less before a small \
             backlog), since its JVM compiles for so long, and a drain of up to {WARM_UP_EVENTS} \
             events that is not counted. Before each drain, a checkpoint, where the administrator \
             may ask for one.",
            WARM_UP_BROKER.as_secs()
        ),
    ]
    .into()
}

/// Measures one row of one round, from an empty schema to an empty database.
async fn measure(
    ground: &Ground<'_>,
    subject: &DrainSubject,
    options: &DrainOptions,
) -> Result<Measured, RunError> {
    let scenario = scenario(options, subject.transport)?;
    let strategy = find(&scenario, subject.strategy)?;
    let mut deployment = ground.deployment(&scenario, strategy)?;
    if subject.transport == Transport::Socket {
        deployment
            .relay_socket
            .clone_from(&ground.stack.info().postgres_socket);
    }
    let measured = ground
        .unless_interrupted(in_deployment(
            ground,
            &mut deployment,
            strategy,
            subject.work,
            options.events,
        ))
        .await;
    if measured.is_err()
        && let Err(reason) =
            backlog::give_up(&ground.stack.info().postgres, deployment.layout.schema()).await
    {
        ground.note(reason);
    }
    deployment.tear_down(Leave::Nothing, ground.reporter).await;
    measured
}

fn find<'a>(scenario: &'a Scenario, name: &str) -> Result<&'a Strategy, RunError> {
    let found = scenario.strategies.iter().find(|s| s.name == name);
    found.ok_or_else(|| failed("choosing a strategy", &format!("{name} is not built in")))
}

async fn in_deployment(
    ground: &Ground<'_>,
    deployment: &mut Deployment<'_>,
    strategy: &Strategy,
    work: Work,
    events: u32,
) -> Result<Measured, RunError> {
    deployment.prepare().await?;
    let admin = &ground.stack.info().postgres;
    let end = backlog::fill(
        admin,
        deployment.layout.schema(),
        &deployment.identity,
        events,
    )
    .await
    .map_err(|e| failed("making the backlog", &e))?;
    let wal_before = costs::wal_bytes(admin).await?;
    let mut measured = match (work, &strategy.kind) {
        (Work::Relay, _) => drained(deployment, events).await?,
        (Work::Receive, _) => limits::receive(ground, deployment, &end, events).await?,
        (
            Work::Claims,
            StrategyKind::Polling {
                after_publish,
                batch,
                ..
            },
        ) => limits::claims(deployment, *after_publish, *batch, events).await?,
        (Work::Claims, _) => return Err(failed("choosing a limit", &"only polling claims rows")),
    };
    let wal_bytes = costs::wal_bytes(admin).await? - wal_before;
    measured
        .values
        .insert(costs::WAL, wal_bytes / f64::from(events.max(1)));
    Ok(measured)
}

/// The relay, from its start until the backlog is on the topic or nothing moves any more.
async fn drained(deployment: &mut Deployment<'_>, events: u32) -> Result<Measured, RunError> {
    let length = deployment
        .topic
        .length()
        .map_err(|e| failed("watching the topic", &e))?;
    let clock = RunClock::start();
    let started_ms = (clock.origin_unix_ns / 1_000_000) as i64;
    deployment.start_relays().await?;
    let watch = Watch {
        broker: deployment.broker(),
        topic: deployment.topic_name.clone(),
        partitions: 3,
        place: crate::envelope::EventPlace::default(),
        identity: Arc::clone(&deployment.identity),
        payload_bytes: backlog::PAYLOAD_BYTES,
        clock,
        keeps_recent: false,
    };
    let requests = Arc::new(backlog::requests(events));
    let mut wanted = u64::from(events);
    let (arrived, used) = loop {
        let moved = arrival::wait_for(&*length, wanted, || {
            deployment
                .relays
                .first()
                .is_some_and(crate::process::Child::is_alive)
        })
        .await
        .map_err(|e| failed("watching the topic", &e))?;
        let used = deployment.relays.first().and_then(usage::of);
        let read = crate::observer::read_again(&watch, Arc::clone(&requests))
            .await
            .map_err(|e| failed("reading the topic", &e))?;
        let arrived = arrival::judge(&read.log, events);
        if arrived.missing() == 0 || !moved {
            break (arrived, used);
        }
        // Some were sent twice: as many more must come.
        wanted = read.log.len() as u64 + u64::from(arrived.missing());
    };
    deployment
        .stop_relays()
        .await
        .map_err(|e| failed("stopping the relay", &e))?;
    Ok(relay_figures(&arrived, used, started_ms, events))
}

fn relay_figures(
    arrived: &Arrived,
    used: Option<usage::Used>,
    started_ms: i64,
    events: u32,
) -> Measured {
    let mut measured = Measured {
        wrong: arrived.wrong(),
        remark: (arrived.duplicated > 0)
            .then(|| format!("{} events came more than once", arrived.duplicated)),
        ..Measured::default()
    };
    if let Some(Appended {
        first_ms,
        half_ms,
        last_ms,
    }) = arrived.appended
    {
        let seconds = |from_ms: i64, until_ms: i64| (until_ms - from_ms) as f64 / 1e3;
        if let Some(rate) = per_s(arrived.distinct / 2, seconds(half_ms, last_ms)) {
            measured.values.insert(SECOND_HALF, rate);
        }
        if let Some(rate) = per_s(events, seconds(first_ms, last_ms)) {
            measured.values.insert(RATE, rate);
        } else {
            measured
                .inconclusive
                .push("all events were appended within a millisecond: take more".to_owned());
        }
        let since_start = |ms: i64| seconds(started_ms, ms);
        measured.values.insert(FROM_START, since_start(last_ms));
        measured.values.insert(FIRST, since_start(first_ms));
    }
    add_used(&mut measured, used, events);
    measured
}

fn add_used(measured: &mut Measured, used: Option<usage::Used>, events: u32) {
    if let Some(used) = used {
        let cpu_us = used.cpu_s * 1e6 / f64::from(events.max(1));
        measured.values.insert(CPU, cpu_us);
        measured.values.insert(MEMORY, used.peak_mib);
    }
}

/// Returns the events a second; `None` where they took no time at all.
fn per_s(events: u32, took_s: f64) -> Option<f64> {
    (took_s > 0.0).then(|| f64::from(events) / took_s)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn options() -> DrainOptions {
        DrainOptions {
            events: 10,
            batch: 5,
            strategy: None,
        }
    }

    #[test]
    fn every_row_has_its_strategy_and_only_the_proxied_ones_a_proxy() {
        for subject in &SUBJECTS {
            let scenario = scenario(&options(), subject.transport).unwrap();
            find(&scenario, subject.strategy).unwrap();
            assert_eq!(
                scenario.faults.is_empty(),
                subject.transport != Transport::Proxied
            );
        }
    }

    #[test]
    fn a_row_that_is_not_there_is_refused_with_those_there_are() {
        let wrong = DrainOptions {
            strategy: Some("cdd".to_owned()),
            ..options()
        };
        let reason = wrong.check().unwrap_err();
        assert!(
            reason.contains("cdc-socket") && reason.contains("debezium"),
            "{reason}"
        );
    }

    #[test]
    fn no_events_and_too_many_are_refused() {
        for events in [0, u32::MAX] {
            let wrong = DrainOptions {
                events,
                ..options()
            };
            assert!(wrong.check().unwrap_err().contains("--events"));
        }
    }
}
