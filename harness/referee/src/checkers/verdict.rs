//! Worst first: fail > unknown > pass.

use super::doubts::Doubt;
use super::{Checked, Verdict};

/// The verdict, and why it is not pass: what leads, what fails, what cannot be told, every other doubt.
pub fn verdict(
    accounting: Vec<String>,
    expectations: &[Checked],
    doubts: &[Doubt],
) -> (Verdict, Vec<String>) {
    let said = |leads: bool| {
        let doubts = doubts.iter().filter(move |doubt| doubt.leads == leads);
        doubts.map(|doubt| doubt.reason.clone())
    };
    let mut failures = accounting;
    failures.extend(named(expectations, |c| c.met == Some(false)));
    let failed = !failures.is_empty();
    let mut reasons: Vec<String> = said(true).collect();
    reasons.extend(failures);
    // What only a doubt leaves open is said once, as the doubt.
    reasons.extend(named(expectations, |c| c.met.is_none() && !c.only_doubted));
    reasons.extend(said(false));
    let verdict = match (failed, reasons.is_empty()) {
        (true, _) => Verdict::Fail,
        (false, false) => Verdict::Unknown,
        (false, true) => Verdict::Pass,
    };
    (verdict, reasons)
}

fn named(
    expectations: &[Checked],
    wanted: impl Fn(&Checked) -> bool,
) -> impl Iterator<Item = String> {
    expectations
        .iter()
        .filter(move |checked| wanted(checked))
        .map(|checked| format!("{}: {}", checked.expectation.metric.name(), checked.reason))
}
