//! What the runs themselves came to, and runs that are not there.

use super::counts::expected;
use super::*;
use reports::record::{Consumer, NotRun};

fn said(compare: &Compare, what: &str) -> bool {
    compare.reasons.iter().any(|reason| reason.contains(what))
}

/// Twice as quick on the new side, whose runs are then changed.
fn quicker(change: impl Fn(usize, &mut Strategy)) -> [RunSet; 2] {
    in_turns(12, |name, n, strategy| {
        slower("new", |_| 0.5)(name, n, strategy);
        if name == "new" {
            change(n, strategy);
        }
    })
}

fn consumer(unapplied: u64) -> Consumer {
    Consumer {
        name: "consumer-payments".to_owned(),
        effect: "insert".to_owned(),
        idempotency: "inbox".to_owned(),
        commit: "after".to_owned(),
        effects: Some(6_000),
        copies: Some(0),
        unapplied: Some(unapplied),
        applied_twice: Some(0),
        applied_unseen: Some(0),
        applied_out_of_order: None,
    }
}

#[test]
fn given_runs_that_proved_nothing_then_it_is_open_and_nothing_of_them_is_better() {
    let sets = quicker(|_, strategy| {
        strategy.verdict = Verdict::Unknown;
        strategy.reasons = vec!["pause relay did not bite.".to_owned()];
    });
    let compare = compared(&sets, &gated());
    assert_eq!(compare.verdict, Verdict::Unknown, "{:?}", compare.reasons);
    assert_eq!(found(&compare, Finding::Withheld), ["propagation_p50"]);
    assert_eq!(
        compare.reasons[0],
        "cdc: 12 of 12 runs of new proved nothing, the first since: pause relay did not bite."
    );
}

#[test]
fn given_consumers_that_left_events_unapplied_then_it_is_harm_as_a_loss_is() {
    let metric = "consumer-payments.unapplied";
    let sets = in_turns(12, |name, n, strategy| {
        slower("new", |_| 0.5)(name, n, strategy);
        let is_new = name == "new";
        strategy.consumers = vec![consumer(if is_new { 3 } else { 0 })];
        strategy
            .expectations
            .push(expected(metric, "0", Some(!is_new)));
        if is_new {
            strategy.verdict = Verdict::Fail;
        }
    });
    let compare = compared(&sets, &gated());
    assert_eq!(compare.verdict, Verdict::Fail, "{:?}", compare.reasons);
    assert_eq!(found(&compare, Finding::Withheld), ["propagation_p50"]);
    assert!(
        said(
            &compare,
            "consumer-payments.unapplied 36 in new, 0 in base: one is enough"
        ),
        "{:?}",
        compare.reasons
    );
    // It is said once, and what there is none of has no row
    assert!(!said(&compare, "was to be"), "{:?}", compare.reasons);
    let rows = compare.subjects[0].safety.iter();
    let of_it: Vec<&str> = rows
        .map(|row| row.metric.as_str())
        .filter(|metric| metric.contains('.'))
        .collect();
    assert_eq!(of_it, [metric]);
}

#[test]
fn given_runs_that_failed_then_a_count_is_red_and_anything_else_is_open_unless_the_base_has_it_too()
{
    for (metric, wanted, verdict) in [
        ("duplicated", "0", Verdict::Fail),
        ("duplicated", ">= 1", Verdict::Unknown),
        ("recovery", "< 10s", Verdict::Unknown),
    ] {
        let miss = |strategy: &mut Strategy| {
            strategy.verdict = Verdict::Fail;
            let missed = expected(metric, wanted, Some(false));
            strategy.expectations.push(missed);
        };
        let compare = compared(&quicker(|_, strategy| miss(strategy)), &gated());
        assert_eq!(compare.verdict, verdict, "{:?}", compare.reasons);
        assert_eq!(found(&compare, Finding::Better), Vec::<&str>::new());
        let what = format!("{metric} was to be {wanted} and was not in 12 of 12 runs of new");
        assert!(said(&compare, &what), "{:?}", compare.reasons);
        // What the base does too is nothing new
        let both = in_turns(12, |_, _, strategy| miss(strategy));
        let compare = compared(&both, &gated());
        assert_eq!(compare.verdict, Verdict::Pass, "{:?}", compare.reasons);
        assert!(
            compare
                .remarks
                .iter()
                .any(|r| r.contains("12 of 12 runs of new failed"))
        );
    }
    let ended = quicker(|n, strategy| {
        if n == 4 {
            strategy.verdict = Verdict::Fail;
            strategy.reasons = vec!["relay ended by itself".to_owned()];
        }
    });
    let compare = compared(&ended, &gated());
    assert_eq!(compare.verdict, Verdict::Unknown, "{:?}", compare.reasons);
    assert!(
        said(
            &compare,
            "1 of 12 runs of new failed, the first since: relay ended by itself."
        ),
        "{:?}",
        compare.reasons
    );
}

#[test]
fn given_one_run_of_the_base_that_failed_then_it_excuses_no_more_than_that() {
    // By a death, or by an expectation; of the first so many runs of each side
    for of_expectation in [false, true] {
        let failing = |of_base: usize, of_new: usize| {
            let side = move |name: &str| if name == "new" { of_new } else { of_base };
            let quick = slower("new", |_| 0.5);
            in_turns(12, move |name, n, strategy| {
                quick(name, n, strategy);
                if n < side(name) {
                    strategy.verdict = Verdict::Fail;
                    strategy.reasons = vec!["relay ended by itself".to_owned()];
                    let missed = expected("recovery", "< 10s", Some(false));
                    strategy
                        .expectations
                        .extend(of_expectation.then_some(missed));
                }
            })
        };
        let compare = compared(&failing(1, 12), &gated());
        assert_eq!(compare.verdict, Verdict::Unknown, "{:?}", compare.reasons);
        let what = match of_expectation {
            true => "not in 12 of 12 runs of new; of base in 1 of 12",
            false => "12 of 12 runs of new failed (1 of 12 of base)",
        };
        assert!(said(&compare, what), "{:?}", compare.reasons);
        // What the base does as often is nothing new; and of runs that failed nothing is better
        for (of_base, of_new) in [(1, 1), (12, 12)] {
            let compare = compared(&failing(of_base, of_new), &gated());
            assert_eq!(compare.verdict, Verdict::Pass, "{:?}", compare.reasons);
            assert_eq!(found(&compare, Finding::Withheld), ["propagation_p50"]);
        }
    }
}

/// Two strategies on each side, of which `cdc` could not be run in the first so many runs of `side`.
fn without_cdc(side: usize, runs: usize) -> [RunSet; 2] {
    let mut sets = in_turns(12, |_, _, _| {});
    for set in &mut sets {
        for record in &mut set.records {
            record.strategies.push(strategy("polling"));
        }
    }
    for record in sets[side].records.iter_mut().take(runs) {
        record.strategies.remove(0);
        record.not_run.push(NotRun {
            strategy: "cdc".to_owned(),
            why: "the relay ended while it started".to_owned(),
        });
        record.failure = Some("the relay ended while it started".to_owned());
    }
    sets
}

#[test]
fn given_runs_in_which_a_strategy_could_not_be_run_then_it_is_open_and_said_why() {
    for runs in [6, 12] {
        let compare = compared(&without_cdc(1, runs), &gated());
        assert_eq!(compare.verdict, Verdict::Unknown, "{:?}", compare.reasons);
        let what = format!(
            "cdc could not be run in {runs} of 12 runs of new: the relay ended while it started."
        );
        assert_eq!(compare.reasons[0], what);
    }
    // Of the base it is known, and no fault of the new side
    let compare = compared(&without_cdc(0, 1), &gated());
    assert_eq!(compare.verdict, Verdict::Pass, "{:?}", compare.reasons);
    assert!(
        compare
            .remarks
            .iter()
            .any(|r| r.starts_with("cdc could not be run in 1 of 12 runs of base"))
    );
    // But with the few pairs of one strategy that are left nothing is told of it, however much of the other one
    for runs in [4, 7] {
        let compare = compared(&without_cdc(0, runs), &gated());
        assert_eq!(compare.verdict, Verdict::Unknown, "{:?}", compare.reasons);
        assert!(
            said(&compare, "cdc: no figure could have shown"),
            "{:?}",
            compare.reasons
        );
    }
    // Where nothing is left to be compared it is said as well
    let mut none = without_cdc(1, 12);
    for record in none.iter_mut().flat_map(|set| &mut set.records) {
        record.strategies.retain(|s| s.name == "cdc");
    }
    let refusal = compare_sets([&none[0], &none[1]], None, &terms()).unwrap_err();
    assert!(
        refusal
            .to_string()
            .contains("cdc could not be run in 12 of 12 runs of new"),
        "{refusal}"
    );
}

#[test]
fn given_a_run_that_ended_before_it_was_complete_then_it_is_open() {
    let mut sets = in_turns(12, |_, _, _| {});
    sets[1].records[2].failure = Some("Kafka ended".to_owned());
    let compare = compared(&sets, &gated());
    assert_eq!(compare.verdict, Verdict::Unknown);
    assert_eq!(
        compare.reasons[0],
        "Something ended 1 of 12 runs of new early: Kafka ended."
    );
}
