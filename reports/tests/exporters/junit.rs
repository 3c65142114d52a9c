use crate::sample;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus};
use reports::Exporter;
use reports::junit::{HOLDS_TOGETHER, Junit, PROVES_SOMETHING, merged};
use reports::record::{Record, Verdict};

fn parsed(record: &Record) -> Report {
    let bytes = Junit.export(record).unwrap();
    Report::deserialize_from_str(std::str::from_utf8(&bytes).unwrap()).unwrap()
}

fn case<'a>(report: &'a Report, suite: &str, name: &str) -> &'a TestCase {
    let suites = &report.test_suites;
    let suite = suites.iter().find(|s| s.name.as_str() == suite).unwrap();
    let mut cases = suite.test_cases.iter();
    cases.find(|case| case.name.as_str() == name).unwrap()
}

fn told(case: &TestCase) -> (NonSuccessKind, String, String) {
    match &case.status {
        TestCaseStatus::NonSuccess {
            kind,
            message,
            description,
            ..
        } => {
            let text = |of: &Option<quick_junit::XmlString>| {
                of.as_ref()
                    .map_or_else(String::new, |t| t.as_str().to_owned())
            };
            (*kind, text(message), text(description))
        }
        other => panic!("{}: {other:?}", case.name.as_str()),
    }
}

#[test]
fn a_pass_has_one_green_case_an_expectation() {
    let report = parsed(&sample::record());
    let names: Vec<&str> = report.test_suites.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "broker-outage.naive",
            "broker-outage.polling",
            "broker-outage.cdc"
        ]
    );
    assert_eq!(
        (report.tests, report.failures, report.errors, report.skipped),
        (14, 0, 0, 0)
    );
    case(&report, "broker-outage.naive", "lost >= 1");
    case(&report, "broker-outage.polling", "propagation_p99 <= 10s");
    assert!(report.timestamp.is_some());
}

#[test]
fn a_miss_says_what_was_expected_what_was_seen_and_who_did_it() {
    let report = parsed(&sample::failed());
    assert_eq!((report.tests, report.failures, report.errors), (14, 1, 0));
    let (kind, message, description) = told(case(&report, "broker-outage.cdc", "lost = 0"));
    assert_eq!(kind, NonSuccessKind::Failure);
    assert_eq!(message, "expected lost = 0, saw 3");
    assert!(description.contains("3 committed changes have no event"));
    assert!(description.contains("00000000-77c1-8a31-9d02-51f00c0a6b10"));
    assert!(description.contains("offence number 4"));
    assert!(!description.contains("offence number 5"), "only the first");
}

#[test]
fn a_miss_tells_the_sentences_of_its_first_offending_events() {
    let mut record = sample::record();
    let naive = &mut record.strategies[0];
    naive.verdict = Verdict::Fail;
    naive.expectations[0].met = Some(false);
    let report = parsed(&record);
    let (_, _, description) = told(case(&report, "broker-outage.naive", "lost >= 1"));
    assert!(
        description.contains(
            "  order 00000001-77c1-8a31-9d02-51f00c0a6b11 version 2: committed at 4.111 s; handed"
        ),
        "{description}"
    );
    assert_eq!(description.matches(": lost (attempt ").count(), 4);
}

#[test]
fn what_cannot_be_told_turns_the_run_red_and_says_why() {
    let report = parsed(&sample::unknown());
    assert_eq!(
        (report.tests, report.failures, report.errors, report.skipped),
        (15, 0, 1, 1)
    );
    let (kind, message, description) =
        told(case(&report, "broker-outage.polling", PROVES_SOMETHING));
    assert_eq!(kind, NonSuccessKind::Error);
    assert!(message.starts_with("down kafka did not bite"), "{message}");
    assert!(description.contains("only 61 changes were committed"));
    assert!(description.contains("the fault did not bite"));
}

#[test]
fn a_null_expectation_is_an_error_whatever_the_verdict_says() {
    let mut record = sample::record();
    record.strategies[2].expectations[0].met = None;
    assert_eq!(parsed(&record).errors, 1);
}

#[test]
fn a_failure_without_a_missed_expectation_is_still_red() {
    let mut record = sample::record();
    record.verdict = Verdict::Fail;
    record.strategies[0].verdict = Verdict::Fail;
    record.strategies[0].reasons = vec!["the counts do not add up".to_owned()];
    let report = parsed(&record);
    assert_eq!((report.failures, report.errors), (1, 0));
    let (_, message, _) = told(case(&report, "broker-outage.naive", HOLDS_TOGETHER));
    assert_eq!(message, "the counts do not add up");
}

#[test]
fn a_verdict_that_no_strategy_explains_is_never_green() {
    let mut record = sample::record();
    record.verdict = Verdict::Unknown;
    assert_eq!(parsed(&record).errors, 1);
    record.verdict = Verdict::Pass;
    record.strategies.clear();
    assert_eq!(parsed(&record).errors, 1);
}

#[test]
fn several_records_make_one_report() {
    let mut second = sample::failed();
    second.scenario = "relay-crash".to_owned();
    let bytes = merged(&[sample::record(), second]).unwrap();
    let report = Report::deserialize_from_str(std::str::from_utf8(&bytes).unwrap()).unwrap();
    assert_eq!(report.test_suites.len(), 6);
    assert_eq!((report.tests, report.failures), (28, 1));
    case(&report, "relay-crash.cdc", "lost = 0");
    assert!(merged(&[]).is_ok());
}

#[test]
fn a_suite_has_latency_and_costs_as_far_as_they_were_measured() {
    let report = parsed(&sample::record());
    let properties = |suite: usize| -> Vec<(&str, &str)> {
        let all = report.test_suites[suite].properties.iter();
        all.map(|p| (p.name.as_str(), p.value.as_str())).collect()
    };
    let naive = properties(0);
    assert!(naive.contains(&("wal_bytes_per_event", "612")));
    assert!(naive.iter().any(|(name, _)| *name == "end_to_end_p50_ms"));
    assert!(
        !naive
            .iter()
            .any(|(name, _)| name.starts_with("outbox_peak"))
    );
    let cdc = properties(2);
    assert!(cdc.contains(&("dead_tuples_peak_per_event", "0.061")));
    assert!(!cdc.iter().any(|(name, _)| name.starts_with("slot_wal")));
}
