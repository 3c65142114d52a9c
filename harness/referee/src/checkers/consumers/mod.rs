//! Consumers: their effects, joined with the valid events. Effects are told by the consumers' own databases, which
//! nobody but they can write, or by whom they called.

mod applied;

use super::compared::Seen;
use super::context::Context;
use super::reading::{Known, Reading};
use super::tally::Tally;
use super::{Checked, ConsumerJudgement, OffenceVisitor, expectation};
use crate::history::{ConsumerEnd, History};
use crate::scenario::{
    BrokerChoice, Comparison, Consumer, Expectation, FaultKind, Metric, Publisher, Victim,
};
use crate::view::windows_for;
use applied::Applied;
use contract::consumer::OffsetCommit;

/// A count of consumers, with the function that counts its offences.
type ConsumerChecker = (
    Metric,
    fn(&Applied, &ConsumerEnd, &Context<'_>, &mut Tally<'_>),
);

const CHECKERS: [ConsumerChecker; 4] = [
    (Metric::Unapplied, Applied::unapplied),
    (Metric::AppliedTwice, Applied::twice),
    (Metric::AppliedUnseen, Applied::unseen),
    (Metric::AppliedOutOfOrder, Applied::out_of_order),
];

/// What is said of a 0 that is met where nothing could have broken it. It stays met: copies are not for the load to
/// make, as what is rolled back is, and a file that wants to have them says `duplicated = ">= 1"`.
const UNTRIED: [(Metric, &str); 2] = [
    (
        Metric::AppliedTwice,
        "no event was on the topic twice, so this was not tried",
    ),
    (
        Metric::AppliedOutOfOrder,
        "no event was on the topic twice or out of order, so this was not tried",
    ),
];

/// Returns the checkers of what is counted of a consumer.
fn checkers_of(consumer: &Consumer) -> impl Iterator<Item = &'static ConsumerChecker> {
    let metrics = consumer.metrics();
    let all = CHECKERS.iter();
    all.filter(move |checker| metrics.contains(&checker.0))
}

/// Judges every consumer of the strategy; `seen` is what there is to compare with beside its effects.
pub(super) fn judge(seen: &Seen<'_, '_>) -> Vec<ConsumerJudgement> {
    let consumers = &seen.context.history().meta.scenario.consumers;
    let each = consumers.iter().enumerate();
    each.map(|(index, consumer)| one(index, consumer, seen))
        .collect()
}

/// Hands over every offence of each consumer of which enough is known for it to stand, as
/// [`super::each_offence`] does.
pub(super) fn each_offence(
    context: &Context<'_>,
    limit: u64,
    visit: OffenceVisitor<'_>,
) -> Vec<(String, u64)> {
    let consumers = &context.history().meta.scenario.consumers;
    let mut counts = Vec::new();
    for (index, consumer) in consumers.iter().enumerate() {
        let work = ConsumerWork::of(context, index, consumer);
        for checker in checkers_of(consumer) {
            let name = format!("{}.{}", consumer.process(), checker.0.name());
            let mut named = |metric, offence| visit(&name, metric, offence);
            let mut tally = Tally::visiting(checker.0, limit, &mut named);
            work.count(checker, context, &mut tally);
            let found = tally.count();
            counts.push((name, found));
        }
    }
    counts
}

/// What is known of a consumer's work.
struct ConsumerWork<'a> {
    progress: ConsumerReading,
    /// Whether its queue need not have had what the topic has.
    is_apart: bool,
    /// This is what it did, and where it ended, as far as that was read.
    applied: Option<(Applied, &'a ConsumerEnd)>,
}

impl<'a> ConsumerWork<'a> {
    fn of(context: &Context<'a>, index: usize, consumer: &Consumer) -> Self {
        let mut ends = context.history().meta.consumers.iter();
        let end = ends.find(|end| end.name == consumer.name);
        let read = end.filter(|end| end.unread.is_none());
        Self {
            progress: ConsumerReading::of(context, consumer, end),
            is_apart: end.is_some_and(|end| is_apart(context, end)),
            applied: read.map(|end| (Applied::join(context, index as u32), end)),
        }
    }

    fn known<'k>(&'k self, context: &'k Context<'_>, metric: Metric) -> Known<'k> {
        let known = self.progress.of_metric(&context.reading, metric);
        let needs_both = matches!(metric, Metric::Unapplied | Metric::AppliedUnseen);
        match known {
            Known::Whole | Known::AtLeast(_) if self.is_apart && needs_both => {
                Known::Nothing(APART)
            }
            known => known,
        }
    }

    /// How many events came to it again, where the topic and how far it had read are known.
    fn copies(&self, context: &Context<'_>) -> Option<u64> {
        let (_, end) = self.applied.as_ref()?;
        if matches!(end.queued, Some(1..)) {
            return None;
        }
        let is_known = context.reading.of_metric(Metric::AppliedTwice).reason();
        is_known
            .is_none()
            .then(|| applied::copies(&context.view.join, end))
    }

    /// Whether it lived from its start until it was told to end, and then ended by itself.
    fn has_lived(&self, history: &History, process: &str) -> bool {
        let ended_well = |(_, end): &(Applied, &ConsumerEnd)| end.was_alive && !end.was_killed;
        let mut deaths = history.meta.deaths.iter();
        self.applied.as_ref().is_some_and(ended_well)
            && !deaths.any(|death| death.process == process)
    }

    /// Counts, unless too little was read for anything that is found to stand.
    fn count(
        &self,
        (metric, check): &ConsumerChecker,
        context: &Context<'_>,
        tally: &mut Tally<'_>,
    ) {
        if let Some((applied, end)) = &self.applied
            && !matches!(self.known(context, *metric), Known::Nothing(_))
        {
            check(applied, end, context, tally);
        }
    }
}

fn one(index: usize, consumer: &Consumer, seen: &Seen<'_, '_>) -> ConsumerJudgement {
    let context = seen.context;
    let history = context.history();
    let work = ConsumerWork::of(context, index, consumer);
    let fence = |metric| context.reading.of_metric(metric).reason();
    let known = |metric| work.known(context, metric);
    let process = consumer.process();
    let windows = windows_for(history, Some(&process));
    let tallies: Vec<Tally<'_>> = checkers_of(consumer)
        .map(|checker| {
            let mut tally = Tally::new(checker.0, &windows);
            work.count(checker, context, &mut tally);
            tally
        })
        .collect();
    let of_it = Seen {
        consumer: Some(&process),
        windows: &windows,
        tallies: &tallies,
        ..*seen
    };
    let copies = work.copies(context);
    // What is on the topic once, and in order, a consumer may still have read again by itself, after a fault.
    let is_undisturbed = windows.is_empty() && work.has_lived(history, &process);
    let is_in_order = [Metric::Reordered, Metric::Split].iter().all(|metric| {
        let tally = seen.tallies.iter().find(|t| t.metric() == *metric);
        tally.is_some_and(|tally| tally.count() == 0)
    });
    let came_once = |metric| {
        is_undisturbed && copies == Some(0) && (metric != Metric::AppliedOutOfOrder || is_in_order)
    };
    let expectations = expected(history, consumer)
        .iter()
        .map(|e| {
            let checked = expectation::check_known(e, known(e.metric), &of_it);
            let is_met = checked.met == Some(true) && e.comparison != Comparison::AtLeast;
            let mut untried = UNTRIED.iter().filter(|_| is_met && came_once(e.metric));
            let untried = untried.find(|(metric, _)| *metric == e.metric);
            Checked {
                reason: untried.map_or(checked.reason, |(_, words)| (*words).to_owned()),
                // What the fence did not read is a reason of its own; that a consumer was behind is none.
                only_inconclusive: checked.only_inconclusive
                    && (checked.met.is_some() || fence(e.metric).is_some()),
                ..checked
            }
        })
        .collect();
    ConsumerJudgement {
        name: process.clone(),
        copies,
        effects: work.applied.as_ref().map(|(applied, _)| applied.count),
        expectations,
        findings: tallies
            .into_iter()
            .map(|tally| {
                let known = known(tally.metric());
                tally.into_finding_known(known)
            })
            .collect(),
    }
}

fn expected<'a>(history: &'a History, consumer: &Consumer) -> &'a [Expectation] {
    let strategy = crate::view::strategy(history);
    let all = strategy.map_or(&[][..], |strategy| &strategy.of_consumers);
    let of_it = all.iter().find(|of_one| of_one.consumer == consumer.name);
    of_it.map_or(&[], |of_one| &of_one.expectations)
}

/// What is said where a group's queue and the topic may have come apart.
const APART: &str = "the broker's server was killed: of what it had not confirmed by then the group's queue need not have what the topic has";

/// Whether what was published was kept apart for the group and for the topic, the server was killed, and nobody
/// publishes again what it had not confirmed: each of the two may have events that the other one has not.
fn is_apart(context: &Context<'_>, end: &ConsumerEnd) -> bool {
    let history = context.history();
    let strategy = crate::view::strategy(history);
    let topology = context.view.topology();
    let (Some(_), Some(strategy), Some(topology)) = (end.queued, strategy, topology) else {
        return false;
    };
    let publishes_again = topology.publisher == Publisher::Relay
        && !matches!(
            strategy.broker,
            BrokerChoice::RabbitMq {
                confirms: false,
                ..
            }
        );
    let mut injected = history.faults.iter().filter(|f| f.injected_ns.is_some());
    !publishes_again
        && injected.any(|record| {
            let faults = &history.meta.scenario.faults;
            let fault = faults.get(record.fault as usize);
            let kill = fault.filter(|fault| fault.kind == FaultKind::Kill);
            let killed = kill.map(|fault| fault.target.processes_of(topology));
            let mut killed = killed.into_iter().flatten();
            killed.any(|victim| matches!(victim, Victim::Server(server) if server.is_broker()))
        })
}

/// How much of a consumer is known, beside what the fence let us read.
enum ConsumerReading {
    /// Its effects were read, and it had read the topic to its end.
    ToTheEnd,
    /// It lived, and had not read all: what it had read, and not applied, it did not apply.
    Behind(String),
    /// It was dead, or had to be killed: it may have had no time to apply what it had read.
    Dead(String),
    /// Its effects or its offsets were not read.
    Nothing(String),
}

impl ConsumerReading {
    fn of(context: &Context<'_>, consumer: &Consumer, end: Option<&ConsumerEnd>) -> Self {
        let Some(end) = end else {
            return Self::Nothing("its effects were not read".to_owned());
        };
        if let Some(reason) = &end.unread {
            return Self::Nothing(reason.clone());
        }
        let left = applied::left_unread(&context.view.join, end);
        if end.was_killed {
            let reason = "it did not end when it was told to, and was killed";
            return Self::Dead(reason.to_owned());
        }
        match (left, end.was_alive) {
            (0, true) => Self::ToTheEnd,
            // What is committed after its effect was done then.
            (0, false) if consumer.commit == OffsetCommit::After => Self::ToTheEnd,
            (left, true) => Self::Behind(format!(
                "it was still reading when it was stopped: {left} records were left"
            )),
            (left, false) => Self::Dead(format!("it was dead, with {left} records left to read")),
        }
    }

    fn of_metric<'a>(&'a self, reading: &'a Reading, metric: Metric) -> Known<'a> {
        match (reading.of_metric(metric), self) {
            (Known::Whole, Self::ToTheEnd) => Known::Whole,
            (Known::Whole, Self::Behind(reason)) => Known::AtLeast(reason),
            (Known::Whole, Self::Dead(reason)) if metric == Metric::Unapplied => {
                Known::Nothing(reason)
            }
            (Known::Whole, Self::Dead(reason)) => Known::AtLeast(reason),
            (Known::Whole, Self::Nothing(reason)) => Known::Nothing(reason),
            (unread @ (Known::AtLeast(_) | Known::Nothing(_)), _) => unread,
        }
    }
}
