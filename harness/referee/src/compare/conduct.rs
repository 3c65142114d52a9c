//! What the runs themselves came to. A figure of a run that failed, that proved nothing, or that is not there since the
//! strategy could not be run, is no figure of the system at its work.

use super::RunSet;
use super::arms::PairedArms;
use crate::scenario::{CACHE_COUNTS, CONSUMER_COUNTS, COUNTS};
use reports::compare::SafetyRow;
use reports::record::{Expectation, Strategy, Verdict};
use std::collections::BTreeMap;

/// This is what the runs of one or of all subjects came to, in whole sentences.
#[derive(Debug, Default)]
pub struct Conduct {
    /// What the new side must not do, and did.
    pub bad: Vec<String>,
    /// What leaves open how the sides compare.
    pub open: Vec<String>,
}

impl Conduct {
    /// Whether there is nothing to say against the runs.
    pub fn is_clean(&self) -> bool {
        self.bad.is_empty() && self.open.is_empty()
    }

    /// Adds what others came to; what was said already is not said again.
    pub fn add(&mut self, other: Self) {
        for (all, more) in [(&mut self.bad, other.bad), (&mut self.open, other.open)] {
            for said in more {
                if !all.contains(&said) {
                    all.push(said);
                }
            }
        }
    }
}

/// What these runs came to, all that there are of the base and of the new side of `arms`; `safety` has told already what of
/// it is harm.
pub fn of_runs(
    arms: &PairedArms<'_>,
    [base, new]: [&[&Strategy]; 2],
    safety: &[SafetyRow],
) -> Conduct {
    let mut conduct = Conduct::default();
    for metric in missed_metrics(new) {
        let told = safety.iter().any(|row| row.harm && row.metric == metric);
        let misses = |run: &Strategy| missed(run, metric).is_some();
        let more = More::of([base, new], misses);
        if told || !more.in_new {
            continue;
        }
        let runs: Vec<&Expectation> = new.iter().filter_map(|run| missed(run, metric)).collect();
        let said = format!(
            "{}: {metric} was to be {} and was not in {} of {} runs of {}; {}.",
            arms.title,
            runs.first().map_or("as expected", |first| &first.expected),
            runs.len(),
            new.len(),
            arms.new,
            match more.of_base {
                0 => format!("in every run of {} it was", arms.base),
                of_base => format!("of {} in {of_base} of {}", arms.base, base.len()),
            },
        );
        // One that breaks a promise of none is one too many; of another bound one run tells nothing of the others.
        let is_promise = runs.iter().all(|missed| missed.expected == "0");
        match is_count(metric) && is_promise && more.of_base == 0 {
            true => conduct.bad.push(said),
            false => conduct.open.push(said),
        }
    }
    let more = More::of([base, new], failed_otherwise);
    if more.in_new {
        let what = match more.of_base {
            0 => "failed".to_owned(),
            of_base => format!("failed ({of_base} of {} of {})", base.len(), arms.base),
        };
        let said = runs_that(new, &arms.title, &arms.new, &what, failed_otherwise);
        conduct.open.extend(said);
    }
    for (side, runs) in [(&arms.base, base), (&arms.new, new)] {
        let proved_nothing = |run: &Strategy| run.verdict == Verdict::Unknown;
        let said = runs_that(runs, &arms.title, side, "proved nothing", proved_nothing);
        conduct.open.extend(said);
    }
    conduct
}

/// How often something was so on the new side, next to the base: what the base does as often is nothing new.
struct More {
    in_new: bool,
    of_base: usize,
}

impl More {
    fn of([base, new]: [&[&Strategy]; 2], is_so: impl Fn(&Strategy) -> bool) -> Self {
        let count = |runs: &[&Strategy]| runs.iter().filter(|run| is_so(run)).count();
        let (of_base, of_new) = (count(base), count(new));
        Self {
            in_new: of_new * base.len().max(1) > of_base * new.len(),
            of_base,
        }
    }
}

/// Whether every run was one of the system at its work.
pub fn all_passed(runs: &[&Strategy]) -> bool {
    runs.iter().all(|run| run.verdict == Verdict::Pass)
}

/// Strategies of a set that could not be run, and runs that ended before they were complete, in whole sentences.
pub fn unrun(set: &RunSet) -> Vec<String> {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut ended: Vec<&str> = Vec::new();
    for record in &set.records {
        for of in &record.not_run {
            missing.entry(&of.strategy).or_default().push(&of.why);
        }
        // What ended a run is told with the strategies that it cost.
        let failure = record.failure.as_deref();
        ended.extend(failure.filter(|_| record.not_run.is_empty()));
    }
    let of_all = format!("of {} runs of {}", set.records.len(), set.name);
    let said = |why: &[&str]| {
        let first = why.first().map_or("", |why| why.trim_end_matches('.'));
        (why.len(), first.to_owned())
    };
    let missing = missing.iter().map(|(strategy, why)| {
        let (number, why) = said(why);
        format!("{strategy} could not be run in {number} {of_all}: {why}.")
    });
    let ended = (!ended.is_empty()).then(|| {
        let (number, why) = said(&ended);
        format!("Something ended {number} {of_all} early: {why}.")
    });
    missing.chain(ended).collect()
}

fn runs_that(
    runs: &[&Strategy],
    title: &str,
    side: &str,
    what: &str,
    is: impl Fn(&Strategy) -> bool,
) -> Option<String> {
    let those: Vec<&&Strategy> = runs.iter().filter(|run| is(run)).collect();
    let why = those.first()?.reasons.first();
    let why = why.map_or_else(String::new, |why| {
        format!(", the first since: {}", why.trim_end_matches('.'))
    });
    let (number, all) = (those.len(), runs.len());
    Some(format!(
        "{title}: {number} of {all} runs of {side} {what}{why}."
    ))
}

/// Each metric of which some run missed what was expected, once.
fn missed_metrics<'a>(runs: &[&'a Strategy]) -> Vec<&'a str> {
    let mut metrics: Vec<&str> = Vec::new();
    for expected in runs.iter().flat_map(|run| &run.expectations) {
        if expected.met == Some(false) && !metrics.contains(&expected.metric.as_str()) {
            metrics.push(&expected.metric);
        }
    }
    metrics
}

fn missed<'a>(run: &'a Strategy, metric: &str) -> Option<&'a Expectation> {
    let mut all = run.expectations.iter();
    all.find(|e| e.metric == metric && e.met == Some(false))
}

/// Whether a run failed by something that is no expectation, such as a relay that ended by itself.
fn failed_otherwise(run: &Strategy) -> bool {
    run.verdict == Verdict::Fail && run.expectations.iter().all(|e| e.met != Some(false))
}

/// Whether an expectation is on a count, of the strategy or of a consumer of its events.
fn is_count(metric: &str) -> bool {
    let name = metric.rsplit_once('.').map_or(metric, |(_, name)| name);
    let mut counts = COUNTS.iter().chain(&CONSUMER_COUNTS).chain(&CACHE_COUNTS);
    counts.any(|row| row.name == name)
}
