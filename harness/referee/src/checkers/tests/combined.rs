//! Runs in which every version of every order meets fates of its own, several at a time: all of it is
//! found, under its name, and nothing else.

use super::plan::plan;
use super::planter::run;
use crate::checkers::fixture::*;
use crate::scenario::Metric;
use proptest::prelude::*;
use reports::record::Outcomes;

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn whatever_is_planted_together_is_reported_together(plan in plan()) {
        let (history, expected) = run(&plan);
        let judgement = judged(&history);
        prop_assert_eq!(counted(&judgement), expected.counts);
        prop_assert_eq!(judgement.outcomes, Outcomes::from(expected.outcomes));
        prop_assert_eq!(judgement.counts.aborted_records, Some(u64::from(plan.aborted)));
        let accounting = judgement.reasons.iter().find(|r| r.contains("accounting"));
        prop_assert_eq!(accounting, None);
        let gone = format!("{} records were seen live and are gone", plan.ghosts);
        let vanished = judgement.reasons.iter().any(|r| r.starts_with(&gone));
        prop_assert_eq!(vanished, plan.ghosts > 0);
        for checked in &judgement.expectations {
            let metric = checked.expectation.metric;
            // Whether something was late cannot be told where the observer itself was.
            if metric != Metric::Late {
                let missed = checked.met == Some(false);
                prop_assert_eq!(missed, count(&judgement, metric) > 0, "{:?}", checked);
            }
        }
    }

    #[test]
    fn the_rows_of_a_history_may_stand_in_any_order(
        plan in plan(),
        seed in any::<u64>(),
    ) {
        let (history, _) = run(&plan);
        let mut shuffled = history.clone();
        shuffle(&mut shuffled.truth.open(), seed);
        shuffle(&mut shuffled.log.open(), seed);
        shuffle(&mut shuffled.sightings.open(), seed);
        shuffle(&mut shuffled.pending, seed);
        let (one, other) = (judged(&history), judged(&shuffled));
        prop_assert_eq!(one.counts, other.counts);
        prop_assert_eq!(one.outcomes, other.outcomes);
        prop_assert_eq!(one.verdict, other.verdict);
        prop_assert_eq!(one.findings, other.findings);
    }
}

/// Fisher and Yates, with a generator of Marsaglia's.
fn shuffle<T>(rows: &mut [T], mut seed: u64) {
    seed |= 1;
    for last in (1..rows.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        rows.swap(last, (seed % (last as u64 + 1)) as usize);
    }
}
