//! Worst first: fail > unknown > pass.

use super::inconclusive::Inconclusive;
use super::{Checked, Verdict};

/// The verdict, and why it is no pass: what leads, fails, cannot be told, or else is inconclusive.
pub fn verdict(
    accounting: Vec<String>,
    expectations: &[NamedCheck<'_>],
    inconclusive: &[Inconclusive],
) -> (Verdict, Vec<String>) {
    let said = |leads: bool| {
        let inconclusive = inconclusive
            .iter()
            .filter(move |cause| cause.leads == leads);
        inconclusive.map(|cause| cause.reason.clone())
    };
    let mut failures = accounting;
    failures.extend(named(expectations, |c| c.met == Some(false)));
    let failed = !failures.is_empty();
    let mut reasons: Vec<String> = said(true).collect();
    reasons.extend(failures);
    // What only an inconclusive run leaves open is said once, as the reason for that.
    reasons.extend(named(expectations, |c| {
        c.met.is_none() && !c.only_inconclusive
    }));
    reasons.extend(said(false));
    let verdict = match (failed, reasons.is_empty()) {
        (true, _) => Verdict::Fail,
        (false, false) => Verdict::Unknown,
        (false, true) => Verdict::Pass,
    };
    (verdict, reasons)
}

/// An expectation that was checked, and what it is called: its metric, behind a consumer's name where it is of one.
pub type NamedCheck<'a> = (String, &'a Checked);

fn named(
    expectations: &[NamedCheck<'_>],
    wanted: impl Fn(&Checked) -> bool,
) -> impl Iterator<Item = String> {
    expectations
        .iter()
        .filter(move |(_, checked)| wanted(checked))
        .map(|(name, checked)| format!("{name}: {}", checked.reason))
}
