//! Runs in which every version of every order meets fates of its own, several at a time: what the
//! client was told, what became of the event, where and when it appeared, what else was on the
//! topic. The expected counts are kept by whoever plants, never read back from the history.

use crate::checkers::fixture::*;
use crate::history::{
    Body, History, Intent, Life, NONE, Outcome, PartitionEnd, Pending, PendingState, Request,
    Sighting,
};
use crate::scenario::{Metric, StrategyKind};
use proptest::prelude::*;
use reports::record::Outcomes;
use std::collections::{BTreeMap, BTreeSet};

/// What the client was told of a committed version.
#[derive(Debug, Clone, Copy)]
enum Told {
    Yes,
    No,
    Nothing,
    /// Nothing, and so many repetitions that were told nothing either.
    NothingEver(u8),
    /// Nothing, and yes when it asked again.
    YesWhenRepeated,
    /// Nothing, and no when it asked again.
    NoWhenRepeated,
}

/// What became of its event.
#[derive(Debug, Clone, Copy)]
enum Sent {
    Once,
    Times(u8),
    Never,
    Held,
    HeldToo,
    Damaged,
    DamagedAndHeld,
    DamagedFirst,
    UnderAnotherKey,
    AsAnotherVersion,
}

/// What else happens around a version.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Nothing,
    /// Written and rolled back, and so many events of it.
    RolledBack(u8),
    /// The same, at the version that is committed next.
    RolledBackAtThisVersion,
    /// Rolled back, while its row is still held somewhere.
    RolledBackAndHeld,
    NotSent,
    Foreign,
    /// A promise of a version that is not there.
    EmptyPromise,
    /// A promise of this version, which another change made.
    BrokenPromise,
    /// The change of this version is applied again as the next one, and published.
    AppliedAgain,
}

/// One version's fates; partitions and delays are of each copy of its event.
#[derive(Debug, Clone)]
struct Version {
    told: Told,
    sent: Sent,
    beside: Beside,
    /// Per copy: on another partition than its order's; not seen live.
    strays: Vec<bool>,
    unseen: Vec<bool>,
    late: bool,
}

/// An order's versions, and how far from their order its events are appended: swaps of neighbours.
#[derive(Debug, Clone)]
struct Order {
    versions: Vec<Version>,
    swaps: Vec<usize>,
}

fn version() -> impl Strategy<Value = Version> {
    let told = prop_oneof![
        12 => Just(Told::Yes),
        1 => Just(Told::No),
        1 => Just(Told::Nothing),
        1 => (1..3u8).prop_map(Told::NothingEver),
        1 => Just(Told::YesWhenRepeated),
        1 => Just(Told::NoWhenRepeated),
    ];
    let sent = prop_oneof![
        12 => Just(Sent::Once),
        2 => (2..4u8).prop_map(Sent::Times),
        1 => Just(Sent::Never),
        1 => Just(Sent::Held),
        1 => Just(Sent::HeldToo),
        1 => Just(Sent::Damaged),
        1 => Just(Sent::DamagedAndHeld),
        1 => Just(Sent::DamagedFirst),
        1 => Just(Sent::UnderAnotherKey),
        1 => Just(Sent::AsAnotherVersion),
    ];
    let beside = prop_oneof![
        12 => Just(Beside::Nothing),
        1 => (0..3u8).prop_map(Beside::RolledBack),
        1 => Just(Beside::RolledBackAtThisVersion),
        1 => Just(Beside::RolledBackAndHeld),
        1 => Just(Beside::NotSent),
        1 => Just(Beside::Foreign),
        1 => Just(Beside::EmptyPromise),
        1 => Just(Beside::BrokenPromise),
        1 => Just(Beside::AppliedAgain),
    ];
    let copies = |share: f64| prop::collection::vec(prop::bool::weighted(share), 4);
    (
        told,
        sent,
        beside,
        copies(0.05),
        copies(0.1),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(told, sent, beside, strays, unseen, late)| Version {
            told,
            sent,
            beside,
            strays,
            unseen,
            late,
        })
}

fn order() -> impl Strategy<Value = Order> {
    let swaps = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(any::<usize>(), 1..4),
    ];
    (prop::collection::vec(version(), 1..6), swaps)
        .prop_map(|(versions, swaps)| Order { versions, swaps })
}

/// A run as it is planted.
#[derive(Debug, Clone)]
struct Plan {
    orders: Vec<Order>,
    /// Whose event comes next, round and round.
    picks: Vec<usize>,
    partitions: i32,
    dual: bool,
    /// The teardown killed a dual write's service, which had been started again before this order.
    killed_from: Option<usize>,
    ghosts: u8,
    aborted: u8,
    /// Offsets between records, as transaction markers leave them.
    markers: u8,
}

prop_compose! {
    fn plan()(
        orders in prop::collection::vec(order(), 1..8),
        picks in prop::collection::vec(any::<usize>(), 1..60),
        partitions in prop_oneof![1 => Just(1), 3 => 2..9i32],
        dual in prop::bool::weighted(0.3),
        killed_from in prop::option::of(0..8usize),
        ghosts in prop_oneof![4 => Just(0u8), 1 => 1..9u8],
        aborted in prop_oneof![2 => Just(0u8), 1 => 1..9u8],
        markers in 0..3u8,
    ) -> Plan {
        Plan { orders, picks, partitions, dual, killed_from, ghosts, aborted, markers }
    }
}

/// A record to append.
#[derive(Debug, Clone, Copy)]
struct Event {
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
struct Expected {
    counts: BTreeMap<String, u64>,
    outcomes: Outcomes,
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

    fn told(&mut self, attempt: u32, version: u32, told: Told) {
        let mut requests = self.history.requests.open();
        let request: &mut Request = &mut requests[attempt as usize];
        if !matches!(told, Told::Yes) {
            (request.outcome, request.told_version) = (Outcome::Unknown, 0);
        }
        if matches!(told, Told::No) {
            request.outcome = Outcome::Rejected;
        }
        drop(requests);
        match told {
            Told::Yes => {}
            Told::No => {
                self.expected.count(Metric::FalseRejection, 1);
            }
            Told::Nothing => self.expected.count(Metric::Unacknowledged, 1),
            Told::NothingEver(times) => {
                for _ in 0..times {
                    self.repeat(attempt, Outcome::Unknown, 0);
                }
                self.expected.count(Metric::Unacknowledged, 1);
            }
            Told::YesWhenRepeated => self.repeat(attempt, Outcome::Committed, version),
            Told::NoWhenRepeated => {
                self.repeat(attempt, Outcome::Rejected, 0);
                self.expected.count(Metric::FalseRejection, 1);
            }
        }
    }

    /// The copies of a version's event, and what they count for; the outcome of its attempt.
    fn sent(&mut self, event: Event, version: &Version) -> Vec<Event> {
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
        let damaged = Event {
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
                (0, Some(Event { order, ..event }))
            }
            Sent::AsAnotherVersion => {
                let version = event.version + 100;
                (0, Some(Event { version, ..event }))
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
                _ if self.cut_off => Metric::Undecided,
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
        let copies = (0..usize::from(valid)).map(|copy| Event {
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
    fn roll_back(&mut self, event: Event, copies: u8) -> Vec<Event> {
        let attempt = veto(&mut self.history, event.order);
        self.expected.count(Metric::Phantom, copies.into());
        if copies > 0 {
            self.expected.outcomes.event_only += 1;
        } else {
            self.expected.outcomes.neither += 1;
        }
        (0..copies).map(|_| Event { attempt, ..event }).collect()
    }

    fn beside(&mut self, event: Event, beside: Beside) -> Vec<Event> {
        let next = Event {
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
                vec![Event {
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
    fn apply_again(&mut self, event: Event) -> Event {
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
        Event {
            attempt,
            version,
            at_ns,
            ..event
        }
    }

    /// Lives an order's life; gives its events in the order of their append.
    fn live(&mut self, number: u32, order: &Order) -> Vec<Event> {
        self.home = number as i32 % self.plan.partitions;
        self.cut_off =
            self.plan.dual && self.plan.killed_from.is_some_and(|n| number as usize >= n);
        let mut events = Vec::new();
        let mut next = 1;
        for version in &order.versions {
            let attempt = commit(&mut self.history, number, next);
            let delay_ns = if version.late { 16 * S } else { MS };
            let event = Event {
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
            let told = if again { Told::Yes } else { version.told };
            self.told(attempt, next, told);
            events.extend(self.beside(event, version.beside));
            events.extend(self.sent(event, version));
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
    fn order_of(&mut self, events: &[Event]) {
        let truth = &self.history.truth;
        let is_valid = |e: &&Event| {
            let committed = |attempt: u32, version: u32| {
                let mut rows = truth.iter();
                rows.any(|t| (t.order, t.version, t.attempt) == (e.order, version, attempt))
            };
            e.body == Body::Intact && committed(e.attempt, e.version)
        };
        let valid: Vec<&Event> = events.iter().filter(is_valid).collect();
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
    fn append(&mut self, mut queues: Vec<std::collections::VecDeque<Event>>) {
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

fn run(plan: &Plan) -> (History, Expected) {
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

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn whatever_is_planted_together_is_reported_together(plan in plan()) {
        let (history, expected) = run(&plan);
        let judgement = judged(&history);
        prop_assert_eq!(counted(&judgement), expected.counts);
        prop_assert_eq!(judgement.outcomes, expected.outcomes);
        prop_assert_eq!(judgement.counts.aborted_records, u64::from(plan.aborted));
        let accounting = judgement.reasons.iter().find(|r| r.contains("accounting"));
        prop_assert_eq!(accounting, None);
        let gone = format!("{} records were seen live and are gone", plan.ghosts);
        let vanished = judgement.reasons.iter().any(|r| r.starts_with(&gone));
        prop_assert_eq!(vanished, plan.ghosts > 0);
        for checked in &judgement.expectations {
            let metric = checked.expectation.metric;
            // Whether something was late cannot be told where the observer itself was.
            if metric != Metric::Late {
                let missed = checked.met == Some(false);
                prop_assert_eq!(missed, count(&judgement, metric) > 0, "{:?}", checked);
            }
        }
    }

    #[test]
    fn the_rows_of_a_history_may_stand_in_any_order(
        plan in plan(),
        seed in any::<u64>(),
    ) {
        let (history, _) = run(&plan);
        let mut shuffled = history.clone();
        shuffle(&mut shuffled.truth.open(), seed);
        shuffle(&mut shuffled.log.open(), seed);
        shuffle(&mut shuffled.sightings.open(), seed);
        shuffle(&mut shuffled.pending, seed);
        let (one, other) = (judged(&history), judged(&shuffled));
        prop_assert_eq!(one.counts, other.counts);
        prop_assert_eq!(one.outcomes, other.outcomes);
        prop_assert_eq!(one.verdict, other.verdict);
        prop_assert_eq!(one.findings, other.findings);
    }
}

/// Fisher and Yates, with a generator of Marsaglia's.
fn shuffle<T>(rows: &mut [T], mut seed: u64) {
    seed |= 1;
    for last in (1..rows.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        rows.swap(last, (seed % (last as u64 + 1)) as usize);
    }
}
