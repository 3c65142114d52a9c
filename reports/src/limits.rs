//! What a run does not prove, said in the open.

use crate::figures;
use crate::record::{Record, Strategy, Verdict};

/// Below this many trials the bound 3/n is above one, and says nothing.
const FEWEST_TRIALS: u64 = 4;

/// Returns the limits of this run, one sentence or two each.
pub fn of(record: &Record) -> Vec<String> {
    let mut limits = record.not_tested.clone();
    limits.extend(replication(record));
    limits.push(crashes(record));
    limits.extend(record.strategies.iter().filter_map(bounds));
    limits.push(
        "One run on one machine: compare strategies within it, not its latencies with another \
         machine's."
            .to_owned(),
    );
    limits
}

fn replication(record: &Record) -> Option<String> {
    let factor = record.stack.environment.iter().find_map(|(name, value)| {
        let name = name.to_lowercase().replace(['_', '-', '.'], " ");
        name.contains("replication factor").then_some(value.trim())
    });
    match factor {
        Some(factor) if factor.parse::<u64>().is_ok_and(|n| n > 1) => None,
        Some(factor) => {
            let of_kafka = match record.stack.kafka.version.is_empty() {
                true => "",
                false => " with one replica acks=all means no more than acks=1.",
            };
            Some(format!(
                "Replication factor {factor}:{of_kafka} Nothing is proved about replication, or about the loss of a \
                 broker's disk."
            ))
        }
        None => Some(
            "The replication factor was not recorded, so nothing is proved about replication, or \
             about the loss of a broker's disk."
                .to_owned(),
        ),
    }
}

fn crashes(record: &Record) -> String {
    let killed = record
        .strategies
        .iter()
        .flat_map(|strategy| &strategy.faults)
        .any(|fault| fault.kind == "kill" && fault.injected_s.is_some());
    if killed {
        "Processes were killed with SIGKILL, which keeps the operating system's page cache: what a \
         power cut does to writes that were not flushed was not tested."
    } else {
        "No process was killed: nothing is proved about crashes."
    }
    .to_owned()
}

/// Where nothing bad was seen in n trials, how much of it there may still be: 95% bound 3/n.
fn bounds(strategy: &Strategy) -> Option<String> {
    if strategy.verdict == Verdict::Unknown {
        return None;
    }
    let counts = &strategy.counts;
    let outcomes = &strategy.outcomes;
    let uncommitted = outcomes.neither.zip(outcomes.event_only);
    let uncommitted = uncommitted.map_or(0, |(neither, event)| neither.saturating_add(event));
    let committed = counts.committed.unwrap_or(0);
    let kills = strategy
        .faults
        .iter()
        .filter(|fault| fault.kind == "kill" && fault.bit == Some(true))
        .count() as u64;
    let mut parts = Vec::new();
    if counts.lost == Some(0) && committed > 0 {
        let trials = figures::counted(committed, "committed change");
        parts.push(bound("lost", &trials, committed));
    }
    if counts.phantom == Some(0) && uncommitted > 0 {
        let trials = figures::counted(uncommitted, "uncommitted attempt");
        parts.push(bound("published as phantoms", &trials, uncommitted));
    }
    if counts.lost == Some(0) && kills > 0 {
        let trials = figures::count(kills) + if kills == 1 { " crash" } else { " crashes" };
        parts.push(bound("with a loss", &trials, kills));
    }
    (!parts.is_empty()).then(|| format!("{}: {}.", strategy.name, parts.join("; ")))
}

fn bound(what: &str, trials: &str, n: u64) -> String {
    if n < FEWEST_TRIALS {
        return format!("0 of {trials} {what}, too few to bound anything");
    }
    let share = figures::share(3.0 / n as f64);
    format!("0 of {trials} {what}, so with 95% confidence less than {share} are (3/n)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_three_over_n_and_few_trials_bound_nothing() {
        let text = bound("lost", "6,000 committed changes", 6000);
        assert!(text.contains("less than 0.050%"), "{text}");
        let text = bound("with a loss", "1 crash", 1);
        assert!(text.contains("too few"), "{text}");
    }
}
