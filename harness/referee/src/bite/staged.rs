//! Histories put together by hand, for the tests of each kind of fault. The fault is injected at
//! 4 s (began 3.99), its healing begins at 8 s and is done at 8.02.

use crate::bite::name;
use crate::clock::RunClock;
use crate::history::*;
use crate::identity::RunKey;
use crate::scenario::*;
use contract::config::{AfterPublish, CommitMode, Housekeeping, WriteOrder};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) struct Staged(pub History);

pub(super) fn ns(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}

pub(super) fn dual_write() -> StrategyKind {
    StrategyKind::DualWrite {
        order: WriteOrder::CommitThenPublish,
        publish_timeout: None,
        policy: contract::publish::PublishPolicy::default(),
    }
}

pub(super) fn polling() -> StrategyKind {
    StrategyKind::Polling {
        after_publish: AfterPublish::Delete,
        housekeeping: Housekeeping::None,
        interval: Duration::from_millis(10),
        batch: 100,
        notify: true,
    }
}

pub(super) fn two_phase() -> StrategyKind {
    StrategyKind::TwoPhaseCommit {
        publish_timeout: Duration::from_secs(1),
        transaction_timeout: Duration::from_secs(60),
        in_doubt_after: None,
        producers: 8,
    }
}

/// An order service that publishes what is in its outbox by itself.
pub(super) fn outbox_inside() -> StrategyKind {
    relay_file::given::outbox_inside()
}

pub(super) fn toxic(toxic: Toxic, stream: Stream) -> FaultKind {
    FaultKind::Toxic {
        toxic,
        stream,
        toxicity: 1.0,
    }
}

/// Returns one fault of each kind.
pub(super) fn every_kind() -> Vec<FaultKind> {
    let mut kinds = vec![
        FaultKind::Down,
        FaultKind::Kill,
        FaultKind::Restart,
        FaultKind::Pause,
        FaultKind::OldSnapshot,
        FaultKind::Failover,
    ];
    kinds.extend(
        [
            Toxic::Latency {
                latency: 100,
                jitter: 0,
            },
            Toxic::Bandwidth { rate: 1 },
            Toxic::SlowClose { delay: 100 },
            Toxic::Timeout { timeout: 0 },
            Toxic::ResetPeer { timeout: 0 },
            Toxic::Slicer {
                average_size: 10,
                size_variation: 1,
                delay: 0,
            },
            Toxic::LimitData { bytes: 100 },
        ]
        .map(|t| toxic(t, Stream::Upstream)),
    );
    kinds
}

impl Staged {
    pub fn new(target: Target, kind: FaultKind, strategy: StrategyKind) -> Self {
        let scenario = Scenario {
            name: "staged".into(),
            description: String::new(),
            seed: 1,
            workload: Workload {
                rate: 100.0,
                duration: Duration::from_secs(12),
                changes_per_order: 3,
                payload_bytes: 64,
                connections: 4,
                clients: None,
                request_timeout: Duration::from_secs(2),
                rollback_ratio: 0.0,
                hold_ratio: 0.0,
                hold: Duration::ZERO,
                retries: 0,
                skew: 0.0,
                ramp: Duration::ZERO,
                partitions: 1,
                database_connections: 4,
                min_committed_per_phase: 100,
                read_share: 0.0,
            },
            faults: vec![Fault {
                target,
                kind,
                id: None,
                start: Start::At(Duration::from_secs(4)),
                lasts: Duration::from_secs(4),
            }],
            strategies: vec![Strategy {
                name: "s".into(),
                kind: strategy,
                linger_ms: 0.0,
                relay_commit: CommitMode::default(),
                failover_slot: false,
                instances: 1,
                broker: BrokerChoice::default(),
                database: Default::default(),
                cache: None,
                expectations: Vec::new(),
                of_consumers: Vec::new(),
            }],
            drain: Drain {
                within: Duration::from_secs(30),
                late_after: Duration::from_secs(15),
                settle: Duration::ZERO,
            },
            order: Default::default(),
            consumers: Vec::new(),
            stack: Default::default(),
            text: String::new(),
        };
        let meta = RunMeta {
            format: 1,
            scenario,
            strategy: "s".into(),
            part_of: PartOf::default(),
            key: RunKey::random(),
            clock: RunClock::start(),
            started_at: String::new(),
            topic: String::new(),
            topics: Vec::new(),
            made_of: None,
            schema: String::new(),
            proxied: Vec::new(),
            load_from_ns: 0,
            load_until_ns: ns(12.0),
            unoffered: 0,
            truth_lsn: None,
            wall_drift_ns: 0,
            uncommitted_records: 0,
            service_killed_at_teardown: false,
            interrupted: false,
            heuristic: Vec::new(),
            trigger_notes: Vec::new(),
            stray_topics: Vec::new(),
            trace_cut_ns: None,
            consumers: Vec::new(),
            cache: None,
            deaths: Vec::new(),
            remarks: Vec::new(),
            trace_dropped: 0,
            environment: BTreeMap::new(),
            sha256: BTreeMap::new(),
        };
        let staged = Self(History {
            meta,
            requests: Rows::new(),
            truth: Rows::new(),
            log: Rows::new(),
            raw: Vec::new(),
            sightings: Rows::new(),
            partitions: Vec::new(),
            pending: Vec::new(),
            faults: vec![FaultRecord {
                fault: 0,
                planned_at_ns: ns(4.0),
                injected_ns: Some(ns(4.0)),
                healed_ns: Some(ns(8.02)),
            }],
            observations: Vec::new(),
            processes: Vec::new(),
            samples: Vec::new(),
            fences: Vec::new(),
            trace: Rows::new(),
            effects: Rows::new(),
            reads: Rows::new(),
            cached: Rows::new(),
        });
        let place = target.name();
        staged
            .at(3.99, place, name::INJECTING, 1.0)
            .at(8.0, place, name::HEALING, 1.0)
    }

    /// Adds one observation of fault 0, taken `second` seconds after the run clock's origin.
    pub fn at(mut self, second: f64, place: &str, name: &str, value: f64) -> Self {
        self.0.observations.push(Observation {
            fault: 0,
            place: place.into(),
            name: name.into(),
            at_ns: ns(second),
            value,
        });
        self
    }

    /// Adds a sample of whether the snapshot that a fault holds is the oldest.
    pub fn horizon(self, second: f64, held: f64) -> Self {
        self.sample(second, HORIZON_HELD, held)
    }

    /// Adds a sample of the dead rows.
    pub fn dead_rows(self, second: f64, rows: f64) -> Self {
        self.sample(second, DEAD_ROWS, rows)
    }

    fn sample(mut self, second: f64, series: &str, value: f64) -> Self {
        self.0.samples.push(Sample {
            series: series.into(),
            at_ns: ns(second),
            value,
        });
        self
    }

    /// Adds an observation each 100 ms of these seconds; `value` gives its value by the second.
    pub fn every(
        mut self,
        seconds: std::ops::Range<f64>,
        place: &str,
        name: &str,
        value: impl Fn(f64) -> f64,
    ) -> Self {
        // Whole steps: sums of tenths drift.
        let steps = ((seconds.end - seconds.start) * 10.0).round() as u32;
        for step in 0..steps {
            let second = seconds.start + f64::from(step) / 10.0;
            self = self.at(second, place, name, value(second));
        }
        self
    }

    /// A request, and when its event was seen.
    pub fn request(mut self, sent: f64, ended: f64, outcome: Outcome, seen: Option<f64>) -> Self {
        let attempt = self.0.requests.len() as u32;
        self.0.requests.push(Request {
            change: attempt,
            order: attempt,
            change_type: 0,
            intent: Intent::Commit,
            outcome,
            // A request that came to nothing has no status, one that was answered has.
            status: match outcome {
                Outcome::Committed => 201,
                Outcome::Rejected => 422,
                Outcome::Unknown | Outcome::NotSent => 0,
            },
            told_version: 1,
            intended_ns: ns(sent),
            sent_ns: ns(sent),
            ended_ns: ns(ended),
            lag_ns: 0,
            held_back: false,
        });
        let offset = i64::from(attempt);
        self.0.log.push(LogRow {
            partition: 0,
            offset,
            append_ms: 0,
            attempt,
            order: attempt,
            version: 1,
            body: Body::Intact,
        });
        self.0.sightings.extend(seen.map(|seen| Sighting {
            partition: 0,
            offset,
            seen_ns: ns(seen),
        }));
        self
    }

    /// One more record of the event of an attempt, and when it was seen.
    pub fn again(mut self, attempt: usize, seen: f64) -> Self {
        let mut copy = self.0.log.at(attempt);
        copy.offset = 1_000 + self.0.log.len() as i64;
        self.0.log.push(copy);
        self.0.sightings.push(Sighting {
            partition: copy.partition,
            offset: copy.offset,
            seen_ns: ns(seen),
        });
        self
    }

    /// A read, and where its answer is from; one that does not say was not answered.
    pub fn read(mut self, sent: f64, source: ReadSource) -> Self {
        self.0.reads.push(ReadRow {
            order: 0,
            intended_ns: ns(sent),
            sent_ns: ns(sent),
            ended_ns: ns(sent + 0.01),
            lag_ns: 0,
            held_back: false,
            outcome: match source {
                ReadSource::Unknown => ReadOutcome::Failed,
                ReadSource::Cache | ReadSource::Database | ReadSource::Fallback => {
                    ReadOutcome::Answered
                }
            },
            source,
            version: 1,
        });
        self
    }

    /// The order service could not take an entry out of the cache.
    pub fn not_invalidated(mut self, second: f64) -> Self {
        self.0.trace.push(TraceRow {
            tracer: Tracer::OrderService,
            pid: 1,
            at_ns: ns(second),
            attempt: 0,
            version: 1,
            stage: Stage::InvalidationFailed,
            detail: 0,
        });
        self
    }

    /// Gives the strategy a cache, of which the service or the relay takes entries out.
    pub fn cached(mut self, mode: contract::cache::CacheMode) -> Self {
        self.0.meta.scenario.strategies[0].cache = Some(Cache {
            mode,
            fill: Default::default(),
            fill_hold: Duration::ZERO,
        });
        self
    }

    pub fn life(mut self, process: &str, second: f64, life: Life, exit: i32) -> Self {
        self.0.processes.push(ProcessEvent {
            process: process.into(),
            pid: 100 + self.0.processes.len() as u32,
            at_ns: ns(second),
            life,
            exit,
        });
        self
    }

    /// Leaves out the observations of one name.
    pub fn without(mut self, name: &str) -> Self {
        self.0.observations.retain(|o| o.name != name);
        self
    }

    #[track_caller]
    pub fn bit(&self, evidence: &str) {
        let bites = super::bites(&self.0);
        assert!(bites[0].bit, "{}", bites[0].evidence);
        assert!(
            bites[0].evidence.contains(evidence),
            "{}",
            bites[0].evidence
        );
    }

    #[track_caller]
    pub fn did_not_bite(&self, missing: &str) {
        let bites = super::bites(&self.0);
        assert!(!bites[0].bit, "{}", bites[0].evidence);
        assert!(bites[0].evidence.contains(missing), "{}", bites[0].evidence);
    }
}
