//! Counts of what went wrong, and figures that have no number.

use super::*;
use reports::record::Fault;

pub(super) fn expected(metric: &str, text: &str, met: Option<bool>) -> Expectation {
    Expectation {
        metric: metric.to_owned(),
        expected: text.to_owned(),
        observed: None,
        met,
        implicit: false,
        reason: String::new(),
    }
}

#[test]
fn given_one_loss_in_one_run_then_it_fails_and_nothing_of_that_side_is_better() {
    let sets = in_turns(12, |name, n, strategy| {
        slower("new", |_| 0.5)(name, n, strategy);
        if name == "new" && n == 7 {
            strategy.counts.lost = Some(1);
            strategy
                .expectations
                .push(expected("lost", "0", Some(false)));
        }
    });
    let compare = compared(&sets, &terms());
    assert_eq!(compare.verdict, Verdict::Fail);
    assert!(
        compare.reasons[0].contains("lost 1 in new, 0 in base"),
        "{:?}",
        compare.reasons
    );
    assert_eq!(found(&compare, Finding::Better), Vec::<&str>::new());
    assert_eq!(found(&compare, Finding::Withheld), ["propagation_p50"]);
}

/// Twelve pairs, of which this run of the new side lost one.
fn losing(run: Option<usize>) -> [RunSet; 2] {
    in_turns(12, |name, n, strategy| {
        let lost = name == "new" && Some(n) == run;
        strategy.counts.lost = Some(u64::from(lost));
        let told = expected("lost", "0", Some(!lost));
        strategy.expectations.push(told);
    })
}

#[test]
fn given_a_loss_in_a_run_without_a_partner_then_it_fails_as_any_other() {
    let [mut base, new] = losing(Some(11));
    base.records.pop();
    let compare = compare_sets([&base, &new], None, &terms()).unwrap();
    assert_eq!((compare.verdict, compare.pairs), (Verdict::Fail, 11));
    let lost = &compare.subjects[0].safety[0];
    assert_eq!((lost.base.len(), lost.new.len()), (11, 12));
    assert_eq!((lost.new[11], lost.harm), (Some(1), true));
}

#[test]
fn given_a_loss_in_a_run_that_confirms_then_it_fails_as_any_other() {
    let ([base, new], [again_base, again_new]) = (losing(None), again(losing(Some(3))));
    let confirming = Some([&again_base, &again_new]);
    let compare = compare_sets([&base, &new], confirming, &gated()).unwrap();
    assert_eq!(compare.verdict, Verdict::Fail, "{:?}", compare.reasons);
    assert!(
        compare.reasons[0].contains("lost 1 in new, 0 in base"),
        "{:?}",
        compare.reasons
    );
    assert_eq!(compare.subjects[0].safety[0].new.len(), 24);
}

#[test]
fn given_what_the_scenario_expects_or_allows_then_it_is_shown_and_is_no_harm() {
    let sets = in_turns(12, |_, _, strategy| {
        strategy.counts.lost = Some(1_500);
        strategy
            .expectations
            .push(expected("lost", ">= 1", Some(true)));
        strategy.counts.duplicated = Some(3);
    });
    let compare = compared(&sets, &terms());
    assert_eq!(compare.verdict, Verdict::Pass, "{:?}", compare.reasons);
    let safety = &compare.subjects[0].safety;
    let metrics: Vec<&str> = safety.iter().map(|row| row.metric.as_str()).collect();
    assert_eq!(metrics, ["lost", "phantom", "duplicated", "reordered"]);
    assert_eq!(safety[0].new, [Some(1_500); 12]);
}

#[test]
fn given_a_loss_that_nobody_expected_anything_of_or_one_that_was_not_read_then_it_counts() {
    let lost = in_turns(6, |name, _, s| {
        s.counts.lost = Some(u64::from(name == "new"))
    });
    assert_eq!(compared(&lost, &terms()).verdict, Verdict::Fail);
    // Of the base alone it is nobody's fault now
    let mended = in_turns(6, |name, _, s| {
        s.counts.lost = Some(u64::from(name == "base"))
    });
    assert!(
        compared(&mended, &terms())
            .reasons
            .iter()
            .all(|r| !r.contains("one is enough"))
    );
    let unread = in_turns(12, |name, n, s| {
        if name == "new" && n == 2 {
            s.counts.lost = None;
        }
    });
    let compare = compared(&unread, &terms());
    assert_eq!(compare.verdict, Verdict::Unknown);
    assert!(
        compare.reasons[0].contains("did not read what is lost"),
        "{:?}",
        compare.reasons
    );
}

#[test]
fn given_percentiles_that_fall_on_what_never_came_then_they_are_infinitely_worse() {
    let sets = in_turns(12, |name, _, strategy| {
        if name == "new" {
            let latency = &mut strategy.latency_ms.end_to_end;
            (latency.p99, latency.censored) = (None, 100);
        }
    });
    let compare = compared(&sets, &terms());
    let p99 = row(&compare, "end_to_end_p99");
    assert_eq!(
        (p99.finding, p99.new.never, p99.new.median),
        (Finding::Worse, 12, None)
    );
    // On both sides it can be no ratio, and is no lack of pairs
    let both = in_turns(12, |_, _, strategy| {
        let latency = &mut strategy.latency_ms.end_to_end;
        (latency.p99, latency.censored) = (None, 100);
    });
    let compare = compared(&both, &terms());
    assert_eq!(row(&compare, "end_to_end_p99").finding, Finding::NeverCame);
    let json = reports::compare::json(&compare).unwrap();
    serde_json::from_slice::<Compare>(&json).unwrap();
}

#[test]
fn given_a_drain_and_a_recovery_that_never_came_then_they_are_infinitely_worse_and_not_left_out() {
    let fault = Fault {
        target: "kafka".to_owned(),
        kind: "down".to_owned(),
        settings: None,
        trigger: None,
        fired_s: None,
        fired_on: None,
        injected_s: Some(4.0),
        healed_s: Some(8.0),
        failover_s: None,
        bit: Some(true),
        evidence: String::new(),
    };
    let sets = |concerns: Option<bool>| {
        in_turns(12, |name, n, strategy| {
            strategy.faults.push(Fault {
                bit: concerns,
                ..fault.clone()
            });
            strategy.recovery_s = concerns.map(|_| 1.0);
            // The quickest of all, but for two thirds that never came
            if name == "new" {
                let came = n % 3 == 0;
                (strategy.drain_s, strategy.recovery_s) = match came {
                    true => (Some(0.006), strategy.recovery_s.map(|_| 0.5)),
                    false => (None, None),
                };
                strategy.latency_ms.end_to_end.censored = u64::from(!came);
            }
        })
    };
    let compare = compared(&sets(Some(true)), &terms());
    for metric in ["drain", "recovery"] {
        let row = row(&compare, metric);
        assert_eq!((row.pairs, row.new.never), (12, 8), "{metric}");
    }
    // There is nothing to recover from where no fault concerns the strategy
    let compare = compared(&sets(None), &terms());
    assert_eq!(row(&compare, "recovery").new.never, 0);
    assert_eq!(row(&compare, "drain").new.never, 8);
}

#[test]
fn given_a_load_behind_its_schedule_or_what_was_not_measured_then_its_pairs_have_no_figure() {
    let sets = in_turns(12, |name, n, strategy| {
        strategy.generator.kept_schedule = !(name == "new" && n < 2);
        if n == 5 {
            strategy.database.wal_bytes.per_event = None;
        }
    });
    let compare = compared(&sets, &terms());
    assert_eq!(
        (row(&compare, "order_p50").pairs, row(&compare, "wal").pairs),
        (10, 9)
    );
    assert_eq!(row(&compare, "wal").new.runs[5], None);
    assert!(
        compare
            .remarks
            .iter()
            .any(|r| r.contains("2 of 12 runs of new had a load behind"))
    );
    assert_eq!(row(&compare, "recovery").pairs, 0);
}

#[test]
fn what_is_below_what_a_clock_can_tell_is_no_difference() {
    let sets = in_turns(12, |name, _, strategy| {
        strategy.latency_ms.propagation.p50 = Some(if name == "new" { 0.04 } else { 0.0 });
    });
    let p50 = row(&compared(&sets, &terms()), "propagation_p50").clone();
    assert_eq!(
        (p50.finding, p50.change),
        (Finding::NotDistinguishable, Some(0.0))
    );
}

#[test]
fn several_relays_of_one_strategy_are_added_up_and_others_are_not() {
    let mut of_two = strategy("cdc");
    of_two.costs.insert("relay-2 cpu, s".into(), Some(0.17));
    of_two.costs.insert("relayed cpu, s".into(), Some(100.0));
    of_two
        .costs
        .insert("relay-2 peak memory, MiB".into(), Some(20.0));
    let of = |id: &str| (chosen(&[id.to_owned()]).unwrap()[0].of)(&of_two).unwrap();
    assert!((of("relay_cpu") - 1e6 / 6_000.0).abs() < 1e-6);
    assert_eq!(of("relay_memory"), 20.0);
}
