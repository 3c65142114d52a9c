//! The meanings of all counts, word for word and without any cleverness: nested loops over the
//! history, slow and obvious. The checkers must agree with it on any history.

use crate::checkers::fixture::Four;
use crate::history::{Body, History, Life, LogRow, NONE, Outcome, Request, TruthRow};
use crate::scenario::{Metric, StrategyKind};
use crate::view::strategy;
use reports::record::Outcomes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub fn model(history: &History) -> BTreeMap<String, u64> {
    let model = Model {
        h: history,
        topic: topic(history),
        truth: history.truth.iter().collect(),
    };
    let counts = [
        (Metric::Lost, model.unpublished("lost")),
        (Metric::Undrained, model.unpublished("undrained")),
        (Metric::Undecided, model.unpublished("undecided")),
        (Metric::Phantom, model.records("phantom")),
        (Metric::Foreign, model.records("foreign")),
        (Metric::Corrupted, model.records("corrupted")),
        (Metric::Duplicated, model.duplicated()),
        (Metric::Reordered, model.reordered()),
        (Metric::Split, model.split()),
        (Metric::Missing, model.missing()),
        (Metric::DoubleApplied, model.double_applied()),
        (Metric::FalseRejection, model.false_rejection()),
        (Metric::Unacknowledged, model.unacknowledged()),
        (Metric::Late, model.late()),
    ];
    let named = counts
        .into_iter()
        .map(|(metric, n)| (metric.name(), n as u64));
    named.filter(|(_, n)| *n > 0).collect()
}

/// In the database yes or no, an event yes or no: of each attempt. What is not in the database has
/// an event if anything intact of it is on the topic.
pub fn outcomes(history: &History) -> Outcomes {
    let model = Model {
        h: history,
        topic: topic(history),
        truth: history.truth.iter().collect(),
    };
    let mut outcomes = Four::default();
    for attempt in 0..history.requests.len() as u32 {
        let mut made = model.truth.iter().filter(|t| t.attempt == attempt);
        let committed = made.clone().next().is_some();
        let published = made.any(|t| !model.events(t).is_empty());
        let mut mine = model.topic.iter().filter(|r| r.attempt == attempt);
        let phantom = mine.any(|r| model.kind(r) == "phantom");
        match (committed, published, phantom) {
            (true, true, _) => outcomes.db_event += 1,
            (true, false, _) => outcomes.db_only += 1,
            (false, _, true) => outcomes.event_only += 1,
            (false, _, false) => outcomes.neither += 1,
        }
    }
    outcomes.into()
}

/// What is contradictory in the database's rows, in words that the accounting uses for it.
pub fn contradictions(history: &History) -> BTreeSet<String> {
    let truth: Vec<TruthRow> = history.truth.iter().collect();
    let request = |row: &TruthRow| history.requests.get(row.attempt as usize);
    let strangers = truth
        .iter()
        .filter(|row| row.order == NONE || request(row).is_none())
        .count();
    let mut found = BTreeSet::new();
    if strangers > 0 {
        found.insert(format!("{strangers} versions made by attempts that nobody"));
    }
    for row in truth.iter().filter(|row| row.order != NONE) {
        let before = |t: &&TruthRow| t.order == row.order && t.version < row.version;
        if truth.iter().filter(before).count() + 1 != row.version as usize {
            found.insert("should be".to_owned());
        }
        if request(row).is_some_and(|request| request.order != row.order) {
            found.insert("which was for order".to_owned());
        }
        if request(row).is_some_and(|request| request.change != row.change) {
            found.insert("is stored as change".to_owned());
        }
    }
    found
}

fn topic(history: &History) -> Vec<LogRow> {
    let mut topic: Vec<LogRow> = history.log.iter().collect();
    topic.sort_by_key(|r| (r.partition, r.offset));
    topic
}

struct Model<'a> {
    h: &'a History,
    topic: Vec<LogRow>,
    truth: Vec<TruthRow>,
}

impl Model<'_> {
    fn request(&self, attempt: u32) -> Option<Request> {
        self.h.requests.get(attempt as usize)
    }

    /// Events of the version, in the topic's order.
    fn events(&self, version: &TruthRow) -> Vec<LogRow> {
        let same = |r: &&LogRow| {
            r.order == version.order && r.version == version.version && r.attempt == version.attempt
        };
        let valid = |r: &&LogRow| self.kind(r) == "valid";
        self.topic
            .iter()
            .filter(same)
            .filter(valid)
            .copied()
            .collect()
    }

    fn kind(&self, record: &LogRow) -> &'static str {
        let Some(request) = self.request(record.attempt) else {
            return match record.body {
                Body::Damaged => "corrupted",
                Body::Foreign | Body::Intact => "foreign",
            };
        };
        match record.body {
            Body::Foreign => "foreign",
            Body::Damaged => "corrupted",
            Body::Intact if request.order != record.order => "corrupted",
            Body::Intact => {
                let committed = self.truth.iter().any(|t| {
                    t.order == record.order
                        && t.version == record.version
                        && t.attempt == record.attempt
                });
                if committed { "valid" } else { "phantom" }
            }
        }
    }

    fn records(&self, kind: &str) -> usize {
        self.topic.iter().filter(|r| self.kind(r) == kind).count()
    }

    fn unpublished(&self, fate: &str) -> usize {
        let dual = matches!(
            strategy(self.h).unwrap().kind,
            StrategyKind::DualWrite { .. }
        );
        let starts = self.h.processes.iter();
        let last_start = starts
            .filter(|p| p.process == "order-service" && p.life == Life::Started)
            .map(|p| p.at_ns)
            .max();
        let of = |t: &&TruthRow| {
            let held = self.h.pending.iter().any(|p| p.attempt == t.attempt);
            let request = self.request(t.attempt);
            let cut_off = dual
                && self.h.meta.service_killed_at_teardown
                && request.is_some_and(|r| {
                    last_start.is_none_or(|start| r.sent_ns > start) && !self.decided(t, r)
                });
            let known = request.is_some();
            match (held && known, cut_off) {
                (true, _) => "undrained" == fate,
                (false, true) => "undecided" == fate,
                (false, false) => "lost" == fate,
            }
        };
        let truth = self.truth.iter();
        truth
            .filter(|t| self.events(t).is_empty())
            .filter(of)
            .count()
    }

    /// The client had an answer, or the publish had begun so long before the service's end that it
    /// had been given up: once a later version had its answer, or one that is told of was there.
    fn decided(&self, t: &TruthRow, own: Request) -> bool {
        let answered = |r: &Request| r.outcome != Outcome::Unknown || r.status != 0;
        if answered(&own) {
            return true;
        }
        let Some(StrategyKind::DualWrite {
            publish_timeout: Some(within),
            policy,
            ..
        }) = strategy(self.h).map(|s| &s.kind)
        else {
            return false;
        };
        // Rows of nobody's orders are not of one order.
        let as_late = |row: &TruthRow| {
            let of_it = row.order == t.order && row.order != NONE;
            row == t || (of_it && row.version >= t.version)
        };
        // Of several versions of one attempt, its answer can have come before all but the first.
        let made = |attempt: u32| {
            let rows = self.truth.iter().filter(|row| row.attempt == attempt);
            rows.min_by_key(|row| (row.order, row.version))
                .is_some_and(as_late)
        };
        let told = |r: &Request| {
            let mut rows = self.truth.iter();
            r.outcome == Outcome::Committed
                && r.order == t.order
                && rows.any(|row| row.version == r.told_version && as_late(row))
        };
        let ended_ns = self.h.fences[2].ended_ns;
        let requests = self.h.requests.iter().enumerate();
        let mut known = requests.filter(|(n, r)| (answered(r) && made(*n as u32)) || told(r));
        let takes = policy.within(*within + Duration::from_secs(1));
        known.any(|(_, r)| r.ended_ns + takes.as_nanos() as i64 <= ended_ns)
    }

    fn duplicated(&self) -> usize {
        let truth = self.truth.iter();
        truth.map(|t| self.events(t).len().saturating_sub(1)).sum()
    }

    fn reordered(&self) -> usize {
        let overtaken = |t: &&TruthRow| {
            let Some(mine) = self.events(t).first().copied() else {
                return false;
            };
            self.truth.iter().any(|later| {
                let theirs = self.events(later).first().copied();
                later.order == t.order
                    && later.version > t.version
                    && theirs
                        .is_some_and(|r| r.partition == mine.partition && r.offset < mine.offset)
            })
        };
        self.truth.iter().filter(overtaken).count()
    }

    fn split(&self) -> usize {
        let mut partitions: BTreeMap<u32, BTreeSet<i32>> = BTreeMap::new();
        for record in self.topic.iter().filter(|r| self.kind(r) == "valid") {
            partitions
                .entry(record.order)
                .or_default()
                .insert(record.partition);
        }
        partitions.values().filter(|p| p.len() > 1).count()
    }

    fn missing(&self) -> usize {
        let kept = |attempt: usize, r: &Request| {
            self.truth.iter().any(|t| {
                t.order == r.order
                    && t.version == r.told_version
                    && (t.attempt as usize == attempt
                        || self
                            .request(t.attempt)
                            .is_some_and(|m| m.change == r.change))
            })
        };
        let requests = self.h.requests.iter().enumerate();
        requests
            .filter(|(_, r)| r.outcome == Outcome::Committed)
            .filter(|(attempt, r)| !kept(*attempt, r))
            .count()
    }

    /// Changes of the committed versions whose attempt is known, one a version.
    fn changes(&self) -> Vec<u32> {
        let truth = self.truth.iter();
        truth
            .filter_map(|t| Some(self.request(t.attempt)?.change))
            .collect()
    }

    fn double_applied(&self) -> usize {
        let changes = self.changes();
        changes.len() - changes.iter().collect::<BTreeSet<_>>().len()
    }

    fn told(&self, change: u32, outcome: Outcome) -> bool {
        let mut requests = self.h.requests.iter();
        requests.any(|r| r.change == change && r.outcome == outcome)
    }

    fn false_rejection(&self) -> usize {
        let changes = self.changes().into_iter();
        changes.filter(|c| self.told(*c, Outcome::Rejected)).count()
    }

    fn unacknowledged(&self) -> usize {
        let told = |c: u32| self.told(c, Outcome::Committed) || self.told(c, Outcome::Rejected);
        self.changes().into_iter().filter(|c| !told(*c)).count()
    }

    fn late(&self) -> usize {
        let limit = self.h.meta.scenario.drain.late_after.as_nanos() as i64;
        let late = |t: &&TruthRow| {
            let events = self.events(t);
            let (Some(first), Some(request)) = (events.first(), self.request(t.attempt)) else {
                return false;
            };
            let sights = self.h.sightings.iter();
            let seen = sights
                .filter(|s| {
                    let mut places = events.iter();
                    places.any(|r| (r.partition, r.offset) == (s.partition, s.offset))
                })
                .map(|s| s.seen_ns)
                .min();
            let origin = self.h.meta.clock.origin_unix_ns;
            let appended = (i128::from(first.append_ms) * 1_000_000 - origin) as i64;
            seen.unwrap_or(appended) - request.ended_ns > limit
        };
        self.truth.iter().filter(late).count()
    }
}
