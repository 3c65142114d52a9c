//! Runs against runs: which figures got better or worse, of which nothing can be told, and how small a difference
//! these runs could have shown. Records in, a comparison out.
//!
//! A figure is one a run, and never a percentile of several runs thrown together. The two runs of a pair were made
//! next to each other, so what slows a machine for some minutes is on both sides; what is asked is the ratio of
//! each pair. How to read it all is in docs/comparing.md.

mod arms;
mod conduct;
mod failing;
mod gate;
mod likeness;
mod metrics;
mod rows;
mod safety;

use crate::statistics::MOST_PAIRS;
use arms::PairedArms;
use conduct::Conduct;
pub use metrics::{CompareMetric, METRICS, chosen};
use reports::compare::{Compare, SCHEMA_VERSION, Side, Subject};
use reports::record::{Record, Strategy};
use std::collections::BTreeMap;
use thiserror::Error;

/// Of all findings of a page together one is chance in twenty pages at most.
const ALPHA: f64 = 0.05;
/// What differs by less is told of nothing: nobody would act on it.
const LEAST_TOLD: f64 = 0.01;
/// With fewer pairs there is no interval of 95 % at all.
pub const FEWEST_PAIRS: usize = 6;

/// Runs that belong together.
#[derive(Debug, Clone)]
pub struct RunSet {
    /// This names the side that the runs are on: `base` or `new`; of rounds it is the strategy compared with.
    pub name: String,
    /// Where they were found.
    pub from: String,
    /// These are the records of its runs, all of one scenario.
    pub records: Vec<Record>,
}

/// These terms say what a comparison is asked for, and what it lets pass.
#[derive(Debug, Clone)]
pub struct Terms {
    /// A figure may be so much worse, as a share.
    pub max_regression: Option<f64>,
    /// These figures are compared, in the order of [`METRICS`].
    pub metrics: Vec<&'static CompareMetric>,
    /// Compare what is not alike, and say so on top.
    pub allow_unlike: bool,
}

/// Why nothing is compared.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// What differs that must not.
    #[error("these runs are not alike, and a difference between them would be nobody's:\n  {}\nrun both sides with the same scenario on the same stack and machine, or compare them all the same with --allow-unlike", .0.join("\n  "))]
    Unlike(Vec<String>),
    /// A side without what the other one has.
    #[error("{0}")]
    Nothing(String),
}

/// Compares two sets of saved runs, pair by pair in the order in which they were run; a second pair of sets confirms an
/// alarm of the first one.
pub fn compare_sets(
    sets: [&RunSet; 2],
    confirming: Option<[&RunSet; 2]>,
    terms: &Terms,
) -> Result<Compare, Refusal> {
    let all: Vec<&RunSet> = sets
        .into_iter()
        .chain(confirming.into_iter().flatten())
        .collect();
    each_once(&all)?;
    let unlike = unlike(&all, terms)?;
    let mut remarks = Vec::new();
    let paired = arms::of_sets(sets, &mut remarks);
    let in_turns = arms::in_turns(sets) && confirming.is_none_or(arms::in_turns);
    let mut unrun = Conduct::default();
    for [base, new] in std::iter::once(sets).chain(confirming) {
        // That the base could not be run is no fault of the new side; it costs pairs.
        remarks.extend(conduct::unrun(base));
        unrun.add(Conduct {
            open: conduct::unrun(new),
            ..Conduct::default()
        });
    }
    let confirming = confirming.map(|sets| arms::of_sets(sets, &mut Vec::new()));
    let frame = CompareFrame {
        first: first(&all)?,
        sides: all.iter().map(|set| side(set)).collect(),
        unlike,
        in_turns,
        remarks,
        unrun,
    };
    finish(frame, &paired, confirming.as_deref(), terms)
}

/// The rounds of one comparison, each a record in which every arm was run once.
#[derive(Debug, Clone, Copy)]
pub struct Rounds<'a> {
    /// The folder that has them, by its name.
    pub from: &'a str,
    /// These are the records of the rounds, one a round.
    pub records: &'a [Record],
    /// These are a second set of rounds, made since the first one raised an alarm.
    pub confirming: &'a [Record],
    /// The strategy that the others are compared with.
    pub base: &'a str,
    /// The same once more, by which it is known how much equal runs differ.
    pub twin: Option<&'a str>,
    /// These are the names of the strategies that are compared with `base`.
    pub others: &'a [String],
}

/// Compares the strategies of rounds.
pub fn compare_rounds(rounds: &Rounds<'_>, terms: &Terms) -> Result<Compare, Refusal> {
    let set = RunSet {
        name: rounds.base.to_owned(),
        from: rounds.from.to_owned(),
        records: rounds.records.to_vec(),
    };
    let mut remarks = Vec::new();
    let paired = arms::of_rounds(rounds, rounds.records, &mut remarks);
    let confirming = arms::of_rounds(rounds, rounds.confirming, &mut Vec::new());
    let names = std::iter::once(rounds.base).chain(rounds.others.iter().map(String::as_str));
    let frame = CompareFrame {
        first: first(&[&set])?,
        sides: names
            .map(|name| Side {
                name: name.to_owned(),
                ..side(&set)
            })
            .collect(),
        unlike: Vec::new(),
        in_turns: true,
        remarks,
        // Rounds that are not whole are no rounds of these.
        unrun: Conduct::default(),
    };
    let confirming = (!rounds.confirming.is_empty()).then_some(confirming);
    finish(frame, &paired, confirming.as_deref(), terms)
}

/// What a comparison says beside its rows.
struct CompareFrame<'a> {
    first: &'a Record,
    sides: Vec<Side>,
    unlike: Vec<String>,
    in_turns: bool,
    remarks: Vec<String>,
    /// What could not be run at all.
    unrun: Conduct,
}

fn finish(
    frame: CompareFrame<'_>,
    paired: &[PairedArms<'_>],
    confirming: Option<&[PairedArms<'_>]>,
    terms: &Terms,
) -> Result<Compare, Refusal> {
    if paired.is_empty() {
        let why = "the two sides have no strategy in common, or no run of it: there is nothing to compare";
        let why = std::iter::once(why.to_owned()).chain(frame.unrun.open);
        return Err(Refusal::Nothing(why.collect::<Vec<_>>().join("\n  ")));
    }
    let pairs = paired
        .iter()
        .map(|arms| arms.pairs.len())
        .max()
        .unwrap_or(0);
    if pairs > MOST_PAIRS {
        let why = format!(
            "there are {pairs} pairs, and {MOST_PAIRS} are compared at most: name fewer runs"
        );
        return Err(Refusal::Nothing(why));
    }
    let mut remarks = frame.remarks;
    let mut figures = rows::of(paired, terms, &mut remarks);
    if let Some(limit) = terms.max_regression {
        gate::confirm(
            &mut figures,
            paired,
            confirming,
            frame.in_turns,
            limit,
            terms,
        );
    }
    let mut conduct = frame.unrun;
    let subjects: Vec<Subject> = paired
        .iter()
        .zip(figures)
        .map(|(arms, rows)| {
            let (base, new): (Vec<_>, Vec<_>) = arms.pairs.iter().copied().unzip();
            let failing = failing::rows(&base, &new);
            let [base, new] = all_runs(arms, confirming);
            let mut subject = Subject {
                title: arms.title.clone(),
                base: arms.base.clone(),
                new: arms.new.clone(),
                safety: safety::rows(&base, &new),
                rows,
                failing,
            };
            let of_runs = conduct::of_runs(arms, [&base, &new], &subject.safety);
            let at_work = of_runs.is_clean() && conduct::all_passed(&new);
            rows::withhold(&mut subject, at_work);
            conduct.add(of_runs);
            subject
        })
        .collect();
    let (verdict, reasons) = gate::verdict(
        &subjects,
        conduct,
        pairs,
        frame.in_turns,
        confirming.is_some(),
        terms,
    );
    Ok(Compare {
        schema_version: SCHEMA_VERSION,
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: frame.first.scenario.clone(),
        ran_on: ran_on(frame.first),
        sides: frame.sides,
        unlike: frame.unlike,
        in_turns: frame.in_turns,
        pairs: pairs as u32,
        confidence: 1.0 - ALPHA,
        least_told: LEAST_TOLD,
        max_regression: terms.max_regression,
        subjects,
        verdict,
        reasons,
        remarks,
    })
}

/// All runs of a subject's base and of its new side, those too that were made to confirm an alarm: what confirms one, or does
/// not, has to have been at its work as well, and a loss there is a loss.
fn all_runs<'a>(
    arms: &PairedArms<'a>,
    confirming: Option<&[PairedArms<'a>]>,
) -> [Vec<&'a Strategy>; 2] {
    let mut more = confirming.into_iter().flatten();
    let more = more.find(|more| more.title == arms.title);
    let mut runs = arms.runs.clone();
    for (side, more) in runs.iter_mut().zip(more.iter().flat_map(|more| &more.runs)) {
        side.extend(more);
    }
    runs
}

/// Refuses a run that is there twice: it differs from itself by nothing, and what it has shown it does not confirm.
fn each_once(sets: &[&RunSet]) -> Result<(), Refusal> {
    let mut places: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for set in sets {
        for record in &set.records {
            // Rounds have the same names in every comparison.
            let (run, began) = (record.run.as_str(), record.started_at.as_str());
            if let Some(before) = places.insert((run, began), &set.from) {
                let why = format!(
                    "the run {run} of {began} is there twice, in {before} and in {}: name other runs for each side, \
                     and for --confirm",
                    set.from
                );
                return Err(Refusal::Nothing(why));
            }
        }
    }
    Ok(())
}

/// What differs that must not, where that is allowed.
fn unlike(sets: &[&RunSet], terms: &Terms) -> Result<Vec<String>, Refusal> {
    let records: Vec<(&str, &Record)> = sets
        .iter()
        .flat_map(|set| set.records.iter().map(|record| (set.name.as_str(), record)))
        .collect();
    let unlike = likeness::unlike(&records);
    if unlike.is_empty() || terms.allow_unlike {
        Ok(unlike)
    } else {
        Err(Refusal::Unlike(unlike))
    }
}

fn first<'a>(sets: &[&'a RunSet]) -> Result<&'a Record, Refusal> {
    let none = || Refusal::Nothing("there is no run to compare".to_owned());
    sets.first()
        .and_then(|set| set.records.first())
        .ok_or_else(none)
}

fn side(set: &RunSet) -> Side {
    let records: Vec<&Record> = set.records.iter().collect();
    let mut began: Vec<&String> = records.iter().map(|record| &record.started_at).collect();
    began.sort();
    Side {
        name: set.name.clone(),
        from: set.from.clone(),
        runs: records.len() as u32,
        began: began
            .first()
            .zip(began.last())
            .map(|(first, last)| ((*first).clone(), (*last).clone())),
        versions: likeness::versions(&records),
    }
}

/// Tells in one line what all of it ran on.
fn ran_on(record: &Record) -> String {
    let stack = &record.stack;
    let cores = stack
        .environment
        .get("cores")
        .map_or_else(String::new, |cores| format!("; {cores} cores"));
    format!("{} stack: {}{cores}", stack.provider, stack.in_words())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
