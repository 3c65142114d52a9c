//! Faults by their ids: each has its own, and who waits for another fault waits for one that can come.

use super::faults::PlacedFault;
use super::source::{Problems, suggest};
use super::units::show_duration;
use super::{Strategy, Workload};
use std::time::Duration;

/// Notes ids that several faults have, and faults that wait for one that cannot come. `declared` are the
/// ids of all faults of the file, of broken ones too: those must not make the others look wrong.
pub(super) fn check(
    faults: &[PlacedFault],
    declared: &[&str],
    workload: Option<&Workload>,
    strategies: &[Strategy],
    problems: &Problems,
) {
    twins(faults, problems);
    for placed in faults {
        let Some((awaited, _)) = placed.fault.trigger().and_then(|t| t.follows()) else {
            continue;
        };
        let wrong = unknown(awaited, declared)
            .or_else(|| circle(placed, faults))
            .or_else(|| unfelt(placed, faults, strategies))
            .or_else(|| too_late(placed, faults, workload?));
        if let Some((what, help)) = wrong {
            problems.add(placed.start_span.clone(), what, help);
        }
    }
}

/// What is wrong, and what would be right.
type ChainProblem = (String, String);

fn twins(faults: &[PlacedFault], problems: &Problems) {
    let mut ids: Vec<&str> = Vec::new();
    let mut in_file: Vec<&PlacedFault> = faults.iter().collect();
    in_file.sort_by_key(|p| p.span.start);
    for placed in in_file {
        let (Some(id), Some(span)) = (placed.fault.id.as_deref(), &placed.id_span) else {
            continue;
        };
        if ids.contains(&id) {
            problems.add(
                span.clone(),
                format!("another fault has the `id` `{id}` already"),
                "give each fault an `id` of its own, or leave out one that nobody waits for",
            );
        }
        ids.push(id);
    }
}

fn of<'p>(id: &str, faults: &'p [PlacedFault]) -> Option<&'p PlacedFault> {
    faults.iter().find(|p| p.fault.id.as_deref() == Some(id))
}

/// The fault that it waits for, and for how long after that one's injection.
fn awaited<'p>(
    placed: &'p PlacedFault,
    faults: &'p [PlacedFault],
) -> Option<(&'p PlacedFault, Duration)> {
    let (id, after) = placed.fault.trigger()?.follows()?;
    Some((of(id, faults)?, after))
}

/// All that it waits for, nearest first. A circle is gone round once.
fn ancestors<'p>(
    placed: &'p PlacedFault,
    faults: &'p [PlacedFault],
) -> Vec<(&'p PlacedFault, Duration)> {
    let next = |(placed, _): &(&'p PlacedFault, Duration)| awaited(placed, faults);
    std::iter::successors(awaited(placed, faults), next)
        .take(faults.len())
        .collect()
}

fn unknown(awaited: &str, declared: &[&str]) -> Option<ChainProblem> {
    if declared.contains(&awaited) {
        return None;
    }
    let help = match declared {
        [] => {
            "no fault of this file has an `id`: give one to the fault that it waits for".to_owned()
        }
        ids => format!("faults of this file: {}", suggest(awaited, ids)),
    };
    Some((format!("no fault has the `id` `{awaited}`"), help))
}

fn circle(placed: &PlacedFault, faults: &[PlacedFault]) -> Option<ChainProblem> {
    let is_itself = |(p, _): &(&PlacedFault, Duration)| p.span == placed.span;
    ancestors(placed, faults).iter().any(is_itself).then(|| {
        (
            "the fault waits for itself, directly or by way of others: it is never injected"
                .to_owned(),
            "give one of the faults of this circle a time (`at`), or a count to wait for"
                .to_owned(),
        )
    })
}

/// A fault is only injected where it concerns the strategy, and whoever waits for it elsewhere waits in
/// vain.
fn unfelt(
    placed: &PlacedFault,
    faults: &[PlacedFault],
    strategies: &[Strategy],
) -> Option<ChainProblem> {
    let (named, _) = awaited(placed, faults)?;
    let in_vain = strategies
        .iter()
        .find(|s| placed.fault.concerns(s.topology()) && !named.fault.concerns(s.topology()))?;
    Some((
        format!(
            "`{}` feels this fault and not {} on {}, for which it waits: there it is never injected",
            in_vain.name,
            named.fault.kind.name(),
            named.fault.target.name()
        ),
        "let it wait for a fault that every strategy feels that feels this one, or for a count"
            .to_owned(),
    ))
}

/// The earliest that it can begin is when the load is over.
fn too_late(
    placed: &PlacedFault,
    faults: &[PlacedFault],
    workload: &Workload,
) -> Option<ChainProblem> {
    let chain = ancestors(placed, faults);
    let first_at = chain.last().and_then(|(first, _)| first.fault.at());
    let waits = chain.iter().map(|(_, after)| *after);
    let earliest = waits.fold(first_at.unwrap_or_default(), Duration::saturating_add);
    (earliest >= workload.duration).then(|| {
        (
            format!(
                "the fault begins at {} at the earliest, and the workload lasts {}",
                show_duration(earliest),
                show_duration(workload.duration)
            ),
            "shorten `after`, begin the fault that it waits for earlier, or lengthen the workload"
                .to_owned(),
        )
    })
}
