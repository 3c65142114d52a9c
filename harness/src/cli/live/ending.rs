//! What came of a run: what was committed against what has an event, one lost order, the verdict. It is found here
//! once, and told by whoever has an audience.

use super::expected::Promise;
use super::occasion::Occasion;
use super::shown::Tone;
use crate::run::explain::one_lost;
use crate::scenario::{Metric, Scenario};
use reports::count;
use reports::explanation::Explanation;
use reports::record::{Offence, Record, Strategy};
use serde::Serialize;
use std::path::Path;

/// A story is so many columns wide on the page.
const PAGE_COLUMNS: usize = 80;

/// This is all that is told at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ending {
    /// Each strategy that was run has a row, in the record's order.
    pub rows: Vec<EndRow>,
    /// Strategies that have none, and why.
    pub not_run: Vec<String>,
    /// One order of those that were lost.
    pub order: Option<LostOrder>,
    /// Why there is none, in a sentence, where that is worth one.
    pub no_order: Option<String>,
    /// This is the verdict, with its sentence; of a run that came to nothing it says why.
    pub verdict: String,
    /// What is to be known of the figures, where anything is.
    #[serde(skip)]
    pub last_words: Option<&'static str>,
    /// Where more is: a line each.
    pub more: Vec<String>,
}

/// One strategy came to this.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndRow {
    /// The strategy has this name.
    pub name: String,
    /// So many changes are in the database; `None` where that is not known.
    pub committed: Option<u64>,
    /// So many of them have an event; `None` where that is not known.
    pub with_event: Option<u64>,
    /// This says in a few words what was lost, e.g. `lost none`.
    pub came_to: String,
    /// How good that is.
    pub tone: Tone,
    /// What else there was, e.g. `, 3 seen twice (at least once)`.
    pub beside: String,
    /// Each expectation came to this.
    pub promises: Vec<Promise>,
}

/// An order that is in the database, and has no event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LostOrder {
    /// This tells what happened, e.g. `Order 94 was placed. Nobody was told. (naive)`.
    pub head: String,
    /// This is the order's timeline, for a page.
    pub told: String,
    /// The same, for whoever tells it otherwise.
    #[serde(skip)]
    pub offence: Offence,
}

impl Ending {
    /// Returns the ending that a run's record and folder tell of, in the words of the occasion.
    pub fn of(record: &Record, scenario: &Scenario, folder: &Path, occasion: &Occasion) -> Self {
        let loser = record
            .strategies
            .iter()
            .find(|s| s.counts.lost.unwrap_or(0) > 0);
        let lost = loser.map(|s| (s.name.as_str(), one_lost(folder, &s.name)));
        let (order, no_order) = match lost {
            Some((name, Ok(Some((number, offence))))) => {
                (Some(LostOrder::of(name, number, offence)), None)
            }
            Some((_, Err(error))) => {
                let why = format!("what became of one of them cannot be told: {error}");
                (None, Some(why))
            }
            // What was lost has no order of this run, which the reports say.
            Some((_, Ok(None))) => (None, None),
            None => (
                None,
                is_all_known(record).then(|| occasion.nothing_lost.to_owned()),
            ),
        };
        let not_run = record.not_run.iter();
        let folder = folder.display();
        Self {
            rows: record
                .strategies
                .iter()
                .map(|strategy| row(strategy, scenario))
                .collect(),
            not_run: not_run
                .map(|missing| format!("{:8}  not run: {}", missing.strategy, missing.why))
                .collect(),
            order,
            no_order,
            verdict: verdict(record),
            last_words: occasion.last_words,
            more: vec![
                format!("report: {folder}/report.html"),
                format!("more: outbox-harness explain {folder}"),
            ],
        }
    }

    /// Returns the ending of a run that came to nothing; `why` stands in place of the verdict.
    pub fn failed(why: String) -> Self {
        Self {
            rows: Vec::new(),
            not_run: Vec::new(),
            order: None,
            no_order: None,
            verdict: why,
            last_words: None,
            more: Vec::new(),
        }
    }
}

impl LostOrder {
    fn of(strategy: &str, number: u32, offence: Offence) -> Self {
        let what = match offence.version {
            Some(1) => format!("Order {number} was placed."),
            Some(version) => format!("Order {number} went on to version {version}."),
            None => format!("Order {number} was changed."),
        };
        let page = Explanation {
            colour: false,
            width: PAGE_COLUMNS,
        };
        Self {
            head: format!("{what} Nobody was told. ({strategy})"),
            told: page.one(&offence),
            offence,
        }
    }
}

/// What is to be said of a loss beside its size: whether it is what the file expects. Where the file expects nothing
/// of it, that is what a dual write does.
fn of_a_loss(strategy: &Strategy, scenario: &Scenario) -> &'static str {
    let mut all = strategy.expectations.iter();
    let Some(expectation) = all.find(|e| e.metric == Metric::Lost.name()) else {
        let mut all = scenario.strategies.iter();
        let has_outbox = all.any(|s| s.name == strategy.name && s.kind.has_outbox());
        return if has_outbox { "" } else { ", as expected" };
    };
    match expectation.met {
        Some(true) => ", as expected",
        Some(false) => ", and should not have",
        None => "",
    }
}

fn row(strategy: &Strategy, scenario: &Scenario) -> EndRow {
    let (came_to, tone) = match strategy.counts.lost {
        None => ("what was lost cannot be told".to_owned(), Tone::Plain),
        Some(0) => ("lost none".to_owned(), Tone::Kept),
        Some(n) => (
            format!("LOST {}{}", count(n), of_a_loss(strategy, scenario)),
            Tone::Loss,
        ),
    };
    let beside = [
        (strategy.counts.duplicated, "seen twice (at least once)"),
        (strategy.counts.phantom, "PHANTOM"),
        (strategy.counts.undrained, "still in the outbox"),
    ];
    let beside = beside.into_iter().filter_map(|(n, words)| {
        let n = n.filter(|n| *n > 0)?;
        Some(format!(", {} {words}", count(n)))
    });
    EndRow {
        name: strategy.name.clone(),
        committed: strategy.counts.committed,
        with_event: strategy.outcomes.db_event,
        came_to,
        tone,
        beside: beside.collect(),
        promises: strategy.expectations.iter().map(Promise::judged).collect(),
    }
}

fn verdict(record: &Record) -> String {
    let verdict = reports::verdict(record.verdict);
    match why(record) {
        // The record's own sentence says what came of each.
        None => format!("verdict: {verdict}. {}", reports::conclusion(record)),
        Some(why) => format!("verdict: {verdict}, {why}"),
    }
}

/// Why a record is no pass, in short: the rest is in the report.
fn why(record: &Record) -> Option<String> {
    let all = record.strategies.iter();
    let all = all.flat_map(|s| {
        s.reasons
            .iter()
            .map(|reason| format!("{}: {reason}", s.name))
    });
    let mut all = record.failure.iter().cloned().chain(all);
    let first = all.next()?;
    Some(match all.count() {
        0 => first,
        more => format!("{first} (and {more} more, in the report)"),
    })
}

/// Whether it is known of every strategy what it lost.
fn is_all_known(record: &Record) -> bool {
    let mut all = record.strategies.iter();
    record.not_run.is_empty() && all.all(|s| s.counts.lost.is_some())
}
