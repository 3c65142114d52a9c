//! A clean run's history of any size, with the disorder of a real one: many orders at once, answers
//! and events that take their time, changes that are rolled back.

use harness::clock::RunClock;
use harness::history::{
    Body, FORMAT, FenceRecord, History, Intent, LogRow, Outcome, PartOf, PartitionEnd, Request,
    Rows, RunMeta, Sample, Sighting, TruthRow, topic_end_series,
};
use harness::identity::RunKey;
use harness::scenario;
use relays::order::ChangeType;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

const PARTITIONS: u32 = 6;
const VERSIONS: u32 = 3;
const PER_S: u32 = 10_000;
const EVERY_NS: i64 = 1_000_000_000 / PER_S as i64;
const FROM_NS: i64 = 1_000_000_000;
const ORIGIN_MS: i64 = 1_700_000_000_000;
const US: i64 = 1_000;
const MS: i64 = 1_000_000;
/// The broker is asked for the ends of the partitions so often.
const ASK_EVERY_NS: i64 = 100 * MS;
/// One change in so many is rolled back.
const VETO_EVERY: i64 = 50;

/// `events` changes at 10,000 a second; each that is not rolled back is acknowledged, published once
/// and seen.
pub fn clean(events: u32) -> History {
    let mut making = Making {
        requests: Rows::new(),
        truth: Vec::with_capacity(events as usize),
        topic: (0..PARTITIONS).map(|_| Rows::new()).collect(),
        sightings: Rows::new(),
        samples: Vec::new(),
        ask_ns: FROM_NS,
        waiting: VecDeque::new(),
        orders: 0,
        underway: BinaryHeap::new(),
        random: 1,
    };
    for attempt in 0..events {
        making.change(attempt);
    }
    making.append_until(i64::MAX);
    making.history(events)
}

/// A change that is due: of which order, to which version, and not before the last one's answer.
struct Due {
    order: u32,
    version: u32,
    from_ns: i64,
    /// The event of the version before is appended by then.
    appended_ns: i64,
}

struct Making {
    requests: Rows<Request>,
    truth: Vec<TruthRow>,
    /// By partition.
    topic: Vec<Rows<LogRow>>,
    sightings: Rows<Sighting>,
    samples: Vec<Sample>,
    /// When the broker is asked next.
    ask_ns: i64,
    waiting: VecDeque<Due>,
    orders: u32,
    /// Events that are yet to be appended: when, attempt, order, version.
    underway: BinaryHeap<Reverse<(i64, u32, u32, u32)>>,
    random: u64,
}

impl Making {
    /// Anything from 0 to below `most`: Marsaglia's generator.
    fn any(&mut self, most: i64) -> i64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % most.unsigned_abs()).cast_signed()
    }

    fn change(&mut self, attempt: u32) {
        let intended_ns = FROM_NS + i64::from(attempt) * EVERY_NS;
        self.append_until(intended_ns);
        let waited = self
            .waiting
            .front()
            .is_some_and(|due| due.from_ns <= intended_ns);
        let due = match self.waiting.pop_front() {
            Some(due) if waited => due,
            other => {
                self.waiting.extend(other);
                self.orders += 1;
                Due {
                    order: self.orders - 1,
                    version: 1,
                    from_ns: intended_ns,
                    appended_ns: 0,
                }
            }
        };
        let sent_ns = intended_ns + 20 * US + self.any(200 * US);
        let ended_ns = sent_ns + MS + self.any(4 * MS) * self.any(3);
        let veto = self.any(VETO_EVERY) == 0;
        let (intent, outcome, status, told_version) = if veto {
            (Intent::Veto, Outcome::Rejected, 422, 0)
        } else {
            (Intent::Commit, Outcome::Committed, 201, due.version)
        };
        let lag_ns = self.any(100 * US);
        self.requests.push(Request {
            change: attempt,
            order: due.order,
            change_type: ChangeType::for_version(due.version).code(),
            intent,
            outcome,
            status,
            told_version,
            intended_ns,
            sent_ns,
            ended_ns,
            lag_ns,
            held_back: false,
        });
        let mut next = Due {
            from_ns: ended_ns,
            ..due
        };
        if !veto {
            let appended_ns = (ended_ns + 200 * US + self.any(8 * MS)).max(due.appended_ns + 1);
            self.truth.push(TruthRow {
                order: due.order,
                version: due.version,
                attempt,
                change: attempt,
            });
            self.underway
                .push(Reverse((appended_ns, attempt, due.order, due.version)));
            next.version += 1;
            next.appended_ns = appended_ns;
        }
        if next.version <= VERSIONS {
            self.waiting.push_back(next);
        }
    }

    /// Appends what is due by then, and has the observer see it.
    fn append_until(&mut self, ns: i64) {
        while let Some(Reverse((at_ns, attempt, order, version))) = self.underway.pop() {
            if at_ns > ns {
                self.underway
                    .push(Reverse((at_ns, attempt, order, version)));
                return;
            }
            while self.ask_ns < at_ns {
                self.ask();
            }
            let partition = order.wrapping_mul(2_654_435_769) % PARTITIONS;
            let topic = &mut self.topic[partition as usize];
            let (partition, offset) = (partition.cast_signed(), topic.len() as i64);
            topic.push(LogRow {
                partition,
                offset,
                append_ms: ORIGIN_MS + at_ns / MS,
                attempt,
                order,
                version,
                body: Body::Intact,
            });
            let seen_ns = at_ns + MS + self.any(2 * MS);
            self.sightings.push(Sighting {
                partition,
                offset,
                seen_ns,
            });
        }
    }

    /// How far each partition is known to reach.
    fn ask(&mut self) {
        let ends = (0..).zip(&self.topic).map(|(partition, rows)| Sample {
            series: topic_end_series(partition),
            at_ns: self.ask_ns,
            value: rows.len() as f64,
        });
        self.samples.extend(ends);
        self.ask_ns += ASK_EVERY_NS;
    }

    fn history(mut self, events: u32) -> History {
        self.ask();
        let until_ns = FROM_NS + i64::from(events) * EVERY_NS + 20 * MS;
        self.truth
            .sort_unstable_by_key(|row| (row.order, row.version));
        let ends = (0..).zip(&self.topic);
        let partitions = ends.map(|(partition, rows)| PartitionEnd {
            partition,
            end_offset: rows.len() as i64,
            stable_offset: rows.len() as i64,
            read_offset: rows.len() as i64,
        });
        let fences = (1..=8).map(|number| FenceRecord {
            number,
            name: format!("step {number}"),
            started_ns: until_ns + 20 * MS,
            ended_ns: until_ns + 40 * MS,
            ok: true,
            detail: String::new(),
        });
        History {
            meta: meta(events, until_ns, self.sightings.len() as u64),
            partitions: partitions.collect(),
            fences: fences.collect(),
            requests: self.requests,
            truth: self.truth.into_iter().collect(),
            log: self.topic.iter().flatten().collect(),
            raw: Vec::new(),
            sightings: self.sightings,
            pending: Vec::new(),
            faults: Vec::new(),
            observations: Vec::new(),
            processes: Vec::new(),
            samples: self.samples,
            trace: Rows::new(),
            effects: Rows::new(),
            reads: Rows::new(),
            cached: Rows::new(),
        }
    }
}

fn meta(events: u32, until_ns: i64, records: u64) -> RunMeta {
    let duration_ms = u64::from(events) * 1_000 / u64::from(PER_S);
    let text = format!(
        "name = \"clean\"\n[workload]\nrate = {PER_S}\nduration = \"{}ms\"\n[strategy.it]\nkind = \
         \"cdc\"\n",
        duration_ms.max(1)
    );
    let scenario = scenario::parse("clean", &text).expect("the text is valid");
    RunMeta {
        format: FORMAT,
        strategy: scenario.strategies[0].name.clone(),
        scenario,
        key: RunKey::random(),
        clock: RunClock {
            origin_monotonic_ns: 1,
            origin_unix_ns: i128::from(ORIGIN_MS) * i128::from(MS),
        },
        started_at: "2026-11-24T00:00:00Z".to_owned(),
        topic: "oh.1.it".to_owned(),
        topics: Vec::new(),
        made_of: None,
        schema: "oh_1_it".to_owned(),
        proxied: Vec::new(),
        load_from_ns: FROM_NS,
        load_until_ns: until_ns,
        unoffered: 0,
        truth_lsn: Some(1),
        wall_drift_ns: 0,
        uncommitted_records: records,
        service_killed_at_teardown: false,
        remarks: Vec::new(),
        interrupted: false,
        heuristic: Vec::new(),
        trigger_notes: Vec::new(),
        stray_topics: Vec::new(),
        part_of: PartOf::default(),
        trace_cut_ns: None,
        consumers: Vec::new(),
        cache: None,
        deaths: Vec::new(),
        trace_dropped: 0,
        environment: BTreeMap::new(),
        sha256: BTreeMap::new(),
    }
}
