//! Worst first: fail > unknown > pass.

use super::doubts::Doubt;
use super::{Checked, Verdict};

/// The verdict, and why it is not pass: what fails, then what cannot be told, then every doubt.
pub fn verdict(
    accounting: Vec<String>,
    expectations: &[Checked],
    doubts: &[Doubt],
) -> (Verdict, Vec<String>) {
    let named = |wanted: Option<bool>| {
        expectations
            .iter()
            .filter(move |c| c.met == wanted)
            .map(|c| format!("{}: {}", c.expectation.metric.name(), c.reason))
    };
    let mut reasons = accounting;
    reasons.extend(named(Some(false)));
    let failures = reasons.len();
    // What only a doubt leaves open is said once, as the doubt.
    let by_doubt = |reason: &String| {
        let of =
            |doubt: &Doubt| reason.ends_with(&format!(": this run cannot tell: {}", doubt.reason));
        doubts.iter().any(of)
    };
    reasons.extend(named(None).filter(|reason| !by_doubt(reason)));
    reasons.extend(doubts.iter().map(|doubt| doubt.reason.clone()));
    let verdict = match (failures, reasons.len()) {
        (0, 0) => Verdict::Pass,
        (0, _) => Verdict::Unknown,
        _ => Verdict::Fail,
    };
    (verdict, reasons)
}
