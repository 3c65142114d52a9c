//! When an alarm has an exit code.

use super::*;

fn second(sets: &[RunSet; 2], confirming: &[RunSet; 2]) -> Compare {
    let [base, new] = sets;
    let [again_base, again_new] = &again(confirming.clone());
    compare_sets([base, new], Some([again_base, again_new]), &gated()).unwrap()
}

fn said(compare: &Compare, what: &str) -> bool {
    compare.reasons.iter().any(|reason| reason.contains(what))
}

#[test]
fn given_twelve_pairs_in_turns_then_each_half_confirms_the_alarm() {
    let compare = compared(&in_turns(12, slower("new", |_| 1.3)), &gated());
    let p50 = row(&compare, "propagation_p50");
    assert_eq!(
        (p50.finding, p50.beyond_limit, p50.confirmed),
        (Finding::Worse, Some(true), Some(true))
    );
    assert_eq!(compare.verdict, Verdict::Fail);
    assert!(
        said(
            &compare,
            "propagation p50 is worse by more than 10%, and each half"
        ),
        "{:?}",
        compare.reasons
    );
}

#[test]
fn given_a_change_within_the_limit_then_it_is_told_and_raises_no_alarm() {
    let compare = compared(&in_turns(12, slower("new", |_| 1.06)), &gated());
    let p50 = row(&compare, "propagation_p50");
    assert_eq!(
        (p50.finding, p50.beyond_limit),
        (Finding::Worse, Some(false))
    );
    assert_eq!(compare.verdict, Verdict::Pass, "{:?}", compare.reasons);
    // What a pass is worth is said
    assert!(said(
        &compare,
        "figures could have told a change of 10% from none"
    ));
    // A figure that is worse by just the limit raises no alarm: from where one is raised is said
    let alarm_from = p50.alarm_from.unwrap();
    assert!(alarm_from > 0.1 && alarm_from < 0.12, "{p50:?}");
    assert!(alarm_from > p50.smallest.unwrap(), "{p50:?}");
    let most = format!(
        ", {}% (cdc: propagation p50) at most.",
        (1_000.0 * alarm_from).round() / 10.0
    );
    assert!(said(&compare, &most), "{:?} {most}", compare.reasons);
    let by = alarm_from + 0.002;
    let raised = compared(&in_turns(12, slower("new", |_| 1.0 + by)), &gated());
    assert_eq!(row(&raised, "propagation_p50").beyond_limit, Some(true));
    let better = compared(&in_turns(12, slower("new", |_| 0.5)), &gated());
    assert_eq!(
        (found(&better, Finding::Better).len(), better.verdict),
        (1, Verdict::Pass)
    );
}

#[test]
fn given_one_set_of_fewer_pairs_then_its_alarm_stops_nobody_until_a_second_set_confirms_it() {
    let slow = || in_turns(10, slower("new", |_| 1.3));
    let alone = compared(&slow(), &gated());
    assert_eq!(
        (alone.verdict, row(&alone, "propagation_p50").confirmed),
        (Verdict::Unknown, None)
    );
    assert!(
        said(&alone, "in one set of 10 pairs alone"),
        "{:?}",
        alone.reasons
    );
    let confirmed = second(&slow(), &in_turns(6, slower("new", |_| 1.3)));
    assert_eq!(confirmed.verdict, Verdict::Fail);
    let chance = second(&slow(), &in_turns(6, |_, _, _| {}));
    assert_eq!(chance.verdict, Verdict::Pass);
    assert!(said(&chance, "taken for chance"), "{:?}", chance.reasons);
    // One that shows the opposite confirms nothing, nor does one that is too small
    let opposite = second(&slow(), &in_turns(6, slower("new", |_| 0.5)));
    assert_eq!(row(&opposite, "propagation_p50").confirmed, Some(false));
    let small = second(&slow(), &in_turns(5, slower("new", |_| 1.3)));
    assert_eq!(
        (small.verdict, row(&small, "propagation_p50").confirmed),
        (Verdict::Unknown, None)
    );
}

#[test]
fn given_sides_that_were_not_run_in_turns_then_no_alarm_has_an_exit_code() {
    let mut sets = in_turns(12, slower("new", |_| 1.3));
    for (n, record) in sets[1].records.iter_mut().enumerate() {
        record.started_at = format!("2026-11-30T00:{n:02}:00Z");
    }
    let compare = compared(&sets, &gated());
    assert_eq!(
        (compare.in_turns, compare.verdict),
        (false, Verdict::Unknown)
    );
    assert!(said(&compare, "not run in turns"), "{:?}", compare.reasons);
    assert_eq!(row(&compare, "propagation_p50").confirmed, None);
}

/// Ratios of the pairs, one a run of the new side.
fn ratios(of: &[f64]) -> [RunSet; 2] {
    in_turns(of.len(), |name, n, strategy| {
        let by = if name == "new" { of[n] } else { 1.0 };
        let p50 = &mut strategy.latency_ms.propagation.p50;
        *p50 = p50.map(|ms| ms * by);
    })
}

fn of_propagation() -> Terms {
    Terms {
        metrics: chosen(&["propagation_p50".to_owned()]).unwrap(),
        ..gated()
    }
}

#[test]
fn given_an_interval_that_is_shown_then_it_is_the_one_that_was_judged_by() {
    // Four figures are worse within the limit, so that whether a fifth differs is asked less strictly than whether it is
    // beyond the limit
    let sets = in_turns(10, |name, n, strategy| {
        if name == "new" {
            let scatter = [1.12, 1.13, 1.14, 1.16, 1.17, 1.18, 1.2, 1.22, 1.15, 1.09];
            let latency = &mut strategy.latency_ms;
            let p50 = &mut latency.propagation.p50;
            *p50 = p50.map(|ms| ms * scatter[n]);
            for other in [
                &mut latency.order.p50,
                &mut latency.order.p99,
                &mut latency.end_to_end.p50,
                &mut latency.end_to_end.p99,
            ] {
                *other = other.map(|ms| ms * (1.05 + 0.001 * n as f64));
            }
        }
    });
    let compare = compared(&sets, &gated());
    for row in &compare.subjects[0].rows {
        let Some((from, to)) = row.interval else {
            continue;
        };
        let beyond = row.noise_floor.unwrap().max(0.1);
        let shown = match row.better {
            reports::compare::Better::Lower => from > beyond,
            reports::compare::Better::Higher => to < -beyond,
        };
        assert_eq!(row.beyond_limit, Some(shown), "{row:?}");
        let differs = from > 0.01 || to < -0.01;
        assert_eq!(
            row.finding != Finding::NotDistinguishable,
            differs,
            "{row:?}"
        );
    }
}

#[test]
fn given_a_half_that_does_not_show_the_alarm_then_it_refutes_nothing_and_the_gate_is_open() {
    // All show it with p = 0.00098; six pairs with one of 1.08 among them cannot
    let all = &[
        1.25, 1.30, 1.28, 1.22, 1.35, 1.27, 1.26, 1.31, 1.24, 1.08, 1.29, 1.33,
    ];
    let sets = ratios(all);
    let compare = compared(&sets, &of_propagation());
    let p50 = row(&compare, "propagation_p50");
    assert_eq!((p50.beyond_limit, p50.confirmed), (Some(true), None));
    assert_eq!(compare.verdict, Verdict::Unknown, "{:?}", compare.reasons);
    assert!(
        said(
            &compare,
            "not each half of its 12 pairs shows it by itself, and so few cannot rule it out"
        ),
        "{:?}",
        compare.reasons
    );
    // Whatever was slow in the first rounds had gone in the last three
    let sets = in_turns(14, slower("new", |n| if n < 11 { 1.3 } else { 1.05 }));
    assert_eq!(compared(&sets, &gated()).verdict, Verdict::Unknown);
}

#[test]
fn given_a_second_set_whose_interval_reaches_beyond_the_limit_then_it_is_no_refutation() {
    let second = |confirming: &[RunSet; 2]| {
        let [base, new] = &ratios(&[1.3; 12]);
        let [again_base, again_new] = &again(confirming.clone());
        let confirming = Some([again_base, again_new]);
        compare_sets([base, new], confirming, &of_propagation()).unwrap()
    };
    let open = second(&ratios(&[1.3, 1.3, 1.08, 1.3, 1.3, 1.3]));
    assert_eq!(open.verdict, Verdict::Unknown, "{:?}", open.reasons);
    assert!(
        said(&open, "neither shows it nor rules it out"),
        "{:?}",
        open.reasons
    );
    // One that ends at the limit does
    let within = second(&ratios(&[1.01, 1.09, 1.08, 1.05, 1.06, 1.02]));
    assert_eq!(within.verdict, Verdict::Pass, "{:?}", within.reasons);
}

#[test]
fn given_five_pairs_or_too_many_figures_for_six_then_nothing_is_told_and_it_says_what_it_takes() {
    let five = compared(&in_turns(5, slower("new", |_| 3.0)), &terms());
    assert_eq!(
        (found(&five, Finding::Worse).len(), five.verdict),
        (0, Verdict::Unknown)
    );
    assert!(
        said(&five, "5 pairs: with fewer than 6 nothing can be told"),
        "{:?}",
        five.reasons
    );
    let six = compared(&in_turns(6, slower("new", |_| 3.0)), &terms());
    assert_eq!(
        (found(&six, Finding::Worse).len(), six.verdict),
        (0, Verdict::Unknown)
    );
    assert!(
        six.remarks
            .iter()
            .any(|r| r.contains("need 10 pairs at least")),
        "{:?}",
        six.remarks
    );
    // Of one figure alone six pairs do tell
    let alone = Terms {
        metrics: chosen(&["propagation_p50".to_owned()]).unwrap(),
        ..terms()
    };
    let one = compared(&in_turns(6, slower("new", |_| 3.0)), &alone);
    assert_eq!(
        (found(&one, Finding::Worse).len(), one.verdict),
        (1, Verdict::Pass)
    );
}

#[test]
fn given_equal_runs_that_differ_as_much_then_a_difference_is_not_told() {
    // Each second run of either side is a half slower: so are equal runs
    let sets = in_turns(12, |name, n, strategy| {
        let by = if n % 2 == 1 { 1.5 } else { 1.0 };
        slower("new", |_| 1.3)(name, n, strategy);
        let p50 = &mut strategy.latency_ms.propagation.p50;
        *p50 = p50.map(|ms| ms * by);
    });
    let compare = compared(&sets, &terms());
    let p50 = row(&compare, "propagation_p50");
    assert_eq!(p50.finding, Finding::NotDistinguishable);
    assert!(p50.noise_floor.unwrap() > 0.45, "{p50:?}");
    assert!(p50.smallest.unwrap() > 0.45, "{p50:?}");
}

#[test]
fn given_less_throughput_then_it_is_worse_and_its_change_is_negative() {
    let sets = in_turns(12, |name, n, strategy| {
        let by = if name == "new" { 0.7 } else { 1.0 };
        strategy.throughput_per_s = Some(490.0 * by * swing(n));
    });
    let compare = compared(&sets, &gated());
    let row = row(&compare, "throughput");
    assert_eq!((row.finding, row.confirmed), (Finding::Worse, Some(true)));
    assert!((row.change.unwrap() + 0.3).abs() < 1e-9);
    let (from, to) = row.interval.unwrap();
    assert!(from <= row.change.unwrap() && row.change.unwrap() <= to && to < -0.1);
}

#[test]
fn given_rounds_with_a_twin_then_the_others_are_compared_with_the_first() {
    let rounds: Vec<Record> = (0..12)
        .map(|n| {
            let mut slow = strategy("slow");
            slower("new", |_| 1.4)("new", n, &mut slow);
            record(n, vec![strategy("cdc"), slow, strategy("cdc-again")])
        })
        .collect();
    let others = ["slow".to_owned()];
    let rounds = Rounds {
        from: "here",
        records: &rounds,
        confirming: &rounds,
        base: "cdc",
        twin: Some("cdc-again"),
        others: &others,
    };
    let compare = compare_rounds(&rounds, &gated()).unwrap();
    assert_eq!(compare.subjects[0].title, "slow against cdc");
    assert_eq!(found(&compare, Finding::Worse), ["propagation_p50"]);
    assert_eq!(compare.verdict, Verdict::Fail, "{:?}", compare.reasons);
    let row = row(&compare, "propagation_p50");
    assert_eq!((row.noise_floor, compare.in_turns), (Some(0.0), true));
    // Without the twin nobody knows how much equal runs differ
    let alone = Rounds {
        twin: None,
        ..rounds
    };
    let compare = compare_rounds(&alone, &gated()).unwrap();
    assert_eq!(compare.verdict, Verdict::Unknown);
    assert!(
        said(&compare, "no equal runs were compared"),
        "{:?}",
        compare.reasons
    );
}
