//! A relay whose source cannot be asked what it still holds: what was not published is lost or undrained.

use crate::checkers::fixture::*;
use crate::checkers::{Checked, Judgement, Verdict};
use crate::envelope::EventPlace;
use crate::history::{History, Pending, PendingState};
use crate::scenario::relay_file::{
    ForeignOutbox, ForeignProcess, ForeignReady, ForeignStop, Promises, RelayFile, Template,
};
use crate::scenario::{Comparison, Expectation, FaultKind, Metric, StrategyKind, Target};
use std::collections::BTreeMap;
use std::time::Duration;

/// Somebody's relay, with or without a query for what its source still holds.
fn external(pending: Option<&str>) -> StrategyKind {
    let template = |text: &str| -> Template { serde_json::from_value(text.into()).unwrap() };
    StrategyKind::External {
        relay: Box::new(RelayFile {
            name: "theirs".to_owned(),
            version: "1".to_owned(),
            language: None,
            homepage: None,
            licence: None,
            home: "/".into(),
            install: None,
            outbox: ForeignOutbox {
                ddl: vec![template("create table outbox (payload text)")],
                after_ddl: Vec::new(),
                insert: vec![template("insert into outbox values (${payload})")],
                pending: pending.map(template),
                ..ForeignOutbox::default()
            },
            process: Some(ForeignProcess {
                command: vec![template("relay")],
                folder: String::new(),
                env: BTreeMap::new(),
                files: BTreeMap::new(),
                ready: ForeignReady::Log("READY".to_owned()),
                ready_within: Duration::from_secs(1),
                stop: ForeignStop::default(),
                restart: false,
                instances: 1,
            }),
            service: None,
            topics: vec![template("${topic}")],
            place: EventPlace::default(),
            promises: Promises::default(),
            total_order_place: None,
        }),
    }
}

/// A run without the events of three changes, of which these bounds are expected.
fn three_missing(kind: StrategyKind, bounds: &[Expectation]) -> History {
    let mut history = clean(120, kind);
    for version in 1..=3 {
        let gone = attempt(&history, 60, version);
        unpublish(&mut history, gone);
    }
    finish(&mut history);
    expecting(&mut history, bounds.to_vec());
    history
}

fn met(judgement: &Judgement) -> Vec<Option<bool>> {
    judgement.expectations.iter().map(|c| c.met).collect()
}

fn zero(metric: Metric) -> Expectation {
    expect(metric, Comparison::Equal, 0.0)
}

fn says_why(checked: &Checked) {
    let why = "3 committed changes were not published, and nothing tells";
    assert!(checked.reason.contains(why), "{checked:?}");
    assert!(checked.reason.contains("no `pending` query"), "{checked:?}");
}

#[test]
fn given_neither_may_be_when_something_is_missing_then_lost_is_missed_and_undrained_is_open() {
    for comparison in [Comparison::Equal, Comparison::AtMost] {
        let bounds = [Metric::Lost, Metric::Undrained].map(|m| expect(m, comparison, 0.0));
        let judgement = judged(&three_missing(external(None), &bounds));
        assert_eq!(met(&judgement), [Some(false), None], "{comparison:?}");
        assert_eq!(judgement.verdict, Verdict::Fail);
        let [lost, undrained] = &judgement.expectations[..] else {
            panic!("{judgement:?}");
        };
        assert_eq!(lost.observed, Some(3.0));
        assert!(lost.reason.contains("expected neither lost nor undrained"));
        says_why(lost);
        says_why(undrained);
    }
}

#[test]
fn given_bounds_that_cannot_share_out_what_is_missing_then_it_is_a_miss_for_certain() {
    let most = |lost, undrained| {
        [
            expect(Metric::Lost, Comparison::AtMost, lost),
            expect(Metric::Undrained, Comparison::AtMost, undrained),
        ]
    };
    for (bounds, sure) in [
        (most(0.0, 2.0), Some(false)),
        (most(1.0, 1.0), Some(false)),
        (most(1.0, 2.0), None),
        (most(0.0, 3.0), None),
    ] {
        let judgement = judged(&three_missing(external(None), &bounds));
        assert_eq!(met(&judgement), [sure, None], "{bounds:?}");
        says_why(&judgement.expectations[0]);
        let verdict = match sure {
            Some(_) => Verdict::Fail,
            None => Verdict::Unknown,
        };
        assert_eq!(judgement.verdict, verdict);
    }
}

#[test]
fn given_a_relay_of_which_nothing_ever_came_then_it_is_asked_whether_it_had_the_topic() {
    for pending in [None, Some("select id from outbox")] {
        let mut history = clean(120, external(pending));
        history.log.open().clear();
        history.sightings.open().clear();
        finish(&mut history);
        expecting(
            &mut history,
            [Metric::Lost, Metric::Undrained].map(zero).to_vec(),
        );
        let judgement = judged(&history);
        let lost = &judgement.expectations[0];
        assert!(
            lost.reason.contains("was the relay given `${topic}`?"),
            "{lost:?}"
        );
        // Of the project's own relays it is known
        history.meta.scenario.strategies[0].kind = StrategyKind::Cdc {};
        let lost = &judged(&history).expectations[0];
        assert!(!lost.reason.contains("topic}"), "{lost:?}");
    }
}

#[test]
fn given_one_of_the_two_is_allowed_when_something_is_missing_then_both_are_open() {
    let allowed = |metric| expect(metric, Comparison::AtMost, 10.0);
    let lesson = expect(Metric::Undrained, Comparison::AtLeast, 0.0);
    for bounds in [
        vec![zero(Metric::Lost)],
        vec![zero(Metric::Undrained)],
        vec![zero(Metric::Lost), allowed(Metric::Undrained)],
        vec![allowed(Metric::Lost), zero(Metric::Undrained)],
        vec![zero(Metric::Lost), lesson],
    ] {
        let judgement = judged(&three_missing(external(None), &bounds));
        assert_eq!(judgement.verdict, Verdict::Unknown, "{bounds:?}");
        for checked in &judgement.expectations {
            assert_eq!(checked.met, None, "{checked:?}");
            says_why(checked);
        }
    }
}

#[test]
fn given_losses_that_a_fault_is_to_teach_when_nothing_tells_them_then_the_lesson_is_open() {
    let lesson = expect(Metric::Lost, Comparison::AtLeast, 1.0);
    let with_fault = |kind| {
        let mut history = three_missing(kind, std::slice::from_ref(&lesson));
        let (at, until) = (400 * MS, 600 * MS);
        add_fault(&mut history, Target::KAFKA, FaultKind::Down, at, until);
        judged(&history)
    };
    let judgement = with_fault(external(None));
    assert_eq!(met(&judgement), [None]);
    says_why(&judgement.expectations[0]);
    // Where the source was asked, it is one
    let judgement = with_fault(external(Some("select id from outbox")));
    assert_eq!(met(&judgement), [Some(true)], "{:?}", judgement.reasons);
}

#[test]
fn given_nothing_missing_then_both_are_met_and_other_counts_are_as_ever() {
    let bounds = [Metric::Lost, Metric::Undrained].map(zero);
    let mut history = clean(120, external(None));
    expecting(&mut history, bounds.to_vec());
    let judgement = judged(&history);
    assert_eq!(met(&judgement), [Some(true); 2], "{:?}", judgement.reasons);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    // And where something is missing, it says nothing of what else was counted
    let judgement = judged(&three_missing(external(None), &[zero(Metric::Phantom)]));
    assert_eq!(met(&judgement), [Some(true)]);
}

#[test]
fn given_a_relay_whose_source_was_asked_then_lost_and_undrained_are_told_apart() {
    let bounds = [Metric::Lost, Metric::Undrained].map(zero);
    let mut history = three_missing(external(Some("select id from outbox")), &bounds);
    assert_eq!(met(&judged(&history)), [Some(false), Some(true)]);
    for version in 1..=3 {
        history.pending.push(Pending {
            attempt: attempt(&history, 60, version),
            state: PendingState::OutboxRow,
            lsn: 0,
        });
    }
    let judgement = judged(&history);
    assert_eq!(met(&judgement), [Some(true), Some(false)]);
    assert_eq!(count(&judgement, Metric::Undrained), 3);
}
