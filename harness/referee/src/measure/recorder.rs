//! One latency distribution that can hold what never ended.

use hdrhistogram::Histogram;
use reports::record::Latency;

/// A recorder is an HdrHistogram of nanoseconds with 3 significant digits, and a count of the infinite.
#[derive(Debug, Clone)]
pub struct Recorder {
    finite: Histogram<u64>,
    infinite: u64,
    negative: u64,
}

/// The chart of latency by percentile has at most this many points.
const CURVE_POINTS: u32 = 60;

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// Makes a recorder that holds nothing yet.
    pub fn new() -> Self {
        let finite = match Histogram::new(3) {
            Ok(histogram) => histogram,
            Err(e) => unreachable!("3 digits are within HdrHistogram's range: {e}"),
        };
        Self {
            finite,
            infinite: 0,
            negative: 0,
        }
    }

    /// Records a latency; a negative one is counted and recorded as 0.
    pub fn record_ns(&mut self, ns: i64) {
        if ns < 0 {
            self.negative += 1;
        }
        // A histogram of 3 digits that grows by itself has room for any number of 64 bits.
        if self.finite.record(u64::try_from(ns).unwrap_or(0)).is_err() {
            self.infinite += 1;
        }
    }

    /// Records a latency, or what never ended.
    pub fn record(&mut self, ns: Option<i64>) {
        match ns {
            Some(ns) => self.record_ns(ns),
            None => self.never(),
        }
    }

    /// Records what never ended.
    pub fn never(&mut self) {
        self.infinite += 1;
    }

    /// Adds what another one recorded, as if it had been recorded here.
    pub fn add(&mut self, other: &Self) {
        // A histogram that grows by itself has room for whatever another one of its digits holds.
        if self.finite.add(&other.finite).is_err() {
            self.infinite += other.finite.len();
        }
        self.infinite += other.infinite;
        self.negative += other.negative;
    }

    /// How many were recorded, the infinite included.
    pub fn count(&self) -> u64 {
        self.finite.len() + self.infinite
    }

    /// Returns how many never ended.
    pub fn infinite(&self) -> u64 {
        self.infinite
    }

    /// How many were below zero.
    pub fn negative(&self) -> u64 {
        self.negative
    }

    /// Returns the histogram of the latencies that ended, nanoseconds; what never ended is not in it.
    pub fn finite(&self) -> &Histogram<u64> {
        &self.finite
    }

    /// Returns a percentile (0 to 100) in milliseconds; `None` if it is infinite or nothing was recorded.
    pub fn percentile_ms(&self, percentile: f64) -> Option<f64> {
        self.percentiles_ms(&[percentile]).pop().flatten()
    }

    /// Returns several percentiles, which must be ascending, in one
    /// pass; each is as [`Self::percentile_ms`] gives it.
    pub fn percentiles_ms(&self, percentiles: &[f64]) -> Vec<Option<f64>> {
        let mut recorded = self.finite.iter_recorded();
        let mut reached = 0;
        let mut value_ns = 0;
        percentiles
            .iter()
            .map(|percentile| {
                let rank = self.rank(*percentile)?;
                while reached < rank {
                    let step = recorded.next()?;
                    reached += step.count_since_last_iteration();
                    value_ns = self.finite.highest_equivalent(step.value_iterated_to());
                }
                Some(value_ns.min(self.finite.max()) as f64 / 1e6)
            })
            .collect()
    }

    /// Returns the place, from 1, of a percentile among the finite; `None` when it is beyond them.
    fn rank(&self, percentile: f64) -> Option<u64> {
        // 99.9% of 1,000 is the 999th, whatever the last bit of the product says.
        let exact = percentile / 100.0 * self.count() as f64;
        let rank = ((exact - 1e-6).ceil() as u64).max(1);
        (rank <= self.finite.len()).then_some(rank)
    }

    /// Returns percentiles, counts and the percentile curve in the form of a run's record, milliseconds.
    pub fn latency(&self) -> Latency {
        let of = self.percentiles_ms(&[50.0, 90.0, 99.0, 99.9, 100.0]);
        let grid: Vec<f64> = (0..CURVE_POINTS)
            .map(|n| {
                let nines = 4.0 * f64::from(n) / f64::from(CURVE_POINTS - 1);
                100.0 * (1.0 - 10f64.powf(-nines))
            })
            .collect();
        let curve = grid
            .iter()
            .zip(self.percentiles_ms(&grid))
            .filter_map(|(percentile, ms)| Some((*percentile, ms?)))
            .collect();
        Latency {
            p50: of[0],
            p90: of[1],
            p99: of[2],
            p999: of[3],
            max: of[4],
            count: self.count(),
            censored: self.infinite,
            curve,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_percentile_among_what_never_ended_is_null() {
        // Given 98 finite latencies and 2 infinite ones
        let mut recorder = Recorder::new();
        for ms in 1..=98 {
            recorder.record_ns(ms * 1_000_000);
        }
        recorder.never();
        recorder.never();
        // Then p98 is the last finite one, and what lies beyond is null
        assert!((recorder.percentile_ms(98.0).unwrap() - 98.0).abs() < 0.1);
        assert_eq!(recorder.percentile_ms(99.0), None);
        assert_eq!(recorder.latency().max, None);
        assert_eq!(recorder.latency().count, 100);
        assert_eq!(recorder.latency().censored, 2);
    }

    #[test]
    fn a_negative_latency_is_counted_and_recorded_as_zero() {
        let mut recorder = Recorder::new();
        recorder.record_ns(-5);
        assert_eq!((recorder.negative(), recorder.count()), (1, 1));
        assert_eq!(recorder.percentile_ms(100.0), Some(0.0));
    }

    #[test]
    fn nothing_recorded_is_null_and_not_zero() {
        let nothing = Recorder::new().latency();
        assert_eq!((nothing.p50, nothing.max, nothing.count), (None, None, 0));
        assert!(nothing.curve.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_added_up_is_as_if_it_had_been_recorded_in_one_place(
            parts in prop::collection::vec(prop::collection::vec(-5i64.., 0..40), 0..4),
        ) {
            let (mut added, mut recorded) = (Recorder::new(), Recorder::new());
            for part in parts {
                let mut own = Recorder::new();
                for value in part {
                    // Of every size, not only huge.
                    let ns = value >> (value % 60).unsigned_abs();
                    own.record_ns(ns);
                    recorded.record_ns(ns);
                }
                own.never();
                recorded.never();
                added.add(&own);
            }
            prop_assert_eq!(added.latency(), recorded.latency());
            prop_assert_eq!(added.finite(), recorded.finite());
            prop_assert_eq!(added.negative(), recorded.negative());
        }

        #[test]
        fn percentiles_are_those_of_the_sorted_list(
            mut values in prop::collection::vec(0i64..10_000_000_000, 1..300),
            infinite in 0u64..20,
            percentile in 0.0f64..=100.0,
        ) {
            let mut recorder = Recorder::new();
            values.iter().for_each(|ns| recorder.record_ns(*ns));
            (0..infinite).for_each(|_| recorder.never());
            values.sort_unstable();
            let total = values.len() as f64 + infinite as f64;
            let rank = ((percentile / 100.0 * total - 1e-6).ceil() as usize).max(1);
            match (values.get(rank - 1), recorder.percentile_ms(percentile)) {
                (None, None) => {}
                (Some(ns), Some(ms)) => {
                    let exact = *ns as f64 / 1e6;
                    prop_assert!((ms - exact).abs() <= exact * 0.001 + 1e-6, "{ms} {exact}");
                }
                (expected, got) => prop_assert!(false, "{expected:?} {got:?}"),
            }
        }
    }
}
