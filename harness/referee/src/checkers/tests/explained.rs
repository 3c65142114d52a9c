//! An expectation of at least so many counts only what overlaps a fault, and is told only of a
//! strategy that was clean before the first: against a slow model of the time in which each offence
//! can have come about.

use super::arbitrary::arbitrary;
use crate::checkers::fixture::*;
use crate::history::{Body, History, LogRow, Outcome, Request, TruthRow};
use crate::scenario::{Comparison, FaultKind, Link, Metric, StrategyKind, Target, Victim};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// From when to when, both included.
type ModelSpan = (i64, i64);

fn hull(a: ModelSpan, b: ModelSpan) -> ModelSpan {
    (a.0.min(b.0), a.1.max(b.1))
}

fn overlap(a: ModelSpan, b: ModelSpan) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

struct OverlapModel<'h> {
    h: &'h History,
    topic: Vec<LogRow>,
    truth: Vec<TruthRow>,
    windows: Vec<ModelSpan>,
    relay: bool,
}

impl<'h> OverlapModel<'h> {
    fn new(h: &'h History) -> Self {
        let mut topic: Vec<LogRow> = h.log.iter().collect();
        let mut truth: Vec<TruthRow> = h.truth.iter().collect();
        topic.sort_by_key(|r| (r.partition, r.offset));
        truth.sort_by_key(|t| (t.order, t.version));
        let strategy = &h.meta.scenario.strategies[0];
        let kind = &strategy.kind;
        let relay = !matches!(kind, StrategyKind::DualWrite { .. });
        let felt = |target: Target| match target {
            Target::Process(victim) => relay || victim != Victim::RELAY,
            target => target.links().iter().any(|l| strategy.topology().uses(*l)),
        };
        let in_force = h.faults.iter().filter_map(|f| {
            let felt = felt(h.meta.scenario.faults[f.fault as usize].target);
            let from = f.injected_ns.filter(|_| felt)?.min(f.planned_at_ns);
            Some((from, f.healed_ns.unwrap_or(i64::MAX)))
        });
        Self {
            windows: in_force.collect(),
            h,
            topic,
            truth,
            relay,
        }
    }

    fn request(&self, attempt: u32) -> Option<Request> {
        self.h.requests.get(attempt as usize)
    }

    fn asked(&self, request: Request) -> ModelSpan {
        let from = request.intended_ns;
        (from, request.ended_ns.max(from))
    }

    fn is_of(&self, record: &LogRow, t: &TruthRow) -> bool {
        let same =
            (record.order, record.version, record.attempt) == (t.order, t.version, t.attempt);
        let request = self.request(record.attempt);
        same && record.body == Body::Intact && request.is_some_and(|r| r.order == t.order)
    }

    fn events(&self, t: &TruthRow) -> Vec<LogRow> {
        let mine = self.topic.iter().filter(|r| self.is_of(r, t));
        mine.copied().collect()
    }

    fn is_valid(&self, record: &LogRow) -> bool {
        self.truth.iter().any(|t| self.is_of(record, t))
    }

    fn appended(&self, record: &LogRow) -> i64 {
        let origin = self.h.meta.clock.origin_unix_ns;
        (i128::from(record.append_ms) * 1_000_000 - origin) as i64
    }

    fn seen(&self, t: &TruthRow) -> Option<i64> {
        let events = self.events(t);
        let mine = self.h.sightings.iter().filter(|s| {
            let mut places = events.iter().map(|r| (r.partition, r.offset));
            places.any(|place| place == (s.partition, s.offset))
        });
        mine.map(|s| s.seen_ns).min()
    }

    /// When it was clear that a relay had passed what was asked for until then.
    fn passed(&self, ended_ns: i64) -> i64 {
        let later = self.truth.iter().filter(|t| {
            let request = self.request(t.attempt);
            request.is_some_and(|r| r.sent_ns > ended_ns)
        });
        later.filter_map(|t| self.seen(t)).min().unwrap_or(i64::MAX)
    }

    fn delivery(&self, t: &TruthRow) -> ModelSpan {
        let Some(request) = self.request(t.attempt) else {
            return (self.h.meta.load_from_ns, i64::MAX);
        };
        let asked = self.asked(request);
        let first = self.events(t).first().map(|r| self.appended(r));
        let end = match self.seen(t).or(first) {
            Some(arrived) => arrived,
            None if self.relay => self.passed(request.ended_ns),
            None => asked.1,
        };
        hull(asked, (asked.0, end))
    }

    fn record(&self, record: &LogRow) -> ModelSpan {
        let at = self.appended(record);
        let asked = self.request(record.attempt).map(|r| self.asked(r));
        asked.map_or((at, at), |asked| hull(asked, (at, at)))
    }

    /// Every offence's time, by metric.
    fn offences(&self) -> BTreeMap<String, Vec<ModelSpan>> {
        let mut found: BTreeMap<String, Vec<ModelSpan>> = BTreeMap::new();
        let mut add =
            |metric: Metric, span: ModelSpan| found.entry(metric.name()).or_default().push(span);
        for t in &self.truth {
            let events = self.events(t);
            if events.is_empty() {
                let mut held = self.h.pending.iter();
                let known = self.request(t.attempt).is_some();
                let held = held.any(|p| p.attempt == t.attempt && known);
                let metric = if held {
                    Metric::Undrained
                } else {
                    Metric::Lost
                };
                add(metric, self.delivery(t));
            }
            for repeated in events.iter().skip(1) {
                add(Metric::Duplicated, self.record(repeated));
            }
            if let (Some(first), Some(request)) = (events.first(), self.request(t.attempt)) {
                let seen = self.seen(t).unwrap_or_else(|| self.appended(first));
                if seen - request.ended_ns > 15 * S {
                    add(Metric::Late, self.delivery(t));
                }
            }
            if let Some(request) = self.request(t.attempt) {
                let told = |outcome| {
                    let mut all = self.h.requests.iter();
                    all.any(|r| r.change == request.change && r.outcome == outcome)
                };
                let (yes, no) = (told(Outcome::Committed), told(Outcome::Rejected));
                if no {
                    add(Metric::FalseRejection, self.asked(request));
                } else if !yes {
                    add(Metric::Unacknowledged, self.asked(request));
                }
            }
        }
        for record in self.topic.iter().filter(|r| !self.is_valid(r)) {
            let request = self.request(record.attempt);
            let metric = match (record.body, request) {
                (Body::Foreign, _) | (Body::Intact, None) => Metric::Foreign,
                (Body::Intact, Some(r)) if r.order == record.order => Metric::Phantom,
                _ => Metric::Corrupted,
            };
            add(metric, self.record(record));
        }
        found
    }

    /// How many overlap a fault, and how many were over before the first.
    fn explained(&self, spans: &[ModelSpan]) -> (u64, u64) {
        let within = |s: &&ModelSpan| self.windows.iter().any(|w| overlap(*w, **s));
        let first = self.windows.iter().map(|w| w.0).min();
        let early = |s: &&ModelSpan| first.is_some_and(|first| s.1 < first) && !within(s);
        let count = |n: usize| n as u64;
        (
            count(spans.iter().filter(within).count()),
            count(spans.iter().filter(early).count()),
        )
    }
}

fn fault() -> impl Strategy<Value = (Target, i64, i64, bool)> {
    let target = prop_oneof![
        Just(Target::KAFKA),
        Just(Target::Link(Link::ORDERS_KAFKA)),
        Just(Target::Process(Victim::RELAY)),
        Just(Target::Process(Victim::OrderService)),
    ];
    (target, 0..30_000i64, 1..5_000i64, prop::bool::weighted(0.8))
}

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn a_lesson_counts_what_a_fault_overlaps(
        mut history in arbitrary(),
        faults in prop::collection::vec(fault(), 1..3),
    ) {
        history.meta.service_killed_at_teardown = false;
        for (target, at_ms, lasts_ms, healed) in faults {
            let at_ns = at_ms * MS;
            add_fault(&mut history, target, FaultKind::Down, at_ns, at_ns + lasts_ms * MS);
            if let Some(record) = history.faults.last_mut().filter(|_| !healed) {
                record.healed_ns = None;
            }
        }
        let counted = [
            Metric::Lost, Metric::Undrained, Metric::Phantom, Metric::Foreign, Metric::Duplicated,
            Metric::Corrupted, Metric::FalseRejection, Metric::Unacknowledged, Metric::Late,
        ];
        let lessons = counted.map(|metric| expect(metric, Comparison::AtLeast, 1.0));
        expecting(&mut history, lessons.to_vec());
        let judgement = judged(&history);
        let model = OverlapModel::new(&history);
        let offences = model.offences();
        let nothing = Vec::new();
        for checked in &judgement.expectations {
            let name = checked.expectation.metric.name();
            let spans = offences.get(&name).unwrap_or(&nothing);
            let (within, early) = model.explained(spans);
            if model.windows.is_empty() {
                // No fault that was in force concerns the strategy.
                prop_assert_ne!(checked.met, Some(true), "{}", name);
                continue;
            }
            prop_assert_eq!(checked.observed, Some(within as f64), "{}", name);
            if within > 0 && early > 0 {
                prop_assert_eq!(checked.met, None, "{} was not clean before", name);
            }
        }
    }
}
