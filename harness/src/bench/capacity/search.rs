//! A bracketed search for the highest rate that is sustained.

/// Lowest rate tried.
pub(super) const FLOOR: f64 = 10.0;
/// The search ends when the bracket's ends have this ratio.
pub(super) const RESOLUTION: f64 = 1.1;

/// The state of a search.
#[derive(Debug, Clone)]
pub(super) struct Search {
    from: f64,
    ceiling: f64,
    /// Highest rate that was sustained.
    sustained: Option<f64>,
    /// Lowest rate above it that was not.
    failed: Option<f64>,
}

/// What it came to.
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
            sustained: None,
            failed: None,
        }
    }

    /// The rate to try next, a whole number; nothing when the search is over.
    pub fn next(&self) -> Option<f64> {
        match (self.sustained, self.failed) {
            (None, None) => Some(self.from),
            (Some(low), None) => (low < self.ceiling).then(|| (low * 2.0).min(self.ceiling)),
            (None, Some(high)) => (high > FLOOR).then(|| (high / 2.0).max(FLOOR)),
            (Some(low), Some(high)) => {
                let middle = (low * high).sqrt().round();
                (high / low > RESOLUTION && middle > low && middle < high).then_some(middle)
            }
        }
    }

    /// A rate was tried. A machine that swings may contradict itself: what failed stays failed.
    pub fn tell(&mut self, rate: f64, sustained: bool) {
        if sustained {
            if self.failed.is_none_or(|failed| rate < failed) {
                self.sustained = Some(self.sustained.map_or(rate, |known| known.max(rate)));
            }
        } else {
            self.failed = Some(self.failed.map_or(rate, |known| known.min(rate)));
            self.sustained = self.sustained.filter(|known| *known < rate);
        }
    }

    /// What it came to so far.
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
    fn run(capacity: f64, from: f64, ceiling: f64) -> (Found, u32) {
        let mut search = Search::new(from, ceiling);
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
            run(1e9, 1_000.0, 50_000.0).0,
            Found::NoFailure {
                sustained: 50_000.0
            }
        );
        assert_eq!(
            run(1.0, 1_000.0, 50_000.0).0,
            Found::NoSuccess { failed: FLOOR }
        );
    }

    proptest! {
        #[test]
        fn the_capacity_is_between_the_ends_of_the_bracket(
            capacity in 20.0f64..60_000.0,
            from in 10.0f64..60_000.0,
        ) {
            match run(capacity, from, 64_000.0).0 {
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
