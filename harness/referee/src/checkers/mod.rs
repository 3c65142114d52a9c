//! History in, findings out. Pure: no clock, no I/O, no printing.

mod accounting;
mod client_answers;
mod compared;
mod consumers;
pub mod context;
mod corrupted;
mod cost;
mod counts;
mod double_applied;
mod duplicated;
mod effect;
mod expectation;
mod false_rejection;
pub mod fate;
#[cfg(any(test, feature = "testkit"))]
pub mod fixture;
mod foreign;
mod inconclusive;
mod late;
mod lesson;
mod lost;
mod missing;
mod outcomes;
mod overtaken;
mod phantom;
pub mod raw_reason;
pub mod reading;
mod reordered;
mod split;
mod stale;
pub mod stale_reads;
mod tally;
mod unacknowledged;
mod undecided;
mod undrained;
mod untold;
mod verdict;
mod whereabouts;

use crate::bite::Bite;
use crate::history::History;
use crate::measure;
use crate::scenario::{Expectation, Metric, OrderTest};
use crate::view;
use compared::Seen;
use context::Context;
use reading::{Known, Steps};
use reports::record;
use tally::Tally;

/// An offence is one event (or change) that broke an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// This is the index of the order, or [`crate::history::NONE`].
    pub order: u32,
    /// This is the version of the order that the offence is about; 0 where none is known.
    pub version: u32,
    /// This is the number of the attempt, or [`crate::history::NONE`].
    pub attempt: u32,
    /// Partition and offset of the offending record, where it is one.
    pub record: Option<(i32, i64)>,
    /// This is the number of the offending read, where it is one.
    pub read: Option<u32>,
    /// The order of what it is judged against: its own, but where order is broken across orders.
    pub against_order: u32,
    /// Version of that order that it is judged against, as in "came after that of version 3"; 0 where
    /// there is none.
    pub against: u32,
    /// What is wrong, with the times that matter.
    pub what: String,
}

/// A finding is what one checker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// This is the invariant, by its count metric.
    pub metric: Metric,
    /// This counts the offences; where `unread` says why not all is known, there are so many at least.
    pub count: u64,
    /// These are the first few offences, in a stable order.
    pub examples: Vec<Offence>,
    /// Why there may be more of them, or why nothing is known of them: what was not read.
    pub unread: Option<String>,
}

/// Of several verdicts the worst wins: fail > unknown > pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every expectation was met, and the run proved it.
    Pass,
    /// Nothing was missed, but the run is inconclusive or cannot tell of an expectation whether it is met.
    Unknown,
    /// An expectation was missed, or what was counted contradicts itself.
    Fail,
}

/// An expectation and what was seen.
#[derive(Debug, Clone)]
pub struct Checked {
    /// This is the expectation as the scenario states it.
    pub expectation: Expectation,
    /// What was seen; `None` (null) when it is infinite or was not measured.
    pub observed: Option<f64>,
    /// Whether it is met; `None` when this run cannot tell (makes it unknown, see `reason`).
    pub met: Option<bool>,
    /// Why it was missed or cannot be told; of one that is met, what was not tried, if anything.
    pub reason: String,
    /// Whether nothing but an inconclusive run, which is a reason of its own, leaves it open.
    pub only_inconclusive: bool,
}

/// All that is judged of one consumer.
#[derive(Debug, Clone)]
pub struct ConsumerJudgement {
    /// This is the name of its process, such as `consumer-payments`.
    pub name: String,
    /// How many effects it had done; `None` where they were not read.
    pub effects: Option<u64>,
    /// How many events came to it that were on the topic before them; `None` where that is not known.
    pub copies: Option<u64>,
    /// There is one finding for each count of such a consumer, zero or not.
    pub findings: Vec<Finding>,
    /// These are the expectations with what was seen, in the file's order.
    pub expectations: Vec<Checked>,
}

impl ConsumerJudgement {
    /// What an expectation of it, or an offence, is called: `consumer-payments.applied_twice`.
    pub fn name_of(&self, metric: Metric) -> String {
        format!("{}.{}", self.name, metric.name())
    }
}

/// All that is judged of one strategy's run.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// This is the verdict on the run: the worst that was found decides.
    pub verdict: Verdict,
    /// Why it is not pass: first missed expectations, then reasons of unknown.
    pub reasons: Vec<String>,
    /// There is one finding for each count metric, every one of them, zero or not.
    pub findings: Vec<Finding>,
    /// Offered, acknowledged, committed, observed and the findings, as the record has them.
    pub counts: record::Counts,
    /// These count the attempts by database yes/no x event yes/no.
    pub outcomes: record::Outcomes,
    /// These are the expectations with what was seen, in the scenario's order.
    pub expectations: Vec<Checked>,
    /// These are its consumers, in the scenario's order.
    pub consumers: Vec<ConsumerJudgement>,
    /// What cannot be told, or not wholly, since what it needs was not read: metrics with the reason.
    pub unread: Vec<(Metric, String)>,
    /// This says of each fault, in the scenario's order, whether it bit and what shows it.
    pub bites: Vec<Bite>,
    /// These are the three latencies over the whole run; they are empty where what they need was not read.
    pub latency: record::LatencySet,
    /// These are the same latencies by phase.
    pub phases: Vec<record::Phase>,
    /// These are the seconds from the end of the load to the last committed change's first sight; `None` if one never
    /// came, or that is unknown.
    pub drain_s: Option<f64>,
    /// Seconds from the last heal until everything committed before it had been seen.
    pub recovery_s: Option<f64>,
    /// Of all stale reads the longest time that what they should have seen had been acknowledged, milliseconds; `None`
    /// where that is not known, and where nobody reads.
    pub longest_staleness_ms: Option<f64>,
    /// Seconds from the last heal until the outbox was what it had been; `None`: not under load, or not measured.
    pub time_to_normal_s: Option<f64>,
    /// Seconds after the last heal for which it was not; `None` where it was again, or that was not measured.
    pub not_normal_for_s: Option<f64>,
    /// Whether it is known when the events came.
    pub arrivals_known: bool,
}

impl Judgement {
    /// Whether there is an offence of any kind, among them those that are allowed.
    pub fn has_offences(&self) -> bool {
        let of_consumers = self.consumers.iter().flat_map(|c| &c.findings);
        let mut all = self.findings.iter().chain(of_consumers);
        all.any(|finding| finding.count > 0)
    }
}

/// Judges a history. `altered` names files changed after the run: then it can never pass.
pub fn judge(history: &History, altered: &[String]) -> Judgement {
    let bites = crate::bite::bites(history);
    judge_joined(&Context::new(history), altered, bites)
}

/// A checker is a count metric with the function that counts its offences.
type Checker = (Metric, fn(&Context<'_>, &mut Tally<'_>));

/// These are the checkers of every invariant, one file each.
const CHECKERS: &[Checker] = &[
    (Metric::Lost, lost::check),
    (Metric::Undrained, undrained::check),
    (Metric::Undecided, undecided::check),
    (Metric::Phantom, phantom::check),
    (Metric::Foreign, foreign::check),
    (Metric::Duplicated, duplicated::check),
    (Metric::Reordered, reordered::check),
    (Metric::Overtaken, overtaken::check),
    (Metric::Split, split::check),
    (Metric::Corrupted, corrupted::check),
    (Metric::Missing, missing::check),
    (Metric::DoubleApplied, double_applied::check),
    (Metric::FalseRejection, false_rejection::check),
    (Metric::Unacknowledged, unacknowledged::check),
    (Metric::Late, late::check),
    (Metric::Stale, stale::check),
    (Metric::StaleReads, stale_reads::check),
];

/// Returns those that count something of this history's strategy: one without a cache has nothing that could be stale.
fn checkers_of(context: &Context<'_>) -> impl Iterator<Item = &'static Checker> {
    let has_cache = context.view.topology().is_some_and(|t| t.has_cache);
    let all = CHECKERS.iter();
    all.filter(move |(metric, _)| has_cache || !metric.is_of_cache())
}

/// Takes offences with what they are called in a record: `lost`, or `consumer-payments.applied_twice`.
pub(crate) type OffenceVisitor<'a> = &'a mut dyn FnMut(&str, Metric, Offence);

/// Hands every offence to `visit`, those of the strategy and then those of its consumers, up to `limit` of each kind,
/// kind after kind; gives how many there are of each, by name. Unlike a judgement it keeps none of them.
pub(crate) fn each_offence(
    context: &Context<'_>,
    limit: u64,
    visit: OffenceVisitor<'_>,
) -> Vec<(String, u64)> {
    let own = checkers_of(context).map(|checker| {
        let name = checker.0.name();
        let mut named = |metric, offence| visit(&name, metric, offence);
        let mut tally = Tally::visiting(checker.0, limit, &mut named);
        count(checker, context, &mut tally);
        let found = tally.count();
        (name, found)
    });
    let mut counts: Vec<(String, u64)> = own.collect();
    counts.extend(consumers::each_offence(context, limit, visit));
    counts
}

/// Counts, unless too little was read for anything that is found to stand.
fn count((metric, check): &Checker, context: &Context<'_>, tally: &mut Tally<'_>) {
    match context.reading.of_metric(*metric) {
        Known::Whole | Known::AtLeast(_) => check(context, tally),
        Known::Nothing(_) => {}
    }
}

/// Judges a history that is joined already, with the bites given.
pub fn judge_joined(context: &Context<'_>, altered: &[String], bites: Vec<Bite>) -> Judgement {
    let tallies: Vec<Tally<'_>> = checkers_of(context)
        .map(|checker| {
            let mut tally = Tally::new(checker.0, &context.view.windows);
            count(checker, context, &mut tally);
            tally
        })
        .collect();
    let reading = &context.reading;
    let outcomes = outcomes::outcomes(context);
    let (whole, parts) = measure::latencies(&context.view);
    let counts = counts::counts(context, &tallies, whole.propagation.negative());
    // What was not read cannot be expected to add up.
    let errors = match reading.lacks(Steps::ALL) {
        None => accounting::errors(&context.view.join, &counts, &outcomes),
        Some(_) => Vec::new(),
    };
    let arrivals_known = reading.lacks(Steps::ARRIVALS).is_none();
    let latency = told(whole.set(), arrivals_known);
    let drain_s = measure::drain_s(&context.view.join).filter(|_| arrivals_known);
    let normality = measure::back_to_normal(&context.view.join);
    let recovery = measure::recovery(&context.view.join);
    let expected = expected(context, &tallies);
    let inconclusive = inconclusive::inconclusive(&inconclusive::Grounds {
        context,
        expectations: &expected,
        phases: &parts,
        bites: &bites,
        altered,
    });
    let seen = Seen {
        context,
        consumer: None,
        windows: &context.view.windows,
        tallies: &tallies,
        latency: &latency,
        drain_s,
        recovery,
        committed: context.view.join.truth.len() as u64,
        inconclusive: &inconclusive,
    };
    let expectations: Vec<Checked> = expected
        .iter()
        .map(|expectation| expectation::check(expectation, &seen))
        .collect();
    let consumers = consumers::judge(&seen);
    let own = expectations
        .iter()
        .map(|checked| (checked.expectation.metric.name(), checked));
    let of_consumers = consumers.iter().flat_map(|consumer| {
        let checked = consumer.expectations.iter();
        checked.map(|checked| (consumer.name_of(checked.expectation.metric), checked))
    });
    let named: Vec<verdict::NamedCheck<'_>> = own.chain(of_consumers).collect();
    let has_cache = context.view.topology().is_some_and(|t| t.has_cache);
    let (verdict, reasons) = verdict::verdict(errors, &named, &inconclusive);
    drop(named);
    Judgement {
        verdict,
        reasons,
        phases: phases(context, &parts),
        findings: tallies
            .into_iter()
            .map(|tally| tally.into_finding(reading))
            .collect(),
        unread: Metric::all()
            .into_iter()
            .filter(|metric| has_cache || !metric.is_of_cache())
            .filter_map(|metric| {
                let reason = reading.of_metric(metric).reason()?;
                Some((metric, reason.to_owned()))
            })
            .collect(),
        counts,
        outcomes,
        expectations,
        consumers,
        bites,
        latency,
        drain_s,
        recovery_s: recovery.seconds().filter(|_| arrivals_known),
        longest_staleness_ms: longest_staleness_ms(context),
        time_to_normal_s: normality.seconds().filter(|_| arrivals_known),
        not_normal_for_s: normality.not_within_s().filter(|_| arrivals_known),
        arrivals_known,
    }
}

/// What is expected of the strategy; of an order nothing, where the scenario does not test it, unless
/// something is out of it all the same.
fn expected(context: &Context<'_>, tallies: &[Tally<'_>]) -> Vec<Expectation> {
    let history = context.history();
    let all = view::strategy(history).map_or(&[][..], |strategy| &strategy.expectations);
    let untested = history.meta.scenario.order == OrderTest::NotTested;
    let in_order = |metric: Metric| {
        let of_it = tallies.iter().find(|t| t.metric() == metric);
        metric.is_of_order() && of_it.is_none_or(|tally| tally.count() == 0)
    };
    let counts = |e: &&Expectation| !(untested && in_order(e.metric));
    all.iter().filter(counts).cloned().collect()
}

/// As far as what it needs was read.
fn longest_staleness_ms(context: &Context<'_>) -> Option<f64> {
    let is_known = context.reading.of_metric(Metric::LongestStaleness);
    let is_known = is_known.reason().is_none();
    is_known
        .then(|| stale_reads::longest_ms(context, |_| true))
        .flatten()
}

/// Latencies as far as what they need was read.
fn told(mut set: record::LatencySet, arrivals_known: bool) -> record::LatencySet {
    if !arrivals_known {
        set.propagation = record::Latency::default();
        set.end_to_end = record::Latency::default();
    }
    set
}

fn phases(context: &Context<'_>, parts: &[measure::PhaseLatencies]) -> Vec<record::Phase> {
    let reading = &context.reading;
    let committed_known = reading.lacks(Steps::DATABASE).is_none();
    let arrivals_known = reading.lacks(Steps::ARRIVALS).is_none();
    let phases: Vec<measure::Phase> = parts.iter().map(|part| part.phase.clone()).collect();
    let work = measure::phase_work(&context.view.join, &phases);
    let recorded = parts.iter().zip(work).map(|(part, work)| {
        let mut phase = part.record(context.history());
        phase.committed = phase.committed.filter(|_| committed_known);
        phase.latency_ms = told(phase.latency_ms, arrivals_known);
        phase.work = work.map(|work| record::PhaseWork {
            events: work.events.filter(|_| arrivals_known),
            ..work
        });
        phase
    });
    recorded.collect()
}

#[cfg(test)]
pub mod tests;
