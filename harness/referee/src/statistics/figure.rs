//! Median and spread. With five rounds there is no more to be had: no deviation is estimated, and
//! the smallest and largest are shown as they are.

use reports::bench::Figure;

/// Median and spread of the rounds that have a value; nothing if none has.
pub fn figure(rounds: Vec<Option<f64>>) -> Option<Figure> {
    let mut known: Vec<f64> = rounds
        .iter()
        .flatten()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    known.sort_by(f64::total_cmp);
    let (first, last) = (*known.first()?, *known.last()?);
    Some(Figure {
        median: median(&known),
        min: first,
        max: last,
        rounds,
    })
}

/// The ratios by round, of the rounds that have both.
pub fn ratio(of: &[Option<f64>], against: &[Option<f64>]) -> Option<Figure> {
    let rounds = of.iter().zip(against).map(|pair| match pair {
        (Some(of), Some(against)) if *against != 0.0 => Some(of / against),
        _ => None,
    });
    figure(rounds.collect())
}

/// The median of sorted values, of which there is at least one.
pub fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_round_that_was_not_measured_counts_for_nothing() {
        let figure = figure(vec![Some(3.0), None, Some(1.0), Some(2.0), Some(f64::NAN)]).unwrap();
        assert_eq!((figure.median, figure.min, figure.max), (2.0, 1.0, 3.0));
        assert_eq!(figure.rounds.len(), 5);
        assert_eq!(super::figure(vec![None, None]), None);
    }

    #[test]
    fn a_machine_that_swings_does_not_move_a_ratio() {
        let limit = [100.0, 50.0, 10.0].map(Some);
        let half = [50.0, 25.0, 5.0].map(Some);
        let ratio = ratio(&half, &limit).unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (0.5, 0.5, 0.5));
        assert_eq!(super::ratio(&[Some(1.0)], &[Some(0.0)]), None);
        assert_eq!(super::ratio(&[Some(1.0), None], &[None, Some(1.0)]), None);
    }

    proptest! {
        #[test]
        fn half_of_the_values_are_on_each_side_of_the_median(values in proptest::collection::vec(-1e9f64..1e9, 1..30)) {
            let figure = figure(values.iter().copied().map(Some).collect()).unwrap();
            let below = values.iter().filter(|v| **v < figure.median).count();
            let above = values.iter().filter(|v| **v > figure.median).count();
            prop_assert!(below * 2 <= values.len() && above * 2 <= values.len());
            prop_assert!(figure.min <= figure.median && figure.median <= figure.max);
        }
    }
}
