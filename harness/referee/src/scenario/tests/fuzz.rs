//! Files that nobody would write: the parser never panics, whatever it accepts can be, and whatever
//! it refuses is explained at a place of the file.

use super::*;
use crate::checkers::fixture::cases;
use crate::scenario::Unit;
use contract::config::{AfterPublish, Housekeeping};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Strategy as Generator;
use std::collections::BTreeSet;

/// The project's own files: good ones, to be spoiled.
const FILES: [&str; 14] = [
    TRIGGERED,
    include_str!("../../../../../scenarios/broker-crash.toml"),
    include_str!("../../../../../scenarios/broker-outage.toml"),
    include_str!("../../../../../scenarios/commit-timeout.toml"),
    include_str!("../../../../../scenarios/database-crash.toml"),
    include_str!("../../../../../scenarios/event-sourcing.toml"),
    include_str!("../../../../../scenarios/no-table.toml"),
    include_str!("../../../../../scenarios/phantom.toml"),
    include_str!("../../../../../scenarios/relay-crash.toml"),
    include_str!("../../../../../scenarios/relay-failover.toml"),
    include_str!("../../../../../scenarios/relay-pause.toml"),
    include_str!("../../../../../scenarios/service-crash.toml"),
    include_str!("../../../../../scenarios/slow-broker.toml"),
    include_str!("../../../../../scenarios/steady.toml"),
];

/// Faults that wait for something, to be spoiled as well.
const TRIGGERED: &str = r#"
name = "triggered"

[workload]
rate = 500
duration = "8s"

[[fault]]
id = "a"
target = "relay->kafka"
kind = "down"
at = "2s"
for = "1s"

[[fault]]
id = "b"
target = "relay"
kind = "kill"
when = { fault = "a", after = "500ms" }
for = "1s"

[[fault]]
target = "relay"
kind = "pause"
when = { backlog = 300 }
for = "500ms"

[[fault]]
target = "order-service"
kind = "pause"
when = { log = { of = "relay", matches = 'up \(now\)' } }
for = "500ms"

[[fault]]
target = "order-service"
kind = "kill"
when = { sql = "select true" }
for = "500ms"

[strategy.cdc]
kind = "cdc"
"#;

/// Values, right for some key or for none.
fn value() -> impl Generator<Value = String> {
    prop_oneof![
        3 => select(&[
            "0", "1", "-1", "3", "100", "0.02", "1.0", "0.5", "-0.0", "nan", "inf", "-inf", "1e308",
            "5e-324", "9223372036854775807", "18446744073709551616", "true", "false", "[]", "{}",
            "\"\"", "\"0s\"", "\"1us\"", "\"4s\"", "\"250ms\"", "\"1.5s\"", "\"24h\"", "\"25h\"",
            "\"999999999999999h\"", "\"64KB\"", "\"100KB/s\"", "\"1000000MB/s\"", "\"0B\"",
            "\">= 1\"", "\"<= 5\"", "\"= 0\"", "\">= 0\"", "\"<= 10s\"", "\"<= 0s\"", "\"> 0\"",
            "\"kafka\"", "\"postgres\"", "\"relay\"", "\"relay->kafka\"", "\"orders->postgres\"",
            "\"order-service\"", "\"kafka-server\"", "\"down\"", "\"latency\"", "\"bandwidth\"",
            "\"slicer\"", "\"limit_data\"", "\"reset_peer\"", "\"timeout\"", "\"slow_close\"",
            "\"kill\"", "\"restart\"", "\"pause\"", "\"cdc\"", "\"polling\"", "\"dual-write\"", "\"two-phase-commit\"", "\"upstream\"",
            "{ events = 1 }", "{ events = 50000 }", "{ committed = 7 }", "{ backlog = 0 }",
            "{ fault = \"a\", after = \"1s\" }", "{ fault = \"b\", after = \"0s\" }", "{ fault = \"a\" }",
            "{ events = 3, backlog = 1 }", "{ log = \"x\" }", "\"a\"", "\"b\"",
            "\"commit-then-publish\"", "\"publish-then-commit\"", "\"mark\"", "\"delete\"",
        ][..]).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|i| i.to_string()),
        1 => any::<f64>().prop_map(|f| format!("{f:?}")),
        1 => "\"[0-9]{1,18}(\\.[0-9]{0,10})?(us|ms|s|m|h|B|KB|KiB|MB|KB/s)?\"",
        1 => "\"(>=|<=|=|<|) ?[0-9]{1,20}(ms|s)?\"",
    ]
}

/// Keys of every table, and one of none.
fn key() -> impl Generator<Value = &'static str> {
    select(
        &[
            "name",
            "description",
            "seed",
            "rate",
            "duration",
            "changes_per_order",
            "payload_bytes",
            "connections",
            "request_timeout",
            "rollback_ratio",
            "hold_ratio",
            "hold",
            "retries",
            "skew",
            "ramp",
            "partitions",
            "postgres_connections",
            "min_committed_per_phase",
            "target",
            "kind",
            "at",
            "when",
            "id",
            "for",
            "latency",
            "jitter",
            "toxicity",
            "stream",
            "delay",
            "timeout",
            "bytes",
            "average_size",
            "size_variation",
            "order",
            "publish_timeout",
            "after_publish",
            "interval",
            "batch",
            "notify",
            "synchronous_commit",
            "linger",
            "within",
            "late_after",
            "settle",
            "lost",
            "phantom",
            "undrained",
            "undecided",
            "duplicated",
            "drain",
            "recovery",
            "order_p50",
            "propagation_p99",
            "end_to_end_max",
            "nope",
        ][..],
    )
}

fn header() -> impl Generator<Value = &'static str> {
    select(
        &[
            "[workload]",
            "[[fault]]",
            "[strategy.a]",
            "[strategy.b]",
            "[strategy.A]",
            "[expect.a]",
            "[expect.b]",
            "[expect.c]",
            "[drain]",
            "[strategy]",
            "[expect]",
            "[fault]",
            "[nope]",
            "",
        ][..],
    )
}

/// Documents of plausible tables with plausible keys, now and then complete ones.
fn document() -> impl Generator<Value = String> {
    let line = (key(), value()).prop_map(|(key, value)| format!("{key} = {value}\n"));
    let table = (header(), prop::collection::vec(line, 0..6))
        .prop_map(|(header, lines)| format!("{header}\n{}", lines.concat()));
    (any::<bool>(), prop::collection::vec(table, 0..7)).prop_map(|(begun, tables)| {
        let begin = if begun {
            file(&[HEAD, LOAD])
        } else {
            String::new()
        };
        begin + &tables.concat()
    })
}

/// One way to spoil a file.
#[derive(Debug, Clone)]
enum FileMutation {
    /// The value of some line becomes another.
    Value(Index, String),
    /// The key of some line becomes another.
    Key(Index, &'static str),
    Remove(Index),
    Repeat(Index),
    Move(Index, Index),
    Add(Index, String),
    Cut(Index),
    Bytes(Index, Vec<u8>),
}

fn spoil() -> impl Generator<Value = FileMutation> {
    let line = any::<Index>;
    prop_oneof![
        6 => (line(), value()).prop_map(|(at, value)| FileMutation::Value(at, value)),
        2 => (line(), key()).prop_map(|(at, key)| FileMutation::Key(at, key)),
        2 => line().prop_map(FileMutation::Remove),
        1 => line().prop_map(FileMutation::Repeat),
        1 => (line(), line()).prop_map(|(from, to)| FileMutation::Move(from, to)),
        2 => (line(), key(), value()).prop_map(|(at, k, v)| FileMutation::Add(at, format!("{k} = {v}"))),
        1 => (line(), header()).prop_map(|(at, header)| FileMutation::Add(at, header.to_owned())),
        1 => line().prop_map(FileMutation::Cut),
        1 => (line(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| FileMutation::Bytes(at, bytes)),
    ]
}

fn spoiled(good: &str, spoils: &[FileMutation]) -> String {
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    for spoil in spoils {
        if lines.is_empty() {
            break;
        }
        let assignment = |lines: &[String], at: &Index| {
            let having: Vec<usize> = (0..lines.len())
                .filter(|n| lines[*n].contains(" = "))
                .collect();
            (!having.is_empty()).then(|| having[at.index(having.len())])
        };
        match spoil {
            FileMutation::Value(at, value) => {
                if let Some(line) = assignment(&lines, at) {
                    let key = lines[line].split(" = ").next().unwrap().to_owned();
                    lines[line] = format!("{key} = {value}");
                }
            }
            FileMutation::Key(at, key) => {
                if let Some(line) = assignment(&lines, at) {
                    let value = lines[line].split_once(" = ").unwrap().1.to_owned();
                    lines[line] = format!("{key} = {value}");
                }
            }
            FileMutation::Remove(at) => drop(lines.remove(at.index(lines.len()))),
            FileMutation::Repeat(at) => {
                let at = at.index(lines.len());
                lines.insert(at, lines[at].clone());
            }
            FileMutation::Move(from, to) => {
                let line = lines.remove(from.index(lines.len()));
                lines.insert(to.index(lines.len() + 1), line);
            }
            FileMutation::Add(at, line) => lines.insert(at.index(lines.len() + 1), line.clone()),
            FileMutation::Cut(at) => {
                let at = at.index(lines.len());
                let half = lines[at].chars().count() / 2;
                lines[at] = lines[at].chars().take(half).collect();
                lines.truncate(at + 1);
            }
            FileMutation::Bytes(at, bytes) => {
                let at = at.index(lines.len());
                lines[at].push_str(&String::from_utf8_lossy(bytes));
            }
        }
    }
    lines.join("\n")
}

/// Accepted and possible, or refused with an explanation at a place of the file.
fn settled(text: &str) -> Result<(), TestCaseError> {
    match parse("s.toml", text) {
        Ok(scenario) => possible(&scenario)
            .and_then(|()| schema::takes_scenario(text))
            .map_err(TestCaseError::fail),
        Err(error) => explained(text, &error).map_err(TestCaseError::fail),
    }
}

fn explained(text: &str, error: &ScenarioError) -> Result<(), String> {
    if error.problems().is_empty() {
        return Err("refused without a reason".to_owned());
    }
    for problem in error.problems() {
        let inside = problem.span.as_ref().is_none_or(|s| s.start <= text.len());
        if problem.what.is_empty() || problem.help.is_empty() || !inside {
            return Err(format!("not explained: {problem:?}"));
        }
    }
    let shown = error.to_string();
    let has_place = |line: &str| {
        let mut parts = line.strip_prefix("s.toml:").unwrap_or_default().split(':');
        let mut number = || parts.next().and_then(|n| n.parse::<u64>().ok());
        number().is_some_and(|n| n > 0) && number().is_some_and(|n| n > 0)
    };
    if !shown.lines().any(has_place) {
        return Err(format!("no line and column: {shown}"));
    }
    match shown.chars().find(|c| c.is_control() && *c != '\n') {
        Some(control) => Err(format!("{control:?} would act on a terminal")),
        None => Ok(()),
    }
}

fn is_name(name: &str, longest: usize) -> bool {
    (1..=longest).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// What is impossible in a scenario that was accepted, by the contracts alone.
fn possible(s: &Scenario) -> Result<(), String> {
    let must = |holds: bool, what: &str| {
        if holds {
            Ok(())
        } else {
            Err(format!("accepted, though not {what}: {s:?}"))
        }
    };
    must(is_name(&s.name, limits::SCENARIO_NAME), "a folder's name")?;
    must(i64::try_from(s.seed).is_ok(), "a seed that TOML can hold")?;
    let w = &s.workload;
    must(
        (limits::RATE.0..=limits::RATE.1).contains(&w.rate),
        "a rate",
    )?;
    let second = Duration::from_secs(1);
    let ms = second / 1000;
    must((ms..=limits::DURATION).contains(&w.duration), "a duration")?;
    must(w.ramp <= w.duration, "a ramp within the load")?;
    let planned = w.planned();
    must(
        (1.0..=limits::CHANGES).contains(&planned),
        "a bounded number of changes",
    )?;
    must(
        (1..=limits::CHANGES_PER_ORDER).contains(&w.changes_per_order),
        "changes an order",
    )?;
    must(
        (1..=limits::PAYLOAD_BYTES as usize).contains(&w.payload_bytes),
        "a payload",
    )?;
    must(
        (1..=limits::CONNECTIONS as usize).contains(&w.connections),
        "connections",
    )?;
    must(
        (ms..=limits::REQUEST).contains(&w.request_timeout),
        "a request timeout",
    )?;
    must(
        (0.0..1.0).contains(&w.rollback_ratio),
        "a share that leaves something",
    )?;
    must((0.0..=1.0).contains(&w.hold_ratio), "a share")?;
    must((ms..=limits::HOLD).contains(&w.hold), "a hold")?;
    must(
        w.hold_ratio == 0.0 || w.hold < w.request_timeout,
        "a hold that can be answered",
    )?;
    must(w.retries <= limits::RETRIES, "retries")?;
    must((0.0..=limits::SKEW).contains(&w.skew), "a skew")?;
    must(
        (1..=limits::PARTITIONS).contains(&w.partitions),
        "partitions",
    )?;
    let postgres = 1..=limits::DATABASE_CONNECTIONS as usize;
    must(
        postgres.contains(&w.database_connections),
        "connections to PostgreSQL",
    )?;
    let drain = ms..=limits::DRAIN;
    must(drain.contains(&s.drain.within), "a bounded drain")?;
    must(drain.contains(&s.drain.late_after), "a bound of lateness")?;
    must(s.drain.settle <= limits::SETTLE, "a bounded settling")?;

    must(s.faults.len() <= limits::FAULTS, "few faults")?;
    must(
        s.faults.is_sorted_by_key(|f| (f.at().is_none(), f.at())),
        "faults by time",
    )?;
    waits_end(s, &must)?;
    for fault in &s.faults {
        let on_process = matches!(fault.target, Target::Process(_));
        let kills = matches!(
            fault.kind,
            FaultKind::Kill
                | FaultKind::Restart
                | FaultKind::Pause
                | FaultKind::OldSnapshot
                | FaultKind::Failover
        );
        must(on_process == kills, "a fault that fits its target")?;
        must(
            fault.lasts >= ms && fault.ends().unwrap_or(fault.lasts) <= w.duration,
            "a fault within the run",
        )?;
        let felt = s.strategies.iter().any(|x| match fault.target {
            Target::Process(victim) => x.topology().has(victim),
            target => target.links().iter().any(|l| x.topology().uses(*l)),
        });
        must(felt, "a fault that somebody feels")?;
        if let FaultKind::Toxic {
            toxic, toxicity, ..
        } = fault.kind
        {
            must(
                toxicity > 0.0 && toxicity <= 1.0,
                "a toxicity that can bite",
            )?;
            let hour = limits::TOXIC_DELAY.as_millis() as u64;
            let amount = 1..=limits::TOXIC_AMOUNT;
            let fits = match toxic {
                Toxic::Latency { latency, jitter } => {
                    (1..=hour).contains(&latency) && jitter <= latency
                }
                Toxic::Bandwidth { rate } => amount.contains(&rate),
                Toxic::SlowClose { delay } => (1..=hour).contains(&delay),
                Toxic::Timeout { timeout } | Toxic::ResetPeer { timeout } => timeout <= hour,
                Toxic::Slicer {
                    average_size,
                    size_variation,
                    delay,
                } => {
                    amount.contains(&average_size)
                        && size_variation < average_size
                        && delay <= hour * 1000
                }
                Toxic::LimitData { bytes } => amount.contains(&bytes),
            };
            must(fits, "a toxic that Toxiproxy can be given")?;
        }
    }
    for (n, a) in s.faults.iter().enumerate() {
        for b in &s.faults[..n] {
            let (Some(a_at), Some(b_at)) = (a.at(), b.at()) else {
                continue;
            };
            let meet = Some(a_at) <= b.ends() && Some(b_at) <= a.ends();
            let same_process = matches!(a.target, Target::Process(_)) && a.target == b.target;
            let shared = a
                .target
                .links()
                .iter()
                .any(|l| b.target.links().contains(l));
            let both_down = shared && a.kind == FaultKind::Down && b.kind == FaultKind::Down;
            must(
                !(meet && (same_process || both_down)),
                "one such fault at a time",
            )?;
            for (pause, other) in [(a, b), (b, a)] {
                let wedges = match (pause.kind, pause.target) {
                    (FaultKind::Pause, Target::Process(victim)) => other
                        .target
                        .links()
                        .iter()
                        .any(|l| victim.links().contains(l)),
                    _ => false,
                };
                must(!(meet && wedges), "a pause away from its links' toxics")?;
            }
        }
    }

    must(
        (1..=limits::STRATEGIES).contains(&s.strategies.len()),
        "some strategies",
    )?;
    let mut schemas = BTreeSet::new();
    for strategy in &s.strategies {
        must(
            is_name(&strategy.name, limits::STRATEGY_NAME),
            "a schema's name",
        )?;
        let schema = strategy.name.to_ascii_lowercase().replace('-', "_");
        must(schemas.insert(schema), "a schema for each strategy")?;
        must((0.0..=60_000.0).contains(&strategy.linger_ms), "a linger")?;
        must((1..=4).contains(&strategy.instances), "a few relays")?;
        if let Some(cache) = strategy.cache {
            must(s.workload.read_share > 0.0, "a cache that is read")?;
            must(
                cache.fill_hold < s.workload.request_timeout,
                "a fill within a request",
            )?;
            let relay = !cache.mode.is_of_relay() || strategy.kind.has_relay();
            must(relay, "a relay that invalidates")?;
        }
        match &strategy.kind {
            StrategyKind::DualWrite {
                publish_timeout, ..
            } => {
                let linger = |t: Duration| strategy.linger_ms < t.as_secs_f64() * 1e3;
                must(
                    publish_timeout.is_none_or(linger),
                    "a linger within the timeout",
                )?;
            }
            StrategyKind::TwoPhaseCommit {
                publish_timeout,
                transaction_timeout,
                producers,
                ..
            } => {
                let linger = Duration::from_secs_f64(strategy.linger_ms / 1e3);
                must(linger < *publish_timeout, "a linger within the timeout")?;
                must(
                    publish_timeout <= transaction_timeout,
                    "a publish within its transaction",
                )?;
                let producers = (1..=limits::TRANSACTIONAL_PRODUCERS).contains(producers);
                must(producers, "some producers")?;
            }
            StrategyKind::Polling {
                interval,
                batch,
                after_publish,
                housekeeping,
                ..
            } => {
                let marks =
                    *housekeeping == Housekeeping::None || *after_publish == AfterPublish::Mark;
                must(marks, "marked rows where the relay keeps house")?;
                must((ms..=limits::INTERVAL).contains(interval), "an interval")?;
                must((1..=limits::BATCH).contains(batch), "a batch")?;
            }
            StrategyKind::EventSourcing {
                publish: Publishing::Polling { interval, batch },
            } => {
                must((ms..=limits::INTERVAL).contains(interval), "an interval")?;
                must((1..=limits::BATCH).contains(batch), "a batch")?;
            }
            StrategyKind::EventSourcing {
                publish: Publishing::Cdc,
            }
            | StrategyKind::Cdc {}
            | StrategyKind::LogicalMessage {}
            | StrategyKind::Debezium {}
            | StrategyKind::External { .. } => {}
        }
        let mut named = BTreeSet::new();
        for e in &strategy.expectations {
            must(named.insert(e.metric.name()), "one expectation a metric")?;
            must(e.value.is_finite() && e.value >= 0.0, "a value that can be")?;
            let nothing = e.comparison == Comparison::AtLeast && e.value == 0.0;
            must(!nothing, "an expectation that can be missed")?;
            let a_time = e.metric.unit() != Unit::Count;
            must(
                !(a_time && e.comparison == Comparison::Equal),
                "a bound of a time",
            )?;
            let whole = a_time || e.value.fract() == 0.0;
            must(whole, "a whole count")?;
        }
        if strategy.kind.has_relay() {
            let held = |metric: &Metric| strategy.expectations.iter().any(|e| e.metric == *metric);
            must(
                implicit().iter().all(held),
                "a relay that is held to the implicit zeros",
            )?;
        }
    }
    let json = serde_json::to_string(s).map_err(|e| e.to_string())?;
    let back: Scenario = serde_json::from_str(&json).map_err(|e| format!("{e}: {json}"))?;
    must(
        back.faults == s.faults && back.workload == s.workload,
        "the same after JSON",
    )
}

/// Whoever waits for something waits for what can come, and no two faults have one id.
fn waits_end(s: &Scenario, must: &impl Fn(bool, &str) -> Result<(), String>) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for id in s.faults.iter().filter_map(|f| f.id.as_deref()) {
        must(is_name(id, limits::FAULT_ID), "a plain id")?;
        must(ids.insert(id), "an id of its own")?;
    }
    for fault in &s.faults {
        let Some(trigger) = fault.trigger() else {
            continue;
        };
        let counts = match trigger {
            Trigger::Events(n) | Trigger::Committed(n) | Trigger::Backlog(n) => Some(*n),
            Trigger::After { .. }
            | Trigger::Log { .. }
            | Trigger::Sql { .. }
            | Trigger::Key { .. } => None,
        };
        let offered = |n: u64| n >= 1 && n as f64 <= s.workload.planned();
        must(counts.is_none_or(offered), "a count that can be reached")?;
        let mut next = fault;
        let mut steps = 0;
        while let Some((awaited, _)) = next.trigger().and_then(Trigger::follows) {
            let found = s.faults.iter().find(|f| f.id.as_deref() == Some(awaited));
            must(found.is_some(), "a fault that is there to wait for")?;
            next = found.unwrap();
            steps += 1;
            must(steps <= s.faults.len(), "an end of the waiting")?;
        }
    }
    Ok(())
}

#[test]
fn the_files_to_be_spoiled_are_good() {
    for good in FILES {
        let scenario = parse("s.toml", good).unwrap();
        possible(&scenario).unwrap();
    }
}

proptest! {
    #![proptest_config(cases(512))]
    #[test]
    fn a_spoiled_file_is_possible_or_explained(
        good in select(&FILES[..]),
        spoils in prop::collection::vec(spoil(), 1..5),
    ) {
        settled(&spoiled(good, &spoils))?;
    }

    #[test]
    fn a_document_of_plausible_keys_is_possible_or_explained(text in document()) {
        settled(&text)?;
    }

    #[test]
    fn any_text_is_explained(text in prop_oneof![".{0,200}", "[ -~\n]{0,200}"]) {
        settled(&text)?;
    }

    #[test]
    fn any_bytes_as_a_file_are_explained(
        good in select(&FILES[..]),
        at in any::<Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut content = good.as_bytes().to_vec();
        let at = at.index(content.len());
        content.splice(at..(at + bytes.len()).min(content.len()), bytes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(&path, content).unwrap();
        match load(&path) {
            Ok(loaded) => possible(&loaded.scenario).map_err(TestCaseError::fail)?,
            Err(error) => prop_assert!(error.to_string().contains("s.toml:"), "{}", error),
        }
    }
}
