//! Worst first: fail > unknown > pass.

use super::doubts::Doubt;
use super::{Checked, Verdict};

/// The verdict, and why it is not pass: what fails, then what cannot be told, then every doubt.
pub fn verdict(
    accounting: Vec<String>,
    expectations: &[Checked],
    doubts: &[Doubt],
) -> (Verdict, Vec<String>) {
    let mut reasons = accounting;
    reasons.extend(named(expectations, |c| c.met == Some(false)));
    let failures = reasons.len();
    // What only a doubt leaves open is said once, as the doubt.
    reasons.extend(named(expectations, |c| c.met.is_none() && !c.only_doubted));
    reasons.extend(doubts.iter().map(|doubt| doubt.reason.clone()));
    let verdict = match (failures, reasons.len()) {
        (0, 0) => Verdict::Pass,
        (0, _) => Verdict::Unknown,
        _ => Verdict::Fail,
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
