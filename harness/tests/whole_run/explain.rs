//! What a run says of its offending events, and what `explain` says of them afterwards.

use super::{only_run, outage, program, record, run_on_theirs};
use reports::record::{Offence, Record};
use std::path::Path;

/// The relay is killed with deliveries that it has not heard of, later the order service with
/// events in its producer.
const KILLS: &str = r#"
name = "kills"
description = "The relay is killed, then the order service."
seed = 7

[workload]
rate = 200
duration = "5s"
partitions = 12
connections = 64
min_committed_per_phase = 0

[[fault]]
target = "relay->kafka"
kind = "latency"
latency = "600ms"
stream = "downstream"
at = "1s"
for = "1400ms"

[[fault]]
target = "relay"
kind = "kill"
at = "1900ms"
for = "800ms"

[[fault]]
target = "order-service"
kind = "kill"
at = "3500ms"
for = "500ms"

[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
linger = "200ms"

[strategy.polling]
kind = "polling"

[expect.naive]
lost = ">= 1"

[expect.polling]
duplicated = ">= 1"
"#;

fn of<'a>(record: &'a Record, strategy: &str, metric: &str) -> Vec<&'a Offence> {
    let strategy = record
        .strategies
        .iter()
        .find(|s| s.name == strategy)
        .unwrap();
    let of_it = strategy.offences.iter().filter(|o| o.metric == metric);
    of_it.collect()
}

fn explained(folder: &Path, more: &[&str]) -> String {
    let output = program()
        .arg("explain")
        .arg(folder)
        .args(more)
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    String::from_utf8(output.stdout).unwrap()
}

/// How many lines of the run's file of offences there are of this strategy.
fn lines(folder: &Path, strategy: &str) -> u64 {
    let text = std::fs::read_to_string(folder.join("offences.jsonl")).unwrap();
    let all: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(all.iter().all(|line| line["sentence"].is_string()));
    all.iter()
        .filter(|line| line["strategy"] == strategy)
        .count() as u64
}

#[test]
fn given_an_outage_when_run_then_each_lost_event_has_its_failed_publish_and_the_outage() {
    let lost = of(&outage().record, "naive", "lost");
    assert!(!lost.is_empty());
    for offence in lost {
        let told = offence.told();
        assert!(told.starts_with("committed at "), "{told}");
        assert!(told.contains("; its publish failed at "), "{told}");
        assert!(told.contains(" while down kafka was in force ("), "{told}");
        assert!(told.ends_with(": lost"), "{told}");
        assert!(offence.timeline.iter().any(|s| s.who == "fault"));
        assert!(offence.timeline.is_sorted_by(|a, b| a.at_s <= b.at_s));
    }
}

#[test]
fn given_killed_processes_when_run_then_the_sentences_name_the_kills() {
    let home = tempfile::tempdir().unwrap();
    run_on_theirs(home.path(), KILLS);
    let folder = only_run(home.path());
    let record = record(&folder);

    // Then what the service took along is lost by its death, with the event in its producer or not
    // even there
    let lost = of(&record, "naive", "lost");
    assert!(!lost.is_empty());
    for offence in &lost {
        let told = offence.told();
        assert!(told.contains("; order service killed at "), "{told}");
        assert!(told.ends_with(": lost"), "{told}");
        assert!(offence.timeline.iter().any(|s| s.what == "killed"));
    }
    // And what the relay did not hear of is published again by its successor
    let duplicated = of(&record, "polling", "duplicated");
    assert!(!duplicated.is_empty());
    for offence in duplicated {
        let told = offence.told();
        assert!(told.contains("; relay killed at "), "{told}");
        assert!(
            told.contains(
                " before it confirmed it to the outbox; published again by the next relay"
            ),
            "{told}"
        );
        assert!(offence.timeline.iter().any(|s| s.who == "relay #2"));
    }
    // And `explain` says the same, and knows each order
    let all = explained(&folder, &[]);
    assert!(all.contains("naive: "), "{all}");
    assert!(all.contains("polling: "), "{all}");
    let id = lost[0].order_id.as_deref().unwrap();
    let one = explained(&folder, &["--order", id]);
    assert!(one.starts_with(&format!("naive: order {id}\n")), "{one}");
    let killed = |line: &str| line.contains("order service") && line.ends_with(" killed");
    assert!(one.lines().any(killed), "{one}");
    // And every offending event is in the file
    for strategy in &record.strategies {
        let c = &strategy.counts;
        let offending = [
            c.lost,
            c.undrained,
            c.undecided,
            c.phantom,
            c.foreign,
            c.duplicated,
            c.reordered,
            c.split,
            c.corrupted,
            c.missing,
            c.double_applied,
            c.false_rejection,
            c.unacknowledged,
            c.late,
        ];
        let offending: Option<u64> = offending.into_iter().sum();
        assert_eq!(Some(lines(&folder, &strategy.name)), offending);
    }
}
