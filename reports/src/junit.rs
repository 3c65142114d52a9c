//! Exporter: `junit.xml`. One test suite a strategy; one test case an expectation, named by its metric alone, so that
//! a threshold can be tuned without another history of the case; and one a fault.

use crate::record::{Expectation, Fault, NotRun, Record, Strategy, Verdict};
use crate::{ExportError, Exporter};
use crate::{conclusion, figures};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// A failing test case names so many offending events at most.
const SHOWN_OFFENCES: usize = 5;

/// The test case that stands for "this run can be believed"; there only if it cannot.
pub const PROVES_SOMETHING: &str = "the run proves something";

/// The test case for a strategy that failed for a reason that is no missed expectation, beside which others may be missed.
pub const HOLDS_TOGETHER: &str = "the run holds together";

/// This names the test case for a strategy that could not be run.
pub const WAS_RUN: &str = "the strategy was run";

/// The test case for a run that was ended when everything in it had been judged.
pub const CAME_TO_ITS_END: &str = "the run came to its end";

/// This exporter writes `junit.xml` of one record.
#[derive(Debug, Clone, Copy)]
pub struct Junit;

impl Exporter for Junit {
    fn file_name(&self) -> &'static str {
        "junit.xml"
    }

    fn export(&self, record: &Record) -> Result<Vec<u8>, ExportError> {
        merged(std::slice::from_ref(record))
    }
}

/// Returns several records in one report; an error says why it could not be written.
pub fn merged(records: &[Record]) -> Result<Vec<u8>, ExportError> {
    let mut report = Report::new("outbox-harness");
    if let [first, ..] = records {
        report.timestamp = first.started_at.parse().ok();
    }
    let took: f64 = records.iter().map(|record| record.took_s).sum();
    report.time = Duration::try_from_secs_f64(took).ok();
    for record in records {
        for strategy in &record.strategies {
            report.add_test_suite(suite(record, strategy));
        }
        report.add_test_suites(record.not_run.iter().map(|s| not_run(record, s)));
        report.add_test_suites(unexplained(record));
    }
    let mut bytes = Vec::new();
    report.serialize(&mut bytes).map_err(|error| ExportError {
        format: "junit.xml",
        reason: error.to_string(),
    })?;
    Ok(bytes)
}

/// Returns `RUN.STRATEGY`: readers such as GitLab's take cases of one class and name for one case, whichever file
/// they are in, so those of two runs must differ.
fn class(record: &Record, strategy: &str) -> String {
    format!("{}.{strategy}", run(record))
}

fn run(record: &Record) -> &str {
    match record.run.as_str() {
        "" => &record.scenario,
        run => run,
    }
}

fn suite(record: &Record, strategy: &Strategy) -> TestSuite {
    let name = class(record, &strategy.name);
    let mut suite = TestSuite::new(name.as_str());
    suite.timestamp = record.started_at.parse().ok();
    for (key, value) in [
        ("kind", strategy.kind.as_str()),
        ("broker", strategy.broker.as_str()),
        ("orders_in", strategy.orders_in.as_str()),
        ("relay", &strategy.what()),
        ("verdict", figures::verdict(strategy.verdict)),
        ("seed", &record.seed.to_string()),
        ("topic", &strategy.topic),
        ("schema", &strategy.schema),
        ("outbox-harness", &record.harness_version),
    ] {
        suite.add_property(Property::new(key, value));
    }
    for (name, value) in figures_of(strategy) {
        suite.add_property(Property::new(name, value.to_string()));
    }
    let case = |case_name: &str, status: TestCaseStatus| {
        let mut case = TestCase::new(case_name, status);
        case.set_classname(name.as_str());
        case
    };
    let untold = strategy.expectations.iter().filter(|e| e.met.is_none());
    let missed = strategy.expectations.iter().any(|e| e.met == Some(false));
    if strategy.verdict == Verdict::Unknown || untold.clone().count() > 0 {
        let mut reasons = strategy.reasons.clone();
        for expectation in untold {
            let reason = format!("{}: {}", expectation.metric, expectation.reason);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        suite.add_test_case(case(PROVES_SOMETHING, proved_nothing(&reasons)));
    }
    let leading = conclusion::leading(strategy);
    if strategy.verdict == Verdict::Fail && (!missed || !leading.is_empty()) {
        let message = summary(leading, "the strategy failed; no reason was recorded");
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("failed").set_message(message);
        status.set_description(leading.join("\n"));
        suite.add_test_case(case(HOLDS_TOGETHER, status));
    }
    let mut expectations: Vec<&Expectation> = strategy.expectations.iter().collect();
    // What is red comes first; among the rest, the file's order.
    expectations.sort_by_key(|e| match e.met {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    });
    for expectation in expectations {
        let mut case = case(&expectation.metric, status(strategy, expectation));
        case.add_property(Property::new("expected", figures::expectation(expectation)));
        case.add_property(Property::new("saw", figures::observed(expectation)));
        suite.add_test_case(case);
    }
    for (case_name, fault) in named_faults(&strategy.faults) {
        suite.add_test_case(case(&case_name, took_effect(fault)));
    }
    suite
}

/// The faults that concern the strategy, and what the case of each is called; of several alike, in their order, the
/// second is `... (2)`.
fn named_faults(faults: &[Fault]) -> Vec<(String, &Fault)> {
    let mut named: Vec<(String, &Fault)> = Vec::new();
    for fault in faults.iter().filter(|fault| fault.bit.is_some()) {
        let alike = |other: &Fault| other.kind == fault.kind && other.target == fault.target;
        let before = named.iter().filter(|(_, other)| alike(other)).count();
        let name = format!("fault took effect: {} {}", fault.kind, fault.target);
        named.push(match before {
            0 => (name, fault),
            n => (format!("{name} ({})", n + 1), fault),
        });
    }
    named
}

/// A fault that took no effect is why nothing was proved.
fn took_effect(fault: &Fault) -> TestCaseStatus {
    if fault.bit == Some(true) {
        return TestCaseStatus::success();
    }
    let why = or_unsaid(&fault.evidence);
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("did not bite").set_message(first_line(why));
    status.set_description(why);
    status
}

/// A suite with one case, which is an error.
fn broken(name: &str, case_name: &str, kind: &str, why: &str) -> TestSuite {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    let why = or_unsaid(why);
    status.set_type(kind).set_message(first_line(why));
    status.set_description(why);
    let mut suite = TestSuite::new(name);
    let mut case = TestCase::new(case_name, status);
    case.set_classname(name);
    suite.add_test_case(case);
    suite
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// What could not be run is as red as what went wrong.
fn not_run(record: &Record, strategy: &NotRun) -> TestSuite {
    let name = class(record, &strategy.strategy);
    broken(&name, WAS_RUN, "not run", &strategy.why)
}

/// What a CI server may draw over time; what was not measured is not there.
fn figures_of(strategy: &Strategy) -> impl Iterator<Item = (&'static str, f64)> {
    let latency = &strategy.latency_ms.end_to_end;
    let database = &strategy.database;
    [
        ("end_to_end_p50_ms", latency.p50),
        ("end_to_end_p99_ms", latency.p99),
        ("drain_s", strategy.drain_s),
        ("recovery_s", strategy.recovery_s),
        ("wal_bytes_per_event", database.wal_bytes.per_event),
        ("rows_changed_per_event", database.rows_changed.per_event),
        ("outbox_peak_bytes", database.outbox_peak_bytes.total),
        ("dead_tuples_peak", database.dead_tuples_peak.total),
        ("slot_wal_peak_bytes", database.slot_wal_peak_bytes.total),
        ("rows_written_per_event", database.rows_written.per_event),
        ("storage_end_bytes", database.storage_end_bytes.total),
        ("rebuild_ms", database.rebuild_ms),
        ("blocked_orders_ms", strategy.in_doubt.blocked_orders_ms),
        (
            "blocked_consumers_ms",
            strategy.in_doubt.blocked_consumers_ms,
        ),
        ("vacuums", database.vacuums),
        ("time_to_normal_s", database.time_to_normal_s),
        ("not_normal_for_s", database.not_normal_for_s),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// A record that is not a pass although each of its strategies is must not look green, nor one of a
/// run that was ended.
fn unexplained(record: &Record) -> Option<TestSuite> {
    let name = run(record);
    if let (Some(failure), true) = (&record.failure, record.not_run.is_empty()) {
        return Some(broken(name, CAME_TO_ITS_END, "failed", failure));
    }
    let red = |strategy: &Strategy| strategy.verdict != Verdict::Pass;
    let explained = !record.not_run.is_empty() || record.strategies.iter().any(red);
    if explained || (record.verdict == Verdict::Pass && !record.strategies.is_empty()) {
        return None;
    }
    let reason = if record.strategies.is_empty() {
        "no strategy was run".to_owned()
    } else {
        let verdict = figures::verdict(record.verdict);
        format!("the verdict of the run is {verdict}, and no strategy says why")
    };
    Some(broken(name, PROVES_SOMETHING, "unknown", &reason))
}

fn status(strategy: &Strategy, expectation: &Expectation) -> TestCaseStatus {
    let seen = figures::observed(expectation);
    match expectation.met {
        Some(true) => TestCaseStatus::success(),
        Some(false) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let expected = figures::expectation(expectation);
            status
                .set_type("missed")
                .set_message(format!("expected {expected}, saw {seen}"))
                .set_description(details(strategy, expectation));
            status
        }
        // Not a pass and not a miss. What turns the run red is the case that says why.
        None => {
            let mut status = TestCaseStatus::skipped();
            // Its reason says that it cannot be told.
            status.set_message(or_unsaid(&expectation.reason));
            status
        }
    }
}

/// What was expected, what was seen, why, and the first few events that did it.
fn details(strategy: &Strategy, expectation: &Expectation) -> String {
    let mut text = format!(
        "expected: {}\nseen: {}\n",
        figures::expectation(expectation),
        figures::observed(expectation)
    );
    if !expectation.reason.is_empty() {
        text.push_str(&format!("why: {}\n", expectation.reason));
    }
    let mut offences = strategy
        .offences
        .iter()
        .filter(|offence| offence.metric == expectation.metric)
        .peekable();
    if offences.peek().is_some() {
        text.push_str("the first of them:\n");
    }
    for offence in offences.take(SHOWN_OFFENCES) {
        let attempt = offence.attempt.as_deref().unwrap_or(figures::DASH);
        let told = figures::offence(offence);
        text.push_str(&format!("  {told} (attempt {attempt})\n"));
    }
    text
}

fn proved_nothing(reasons: &[String]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status
        .set_type("unknown")
        .set_message(summary(
            reasons,
            "nothing was proved; no reason was recorded",
        ))
        .set_description(reasons.join("\n"));
    status
}

fn summary(reasons: &[String], unsaid: &str) -> String {
    match reasons {
        [] => unsaid.to_owned(),
        [only] => or_unsaid(only).to_owned(),
        [first, rest @ ..] => format!("{} (and {} more)", or_unsaid(first), rest.len()),
    }
}

fn or_unsaid(reason: &str) -> &str {
    if reason.trim().is_empty() {
        "no reason was recorded"
    } else {
        reason
    }
}
