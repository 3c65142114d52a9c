//! Wilcoxon's signed-rank test, exact: whether paired differences lie about a value, and the interval of values that
//! they may lie about. It wants of them that they scatter evenly to both sides, and nothing else: no normal
//! distribution, no known width, one wild round moves it little.
//!
//! Everything is counted from Walsh's averages, those of each two differences and of each with itself: the
//! differences' signed-rank sum about a value is the number of averages above it (Tukey 1949), and so test and
//! interval can never contradict each other.

/// More pairs are not taken: their averages grow with the square.
pub const MOST_PAIRS: usize = 200;

/// These are paired differences, ready to be asked what they lie about.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedRank {
    /// How many differences there are.
    pairs: usize,
    /// These are Walsh's averages in ascending order, one for each pair of differences and one for each alone.
    averages: Vec<f64>,
    /// How likely the signed-rank sum is at most 0, 1, 2, ..., where signs are a coin's.
    likely: Vec<f64>,
}

impl SignedRank {
    /// Takes finite differences; `None` if one is not finite, if there is none, or more than [`MOST_PAIRS`].
    pub fn new(differences: &[f64]) -> Option<Self> {
        let pairs = differences.len();
        let finite = differences.iter().all(|d| d.is_finite());
        if pairs == 0 || pairs > MOST_PAIRS || !finite {
            return None;
        }
        let mut averages: Vec<f64> = differences
            .iter()
            .enumerate()
            .flat_map(|(n, a)| differences[n..].iter().map(|b| f64::midpoint(*a, *b)))
            .collect();
        averages.sort_by(f64::total_cmp);
        Some(Self {
            pairs,
            averages,
            likely: likely(pairs),
        })
    }

    /// Returns what the differences lie about: the median of the averages (Hodges and Lehmann).
    pub fn centre(&self) -> f64 {
        super::median(&self.averages)
    }

    /// How surprising these differences were if they lay about something within `beyond` of zero: two-sided, at most 1.
    pub fn p_beyond(&self, beyond: f64) -> f64 {
        let not_above = self.averages.partition_point(|a| *a <= beyond);
        let not_below = self.averages.len() - self.averages.partition_point(|a| *a < -beyond);
        (2.0 * self.likely[not_above.min(not_below)]).min(1.0)
    }

    /// What the differences may lie about, with a confidence of one less `alpha`, or a little more; `None` where so few
    /// pairs have no such interval.
    pub fn interval(&self, alpha: f64) -> Option<(f64, f64)> {
        let outside = outside(&self.likely, alpha)?;
        let last = self.averages.len() - 1;
        Some((self.averages[outside], self.averages[last - outside]))
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// The fewest pairs that have an interval at all.
    pub fn fewest(alpha: f64) -> Option<usize> {
        // The least likely of all outcomes is that all signs are the same.
        (1..=MOST_PAIRS).find(|pairs| 2.0 * 0.5f64.powi(*pairs as i32) <= alpha)
    }
}

/// How many averages are left out on each side.
fn outside(likely: &[f64], alpha: f64) -> Option<usize> {
    // Rounding must not take an interval away that is there exactly.
    let enough = |p: &f64| 2.0 * p <= alpha * (1.0 + 1e-12);
    likely
        .iter()
        .take_while(|p| enough(p))
        .count()
        .checked_sub(1)
}

/// The distribution function of the sum of those of the ranks 1 to `pairs` that a coin takes.
fn likely(pairs: usize) -> Vec<f64> {
    let most = pairs * (pairs + 1) / 2;
    let mut exactly = vec![0.0; most + 1];
    exactly[0] = 1.0;
    for rank in 1..=pairs {
        // From above, so that no rank counts twice.
        for sum in (0..=most).rev() {
            let without = 0.5 * exactly[sum];
            let with = sum
                .checked_sub(rank)
                .map_or(0.0, |rest| 0.5 * exactly[rest]);
            exactly[sum] = without + with;
        }
    }
    let mut so_far = 0.0;
    exactly
        .into_iter()
        .map(|p| {
            so_far += p;
            so_far
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tables of the test have these.
    #[test]
    fn given_the_printed_tables_then_critical_values_are_theirs() {
        for (pairs, alpha, critical) in [
            (5, 0.05, None),
            (6, 0.05, Some(0)),
            (8, 0.05, Some(3)),
            (10, 0.05, Some(8)),
            (12, 0.01, Some(7)),
            (20, 0.05, Some(52)),
            (25, 0.01, Some(68)),
        ] {
            assert_eq!(outside(&likely(pairs), alpha), critical, "{pairs}");
        }
        assert_eq!(SignedRank::fewest(0.05), Some(6));
        assert_eq!(SignedRank::fewest(0.05 / 16.0), Some(10));
        assert_eq!(SignedRank::fewest(0.0), None);
    }

    #[test]
    fn given_too_few_too_many_or_endless_differences_then_nothing_is_said() {
        assert_eq!(SignedRank::new(&[]), None);
        assert_eq!(SignedRank::new(&[1.0, f64::NAN]), None);
        assert_eq!(SignedRank::new(&[0.0; MOST_PAIRS + 1]), None);
        let all = SignedRank::new(&[0.0; MOST_PAIRS]).unwrap();
        assert_eq!(all.interval(0.05), Some((0.0, 0.0)));
        assert_eq!(all.p_beyond(0.0), 1.0);
        // Five pairs have no interval of 95 %
        let five = SignedRank::new(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!((five.interval(0.05), five.centre()), (None, 3.0));
    }

    /// The definition: ranks of the distances from `value`, and of all ways to give them signs those whose sum is no
    /// larger than what was seen on this side.
    fn brute_force(differences: &[f64], value: f64, above: bool) -> f64 {
        let mut shifted: Vec<f64> = differences.iter().map(|d| d - value).collect();
        shifted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let seen: usize = (1..)
            .zip(&shifted)
            .filter(|(_, d)| (**d > 0.0) == above)
            .map(|(rank, _)| rank)
            .sum();
        let all = 1u32 << shifted.len();
        let sum = |signs: u32| -> usize {
            (1..=shifted.len())
                .filter(|r| signs >> (r - 1) & 1 == 1)
                .sum()
        };
        let no_larger = (0..all).filter(|signs| sum(*signs) <= seen).count();
        no_larger as f64 / f64::from(all)
    }

    /// Differences of which no two sums are the same, so that the definition knows no ties.
    fn untied(count: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1.0f64..1.0, count)
    }

    proptest! {
        #[test]
        fn its_p_is_that_of_all_signs_tried_out(differences in untied(1..=11), beyond in 0.0f64..0.6) {
            let asked = SignedRank::new(&differences).unwrap();
            // Below: the sum of the ranks that are not above `beyond`, and the other way round
            let up = brute_force(&differences, beyond, false);
            let down = brute_force(&differences, -beyond, true);
            let expected = (2.0 * up.min(down)).min(1.0);
            prop_assert!((asked.p_beyond(beyond) - expected).abs() < 1e-9);
        }

        #[test]
        fn interval_and_test_say_the_same(
            differences in untied(1..=20), beyond in 0.0f64..0.6, alpha in 0.001f64..0.3,
        ) {
            let asked = SignedRank::new(&differences).unwrap();
            let found = asked.p_beyond(beyond) <= alpha;
            let outside = asked.interval(alpha).is_some_and(|(from, to)| from > beyond || to < -beyond);
            prop_assert_eq!(found, outside);
        }

        #[test]
        fn turned_around_or_moved_it_turns_and_moves_along(
            differences in untied(6..=20), by in -0.5f64..0.5,
        ) {
            let of = |map: &dyn Fn(f64) -> f64| {
                let changed: Vec<f64> = differences.iter().map(|d| map(*d)).collect();
                let asked = SignedRank::new(&changed).unwrap();
                let (from, to) = asked.interval(0.05).unwrap();
                (from, asked.centre(), to)
            };
            let (from, centre, to) = of(&|d| d);
            prop_assert!(from <= centre && centre <= to);
            let near = |a: (f64, f64, f64), b: (f64, f64, f64)| {
                (a.0 - b.0).abs() + (a.1 - b.1).abs() + (a.2 - b.2).abs() < 1e-9
            };
            prop_assert!(near(of(&|d| -d), (-to, -centre, -from)));
            prop_assert!(near(of(&|d| d + by), (from + by, centre + by, to + by)));
        }
    }

    /// What an interval promises: over all signs of the same distances it misses zero as rarely as it says.
    #[test]
    fn given_no_difference_when_all_signs_are_tried_then_the_interval_misses_zero_no_oftener_than_it_says()
     {
        let distances = [0.3, 1.1, 0.7, 2.9, 0.2, 1.7, 4.1, 0.5, 1.3];
        for alpha in [0.05, 0.02, 0.004] {
            let missed = (0..1u32 << distances.len()).filter(|signs| {
                let signed: Vec<f64> = (0..)
                    .zip(distances)
                    .map(|(n, d)| if signs >> n & 1 == 1 { d } else { -d })
                    .collect();
                let (from, to) = SignedRank::new(&signed).unwrap().interval(alpha).unwrap();
                from > 0.0 || to < 0.0
            });
            let share = missed.count() as f64 / f64::from(1u32 << distances.len());
            assert!(share <= alpha && share > alpha / 4.0, "{share} of {alpha}");
        }
    }
}
