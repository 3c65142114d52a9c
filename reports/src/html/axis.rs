//! Axes: a range and its labelled ticks.

use crate::figures;

/// Decades on a logarithmic axis, beyond which it would be unreadable.
const DECADES_MAX: i32 = 9;
/// Percentiles that have a tick where there are enough events for them.
const PERCENTILES: [(f64, &str); 6] = [
    (50.0, "p50"),
    (90.0, "p90"),
    (99.0, "p99"),
    (99.9, "p99.9"),
    (99.99, "p99.99"),
    (99.999, "p99.999"),
];

/// An axis has a range and its labelled ticks.
#[derive(Debug, Clone)]
pub struct Axis {
    /// This is the smallest value that the axis shows.
    pub from: f64,
    /// This is the largest value that the axis shows, above `from`.
    pub to: f64,
    /// Each tick has a value and its label; the values ascend.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Returns an axis from 0 to at least `max`, with ticks at round values, no more than `ticks_max` steps.
    pub fn linear(max: f64, ticks_max: usize) -> Self {
        let max = if max.is_finite() && max > 0.0 {
            max
        } else {
            1.0
        };
        let step = round_step(max / ticks_max.max(1) as f64);
        let steps = (max / step).ceil().max(1.0);
        Self {
            from: 0.0,
            to: step * steps,
            ticks: (0..=steps as usize)
                .map(|n| step * n as f64)
                .map(|value| (value, figures::decimal(value)))
                .collect(),
        }
    }

    /// Returns an axis of seconds from 0 to exactly `end`.
    pub fn seconds(end: f64, ticks_max: usize) -> Self {
        let mut axis = Self::linear(end, ticks_max);
        if end.is_finite() && end > 0.0 {
            axis.to = end;
        }
        let to = axis.to;
        axis.ticks.retain(|(value, _)| *value <= to * 1.000_001);
        for (_, label) in &mut axis.ticks {
            label.push_str(" s");
        }
        axis
    }

    /// Returns an axis of milliseconds by powers of ten; values on it are given as their decimal logarithm.
    pub fn log_milliseconds(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        let top = (high.log10().ceil() as i32).clamp(-300, 300);
        let bottom = (low.log10().floor() as i32).clamp(top - DECADES_MAX, top - 1);
        Self {
            from: f64::from(bottom),
            to: f64::from(top),
            ticks: (bottom..=top)
                .map(|decade| (f64::from(decade), duration_label(decade)))
                .collect(),
        }
    }

    /// Returns an axis of percentiles by 1/(1-p), as far as `count` events reach.
    pub fn percentiles(count: u64) -> Self {
        let to = (count.max(10) as f64).log10().max(1.0);
        let ticks = PERCENTILES
            .iter()
            .map(|(percentile, label)| (nines(*percentile, u64::MAX), (*label).to_owned()))
            .filter(|(value, _)| *value <= to + 1e-9)
            .collect();
        Self {
            from: 0.0,
            to,
            ticks,
        }
    }

    /// Returns an axis of places of one width, from 0 on, with the names of some of them: the first, and others so
    /// that names do not come too close to each other.
    pub fn places(names: &[&str], ticks_max: usize) -> Self {
        let each = names.len().div_ceil(ticks_max.max(1)).max(1);
        Self {
            from: -0.5,
            to: names.len().max(1) as f64 - 0.5,
            ticks: names
                .iter()
                .enumerate()
                .step_by(each)
                .map(|(place, name)| (place as f64, (*name).to_owned()))
                .collect(),
        }
    }

    /// Returns the value's nearest place on the axis.
    pub fn clamp(&self, value: f64) -> f64 {
        if value.is_finite() {
            value.clamp(self.from, self.to)
        } else {
            self.from
        }
    }

    /// Returns the label of the tick that is nearest to a value.
    pub fn label(&self, value: f64) -> String {
        let nearest = self
            .ticks
            .iter()
            .min_by(|a, b| (a.0 - value).abs().total_cmp(&(b.0 - value).abs()));
        nearest.map_or_else(String::new, |(_, label)| label.clone())
    }
}

/// Where a percentile is on its axis: 0 for the median's lower half's start, 1 for p90, 2 for p99.
/// The largest of `count` values is where one in `count` is.
pub fn nines(percentile: f64, count: u64) -> f64 {
    let rarest = 1.0 / count.max(1) as f64;
    let beyond = (1.0 - percentile / 100.0).max(rarest);
    (-beyond.log10()).max(0.0)
}

/// Returns the next of 1, 2, 5 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    for factor in [1.0, 2.0, 5.0] {
        if power * factor >= least * 0.999_999 {
            return power * factor;
        }
    }
    power * 10.0
}

fn duration_label(decade: i32) -> String {
    let (power, unit) = match decade {
        ..=-4 => (decade + 6, "ns"),
        -3..=-1 => (decade + 3, "µs"),
        0..=2 => (decade, "ms"),
        _ => (decade - 3, "s"),
    };
    format!("{} {unit}", figures::decimal(10f64.powi(power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_reach_the_maximum() {
        let axis = Axis::linear(523.0, 4);
        assert_eq!(labels(&axis), ["0", "200", "400", "600"]);
        assert_eq!(axis.to, 600.0);
        assert_eq!(labels(&Axis::linear(f64::NAN, 4)).len(), 3);
    }

    #[test]
    fn seconds_end_where_the_run_ends() {
        let axis = Axis::seconds(13.7, 7);
        assert_eq!(axis.to, 13.7);
        assert_eq!(axis.ticks.last().map(|(at, _)| *at), Some(12.0));
    }

    #[test]
    fn decades_have_units_that_people_say() {
        let axis = Axis::log_milliseconds([0.4, 4100.0].into_iter());
        assert_eq!(
            labels(&axis),
            ["100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]
        );
    }

    #[test]
    fn places_are_named_as_often_as_there_is_room() {
        let axis = Axis::places(&["a", "b", "c", "d", "e"], 2);
        assert_eq!(labels(&axis), ["a", "d"]);
        assert_eq!((axis.from, axis.to), (-0.5, 4.5));
        assert!(Axis::places(&[], 2).to > Axis::places(&[], 2).from);
    }

    #[test]
    fn percentiles_end_where_events_end() {
        let axis = Axis::percentiles(5880);
        assert_eq!(labels(&axis), ["p50", "p90", "p99", "p99.9"]);
        assert!((nines(100.0, 1000) - 3.0).abs() < 1e-9);
    }
}
