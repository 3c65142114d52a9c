//! A bracketed search for the highest rate that is sustained.

/// The search tries no rate below this, changes a second.
pub(super) const FLOOR: f64 = 10.0;
/// The search ends when the bracket's ends have this ratio.
pub(super) const RESOLUTION: f64 = 1.1;

/// Where nothing is known, the rate is doubled or halved.
const STEP: f64 = 2.0;
/// Around what is known already, it is changed by two widths of the bracket at first.
const STEP_AROUND: f64 = RESOLUTION * RESOLUTION;

/// This is the state of a search for the highest rate that is sustained.
#[derive(Debug, Clone)]
pub(super) struct Search {
    from: f64,
    ceiling: f64,
    /// By this factor the next rate is higher or lower, while there is no bracket.
    step: f64,
    /// Highest rate that was sustained.
    sustained: Option<f64>,
    /// Lowest rate above it that was not.
    failed: Option<f64>,
}

/// A search came to this result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found {
    /// The maximum is between the two.
    Bracketed { sustained: f64, failed: f64 },
    /// Nothing failed up to the ceiling.
    NoFailure { sustained: f64 },
    /// Nothing was sustained down to the floor.
    NoSuccess { failed: f64 },
}

impl Search {
    pub fn new(from: f64, ceiling: f64) -> Self {
        Self {
            from: from.clamp(FLOOR, ceiling.max(FLOOR)),
            ceiling: ceiling.max(FLOOR),
            step: STEP,
            sustained: None,
            failed: None,
        }
    }

    /// For a maximum that is expected where it was before.
    pub fn around(sustained: f64, ceiling: f64) -> Self {
        Self {
            step: STEP_AROUND,
            ..Self::new(sustained, ceiling)
        }
    }

    /// Returns the rate to try next, a whole number; `None` when the search is over.
    pub fn next(&self) -> Option<f64> {
        match (self.sustained, self.failed) {
            (None, None) => Some(self.from),
            (Some(low), None) => {
                (low < self.ceiling).then(|| (low * self.step).round().min(self.ceiling))
            }
            (None, Some(high)) => (high > FLOOR).then(|| (high / self.step).round().max(FLOOR)),
            (Some(low), Some(high)) => {
                let middle = (low * high).sqrt().round();
                (high / low > RESOLUTION && middle > low && middle < high).then_some(middle)
            }
        }
    }

    /// A rate was tried. A machine that swings may contradict itself: what failed stays failed.
    pub fn tell(&mut self, rate: f64, sustained: bool) {
        if self.sustained.is_some() || self.failed.is_some() {
            // What a first step did not reach is further away.
            self.step = (self.step * self.step).min(STEP);
        }
        if sustained {
            if self.failed.is_none_or(|failed| rate < failed) {
                self.sustained = Some(self.sustained.map_or(rate, |known| known.max(rate)));
            }
        } else {
            self.failed = Some(self.failed.map_or(rate, |known| known.min(rate)));
            self.sustained = self.sustained.filter(|known| *known < rate);
        }
    }

    /// Returns what the search came to so far.
    pub fn found(&self) -> Found {
        match (self.sustained, self.failed) {
            (Some(sustained), Some(failed)) => Found::Bracketed { sustained, failed },
            (Some(sustained), None) => Found::NoFailure { sustained },
            (None, failed) => Found::NoSuccess {
                failed: failed.unwrap_or(self.from),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A system that takes exactly `capacity`; gives what was found and how many probes it took.
    fn run(capacity: f64, mut search: Search) -> (Found, u32) {
        let mut probes = 0;
        while let Some(rate) = search.next() {
            probes += 1;
            assert!(probes < 100, "it does not end");
            search.tell(rate, rate <= capacity);
        }
        (search.found(), probes)
    }

    #[test]
    fn without_a_failure_it_is_no_maximum() {
        assert_eq!(
            run(1e9, Search::new(1_000.0, 50_000.0)).0,
            Found::NoFailure {
                sustained: 50_000.0
            }
        );
        assert_eq!(
            run(1.0, Search::new(1_000.0, 50_000.0)).0,
            Found::NoSuccess { failed: FLOOR }
        );
    }

    #[test]
    fn around_what_is_known_few_probes_are_enough() {
        for (capacity, most) in [(6_000.0, 3), (5_900.0, 3), (6_400.0, 3), (9_000.0, 6)] {
            let (found, probes) = run(capacity, Search::around(6_000.0, 64_000.0));
            assert!(matches!(found, Found::Bracketed { .. }), "{found:?}");
            assert!(probes <= most, "{capacity}: {probes}");
        }
    }

    proptest! {
        #[test]
        fn the_capacity_is_between_the_ends_of_the_bracket(
            capacity in 20.0f64..60_000.0,
            from in 10.0f64..60_000.0,
            around in proptest::bool::ANY,
        ) {
            let begin = if around { Search::around } else { Search::new };
            match run(capacity, begin(from, 64_000.0)).0 {
                Found::Bracketed { sustained, failed } => {
                    prop_assert!(sustained <= capacity && capacity < failed);
                    // Whole numbers: near the floor no finer bracket exists.
                    prop_assert!(failed / sustained <= RESOLUTION || failed - sustained <= 2.0);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
