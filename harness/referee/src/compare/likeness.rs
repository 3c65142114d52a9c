//! Whether runs may be compared at all: the same scenario, on a like stack and a like machine. What is compared, the
//! versions of the harness and of relays, may differ, and is named.

use reports::record::{Fault, Record, Strategy};
use std::collections::{BTreeMap, BTreeSet};

/// Times of a fault that differ by less are the machine's, not the scenario's: seconds.
const FAULT_S: f64 = 0.5;
/// A machine tells its memory a little otherwise after each start: as a share.
const MEMORY: f64 = 0.02;

/// Records of before do not have it: what one side does not know cannot differ.
const PROCESSOR: &str = "processor";

/// So begins the name of a setting of the load, which records of before do not have either.
const LOAD: &str = "load ";

/// Where the environment names the version of Debezium that ran, which is a relay like others.
const DEBEZIUM: &str = "debezium";

/// Returns what a comparison wants alike, as names and values.
fn settings(record: &Record) -> BTreeMap<String, String> {
    let stack = &record.stack;
    let (database, version, _) = stack.database();
    let named = [
        ("scenario", record.scenario.clone()),
        ("seed", record.seed.to_string()),
        ("stack", stack.provider.clone()),
        (database, version.to_owned()),
        ("Toxiproxy", stack.toxiproxy.version.clone()),
    ];
    let used = stack.used();
    let used = used.map(|(name, version, _)| (name.to_owned(), version.to_owned()));
    let named = named.map(|(name, value)| (name.to_owned(), value));
    let named = named.into_iter().chain(used);
    let workload = record.workload.iter();
    let workload = workload.map(|(name, value)| (format!("workload {name}"), value.clone()));
    // Its fields are compared each by itself, as they are written.
    let load = serde_json::to_value(&record.load).unwrap_or_default();
    let load = load.as_object().into_iter().flatten();
    let load: Vec<(String, String)> = load
        .map(|(name, value)| (format!("{LOAD}{name}"), value.to_string()))
        .collect();
    let environment = stack.environment.iter().filter(|(name, _)| is_of_all(name));
    let environment = environment.map(|(name, value)| (name.clone(), value.clone()));
    let processor = stack.machine.processor.iter();
    let processor = processor.map(|model| (PROCESSOR.to_owned(), model.clone()));
    named
        .into_iter()
        .chain(processor)
        .chain(workload)
        .chain(load)
        .chain(environment)
        .collect()
}

/// What the environment says of single strategies is what is compared, or is of one that the other side lacks.
fn is_of_all(name: &str) -> bool {
    !name.starts_with("relay.")
        && !name.starts_with("synchronous_commit.relay.")
        && name != DEBEZIUM
}

/// Returns what differs between the first record and any other one, a line each; of many records alike, it is said
/// once. `side` says whose a record is.
pub fn unlike(records: &[(&str, &Record)]) -> Vec<String> {
    let Some(((side, first), rest)) = records.split_first() else {
        return Vec::new();
    };
    let mut found: Vec<String> = Vec::new();
    let mut add = |line: String| {
        if !found.contains(&line) {
            found.push(line);
        }
    };
    let wanted = settings(first);
    for (other, record) in rest {
        let theirs = settings(record);
        let names = wanted
            .keys()
            .chain(theirs.keys().filter(|n| !wanted.contains_key(*n)));
        for name in names {
            let (a, b) = (wanted.get(name), theirs.get(name));
            if !alike(name, a, b) {
                let said = |value: Option<&String>| value.map_or("none", String::as_str).to_owned();
                add(format!("{name}: {side} {}, {other} {}", said(a), said(b)));
            }
        }
        for strategy in &first.strategies {
            let same = record.strategies.iter().find(|s| s.name == strategy.name);
            for what in same.into_iter().flat_map(|s| strategies(strategy, s)) {
                add(format!("{}: {what} ({side} and {other})", strategy.name));
            }
        }
    }
    found
}

fn alike(name: &str, a: Option<&String>, b: Option<&String>) -> bool {
    let may_lack = name == PROCESSOR || name.starts_with(LOAD);
    if may_lack && (a.is_none() || b.is_none()) {
        return true;
    }
    let number = |value: Option<&String>| value.and_then(|v| v.parse::<f64>().ok());
    match (name, number(a), number(b)) {
        ("memory_mib", Some(a), Some(b)) => (a - b).abs() <= MEMORY * a.max(b),
        _ => a == b,
    }
}

/// What differs between two runs of strategies of one name.
fn strategies(a: &Strategy, b: &Strategy) -> Vec<String> {
    let mut unlike = Vec::new();
    if a.kind != b.kind {
        unlike.push("another kind of strategy".to_owned());
    }
    if a.wiring != b.wiring {
        unlike.push("other links go through the proxy".to_owned());
    }
    let faults = a.faults.len() == b.faults.len();
    if !faults
        || !a
            .faults
            .iter()
            .zip(&b.faults)
            .all(|(a, b)| same_fault(a, b))
    {
        unlike.push("other faults, or at other times".to_owned());
        return unlike;
    }
    let faults = a.faults.iter().zip(&b.faults);
    unlike.extend(faults.flat_map(|(a, b)| other_settings(a, b)));
    unlike
}

/// How the settings of two faults that are the same otherwise differ, where both records have them.
fn other_settings(a: &Fault, b: &Fault) -> Vec<String> {
    let (Some(theirs), Some(others)) = (&a.settings, &b.settings) else {
        return Vec::new();
    };
    let names: BTreeSet<&String> = theirs.keys().chain(others.keys()).collect();
    let different = names
        .into_iter()
        .filter(|name| theirs.get(*name) != others.get(*name));
    let said = |value: Option<&String>| value.map_or("none", String::as_str).to_owned();
    let lines = different.map(|name| {
        let (of_a, of_b) = (said(theirs.get(name)), said(others.get(name)));
        format!("{} {}: {name} {of_a}, {of_b}", a.kind, a.target)
    });
    lines.collect()
}

/// One that waits for something comes when it comes.
fn same_fault(a: &Fault, b: &Fault) -> bool {
    let named = |fault: &Fault| {
        (
            fault.target.clone(),
            fault.kind.clone(),
            fault.trigger.clone(),
        )
    };
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= FAULT_S,
        // What never was in force shows in the run's verdict.
        (None, _) | (_, None) => true,
    };
    let times = near(a.injected_s, b.injected_s) && near(a.healed_s, b.healed_s);
    named(a) == named(b) && (a.trigger.is_some() || times)
}

/// The versions of what was run, each once.
pub fn versions(records: &[&Record]) -> Vec<String> {
    let mut versions = Vec::new();
    let mut add = |version: String| {
        if !versions.contains(&version) {
            versions.push(version);
        }
    };
    for record in records {
        add(format!("outbox-harness {}", record.harness_version));
        if let Some(debezium) = record.stack.environment.get(DEBEZIUM) {
            add(format!("Debezium {debezium}"));
        }
        for relay in record.strategies.iter().filter_map(|s| s.relay.as_ref()) {
            add(format!("{} {}", relay.name, relay.version));
        }
    }
    versions
}
