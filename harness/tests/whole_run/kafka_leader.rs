//! A whole run in which the leader of three Kafka brokers dies with what it alone had: exactly that is lost, and exactly that
//! was never to be seen by anyone who reads.

use super::{all, only_run, record, run};
use harness::history::{self, History, Life, Stage, Tracer};
use harness::scenario::{BrokerNode, Server};
use reports::record::Verdict;
use std::collections::{BTreeMap, BTreeSet};

const ALONE: &str = r#"
name = "kafka-leader-alone"
description = "The leader is acknowledged alone, and dies."
seed = 7

[stack]
kafka = { brokers = 3 }

[workload]
rate = 100
partitions = 1
duration = "20s"
min_committed_per_phase = 20

[[fault]]
target = "kafka-followers-server"
kind = "pause"
at = "2s"
for = "2s"

[[fault]]
target = "kafka-leader-server"
kind = "kill"
at = "3s"
for = "3s"

[drain]
within = "3s"
settle = "200ms"

[strategy.leader]
kind = "polling"
kafka = { acks = "1" }

[expect.leader]
lost = ">= 20"
undrained = 0
phantom = 0
reordered = 0
"#;

/// What the relay was told is on the topic before this moment: by attempt, at which offset.
fn acknowledged(history: &History, before_ns: i64) -> BTreeMap<u32, i64> {
    let told = history.trace.iter().filter(|row| {
        row.tracer == Tracer::Relay && row.stage == Stage::Delivered && row.at_ns < before_ns
    });
    told.map(|row| (row.attempt, row.detail.cast_signed()))
        .collect()
}

#[test]
fn given_a_leader_that_dies_with_what_it_alone_had_when_run_then_exactly_that_is_lost_and_nobody_had_seen_it()
 {
    if !all::is_asked_for() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), ALONE, &[]);
    let folder = only_run(home.path());
    let record = record(&folder);
    let said = String::from_utf8_lossy(&output.stderr);
    let leader = &record.strategies[0];
    assert_eq!(
        record.verdict,
        Verdict::Pass,
        "{:?}\n{said}",
        leader.reasons
    );
    for fault in &leader.faults {
        assert_eq!(fault.bit, Some(true), "{fault:?}");
    }
    let history = history::load(&folder.join("history/leader"))
        .unwrap()
        .history;
    let nodes = BrokerNode::ALL.map(|node| Server::BrokerNode(node).process());
    let died = history
        .processes
        .iter()
        .filter(|event| event.life == Life::Exited && nodes.contains(&event.process.as_str()));
    let died_ns = died.map(|event| event.at_ns).min().unwrap();

    // What it acknowledged is there up to an offset, and from there on it is not
    let acknowledged = acknowledged(&history, died_ns);
    let there: BTreeMap<i64, u32> = history.log.iter().map(|r| (r.offset, r.attempt)).collect();
    let gone = |(attempt, offset): (&u32, &i64)| there.get(offset) != Some(attempt);
    let only_there = acknowledged.iter().filter(|told| gone(*told));
    let only_there: BTreeMap<u32, i64> = only_there.map(|(a, o)| (*a, *o)).collect();
    let cut = *only_there.values().min().unwrap();
    assert!(
        acknowledged
            .iter()
            .all(|told| gone(told) == (*told.1 >= cut))
    );

    // Of these the referee calls those lost that never came otherwise, and nothing else
    let came: BTreeSet<u32> = there.values().copied().collect();
    let truth = history.truth.iter().map(|row| row.attempt);
    let lost: BTreeSet<u32> = truth.filter(|attempt| !came.contains(attempt)).collect();
    let expected = only_there.keys().filter(|attempt| !came.contains(attempt));
    assert_eq!(lost, expected.copied().collect());
    assert_eq!(leader.counts.lost, Some(lost.len() as u64));

    // And the offsets were used again, but nobody who reads had been shown what stood there first
    assert!(there.contains_key(&cut), "{cut}");
    let seen = history.sightings.iter();
    let early = seen
        .filter(|sight| sight.seen_ns < died_ns)
        .map(|s| s.offset);
    assert!(early.max().unwrap() < cut);
}
