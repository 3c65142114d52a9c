//! The table of the docs, made from the cases themselves. `OUTBOX_ZOO_WRITE_DOCS=1` writes it.

use super::case::Case;
use reports::record::Verdict;
use std::fmt::Write;
use std::path::Path;

/// Every case, by kind.
const DEFECTS: &[&[Case]] = &[
    crate::lost::CASES,
    crate::undrained::CASES,
    crate::order::CASES,
    crate::overtaking::CASES,
    crate::restart::CASES,
    crate::content::CASES,
    crate::services::CASES,
    crate::two_phase::CASES,
    crate::messages::CASES,
    crate::consumers::CASES,
    crate::caches::CASES,
    crate::referee::CASES,
    crate::settle::CASES,
    crate::brokers::CASES,
    crate::databases::CASES,
    crate::odd::CASES,
];

const FILE: &str = "../../docs/zoo.md";

const HEAD: &str = "\
# The zoo

Systems that are broken on purpose, and what the referee must say of each: the name of the anomaly and
its exact count. Every anomaly that a row does not name must be counted 0 (*overtaken* where an order across
orders is promised, *reordered* where the broker promises any). Each runs whole on the real stack (`cargo test -p zoo`; what is a second example of another row's
defect only with `OUTBOX_HARNESS_ALL=1`, as in `make test-all`); its test and its row here come from the same value.

Where a count is not a matter of the load alone, the broken part writes down each of its misdeeds. The
referee cannot see that, and must come to the same number.

| # | defect | verdict | found as |
|---|---|---|---|
";

/// `3` of `3`, `25` of `25b`.
fn order(case: &Case) -> (u32, &'static str) {
    let digits = case.number.trim_end_matches(|c: char| !c.is_ascii_digit());
    (digits.parse().unwrap_or(u32::MAX), case.number)
}

fn row(case: &Case) -> String {
    let finds: Vec<String> = case
        .finds
        .iter()
        .map(|find| format!("**{}**: {}", find.anomaly.replace('_', " "), find.words))
        .collect();
    let inconclusive = case.inconclusive.iter().map(|cause| cause.replace('`', ""));
    let proved = match case.verdict {
        Verdict::Unknown => "nothing is proved",
        Verdict::Pass | Verdict::Fail => "besides",
    };
    let inconclusive = inconclusive.map(|cause| format!("{proved}: \"... {cause} ...\""));
    let found: Vec<String> = finds.into_iter().chain(inconclusive).collect();
    let found = if found.is_empty() {
        "nothing".to_owned()
    } else {
        found.join("; ")
    };
    let verdict = format!("{:?}", case.verdict).to_lowercase();
    format!("| {} | {} | {verdict} | {found} |", case.number, case.what)
}

fn table() -> String {
    let mut cases: Vec<&Case> = DEFECTS.iter().copied().flatten().collect();
    cases.sort_by_key(|case| order(case));
    let mut text = HEAD.to_owned();
    for case in cases {
        let _ = writeln!(text, "{}", row(case));
    }
    text
}

#[test]
fn given_the_cases_when_the_docs_are_read_then_their_table_is_that_of_the_cases() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("OUTBOX_ZOO_WRITE_DOCS").is_some() {
        std::fs::write(&file, table()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        written,
        table(),
        "docs/zoo.md is not what the cases say: OUTBOX_ZOO_WRITE_DOCS=1 cargo test -p zoo docs"
    );
}

/// A broken system that errs once might be found by luck, and a referee that errs once would agree.
#[test]
fn given_the_cases_when_they_are_read_then_none_rests_on_a_single_misdeed() {
    // Of one order's version, which there is once by construction.
    const ONE_BY_CONSTRUCTION: [&str; 2] = ["16", "50"];
    for case in DEFECTS.iter().copied().flatten() {
        let many = case.finds.iter().any(|find| find.least > 1);
        let named = ONE_BY_CONSTRUCTION.contains(&case.number);
        assert!(
            case.finds.is_empty() || many || named,
            "{} {}",
            case.number,
            case.defect
        );
    }
}

/// What only `make test-all` runs is a second example of what everybody runs, and found as the same.
#[test]
fn given_a_second_example_when_the_cases_are_read_then_the_first_one_is_always_run() {
    let cases = || DEFECTS.iter().copied().flatten();
    let found = |case: &Case| -> Vec<_> { case.finds.iter().map(|find| find.anomaly).collect() };
    let mut seconds = 0;
    for case in cases() {
        let Some(first) = case.second_of else {
            continue;
        };
        let mut firsts = cases().filter(|c| c.defect == first && c.second_of.is_none());
        let like_it = |c: &Case| found(c) == found(case) && c.verdict == case.verdict;
        assert!(firsts.any(like_it), "{} of {first}", case.defect);
        seconds += 1;
    }
    assert!(seconds > 0);
}
