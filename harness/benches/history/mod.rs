//! A clean history of any size.

use harness::clock::RunClock;
use harness::history::{
    Body, FORMAT, FenceStep, History, Intent, LogRow, Outcome, PartOf, PartitionEnd, Request,
    RunMeta, Sighting, TruthRow,
};
use harness::identity::RunKey;
use harness::scenario;
use relays::order::ChangeType;
use std::collections::BTreeMap;

const PARTITIONS: u32 = 3;
const VERSIONS: u32 = 3;
const FROM_NS: i64 = 1_000_000_000;
const MS: i64 = 1_000_000;
const EVERY_NS: i64 = 100_000;

/// `events` changes at 10,000 a second, all of them acknowledged, published once and seen.
pub fn clean(events: u32) -> History {
    let text = "name = \"bench\"\n[workload]\nrate = 10000\nduration = \"60s\"\n[strategy.it]\nkind = \"cdc\"\n";
    let scenario = scenario::parse("bench", text).expect("the text is valid");
    let until_ns = FROM_NS + i64::from(events) * EVERY_NS;
    let clock = RunClock {
        origin_monotonic_ns: 1,
        origin_unix_ns: 1_700_000_000_000_000_000,
    };
    let mut history = History {
        meta: RunMeta {
            format: FORMAT,
            strategy: scenario.strategies[0].name.clone(),
            scenario,
            key: RunKey::random(),
            clock,
            started_at: "2026-11-24T00:00:00Z".to_owned(),
            topic: "oh.1.it".to_owned(),
            schema: "oh_1_it".to_owned(),
            proxied: Vec::new(),
            load_from_ns: FROM_NS,
            load_until_ns: until_ns,
            unoffered: 0,
            truth_lsn: Some(1),
            wall_drift_ns: 0,
            uncommitted_records: events.into(),
            service_killed_at_teardown: false,
            stray_topics: Vec::new(),
            part_of: PartOf::default(),
            trace_cut_ns: None,
            trace_dropped: 0,
            environment: BTreeMap::new(),
            sha256: BTreeMap::new(),
        },
        requests: Vec::with_capacity(events as usize),
        truth: Vec::with_capacity(events as usize),
        log: Vec::with_capacity(events as usize),
        raw: Vec::new(),
        sightings: Vec::with_capacity(events as usize),
        partitions: Vec::new(),
        pending: Vec::new(),
        faults: Vec::new(),
        observations: Vec::new(),
        processes: Vec::new(),
        samples: Vec::new(),
        fences: Vec::new(),
        trace: Vec::new(),
    };
    let mut ends = [0_i64; PARTITIONS as usize];
    for attempt in 0..events {
        publish(&mut history, &mut ends, attempt);
    }
    history.log.sort_by_key(|row| (row.partition, row.offset));
    history.partitions = (0..)
        .zip(ends)
        .map(|(partition, end)| PartitionEnd {
            partition,
            end_offset: end,
            stable_offset: end,
            read_offset: end,
        })
        .collect();
    history.fences = (1..=8)
        .map(|number| FenceStep {
            number,
            name: format!("step {number}"),
            started_ns: until_ns + MS,
            ended_ns: until_ns + 2 * MS,
            ok: true,
            detail: String::new(),
        })
        .collect();
    history
}

fn publish(history: &mut History, ends: &mut [i64; PARTITIONS as usize], attempt: u32) {
    let (order, version) = (attempt / VERSIONS, attempt % VERSIONS + 1);
    let intended_ns = FROM_NS + i64::from(attempt) * EVERY_NS;
    history.requests.push(Request {
        change: attempt,
        order,
        change_type: ChangeType::for_version(version).code(),
        intent: Intent::Commit,
        outcome: Outcome::Committed,
        status: 201,
        told_version: version,
        intended_ns,
        sent_ns: intended_ns + MS / 50,
        ended_ns: intended_ns + MS / 2,
        lag_ns: MS / 100,
    });
    history.truth.push(TruthRow {
        order,
        version,
        attempt,
        change: attempt,
    });
    let partition = (order % PARTITIONS) as usize;
    let offset = ends[partition];
    ends[partition] += 1;
    let partition = partition as i32;
    history.log.push(LogRow {
        partition,
        offset,
        append_ms: 1_700_000_000_000 + intended_ns / MS + 1,
        attempt,
        order,
        version,
        body: Body::Intact,
    });
    history.sightings.push(Sighting {
        partition,
        offset,
        seen_ns: intended_ns + MS,
    });
}
