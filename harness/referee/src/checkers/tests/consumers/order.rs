//! Consumers that take orders from state to state.

use super::*;

/// The same with a consumer that takes each order from state to state.
pub(super) fn shipped(orders: u32, expectations: Vec<Expectation>) -> History {
    let mut history = consumed(orders, expectations);
    history.meta.scenario.consumers[0].effect = EffectKind::State;
    history
}

#[test]
fn given_an_older_version_after_a_newer_one_when_judged_then_it_is_out_of_order_by_name() {
    let zero = || vec![expect(Metric::AppliedOutOfOrder, Comparison::Equal, 0.0)];
    let mut history = shipped(40, zero());
    assert_eq!(found(&judged(&history)), (BTreeMap::new(), Vec::new()));
    // All three versions of an order once more: the first two take it back, the third does not.
    for (version, at_ns) in [(1, 500), (2, 510), (3, 520)] {
        apply_again(&mut history, 3, version, at_ns * MS);
    }
    let judgement = judged(&history);
    let of_it = [
        ("applied_out_of_order".to_owned(), 2),
        ("applied_twice".to_owned(), 3),
    ];
    assert_eq!(found(&judgement).0, BTreeMap::from(of_it));
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(
        judgement.reasons,
        ["consumer-payments.applied_out_of_order: expected Equal 0, saw 2"]
    );
    let example = &of_consumer(&judgement).findings[3].examples[0];
    assert_eq!(
        (example.what.as_str(), example.against),
        (
            "order 3 version 1: applied at 0.500 s, when version 3 had been",
            3
        )
    );
    // What is no state has no order, and nothing is said of it.
    history.meta.scenario.consumers[0].effect = EffectKind::Insert;
    let judgement = judged(&history);
    let findings = &of_consumer(&judgement).findings;
    assert!(
        findings
            .iter()
            .all(|f| f.metric != Metric::AppliedOutOfOrder)
    );
}

#[test]
fn given_a_version_that_comes_first_when_a_later_one_was_applied_then_it_is_out_of_order_and_not_twice()
 {
    let mut history = shipped(40, Vec::new());
    let late = attempt(&history, 5, 2);
    history.effects.open().retain(|e| e.attempt != late);
    apply_again(&mut history, 5, 2, 500 * MS);
    assert_eq!(found(&judged(&history)), only(Metric::AppliedOutOfOrder, 1));
}

/// An order's version comes behind all others of its partition, at this time of the load, and is not applied.
fn come_late(history: &mut History, order: u32, version: u32, at_ns: i64) {
    let late = attempt(history, order, version);
    let was = history.log.at(log_row(history, late));
    unpublish(history, late);
    for row in history.log.open().iter_mut() {
        if row.partition == was.partition && row.offset > was.offset {
            row.offset -= 1;
        }
    }
    for sighting in history.sightings.open().iter_mut() {
        if sighting.partition == was.partition && sighting.offset > was.offset {
            sighting.offset -= 1;
        }
    }
    append(history, was.partition, late, version, FROM + at_ns);
    finish(history);
    history.effects.open().retain(|e| e.attempt != late);
}

#[test]
fn given_an_event_that_comes_for_the_first_time_when_a_fault_is_over_then_the_fault_explains_that_it_is_late()
 {
    let lesson = vec![expect(Metric::AppliedOutOfOrder, Comparison::AtLeast, 1.0)];
    let mut history = shipped(40, lesson);
    let relay = Target::Process(Victim::RELAY);
    add_fault(&mut history, relay, FaultKind::Kill, 150 * MS, 200 * MS);
    // Made before the fault, and on the topic, and applied, behind a later version when it is over.
    come_late(&mut history, 17, 2, 400 * MS);
    apply_again(&mut history, 17, 2, 401 * MS);
    let judgement = judged(&history);
    assert_eq!(found(&judgement).0, only(Metric::AppliedOutOfOrder, 1).0);
    let checked = &of_consumer(&judgement).expectations[0];
    assert_eq!(checked.met, Some(true), "{}", checked.reason);
}

#[test]
fn given_an_expected_zero_when_no_order_could_have_gone_back_then_it_is_said_to_be_untried() {
    let zero = || vec![expect(Metric::AppliedOutOfOrder, Comparison::Equal, 0.0)];
    let told = |history: &History| of_consumer(&judged(history)).expectations[0].clone();
    let mut history = shipped(40, zero());
    let of_it = told(&history);
    let untried = "no event was on the topic twice or out of order, so this was not tried";
    assert_eq!((of_it.met, &*of_it.reason), (Some(true), untried));
    // An event behind a later one of its order, which the consumer left out.
    come_late(&mut history, 17, 2, 400 * MS);
    let of_it = told(&history);
    assert_eq!((of_it.met, &*of_it.reason), (Some(true), ""));
}
