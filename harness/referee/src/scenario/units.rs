//! Quantities with units, as scenario files write them: durations, sizes, rates.

use std::time::Duration;

/// What to write where a duration is wanted.
pub const DURATION_HELP: &str =
    "write a duration such as \"4s\" or \"250ms\" (units: us, ms, s, m, h)";
/// What to write where a size is wanted.
pub const SIZE_HELP: &str =
    "write bytes as an integer, or a size such as \"64KB\" (B, KB = 1,000, KiB = 1,024, MB, MiB)";
/// What to write where a bandwidth is wanted.
pub const BANDWIDTH_HELP: &str =
    "write KB/s as an integer, or a rate such as \"100KB/s\" or \"2MB/s\" (1 KB = 1,000 bytes)";

/// Nothing in a scenario lasts longer: 1,000 hours, far above every bound, far below any overflow.
const LONGEST_NS: u128 = 1_000 * 3_600 * 1_000_000_000;

/// Splits a text into a number, without sign and exponent, as whole part and billionths, and the unit behind it.
fn split(text: &str) -> Option<(u64, u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 15 || fraction.len() > 9 {
        return None;
    }
    if number.contains('.') && (fraction.is_empty() || fraction.contains('.')) {
        return None;
    }
    let billionths = format!("{fraction:0<9}").parse().ok()?;
    Some((whole.parse().ok()?, billionths, unit.trim_start()))
}

/// Reads a duration such as `250ms`, `4s`, `1.5s`, `2m` or `1h`; `None` if the text is none.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (whole, billionths, unit) = split(text)?;
    let unit_ns: u128 = match unit {
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let ns = u128::from(whole) * unit_ns + u128::from(billionths) * unit_ns / 1_000_000_000;
    Some(Duration::from_nanos(ns.min(LONGEST_NS) as u64))
}

/// Reads a size such as `64KB`, `1MiB` or `512B`, in bytes; `None` if the text is none.
pub fn parse_size(text: &str) -> Option<u64> {
    scaled(text, |unit| match unit {
        "B" => Some(1),
        "KB" | "kB" => Some(1_000),
        "KiB" => Some(1_024),
        "MB" => Some(1_000_000),
        "MiB" => Some(1_048_576),
        _ => None,
    })
}

/// Reads a bandwidth such as `100KB/s` or `2MB/s`, in KB a second, where 1 KB is 1,000 bytes, as Toxiproxy counts;
/// `None` if the text is none.
pub fn parse_bandwidth(text: &str) -> Option<u64> {
    scaled(text, |unit| match unit {
        "KB/s" | "kB/s" => Some(1),
        "MB/s" => Some(1_000),
        _ => None,
    })
}

fn scaled(text: &str, scale: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let (whole, billionths, unit) = split(text)?;
    let scale = u128::from(scale(unit)?);
    let value = u128::from(whole) * scale + u128::from(billionths) * scale / 1_000_000_000;
    u64::try_from(value).ok()
}

/// Returns the shortest exact way to write a duration: `4s`, `250ms`, `1.5s`, `2m`.
pub fn show_duration(duration: Duration) -> String {
    let ns = duration.as_nanos();
    for (unit_ns, unit) in [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ] {
        if ns >= unit_ns && ns.is_multiple_of(unit_ns) {
            return format!("{}{unit}", ns / unit_ns);
        }
    }
    match ns {
        0 => "0s".to_owned(),
        1_000_000_000.. => format!("{}s", duration.as_secs_f64()),
        1_000_000.. => format!("{}ms", ns as f64 / 1e6),
        _ => format!("{}us", ns as f64 / 1e3),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("4 s"), Some(Duration::from_secs(4)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("1h"), Some(Duration::from_secs(3600)));
        assert_eq!(parse_duration("7us"), Some(Duration::from_micros(7)));
        for bad in [
            "",
            "4",
            "s",
            "-4s",
            "4sec",
            "1.s",
            ".5s",
            "1..2s",
            "1e3s",
            "4s4",
            "99999999999999999s",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_and_rates_have_their_own_units() {
        assert_eq!(parse_size("64KB"), Some(64_000));
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("1.5MB"), Some(1_500_000));
        assert_eq!(parse_size("64KB/s"), None);
        assert_eq!(parse_bandwidth("100KB/s"), Some(100));
        assert_eq!(parse_bandwidth("2MB/s"), Some(2_000));
        assert_eq!(parse_bandwidth("100KB"), None);
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_as_itself(us in 0u64..100_000_000_000) {
            let duration = Duration::from_micros(us);
            let back = parse_duration(&show_duration(duration)).unwrap();
            prop_assert!(back.abs_diff(duration) < Duration::from_micros(1), "{}", show_duration(duration));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (parse_duration(&text), parse_size(&text), parse_bandwidth(&text));
        }
    }
}
