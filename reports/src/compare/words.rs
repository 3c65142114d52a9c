//! How a comparison is said, in every format alike.

use super::{
    ArmFigures, Better, Compare, CompareRow, FailingArm, FailingRow, Finding, SafetyRow, Subject,
};
use crate::comparison::Tone;
use crate::figures::{self, DASH, NEVER};

/// A change that is larger than this is infinite: one side never came.
const ENDLESS: f64 = 1e12;
/// From here on a change is a factor and no percentage.
const FACTOR: f64 = 9.995;

/// Returns the median of one side: `2.1 ms`, or `∞` where it never came, or a dash.
pub(super) fn median(arm: &ArmFigures, unit: &str) -> String {
    match arm.median {
        Some(median) => crate::bench::value(median, unit),
        None if arm.never > 0 => NEVER.to_owned(),
        None => DASH.to_owned(),
    }
}

/// Returns the median with its range: `2.1 ms (1.9 ms to 2.4 ms)`.
pub(super) fn median_and_range(arm: &ArmFigures, unit: &str) -> String {
    let end = |value: Option<f64>| {
        value.map_or_else(
            || NEVER.to_owned(),
            |value| crate::bench::value(value, unit),
        )
    };
    match (arm.min, arm.never) {
        (None, 0) => DASH.to_owned(),
        (None, _) => NEVER.to_owned(),
        (Some(_), _) => format!(
            "{} ({} to {})",
            median(arm, unit),
            end(arm.min),
            end(arm.max)
        ),
    }
}

/// Returns a change, given as a share, as text: `+20%`, `-3.1%`, `x12`, `∞`.
pub(crate) fn change(change: f64) -> String {
    if change >= ENDLESS {
        return NEVER.to_owned();
    }
    if change >= FACTOR {
        return format!("x{}", figures::decimal(change + 1.0));
    }
    let percent = change * 100.0;
    let digits = usize::from(percent.abs() < 9.95);
    let text = format!("{percent:+.digits$}");
    // What is nothing has no direction.
    let nothing = ["+0.0", "-0.0"].contains(&text.as_str());
    if nothing {
        "0%".to_owned()
    } else {
        format!("{text}%")
    }
}

/// What it may be: `+14% to +27%`, or a dash.
pub(super) fn interval(row: &CompareRow) -> String {
    match row.interval {
        Some((from, to)) => format!("{} to {}", change(from), change(to)),
        None => DASH.to_owned(),
    }
}

/// The rows that have anything to show: what neither side measured is in the record alone.
pub(crate) fn shown(subject: &Subject) -> impl Iterator<Item = (usize, &CompareRow)> {
    let measured = |arm: &ArmFigures| arm.median.is_some() || arm.never > 0;
    let rows = subject.rows.iter().enumerate();
    rows.filter(move |(_, row)| measured(&row.base) || measured(&row.new))
}

/// Returns the centre with its interval: `+20% (+14% to +27%)`.
pub(super) fn change_and_interval(row: &CompareRow) -> String {
    match (row.change, row.interval) {
        (None, _) => DASH.to_owned(),
        (Some(centre), None) => change(centre),
        (Some(centre), Some(_)) => format!("{} ({})", change(centre), interval(row)),
    }
}

/// Returns the rows of each time with a fault in force, by its name.
pub(super) fn failing(subject: &Subject) -> Vec<(&str, Vec<&FailingRow>)> {
    let mut times: Vec<(&str, Vec<&FailingRow>)> = Vec::new();
    for row in &subject.failing {
        match times.iter_mut().find(|(during, _)| *during == row.during) {
            Some((_, rows)) => rows.push(row),
            None => times.push((&row.during, vec![row])),
        }
    }
    times
}

/// Returns how one side of such a row differs from the time without a fault, or a dash.
pub(super) fn failing_change(arm: &FailingArm) -> String {
    arm.change.map_or_else(|| DASH.to_owned(), change)
}

/// This text says how to read those rows.
pub(super) const FAILING: &str = "While a fault was in force, beside the same runs before the first one: events seen \
     on the topic meanwhile, the latency of what was sent meanwhile, and CPU time by event seen. Shown, and asked nothing.";

/// Returns a share as a percentage without a plus sign: `20%`.
pub(super) fn share(share: f64) -> String {
    change(share).trim_start_matches('+').to_owned()
}

/// `worse`, and of what cannot be told how much could have been.
pub(super) fn finding(row: &CompareRow) -> String {
    match (row.finding, row.smallest) {
        (Finding::Better, _) => "better".to_owned(),
        (Finding::Worse, _) => "worse".to_owned(),
        (Finding::NotDistinguishable, Some(smallest)) => {
            format!("not told, <{}", share(smallest))
        }
        (Finding::NotDistinguishable, None) => "cannot be told".to_owned(),
        (Finding::TooFewPairs, _) if row.pairs == 0 => DASH.to_owned(),
        (Finding::TooFewPairs, _) => figures::counted(u64::from(row.pairs), "pair"),
        (Finding::NeverCame, _) => "never came".to_owned(),
        (Finding::Withheld, _) => "not counted".to_owned(),
    }
}

/// The finding alone, where the smallest that could be told stands beside it.
pub(super) fn plain_finding(row: &CompareRow) -> &'static str {
    said(row.finding)
}

/// What was found, in a word or two.
pub(crate) fn said(finding: Finding) -> &'static str {
    match finding {
        Finding::Better => "better",
        Finding::Worse => "worse",
        Finding::NotDistinguishable => "cannot be told",
        Finding::TooFewPairs => "too few pairs",
        Finding::NeverCame => "never came",
        Finding::Withheld => "not counted",
    }
}

/// Returns how a finding should strike the reader.
pub(super) fn tone(row: &CompareRow) -> Tone {
    match row.finding {
        Finding::Better => Tone::Good,
        Finding::Worse if row.beyond_limit == Some(false) => Tone::Warning,
        Finding::Worse => Tone::Bad,
        Finding::NotDistinguishable
        | Finding::TooFewPairs
        | Finding::NeverCame
        | Finding::Withheld => Tone::Faint,
    }
}

/// A sentence for each row in which something was found, and for each that is not counted.
pub(super) fn sentence(subject: &Subject, row: &CompareRow) -> Option<String> {
    let direction =
        match (row.finding, row.better) {
            (Finding::Worse, Better::Lower)
            | (Finding::Better | Finding::Withheld, Better::Higher) => "higher",
            (Finding::Worse, Better::Higher)
            | (Finding::Better | Finding::Withheld, Better::Lower) => "lower",
            (Finding::NotDistinguishable | Finding::TooFewPairs | Finding::NeverCame, _) => {
                return None;
            }
        };
    let judged = match row.finding {
        Finding::Worse => "worse",
        Finding::Better => "better",
        Finding::Withheld => "not counted, since what was not done right has no speed",
        Finding::NotDistinguishable | Finding::TooFewPairs | Finding::NeverCame => return None,
    };
    let by = row.change.map_or_else(
        || DASH.to_owned(),
        |centre| {
            if centre >= ENDLESS {
                "without an end".to_owned()
            } else {
                format!(
                    "by {} ({})",
                    change(centre).trim_start_matches(['+', '-']),
                    interval(row)
                )
            }
        },
    );
    Some(format!(
        "{}: {} is {direction} {by}: {judged}.",
        subject.title, row.name
    ))
}

/// Counts of one side: `0`, `3 in 2 of 12 runs`; a dash where a run did not read it and the others had none.
pub(super) fn counts(runs: &[Option<u64>]) -> String {
    let sum: u64 = runs.iter().flatten().sum();
    let (all, unread) = (runs.len(), runs.iter().filter(|n| n.is_none()).count());
    match runs.iter().flatten().filter(|n| **n > 0).count() {
        0 if unread > 0 => DASH.to_owned(),
        0 => "0".to_owned(),
        _ if all == 1 => figures::count(sum),
        some if unread > 0 => {
            format!("{} in {some} of {all}, {unread} –", figures::count(sum))
        }
        some => format!("{} in {some} of {all}", figures::count(sum)),
    }
}

/// Returns how a count should strike the reader.
pub(super) fn safety_tone(row: &SafetyRow) -> Tone {
    let none = row.new.iter().all(|n| *n == Some(0));
    match (row.harm, row.unread) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Warning,
        (false, false) if none => Tone::Faint,
        (false, false) => Tone::Plain,
    }
}

/// What the page is of: `12 pairs, run in turns`.
pub(super) fn pairs(compare: &Compare) -> String {
    let pairs = figures::counted(u64::from(compare.pairs), "pair");
    if compare.in_turns {
        format!("{pairs}, run in turns")
    } else {
        format!("{pairs}, NOT run in turns")
    }
}

/// Returns the sentences that say how to read the table, with the limit if there is one.
pub(super) fn legend(compare: &Compare) -> String {
    let limit = match compare.max_regression {
        Some(limit) => format!(" The limit is {}.", share(limit)),
        None => String::new(),
    };
    format!(
        "Medians of the runs; the change is the centre of the paired ratios, with the interval it may lie in. \
         \"worse\", \"better\": the interval lies beyond what equal runs differ by, and beyond {}; of {} such pages one \
         at most has any finding by chance. \"not told, <20%\": these pairs show no difference, and the smallest for \
         the worse that they could have shown is 20%.{limit}",
        share(compare.least_told),
        (1.0 / (1.0 - compare.confidence)).round()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_as_people_say_them() {
        for (of, said) in [
            (0.2, "+20%"),
            (-0.0312, "-3.1%"),
            (0.0, "0%"),
            (-0.0001, "0%"),
            (11.0, "x12"),
            (1e80, NEVER),
        ] {
            assert_eq!(change(of), said);
        }
    }

    #[test]
    fn what_was_found_is_a_sentence_and_what_was_not_is_none() {
        let compare = super::super::sample::compare();
        let subject = &compare.subjects[0];
        let said: Vec<Option<String>> = subject
            .rows
            .iter()
            .map(|row| sentence(subject, row))
            .collect();
        assert_eq!(
            said[0].as_deref(),
            Some("a <strategy>: propagation p50 is higher by 20% (+15% to +25%): worse.")
        );
        assert!(
            said[1]
                .as_deref()
                .is_some_and(|s| s.contains("has no speed"))
        );
        assert!(
            said[4]
                .as_deref()
                .is_some_and(|s| s.contains("without an end"))
        );
        assert_eq!((&said[3], &said[5]), (&None, &None));
    }

    #[test]
    fn counts_say_in_how_many_runs() {
        assert_eq!(counts(&[Some(0), Some(0)]), "0");
        assert_eq!(counts(&[Some(2), Some(0), Some(1)]), "3 in 2 of 3");
        assert_eq!(counts(&[Some(2)]), "2");
        assert_eq!(counts(&[Some(0), None]), DASH);
        assert_eq!(counts(&[Some(5), None]), "5 in 1 of 2, 1 –");
    }
}
