//! One expectation against what was seen: what is compared, and the words for it.

use crate::checkers::fixture::*;
use crate::checkers::{Checked, Verdict};
use crate::history::{History, Intent, Outcome};
use crate::scenario::{
    Comparison, Expectation, FaultKind, LatencyKind, Metric, Percentile, StrategyKind, Target,
};

fn cdc() -> History {
    clean(120, StrategyKind::Cdc {})
}

fn latency(kind: LatencyKind, percentile: Percentile) -> Metric {
    Metric::Latency(kind, percentile)
}

/// What comes of one expectation.
fn checked(history: &History, expectation: Expectation) -> Checked {
    let mut history = history.clone();
    expecting(&mut history, vec![expectation]);
    judged(&history).expectations.remove(0)
}

/// A run without so many of its events, from the load's begin.
fn without(events: usize) -> History {
    let mut history = cdc();
    for attempt in (0..120).filter(|n| n % 4 != 3).take(events) {
        let row = history
            .log
            .iter()
            .position(|r| r.attempt == attempt)
            .unwrap();
        let row = history.log.open().remove(row);
        let place = (row.partition, row.offset);
        history
            .sightings
            .open()
            .retain(|s| (s.partition, s.offset) != place);
    }
    history
}

#[test]
fn a_count_is_compared_as_its_sign_says() {
    let history = without(2);
    for (comparison, value, met) in [
        (Comparison::AtMost, 1.0, false),
        (Comparison::AtMost, 2.0, true),
        (Comparison::Equal, 2.0, true),
        (Comparison::Equal, 3.0, false),
    ] {
        let checked = checked(&history, expect(Metric::Lost, comparison, value));
        assert_eq!(checked.met, Some(met), "{comparison:?} {value}");
        assert_eq!(checked.observed, Some(2.0));
        assert_eq!(checked.reason.is_empty(), met);
        assert!(!checked.reason.contains("overlaps"), "{}", checked.reason);
        assert!(
            !checked.reason.contains("other topics"),
            "{}",
            checked.reason
        );
    }
}

#[test]
fn only_what_is_lost_can_be_on_another_topic() {
    let mut history = cdc();
    history.meta.stray_topics.push("elsewhere".to_owned());
    record(
        &mut history,
        0,
        (crate::history::NONE, crate::history::NONE, 0),
        crate::history::Body::Foreign,
        FROM,
    );
    finish(&mut history);
    let foreign = checked(&history, expect(Metric::Foreign, Comparison::Equal, 0.0));
    assert_eq!(foreign.met, Some(false));
    assert!(!foreign.reason.contains("elsewhere"), "{}", foreign.reason);
}

#[test]
fn an_upper_bound_does_not_ask_whether_the_strategy_was_clean_before() {
    // Given losses before the first fault, as many as are allowed
    let mut history = without(2);
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        600 * MS,
        700 * MS,
    );
    let bound = checked(&history, expect(Metric::Lost, Comparison::AtMost, 2.0));
    assert_eq!(bound.met, Some(true), "{}", bound.reason);
}

#[test]
fn a_latency_is_that_of_its_kind_and_percentile() {
    let mut history = cdc();
    let slowest = history.requests.len() - 2;
    history.requests.open()[slowest].ended_ns += 98 * MS;
    for (kind, percentile, ms) in [
        (LatencyKind::Order, Percentile::P50, 1.0),
        (LatencyKind::Order, Percentile::P90, 1.0),
        (LatencyKind::Order, Percentile::P99, 1.0),
        (LatencyKind::Order, Percentile::P999, 99.0),
        (LatencyKind::Order, Percentile::Max, 99.0),
        (LatencyKind::Propagation, Percentile::P50, 2.0),
        (LatencyKind::EndToEnd, Percentile::P50, 3.0),
    ] {
        let bound = expect(latency(kind, percentile), Comparison::AtMost, ms * 1.01);
        let checked = checked(&history, bound);
        let observed = checked.observed.unwrap();
        assert!(
            (observed - ms).abs() < ms * 0.01,
            "{kind:?} {percentile:?}: {observed}"
        );
        assert_eq!(checked.met, Some(true));
    }
}

#[test]
fn of_nothing_no_time_can_be_told() {
    let mut history = clean(0, StrategyKind::Cdc {});
    for order in 0..40 {
        offer(&mut history, order, Intent::Veto, Outcome::Rejected);
    }
    finish(&mut history);
    let order = latency(LatencyKind::Order, Percentile::P50);
    for (metric, why) in [
        (Metric::Drain, "nothing was committed"),
        (Metric::Recovery, "no fault that concerns the strategy"),
        (order, "nothing was measured"),
    ] {
        let checked = checked(&history, expect(metric, Comparison::AtMost, 1.0));
        assert_eq!((checked.met, checked.observed), (None, None));
        assert!(checked.reason.contains(why), "{}", checked.reason);
    }
}

#[test]
fn what_never_arrived_misses_an_upper_bound() {
    let history = without(2);
    let end_to_end = latency(LatencyKind::EndToEnd, Percentile::Max);
    for metric in [Metric::Drain, end_to_end] {
        let most = checked(&history, expect(metric, Comparison::AtMost, 1e9));
        assert_eq!((most.met, most.observed), (Some(false), None));
        assert!(most.reason.contains("it is infinite"), "{}", most.reason);
    }
}

#[test]
fn what_an_inconclusive_run_leaves_open_says_what_was_seen_and_why_it_cannot_be_told() {
    let mut history = without(0);
    history
        .requests
        .open()
        .iter_mut()
        .for_each(|r| r.lag_ns = S);
    let metric = Metric::Latency(LatencyKind::Order, Percentile::P50);
    let slow = checked(&history, expect(metric, Comparison::AtMost, 0.5));
    assert_eq!((slow.met, slow.only_inconclusive), (None, false));
    let reason = &slow.reason;
    assert!(
        reason.starts_with("expected AtMost 0.5, saw 1.000 ms; this run cannot tell: the load"),
        "{reason}"
    );
    history.meta.scenario.workload.min_committed_per_phase = 0;
    assert_eq!(judged(&history).verdict, Verdict::Unknown);
}
