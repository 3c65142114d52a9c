//! Lives a plan. The expected counts are kept by whoever plants, never read back from the history.

use super::plan::{Beside, Order, Plan, PlannedAnswer, Sent, Version};
use crate::checkers::fixture::*;
use crate::history::{
    Body, History, Intent, Life, NONE, Outcome, PartitionEnd, Pending, PendingState, Request,
    Sighting,
};
use crate::scenario::{Metric, StrategyKind};
use std::collections::{BTreeMap, BTreeSet};

/// A record to append.
#[derive(Debug, Clone, Copy)]
struct PlantedRecord {
    partition: i32,
    attempt: u32,
    order: u32,
    version: u32,
    body: Body,
    at_ns: i64,
    seen: bool,
}

/// The expected figures, as they are planted.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) outcomes: Four,
}

impl Expected {
    fn count(&mut self, metric: Metric, n: u64) {
        if n > 0 {
            *self.counts.entry(metric.name()).or_default() += n;
        }
    }
}

struct Planter<'p> {
    plan: &'p Plan,
    history: History,
    expected: Expected,
    /// Where the order in hand belongs.
    home: i32,
    /// Whether what does not arrive was cut off by the teardown.
    cut_off: bool,
}

impl Planter<'_> {
    /// Another attempt at a change that was told nothing.
    fn repeat(&mut self, first: u32, outcome: Outcome, told_version: u32) {
        let order = self.history.requests.at(first as usize).order;
        let attempt = offer(&mut self.history, order, Intent::Commit, outcome) as usize;
        self.history.requests.open()[attempt].change = first;
        self.history.requests.open()[attempt].told_version = told_version;
        self.expected.outcomes.neither += 1;
    }

    fn hold(&mut self, attempt: u32) {
        self.history.pending.push(Pending {
            attempt,
            state: PendingState::OutboxRow,
            lsn: 0,
        });
    }

    fn answer(&mut self, attempt: u32, version: u32, answer: PlannedAnswer) {
        let mut requests = self.history.requests.open();
        let request: &mut Request = &mut requests[attempt as usize];
        if !matches!(answer, PlannedAnswer::Yes) {
            (request.outcome, request.told_version) = (Outcome::Unknown, 0);
        }
        if matches!(answer, PlannedAnswer::No) {
            request.outcome = Outcome::Rejected;
        }
        drop(requests);
        match answer {
            PlannedAnswer::Yes => {}
            PlannedAnswer::No => {
                self.expected.count(Metric::FalseRejection, 1);
            }
            PlannedAnswer::Nothing => self.expected.count(Metric::Unacknowledged, 1),
            PlannedAnswer::NothingEver(times) => {
                for _ in 0..times {
                    self.repeat(attempt, Outcome::Unknown, 0);
                }
                self.expected.count(Metric::Unacknowledged, 1);
            }
            PlannedAnswer::YesWhenRepeated => self.repeat(attempt, Outcome::Committed, version),
            PlannedAnswer::NoWhenRepeated => {
                self.repeat(attempt, Outcome::Rejected, 0);
                self.expected.count(Metric::FalseRejection, 1);
            }
        }
    }

    /// The copies of a version's event, and what they count for; the outcome of its attempt.
    fn sent(
        &mut self,
        event: PlantedRecord,
        version: &Version,
        answer: PlannedAnswer,
    ) -> Vec<PlantedRecord> {
        let mut sent = version.sent;
        if self.plan.dual {
            // Nothing holds what a dual write did not publish.
            sent = match sent {
                Sent::Held => Sent::Never,
                Sent::HeldToo => Sent::Once,
                Sent::DamagedAndHeld => Sent::Damaged,
                other => other,
            };
        }
        let damaged = PlantedRecord {
            body: Body::Damaged,
            ..event
        };
        let (valid, other) = match sent {
            Sent::Once | Sent::HeldToo => (1, None),
            Sent::Times(n) => (n, None),
            Sent::Never | Sent::Held => (0, None),
            Sent::Damaged | Sent::DamagedAndHeld => (0, Some(damaged)),
            Sent::DamagedFirst => (1, Some(damaged)),
            Sent::UnderAnotherKey => {
                let order = event.order + 1;
                (0, Some(PlantedRecord { order, ..event }))
            }
            Sent::AsAnotherVersion => {
                let version = event.version + 100;
                (0, Some(PlantedRecord { version, ..event }))
            }
        };
        match (sent, other) {
            (Sent::AsAnotherVersion, _) => self.expected.count(Metric::Phantom, 1),
            (_, Some(_)) => self.expected.count(Metric::Corrupted, 1),
            _ => {}
        }
        if matches!(sent, Sent::Held | Sent::HeldToo | Sent::DamagedAndHeld) {
            self.hold(event.attempt);
        }
        if valid == 0 {
            let fate = match sent {
                Sent::Held | Sent::DamagedAndHeld => Metric::Undrained,
                // Answered is decided, whatever the answer.
                _ if self.cut_off && !matches!(answer, PlannedAnswer::Yes | PlannedAnswer::No) => {
                    Metric::Undecided
                }
                _ => Metric::Lost,
            };
            self.expected.count(fate, 1);
            self.expected.outcomes.db_only += 1;
        } else {
            self.expected
                .count(Metric::Duplicated, u64::from(valid) - 1);
            self.expected.count(Metric::Late, version.late.into());
            self.expected.outcomes.db_event += 1;
        }
        let copies = (0..usize::from(valid)).map(|copy| PlantedRecord {
            partition: if version.strays[copy] {
                (self.home + 1) % self.plan.partitions
            } else {
                self.home
            },
            seen: !version.unseen[copy],
            ..event
        });
        other.into_iter().chain(copies).collect()
    }

    /// An attempt that was written and rolled back, and its events.
    fn roll_back(&mut self, event: PlantedRecord, copies: u8) -> Vec<PlantedRecord> {
        let attempt = veto(&mut self.history, event.order);
        self.expected.count(Metric::Phantom, copies.into());
        if copies > 0 {
            self.expected.outcomes.event_only += 1;
        } else {
            self.expected.outcomes.neither += 1;
        }
        (0..copies)
            .map(|_| PlantedRecord { attempt, ..event })
            .collect()
    }

    fn beside(&mut self, event: PlantedRecord, beside: Beside) -> Vec<PlantedRecord> {
        let next = PlantedRecord {
            version: event.version + 1,
            ..event
        };
        match beside {
            Beside::Nothing | Beside::AppliedAgain => Vec::new(),
            Beside::RolledBack(copies) => self.roll_back(next, copies),
            Beside::RolledBackAtThisVersion => self.roll_back(event, 1),
            Beside::RolledBackAndHeld => {
                let attempt = self.history.requests.len() as u32;
                self.roll_back(event, 0);
                self.hold(attempt);
                Vec::new()
            }
            Beside::NotSent => {
                offer(
                    &mut self.history,
                    event.order,
                    Intent::Commit,
                    Outcome::NotSent,
                );
                self.expected.outcomes.neither += 1;
                Vec::new()
            }
            Beside::Foreign => {
                self.expected.count(Metric::Foreign, 1);
                vec![PlantedRecord {
                    attempt: NONE,
                    order: NONE,
                    version: 0,
                    body: Body::Foreign,
                    ..event
                }]
            }
            Beside::EmptyPromise => {
                self.promise(event.order, event.version + 100);
                Vec::new()
            }
            Beside::BrokenPromise => {
                self.promise(event.order, event.version);
                Vec::new()
            }
        }
    }

    fn promise(&mut self, order: u32, told_version: u32) {
        let attempt = offer(&mut self.history, order, Intent::Commit, Outcome::Committed);
        self.history.requests.open()[attempt as usize].told_version = told_version;
        self.expected.count(Metric::Missing, 1);
        self.expected.outcomes.neither += 1;
    }

    /// The change of a version again, as the next version, and its event.
    fn apply_again(&mut self, event: PlantedRecord) -> PlantedRecord {
        let made = event.attempt;
        let version = event.version + 1;
        let attempt = commit(&mut self.history, event.order, version);
        self.history.requests.open()[attempt as usize].change = made;
        // Told of this version by the first attempt, if at all: what is told of a change is told
        // of both its versions.
        if let Some(row) = self.history.truth.open().last_mut() {
            row.change = made;
        }
        self.expected.count(Metric::DoubleApplied, 1);
        self.expected.outcomes.db_event += 1;
        let at_ns = self.history.requests.at(attempt as usize).ended_ns + MS;
        PlantedRecord {
            attempt,
            version,
            at_ns,
            ..event
        }
    }

    /// Lives an order's life; gives its events in the order of their append.
    fn live(&mut self, number: u32, order: &Order) -> Vec<PlantedRecord> {
        self.home = number as i32 % self.plan.partitions;
        self.cut_off =
            self.plan.dual && self.plan.killed_from.is_some_and(|n| number as usize >= n);
        let mut events = Vec::new();
        let mut next = 1;
        for version in &order.versions {
            let attempt = commit(&mut self.history, number, next);
            let delay_ns = if version.late { 16 * S } else { MS };
            let event = PlantedRecord {
                partition: self.home,
                attempt,
                order: number,
                version: next,
                body: Body::Intact,
                at_ns: self.history.requests.at(attempt as usize).ended_ns + delay_ns,
                seen: true,
            };
            // Two versions of one change share what the client was told: told yes, to keep to one
            // meaning at a time.
            let again = matches!(version.beside, Beside::AppliedAgain);
            let answer = if again {
                PlannedAnswer::Yes
            } else {
                version.answer
            };
            self.answer(attempt, next, answer);
            events.extend(self.beside(event, version.beside));
            events.extend(self.sent(event, version, answer));
            if again {
                events.push(self.apply_again(event));
            }
            next += 1 + u32::from(again);
        }
        for swap in &order.swaps {
            let at = swap % events.len().max(1);
            if at + 1 < events.len() {
                events.swap(at, at + 1);
            }
        }
        self.order_of(&events);
        events
    }

    /// What an order's events count for by their places: straight from the definitions.
    fn order_of(&mut self, events: &[PlantedRecord]) {
        let truth = &self.history.truth;
        let is_valid = |e: &&PlantedRecord| {
            let committed = |attempt: u32, version: u32| {
                let mut rows = truth.iter();
                rows.any(|t| (t.order, t.version, t.attempt) == (e.order, version, attempt))
            };
            e.body == Body::Intact && committed(e.attempt, e.version)
        };
        let valid: Vec<&PlantedRecord> = events.iter().filter(is_valid).collect();
        let partitions: BTreeSet<i32> = valid.iter().map(|e| e.partition).collect();
        self.expected
            .count(Metric::Split, (partitions.len() > 1).into());
        // The first of each version: lowest partition first, then by append.
        let first = |version: u32| {
            let copies = (0..valid.len()).filter(|at| valid[*at].version == version);
            copies.min_by_key(|at| (valid[*at].partition, *at))
        };
        let versions: BTreeSet<u32> = valid.iter().map(|e| e.version).collect();
        let overtaken = |version: &&u32| {
            versions.range(**version + 1..).any(|later| {
                let (Some(mine), Some(theirs)) = (first(**version), first(*later)) else {
                    return false;
                };
                valid[mine].partition == valid[theirs].partition && theirs < mine
            })
        };
        let reordered = versions.iter().filter(overtaken).count() as u64;
        self.expected.count(Metric::Reordered, reordered);
    }

    /// Appends every order's events, interleaved, each order's in its own order.
    fn append(&mut self, mut queues: Vec<std::collections::VecDeque<PlantedRecord>>) {
        let mut picks = self.plan.picks.iter().cycle();
        loop {
            let waiting: Vec<usize> = (0..queues.len())
                .filter(|n| !queues[*n].is_empty())
                .collect();
            let Some(pick) = picks.next().filter(|_| !waiting.is_empty()) else {
                return;
            };
            let Some(event) = queues[waiting[pick % waiting.len()]].pop_front() else {
                return;
            };
            let names = (event.attempt, event.order, event.version);
            record(
                &mut self.history,
                event.partition,
                names,
                event.body,
                event.at_ns,
            );
            if !event.seen {
                self.history.sightings.open().pop();
            }
        }
    }

    /// The service was started at the load's begin and again before an order, and killed at the end.
    fn kill_the_service(&mut self, first_of: &[i64]) {
        let Some(from) = self.plan.killed_from else {
            return;
        };
        self.history.meta.service_killed_at_teardown = true;
        process(&mut self.history, "order-service", 0, Life::Started, 0);
        let started_ns = first_of.get(from).copied().unwrap_or(i64::MAX);
        process(
            &mut self.history,
            "order-service",
            started_ns,
            Life::Started,
            0,
        );
    }
}

/// Lives a plan; gives the history and what must be found in it.
pub(super) fn run(plan: &Plan) -> (History, Expected) {
    let kind = if plan.dual {
        naive()
    } else {
        StrategyKind::Cdc {}
    };
    let mut planter = Planter {
        plan,
        history: clean(0, kind),
        expected: Expected::default(),
        home: 0,
        cut_off: false,
    };
    let (mut queues, mut first_of) = (Vec::new(), Vec::new());
    for (number, order) in plan.orders.iter().enumerate() {
        // The service was started just before the order's first request was sent.
        let attempts = planter.history.requests.len() as i64;
        first_of.push(FROM + attempts * 2 * MS);
        queues.push(planter.live(number as u32, order).into());
    }
    planter.append(queues);
    planter.kill_the_service(&first_of);
    let (mut history, expected) = (planter.history, planter.expected);
    history.meta.scenario.workload.partitions = plan.partitions;
    finish(&mut history);
    let end = history.partitions[0];
    history.partitions = (0..plan.partitions)
        .map(|partition| PartitionEnd { partition, ..end })
        .collect();
    history.meta.uncommitted_records += u64::from(plan.aborted);
    let stretch = i64::from(plan.markers) + 1;
    history
        .log
        .open()
        .iter_mut()
        .for_each(|r| r.offset *= stretch);
    history
        .sightings
        .open()
        .iter_mut()
        .for_each(|s| s.offset *= stretch);
    for ghost in 0..plan.ghosts {
        history.sightings.push(Sighting {
            partition: 0,
            offset: 1_000_000 + i64::from(ghost),
            seen_ns: FROM,
        });
    }
    (history, expected)
}
