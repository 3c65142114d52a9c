//! The accounting: figures that do not add up are a contradiction, named as one.

use crate::checkers::accounting::errors;
use crate::checkers::context::Context;
use crate::checkers::fixture::*;
use crate::checkers::outcomes::outcomes;
use crate::history::{History, Intent, NONE, Outcome};
use crate::scenario::StrategyKind;
use reports::record::{Counts, Outcomes};

/// What the accounting says of a clean run whose figures were changed.
fn after(change: impl FnOnce(&mut Counts, &mut Outcomes)) -> Vec<String> {
    let history = clean(20, StrategyKind::Cdc {});
    let context = Context::new(&history);
    let (mut counts, mut outcomes) = (judged(&history).counts, outcomes(&context));
    change(&mut counts, &mut outcomes);
    errors(&context.view.join, &counts, &outcomes)
}

#[test]
fn figures_that_add_up_are_no_error() {
    assert_eq!(after(|_, _| {}), Vec::<String>::new());
}

fn one_more(figure: &mut Option<u64>) {
    *figure = figure.map(|n| n + 1);
}

fn one_less(figure: &mut Option<u64>) {
    *figure = figure.map(|n| n - 1);
}

#[test]
fn each_sum_that_does_not_come_out_is_named() {
    type FigureEdit = fn(&mut Counts, &mut Outcomes);
    let cases: [(FigureEdit, &str); 7] = [
        (
            |c, _| c.offered += 1,
            "81 attempts were offered, but the four outcomes hold 80",
        ),
        (
            |_, o| one_less(&mut o.neither),
            "80 attempts were offered, but the four outcomes hold 79",
        ),
        (
            |c, _| one_more(&mut c.committed),
            "61 versions are committed, but the outcomes hold 60",
        ),
        (
            |c, _| one_more(&mut c.observed),
            "61 records are on the topic, but 60 are explained",
        ),
        (
            |c, _| one_more(&mut c.lost),
            "60 records are on the topic, but 59 are explained",
        ),
        (
            |c, _| one_more(&mut c.duplicated),
            "60 records are on the topic, but 61 are explained",
        ),
        (
            |c, _| one_more(&mut c.foreign),
            "60 records are on the topic, but 61 are explained",
        ),
    ];
    for (change, named) in cases {
        let errors = after(change);
        assert!(
            errors.iter().any(|e| e.contains(named)),
            "{named}: {errors:?}"
        );
    }
}

fn reasons(change: impl FnOnce(&mut History)) -> Vec<String> {
    let mut history = clean(20, StrategyKind::Cdc {});
    change(&mut history);
    judged(&history).reasons
}

#[test]
fn a_version_of_nobody_is_named_with_its_place() {
    let reasons = reasons(|h| h.truth.open()[5].attempt = NONE);
    assert!(
        reasons[0].ends_with("nobody offered (first: order 1 version 3)"),
        "{reasons:?}"
    );
}

#[test]
fn a_version_of_an_order_of_nobody_is_a_stranger_and_has_no_place_of_its_own() {
    let reasons = reasons(|h| h.truth.open()[59].order = NONE);
    let of_the_accounting: Vec<&String> = reasons
        .iter()
        .filter(|r| r.contains("accounting"))
        .collect();
    assert_eq!(of_the_accounting.len(), 2, "{reasons:?}");
    assert!(of_the_accounting[0].contains("1 versions made by attempts that nobody offered"));
}

#[test]
fn of_each_kind_of_contradiction_the_first_is_named() {
    let gaps = reasons(|h| h.truth.open().retain(|t| t.version != 2));
    let named = gaps
        .iter()
        .filter(|r| r.contains("where version 2 should be"));
    assert_eq!(named.count(), 1, "{gaps:?}");
}

#[test]
fn every_answer_is_counted_as_what_it_was() {
    let mut history = clean(20, StrategyKind::Cdc {});
    for (times, outcome) in [(3, Outcome::Unknown), (5, Outcome::NotSent)] {
        for _ in 0..times {
            offer(&mut history, 0, Intent::Commit, outcome);
        }
    }
    let counts = judged(&history).counts;
    let told = (
        counts.acknowledged,
        counts.rejected,
        counts.unknown,
        counts.not_sent,
    );
    assert_eq!(told, (60, 20, 3, 5));
    assert_eq!(counts.offered, 88);
}

fn of_the_accounting(change: impl FnOnce(&mut History)) -> Vec<String> {
    let mut reasons = reasons(change);
    reasons.retain(|r| r.starts_with("accounting"));
    reasons
}

#[test]
fn given_versions_of_nobody_then_they_are_one_error_that_names_the_first() {
    let only = "accounting: the database holds 2 versions made by attempts that nobody offered \
                (first: order 1 version 3)";
    for first in [NONE, 80] {
        let errors = of_the_accounting(|h| {
            h.truth.open()[5].attempt = first;
            h.truth.open()[8].attempt = NONE;
        });
        assert_eq!(errors, [only]);
    }
}

#[test]
fn given_a_version_with_one_contradiction_then_no_other_is_named() {
    let of_another_change = of_the_accounting(|h| h.truth.open()[5].change = 3);
    assert_eq!(
        of_another_change,
        ["accounting: order 1 version 3 is stored as change 3, but attempt 6 was for change 6"]
    );
    // Its attempt was for order 1, and has made its own version there
    let of_another_order = of_the_accounting(|h| {
        h.truth.open()[8].attempt = 6;
        h.truth.open()[8].change = 6;
    });
    assert_eq!(
        of_another_order,
        ["accounting: order 2 version 3 was made by attempt 6, which was for order 1"]
    );
}

#[test]
fn given_contradictions_of_every_kind_then_the_first_of_each_is_named() {
    let errors = of_the_accounting(|h| {
        let mut truth = h.truth.open();
        for n in [5, 8] {
            truth[n].version = 7;
        }
        for n in [11, 14] {
            (truth[n].attempt, truth[n].change) = (0, 0);
        }
        for n in [17, 20] {
            truth[n].change = 0;
        }
    });
    for kind in ["should be", "which was for order", "is stored as change"] {
        let named = errors.iter().filter(|e| e.contains(kind));
        assert_eq!(named.count(), 1, "{kind}: {errors:?}");
    }
}
