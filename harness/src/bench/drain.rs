//! `bench drain`: a backlog of events, made before the relay starts, until the last of them is on
//! the topic; next to what the database alone takes for the same backlog.

pub(super) mod arrival;
mod backlog;
mod databases;
mod limits;
mod method;
mod subjects;

use super::Results;
use super::alone::{self, PublishingAlone};
use super::events::{self, CHANGES_PER_ORDER, PAYLOAD_BYTES};
use super::ground::Ground;
use super::rounds::turn;
use super::sheet::{Measured, Sheet};
use super::systems::Systems;
use super::{costs, scenarios, usage};
use crate::broker::Length;
use crate::clock::RunClock;
use crate::run::deployment::{Deployment, Leave, failed};
use crate::run::{self, RunError};
use crate::scenario::{Scenario, Strategy, StrategyKind};
use arrival::{Appended, Arrived, TopicGrowth};
use relays::config::BrokerKind;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use subjects::{DrainSubject, Has, Rows, Transport, Work};
use tokio::sync::watch;

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
    /// The relays stand between these.
    pub systems: Systems,
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
        let rows = subjects::of(self.systems);
        let chosen = rows
            .iter()
            .filter(|s| s.is_chosen(self.strategy.as_deref()));
        let publishes_alone = chosen.clone().any(|s| s.work == Work::Publish);
        if publishes_alone && self.events > alone::EVENTS_MAX {
            return Err(format!(
                "--events {}: the row `publish` has all of them in memory: take 1 to {}",
                self.events,
                alone::EVENTS_MAX
            ));
        }
        if self.batch == 0 || self.batch > crate::scenario::limits::BATCH {
            return Err(format!(
                "--batch {}: take 1 to {}",
                self.batch,
                crate::scenario::limits::BATCH
            ));
        }
        match &self.strategy {
            Some(name) if chosen.count() == 0 => Err(format!(
                "--strategy {name}: take one of {}, or the beginning of some",
                rows.iter()
                    .filter(|s| s.limit_of.is_empty())
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
    let (batch, systems) = (options.batch, options.systems.keys());
    let mut text = format!(
        "name = \"bench-drain\"\n\
         [workload]\nrate = 100\nduration = \"1s\"\nchanges_per_order = {CHANGES_PER_ORDER}\n\
         payload_bytes = {PAYLOAD_BYTES}\nmin_committed_per_phase = 0\n{fault}\
         [strategy.polling-delete]\nkind = \"polling\"\nafter_publish = \"delete\"\nbatch = {batch}\n{systems}\
         [strategy.cdc]\nkind = \"cdc\"\n{systems}"
    );
    if options.systems.are_usual() {
        text.push_str(&format!(
            "[strategy.polling-durable]\nkind = \"polling\"\nafter_publish = \"delete\"\nbatch = {batch}\n\
             synchronous_commit = \"on\"\n\
             [strategy.polling-mark]\nkind = \"polling\"\nafter_publish = \"mark\"\nbatch = {batch}\n\
             [strategy.debezium]\nkind = \"debezium\"\n"
        ));
    }
    scenarios::parse(&text)
}

/// Drains a backlog with each row in each round, and returns what the report shows; a failure ends the rounds.
pub(super) async fn run(
    ground: &Ground<'_>,
    options: &DrainOptions,
    repetitions: u32,
) -> Result<Results, RunError> {
    let has = Has {
        socket: ground.stack.info().database_socket().is_some(),
        debezium: ground.debezium().map_err(|missing| missing.to_string()),
    };
    let Rows {
        subjects,
        left_out,
        debezium,
    } = subjects::choose(options.systems, options.strategy.as_deref(), has)
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
        let broker = match options.systems.broker {
            BrokerKind::Kafka => {
                format!(
                    "{:.1} s of records through the broker, ",
                    lasts.as_secs_f64()
                )
            }
            BrokerKind::RabbitMq | BrokerKind::Nats | BrokerKind::EventBridge => String::new(),
        };
        let (events, relay) = (warm_up.events, first.name);
        ground.note(format!("warm-up: {broker}{events} events through {relay}"));
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
        method: method::method(options)
            .into_iter()
            .chain(left_out)
            .collect(),
        settings: settings(options, debezium),
        sheets: vec![sheet],
        ratios,
    })
}

fn settings(options: &DrainOptions, debezium: Option<String>) -> BTreeMap<String, String> {
    let settings = [
        ("events", Some(options.events.to_string())),
        ("payload", Some(format!("{PAYLOAD_BYTES} bytes"))),
        ("events an order", Some(CHANGES_PER_ORDER.to_string())),
        ("rows a claim", Some(options.batch.to_string())),
        ("debezium", debezium),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut settings: BTreeMap<String, String> = settings.collect();
    options.systems.say_in(&mut settings);
    settings
}

fn said(measured: &Measured) -> String {
    let problems = measured.wrong.iter().chain(&measured.inconclusive).next();
    match (measured.values.get(RATE), problems) {
        (_, Some(problem)) => problem.clone(),
        (Some(rate), None) => format!("{rate:.0} events/s"),
        (None, None) => "no figure".to_owned(),
    }
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
        let socket = ground.stack.info().database_socket();
        deployment.relay_socket = socket.map(Path::to_owned);
    }
    let database = options.systems.database;
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
        && let Err(reason) = backlog::give_up(ground.stack, &deployment, database).await
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
    if work == Work::Publish {
        return published_alone(deployment, events).await;
    }
    let end = backlog::fill(ground.stack, deployment, strategy.database, events).await?;
    let log_before = costs::log_bytes(deployment.database()).await?;
    let mut measured = match (work, &strategy.kind) {
        (Work::Relay, _) => drained(deployment, events).await?,
        (Work::Publish, _) => published_alone(deployment, events).await?,
        (Work::Receive, _) => limits::receive(ground, deployment, &end, events).await?,
        (Work::ReadBinlog, _) => limits::read_binlog(deployment, events).await?,
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
    let log_bytes = costs::log_bytes(deployment.database()).await? - log_before;
    measured
        .values
        .insert(costs::WAL, log_bytes / f64::from(events.max(1)));
    Ok(measured)
}

/// The relay, from its start until the backlog is on the topic or nothing moves any more.
async fn drained(deployment: &mut Deployment<'_>, events: u32) -> Result<Measured, RunError> {
    let (length, seen) = look_at(deployment).await?;
    let clock = RunClock::start();
    deployment.start_relays().await?;
    let relay = || deployment.relays.first();
    let arriving = Arriving {
        length: &*length,
        clock,
        events,
        alive: &|| relay().is_some_and(crate::process::Child::is_alive),
        used: &|| relay().and_then(usage::of),
    };
    let measured = arrived(deployment, seen, arriving).await?;
    deployment
        .stop_relays()
        .await
        .map_err(|e| failed("stopping the relay", &e))?;
    Ok(measured)
}

/// As many events that no database has, until they are on the topic.
async fn published_alone(deployment: &Deployment<'_>, events: u32) -> Result<Measured, RunError> {
    let all = events::events(&deployment.identity, 0..events).collect();
    let (_, due) = watch::channel(u64::MAX);
    let (length, seen) = look_at(deployment).await?;
    let clock = RunClock::start();
    let publishing = PublishingAlone::start(deployment.relay_broker(), all, due).await?;
    let arriving = Arriving {
        length: &*length,
        clock,
        events,
        alive: &|| publishing.is_well(),
        // It is part of the harness.
        used: &|| None,
    };
    let measured = arrived(deployment, seen, arriving).await?;
    publishing.end().await?;
    Ok(measured)
}

/// Begins to look at the topic, which has nothing of the backlog yet.
async fn look_at(deployment: &Deployment<'_>) -> Result<(Box<dyn Length>, TopicGrowth), RunError> {
    let doing = "watching the topic";
    let length = deployment.topic.length().map_err(|e| failed(doing, &e))?;
    let before = length.records().await.map_err(|e| failed(doing, &e))?;
    Ok((length, TopicGrowth::new(before)))
}

/// Events are on their way to a topic.
struct Arriving<'a> {
    length: &'a dyn Length,
    /// Whoever publishes them was started at its beginning.
    clock: RunClock,
    events: u32,
    /// Whether more of them can come.
    alive: &'a dyn Fn() -> bool,
    used: &'a dyn Fn() -> Option<usage::Used>,
}

/// Waits until they are there, or nothing moves any more, and reads back what is.
async fn arrived(
    deployment: &Deployment<'_>,
    mut seen: TopicGrowth,
    arriving: Arriving<'_>,
) -> Result<Measured, RunError> {
    let Arriving {
        length,
        clock,
        events,
        alive,
        used,
    } = arriving;
    let watch = deployment.watch(clock);
    let requests = Arc::new(events::requests(events));
    let mut wanted = u64::from(events);
    let (arrived, used) = loop {
        let moved = seen
            .wait_for(length, wanted, &clock, alive)
            .await
            .map_err(|e| failed("watching the topic", &e))?;
        let used = used();
        let read = crate::observer::read_again(&watch, Arc::clone(&requests))
            .await
            .map_err(|e| failed("reading the topic", &e))?;
        let arrived = arrival::judge(&read.log, events);
        if arrived.missing() == 0 || !moved {
            break (arrived, used);
        }
        // Some were sent twice: as many more must come than there were by the length that is looked at, which
        // need not be that of what was read.
        wanted = seen.records() + u64::from(arrived.missing());
    };
    Ok(relay_figures(&arrived, &seen, used, events))
}

fn relay_figures(
    arrived: &Arrived,
    seen: &TopicGrowth,
    used: Option<usage::Used>,
    events: u32,
) -> Measured {
    let mut measured = Measured {
        wrong: arrived.wrong(),
        remark: (arrived.duplicated > 0)
            .then(|| format!("{} events came more than once", arrived.duplicated)),
        ..Measured::default()
    };
    let first = seen.first();
    // What came twice is not told from what came once by the topic's length.
    let seen = seen.appended(events).filter(|_| arrived.duplicated == 0);
    match arrived.appended.or(seen) {
        Some(Appended { first, half, last }) => {
            if let Some(rate) = Appended::rate(half, last) {
                measured.values.insert(SECOND_HALF, rate);
            }
            if let Some(rate) = Appended::rate(first, last) {
                measured.values.insert(RATE, rate);
            } else {
                measured
                    .inconclusive
                    .push("all events came at once: take more".to_owned());
            }
        }
        None if arrived.missing() == 0 => measured.inconclusive.push(
            "some events came more than once, and the broker does not say when it took which"
                .to_owned(),
        ),
        None => {}
    }
    if let Some(seen) = seen {
        let differs = arrived.appended.and_then(|a| a.clock_differs(&seen));
        if let Some(differs) = differs {
            measured.values.clear();
            measured.inconclusive.push(differs);
        }
        measured
            .values
            .insert(FROM_START, seen.last.at_ns as f64 / 1e9);
    }
    let first_s = first.map(|first| first.at_ns as f64 / 1e9);
    measured.values.extend(first_s.map(|s| (FIRST, s)));
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
    use relays::config::DatabaseKind;

    fn options() -> DrainOptions {
        DrainOptions {
            systems: Systems::default(),
            events: 10,
            batch: 5,
            strategy: None,
        }
    }

    fn every_pair() -> impl Iterator<Item = Systems> {
        DatabaseKind::ALL.into_iter().flat_map(|database| {
            let pair = move |broker| Systems { database, broker };
            BrokerKind::ALL.into_iter().map(pair)
        })
    }

    #[test]
    fn every_row_has_its_strategy_and_only_the_proxied_ones_a_proxy() {
        for systems in every_pair() {
            let options = DrainOptions {
                systems,
                ..options()
            };
            for subject in subjects::of(systems) {
                let scenario = scenario(&options, subject.transport).unwrap();
                let strategy = find(&scenario, subject.strategy).unwrap();
                assert_eq!(
                    (strategy.database, strategy.broker.kind()),
                    (systems.database, systems.broker)
                );
                assert_eq!(
                    scenario.faults.is_empty(),
                    subject.transport != Transport::Proxied
                );
            }
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
    fn given_more_events_than_are_kept_in_memory_then_publishing_alone_is_refused_and_the_rest_is_not()
     {
        let large = DrainOptions {
            events: alone::EVENTS_MAX + 1,
            ..options()
        };
        large.check().unwrap();
        let to_nats = DrainOptions {
            systems: Systems {
                broker: BrokerKind::Nats,
                ..Systems::default()
            },
            ..large
        };
        let reason = to_nats.check().unwrap_err();
        assert!(reason.contains("take 1 to 1000000"), "{reason}");
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
