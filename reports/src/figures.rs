//! How figures are written. A figure that was not measured is a dash, never 0.

use crate::record::{Expectation, Latency, Offence, Verdict};

/// Stands for what was not measured.
pub const DASH: &str = "–";

/// Stands for a percentile that falls on events that never came.
pub const NEVER: &str = "∞";

/// `5,880`, or a dash for what is not known.
pub fn count(value: impl Into<Option<u64>>) -> String {
    let Some(value) = value.into() else {
        return DASH.to_owned();
    };
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a count with its noun: `1 event`, `5,880 events`.
pub fn counted(value: impl Into<Option<u64>>, noun: &str) -> String {
    let value = value.into();
    let plural = if value == Some(1) { "" } else { "s" };
    format!("{} {noun}{plural}", count(value))
}

/// Returns a number with three significant digits, never an exponent, whole numbers with separators.
pub fn decimal(value: f64) -> String {
    if !value.is_finite() {
        return DASH.to_owned();
    }
    let size = value.abs();
    let digits = match size {
        _ if size == 0.0 => return "0".to_owned(),
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.995 => 2,
        _ => 3,
    };
    if digits == 0 && size < 9e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(size.round() as u64));
    }
    let text = format!("{value:.digits$}");
    if digits > 0 {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Returns a duration, given in milliseconds, as number and unit.
fn duration_parts(ms: f64) -> (String, &'static str) {
    let size = ms.abs();
    if size >= 999.5 {
        let s = ms / 1e3;
        let number = match s.abs() {
            size if size >= 99.95 => decimal(s),
            size if size >= 9.995 => format!("{s:.1}"),
            _ => format!("{s:.2}"),
        };
        (number, "s")
    } else if size >= 9.95 {
        (format!("{ms:.0}"), "ms")
    } else if size >= 0.995 {
        (format!("{ms:.1}"), "ms")
    } else {
        (format!("{ms:.2}"), "ms")
    }
}

/// Returns a duration, given in milliseconds, as people read it: `0.61 ms`, `412 ms`, `4.12 s`.
pub fn milliseconds(value: f64) -> String {
    if !value.is_finite() {
        return DASH.to_owned();
    }
    let (number, unit) = duration_parts(value);
    format!("{number} {unit}")
}

/// Returns a percentile as text: its duration, [`NEVER`] where it falls on what never came, a dash where nothing was
/// measured.
pub fn percentile(latency: &Latency, value: Option<f64>) -> String {
    match value {
        Some(ms) => milliseconds(ms),
        None => absent(latency).to_owned(),
    }
}

fn absent(latency: &Latency) -> &'static str {
    if latency.count > 0 && latency.censored > 0 {
        NEVER
    } else {
        DASH
    }
}

/// Several percentiles in one cell, the unit said once where it is the same: `0.61 / 2.1 ms`.
pub fn percentiles(latency: &Latency, values: &[Option<f64>]) -> String {
    if values.iter().all(Option::is_none) && absent(latency) == DASH {
        return DASH.to_owned();
    }
    let parts: Vec<(String, &str)> = values
        .iter()
        .map(|value| match value.filter(|ms| ms.is_finite()) {
            Some(ms) => duration_parts(ms),
            None => (absent(latency).to_owned(), ""),
        })
        .collect();
    let mut text = String::new();
    for (index, (number, unit)) in parts.iter().enumerate() {
        if index > 0 {
            text.push_str(" / ");
        }
        text.push_str(number);
        let next = parts[index + 1..].iter().find(|(_, unit)| !unit.is_empty());
        let said_later = next.is_some_and(|(_, other)| other == unit);
        if !unit.is_empty() && !said_later {
            text.push(' ');
            text.push_str(unit);
        }
    }
    text
}

/// Returns seconds as people read them, e.g. `1.42 s` or `412 ms`; a dash where there is no value.
pub fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| DASH.to_owned(), |s| milliseconds(s * 1e3))
}

/// Returns a moment of a run, given in seconds: `4.0`, always one decimal, so that columns of them line up.
pub fn moment(value: Option<f64>) -> String {
    match value {
        Some(s) if s.is_finite() => format!("{s:.1}"),
        _ => DASH.to_owned(),
    }
}

/// Returns a figure by second as people read it, e.g. `490/s`; a dash where there is no value.
pub fn rate(value: Option<f64>) -> String {
    match value {
        Some(value) if value.is_finite() => format!("{}/s", decimal(value)),
        _ => DASH.to_owned(),
    }
}

/// Returns a size, given in bytes, as people read it: `412 B`, `1.21 KiB`, `3.4 MiB`, or a dash.
pub fn bytes(value: Option<f64>) -> String {
    let Some(value) = value.filter(|bytes| bytes.is_finite()) else {
        return DASH.to_owned();
    };
    let mut size = value;
    let mut units = ["B", "KiB", "MiB", "GiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    // What would be written as 1,024 is written in the next unit.
    while size.abs() >= 1023.5 {
        let Some(next) = units.next() else { break };
        size /= 1024.0;
        unit = next;
    }
    format!("{} {unit}", decimal(size))
}

/// Returns any figure as text, or a dash where there is none.
pub fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| DASH.to_owned(), decimal)
}

/// Returns a share from 0 to 1 as a percentage, for humans: `0.051%`.
pub fn share(value: f64) -> String {
    let percent = value * 100.0;
    if percent >= 0.0995 || percent == 0.0 {
        format!("{}%", decimal(percent))
    } else {
        let digits = (1.0 - percent.log10().floor()).clamp(0.0, 12.0) as usize;
        format!("{percent:.digits$}%")
    }
}

/// Returns an expectation as text: `lost = 0`, `propagation_p99 <= 10s`.
pub fn expectation(expectation: &Expectation) -> String {
    let written = expectation.expected.trim();
    if written.starts_with(['<', '>', '=', '!']) {
        format!("{} {written}", expectation.metric)
    } else {
        format!("{} = {written}", expectation.metric)
    }
}

/// What was seen, in the unit that the metric has.
pub fn observed(expectation: &Expectation) -> String {
    let Some(value) = expectation.observed else {
        // What was missed without a figure is infinite; the rest was not measured.
        let missed = expectation.met == Some(false);
        return if missed { NEVER } else { DASH }.to_owned();
    };
    let metric = expectation.metric.as_str();
    if ["drain", "recovery", "time_to_normal"].contains(&metric) {
        return seconds(Some(value));
    }
    let is_latency = ["order_", "propagation_", "end_to_end_", "longest_staleness"]
        .iter()
        .any(|kind| metric.starts_with(kind));
    if is_latency {
        milliseconds(value)
    } else {
        cost(metric, value)
    }
}

/// Returns what something costs, by the metric's name, in the unit that it has; of another metric, a plain number.
pub fn cost(metric: &str, value: f64) -> String {
    match metric {
        "outbox_peak" | "slot_wal_peak" | "relay_memory_peak" | "wal_per_event" => {
            bytes(Some(value))
        }
        "cpu_per_event" => milliseconds(value / 1e3),
        "blocked_orders" | "blocked_consumers" => milliseconds(value),
        _ => decimal(value),
    }
}

/// Returns the verdict in a word: `pass`, `fail` or `unknown`.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Unknown => "unknown",
    }
}

/// Returns in a word whether an expectation was met: `met`, `missed`, or `unknown` for `None`.
pub fn met(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "unknown",
    }
}

/// Returns an offending event in words: `order 0000002a-… version 2: committed at 6.214 s; …: lost`.
pub fn offence(offence: &Offence) -> String {
    let told = offence.told();
    match (&offence.order_id, offence.version) {
        (Some(order), Some(version)) => format!("order {order} version {version}: {told}"),
        (Some(order), None) => format!("order {order}: {told}"),
        (None, _) => told.to_owned(),
    }
}

/// Returns a metric's name, such as `double_applied`, as people say it.
pub fn spoken(metric: &str) -> String {
    metric.replace('_', " ")
}

/// Returns the names as a sentence lists them: `a`, `a and b`, `a, b and c`.
pub fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(5880), "5,880");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn durations_have_the_unit_that_reads_best() {
        assert_eq!(milliseconds(0.0), "0.00 ms");
        assert_eq!(milliseconds(0.614), "0.61 ms");
        assert_eq!(milliseconds(2.13), "2.1 ms");
        assert_eq!(milliseconds(412.4), "412 ms");
        assert_eq!(milliseconds(999.7), "1.00 s");
        assert_eq!(milliseconds(4123.0), "4.12 s");
        assert_eq!(milliseconds(f64::NAN), DASH);
    }

    #[test]
    fn a_percentile_of_nothing_is_a_dash_and_of_the_lost_infinite() {
        let nothing = Latency::default();
        assert_eq!(percentile(&nothing, nothing.p99), DASH);
        assert_eq!(percentiles(&nothing, &[None, None]), DASH);
        let some_lost = Latency {
            p50: Some(1.5),
            count: 100,
            censored: 5,
            ..Latency::default()
        };
        assert_eq!(percentile(&some_lost, some_lost.p99), NEVER);
        assert_eq!(
            percentiles(&some_lost, &[some_lost.p50, some_lost.p99]),
            "1.5 ms / ∞"
        );
    }

    #[test]
    fn a_shared_unit_is_said_once() {
        let latency = Latency::default();
        assert_eq!(
            percentiles(&latency, &[Some(0.5), Some(12.0)]),
            "0.50 / 12 ms"
        );
        assert_eq!(
            percentiles(&latency, &[Some(0.5), Some(12e3)]),
            "0.50 ms / 12.0 s"
        );
    }

    #[test]
    fn an_expectation_reads_as_written() {
        let mut expected = Expectation {
            metric: "lost".to_owned(),
            expected: "0".to_owned(),
            observed: Some(17.0),
            met: Some(false),
            implicit: false,
            reason: String::new(),
        };
        assert_eq!(expectation(&expected), "lost = 0");
        assert_eq!(observed(&expected), "17");
        expected.metric = "propagation_p99".to_owned();
        expected.expected = "<= 10s".to_owned();
        assert_eq!(expectation(&expected), "propagation_p99 <= 10s");
        assert_eq!(observed(&expected), "17 ms");
        expected.observed = None;
        assert_eq!(observed(&expected), NEVER);
        expected.met = None;
        assert_eq!(observed(&expected), DASH);
    }

    #[test]
    fn bytes_have_the_unit_that_reads_best() {
        assert_eq!(bytes(None), DASH);
        assert_eq!(bytes(Some(f64::NAN)), DASH);
        assert_eq!(bytes(Some(0.0)), "0 B");
        assert_eq!(bytes(Some(412.4)), "412 B");
        assert_eq!(bytes(Some(1023.6)), "1 KiB");
        assert_eq!(bytes(Some(1240.0)), "1.21 KiB");
        assert_eq!(bytes(Some(3.5 * 1_048_576.0)), "3.5 MiB");
        assert_eq!(bytes(Some(2e15)), "1,862,645 GiB");
    }

    #[test]
    fn small_shares_keep_two_digits() {
        assert_eq!(share(0.5), "50%");
        assert_eq!(share(3.0 / 5880.0), "0.051%");
        assert_eq!(share(3.0 / 1_000_000.0), "0.00030%");
    }
}
