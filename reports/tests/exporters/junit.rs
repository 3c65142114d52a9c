use crate::sample;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus};
use reports::Exporter;
use reports::junit::{CAME_TO_ITS_END, HOLDS_TOGETHER, Junit, PROVES_SOMETHING, WAS_RUN, merged};
use reports::record::{Record, Verdict};

const NAIVE: &str = "broker-outage-20261123T221405Z-5f3a9c2e.naive";
const POLLING: &str = "broker-outage-20261123T221405Z-5f3a9c2e.polling";
const CDC: &str = "broker-outage-20261123T221405Z-5f3a9c2e.cdc";

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
    assert_eq!(names, [NAIVE, POLLING, CDC]);
    assert_eq!(
        (report.tests, report.failures, report.errors, report.skipped),
        (17, 0, 0, 0)
    );
    case(&report, NAIVE, "lost");
    case(&report, POLLING, "propagation_p99");
    assert!(report.timestamp.is_some());
}

#[test]
fn a_miss_says_what_was_expected_what_was_seen_and_who_did_it() {
    let report = parsed(&sample::failed());
    assert_eq!((report.tests, report.failures, report.errors), (17, 1, 0));
    let (kind, message, description) = told(case(&report, CDC, "lost"));
    assert_eq!(kind, NonSuccessKind::Failure);
    assert_eq!(message, "expected lost = 0, saw 3");
    assert!(description.contains("why: expected 0, saw 3"));
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
    let (_, _, description) = told(case(&report, NAIVE, "lost"));
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
        (18, 0, 2, 1)
    );
    let (kind, message, description) = told(case(&report, POLLING, PROVES_SOMETHING));
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
    let (_, message, _) = told(case(&report, NAIVE, HOLDS_TOGETHER));
    assert_eq!(message, "the counts do not add up");
    // Nor is it kept back where something was missed as well
    let of_one = &mut record.strategies[0].expectations[0];
    of_one.met = Some(false);
    of_one.reason = "lost 12".to_owned();
    let missed = format!("{}: lost 12", of_one.metric);
    record.strategies[0].reasons.push(missed);
    let report = parsed(&record);
    assert_eq!((report.failures, report.errors), (2, 0));
    let (_, message, _) = told(case(&report, NAIVE, HOLDS_TOGETHER));
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
    second.run = "relay-crash-1".to_owned();
    let bytes = merged(&[sample::record(), second]).unwrap();
    let report = Report::deserialize_from_str(std::str::from_utf8(&bytes).unwrap()).unwrap();
    assert_eq!(report.test_suites.len(), 6);
    assert_eq!((report.tests, report.failures), (34, 1));
    case(&report, "relay-crash-1.cdc", "lost");
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
    assert!(cdc.contains(&("outbox_peak_bytes", "241080")));
    assert!(
        !cdc.iter()
            .any(|(name, _)| name.contains("peak_per_event") || name.contains("peak_bytes_per"))
    );
    assert!(!cdc.iter().any(|(name, _)| name.starts_with("slot_wal")));
}

/// Class and name of each case, as GitLab takes them for one.
fn identities(bytes: &[u8]) -> Vec<(String, String)> {
    let report = Report::deserialize_from_str(std::str::from_utf8(bytes).unwrap()).unwrap();
    let cases = report.test_suites.iter().flat_map(|s| &s.test_cases);
    let identity = |case: &TestCase| {
        let class = case.classname.as_ref().unwrap().as_str();
        (class.to_owned(), case.name.as_str().to_owned())
    };
    cases.map(identity).collect()
}

#[test]
fn given_two_runs_of_one_scenario_then_no_case_of_one_has_the_name_of_one_of_the_other() {
    let mut again = sample::failed();
    again.run = "broker-outage-20261123T221405Z-00000001".to_owned();
    let bytes = merged(&[sample::record(), again]).unwrap();
    let mut all = identities(&bytes);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!((count, all.len()), (34, 34));
}

#[test]
fn given_strategies_that_could_not_be_run_then_each_is_an_error_and_what_was_judged_stays() {
    let report = parsed(&sample::broken_off());
    assert_eq!((report.tests, report.failures, report.errors), (4, 0, 2));
    for suite in [POLLING, CDC] {
        let (kind, message, description) = told(case(&report, suite, WAS_RUN));
        assert_eq!(kind, NonSuccessKind::Error);
        assert!(
            message.starts_with("the stack failed: kafka-server was"),
            "{message}"
        );
        assert!(!message.contains('\n') && description.contains("last lines of kafka.log"));
    }
    case(&report, NAIVE, "lost");
}

#[test]
fn given_a_stack_that_did_not_start_then_there_are_as_many_errors_as_strategies() {
    let mut record = sample::broken_off();
    record.strategies.clear();
    let report = parsed(&record);
    assert_eq!((report.tests, report.errors), (2, 2));
}

#[test]
fn given_a_run_that_was_ended_after_everything_was_judged_then_it_is_red_all_the_same() {
    let mut record = sample::record();
    record.failure = Some("the stack failed: stop Kafka".to_owned());
    let report = parsed(&record);
    assert_eq!((report.tests, report.errors), (18, 1));
    let (_, message, _) = told(case(&report, &record.run, CAME_TO_ITS_END));
    assert_eq!(message, "the stack failed: stop Kafka");
}

#[test]
fn given_a_miss_then_it_is_the_first_case_of_its_suite() {
    let report = parsed(&sample::failed());
    let suite = report.test_suites.iter().find(|s| s.name.as_str() == CDC);
    let first = &suite.unwrap().test_cases[0];
    assert_eq!(first.name.as_str(), "lost");
    let report = parsed(&sample::unknown());
    let suite = report
        .test_suites
        .iter()
        .find(|s| s.name.as_str() == POLLING);
    assert_eq!(suite.unwrap().test_cases[0].name.as_str(), PROVES_SOMETHING);
}

#[test]
fn given_another_threshold_then_the_case_has_the_same_name_and_the_property_tells() {
    let mut record = sample::record();
    let names = |record: &Record| identities(&Junit.export(record).unwrap());
    let before = names(&record);
    record.strategies[0].expectations[0].expected = ">= 7".to_owned();
    assert_eq!(names(&record), before);
    let report = parsed(&record);
    let properties = &case(&report, NAIVE, "lost").properties;
    let told: Vec<(&str, &str)> = properties
        .iter()
        .map(|p| (p.name.as_str(), p.value.as_str()))
        .collect();
    assert_eq!(told, [("expected", "lost >= 7"), ("saw", "453")]);
}

#[test]
fn given_faults_then_each_that_concerns_the_strategy_has_a_case_of_its_own() {
    const CUT: &str = "fault took effect: down kafka";
    let mut record = sample::record();
    let polling = &mut record.strategies[1];
    let cut = polling.faults[0].clone();
    let mut elsewhere = cut.clone();
    elsewhere.bit = None;
    let mut in_vain = cut.clone();
    in_vain.bit = Some(false);
    in_vain.evidence = "no connection was tried".to_owned();
    polling.faults = vec![elsewhere, cut, in_vain];
    let report = parsed(&record);
    let of_faults = identities(&Junit.export(&record).unwrap())
        .into_iter()
        .filter(|(class, name)| class == POLLING && name.starts_with("fault"))
        .count();
    assert_eq!(of_faults, 2);
    assert!(matches!(
        case(&report, POLLING, CUT).status,
        TestCaseStatus::Success { .. }
    ));
    let (kind, message, _) = told(case(&report, POLLING, &format!("{CUT} (2)")));
    assert_eq!(kind, NonSuccessKind::Error);
    assert_eq!(message, "no connection was tried");
}
