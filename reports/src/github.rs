//! Annotations for GitHub Actions: one workflow command for each thing that is red, with the place in the
//! scenario's file that it is about. What a command may contain is written down in GitHub's "Workflow commands
//! for GitHub Actions" and, as for what must be escaped, in `command.ts` of actions/toolkit.

use crate::record::{Expectation, NotRun, Record, Strategy, Verdict};
use crate::{conclusion, figures};

/// Where a scenario's file says something.
pub trait Places {
    /// Returns the scenario's file, as the repository names it.
    fn file(&self) -> &str;
    /// The line, from 1 on, with what is expected of a metric of a strategy; that of the strategy itself where the
    /// file does not say it, and without a metric.
    fn line(&self, strategy: &str, metric: Option<&str>) -> usize;
}

/// One line for each missed expectation, each strategy that is red for another reason, and each that was not run; nothing
/// for a pass.
pub fn annotations(record: &Record, places: &dyn Places) -> String {
    let mut text = String::new();
    let mut add = |strategy: &str, metric: Option<&str>, what: &str| {
        text.push_str(&format!(
            "::error file={},line={},title={}::{}\n",
            property(places.file()),
            places.line(strategy, metric),
            property(&format!("{}: {strategy}", record.scenario)),
            data(what)
        ));
    };
    for strategy in &record.strategies {
        let missed = strategy
            .expectations
            .iter()
            .filter(|e| e.met == Some(false));
        for expectation in missed.clone() {
            let what = missed_expectation(expectation);
            add(&strategy.name, Some(&expectation.metric), &what);
        }
        let untold = match (strategy.verdict, missed.count() > 0) {
            (Verdict::Pass, _) | (Verdict::Unknown, true) => None,
            (Verdict::Fail, true) => {
                Some(conclusion::leading(strategy)).filter(|reasons| !reasons.is_empty())
            }
            (Verdict::Fail | Verdict::Unknown, false) => Some(strategy.reasons.as_slice()),
        };
        if let Some(reasons) = untold {
            add(&strategy.name, None, &verdict_and(strategy, reasons));
        }
    }
    for NotRun { strategy, why } in &record.not_run {
        add(strategy, None, &format!("was not run: {why}"));
    }
    if let (Some(failure), true) = (&record.failure, record.not_run.is_empty()) {
        add("the run", None, failure);
    }
    text
}

fn missed_expectation(expectation: &Expectation) -> String {
    let mut what = format!(
        "expected {}, saw {}",
        figures::expectation(expectation),
        figures::observed(expectation)
    );
    if !expectation.reason.is_empty() {
        what.push_str(&format!("\n{}", expectation.reason));
    }
    what
}

/// A strategy that is red, and why, beside what it missed.
fn verdict_and(strategy: &Strategy, reasons: &[String]) -> String {
    let verdict = figures::verdict(strategy.verdict);
    match reasons {
        [] => format!("{verdict}; no reason was recorded"),
        reasons => format!("{verdict}: {}", reasons.join("\n")),
    }
}

/// What stands behind `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Returns the value of a property, escaped.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
