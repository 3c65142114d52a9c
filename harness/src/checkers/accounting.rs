//! Counts must add up; where they do not, the history contradicts itself and nothing that was
//! computed from it can be believed: the check fails.

use super::join::Join;
use crate::history::NONE;
use reports::record::{Counts, Outcomes};

/// What does not add up; empty when all does.
pub fn errors(join: &Join<'_>, counts: &Counts, outcomes: &Outcomes) -> Vec<String> {
    let mut errors = Vec::new();
    let attempts = outcomes.db_event + outcomes.db_only + outcomes.event_only + outcomes.neither;
    if counts.offered != attempts {
        errors.push(format!(
            "accounting: {} attempts were offered, but the four outcomes hold {attempts}",
            counts.offered
        ));
    }
    let strangers = join.truth.len() - known(join);
    if strangers > 0 {
        errors.push(format!(
            "accounting: the database holds {strangers} versions made by attempts that nobody offered{}",
            first_stranger(join)
        ));
    }
    let repeats = repeats(join);
    let accounted = outcomes.db_event + outcomes.db_only + repeats + strangers as u64;
    if counts.committed != accounted {
        errors.push(format!(
            "accounting: {} versions are committed, but the outcomes hold {accounted} ({repeats} \
             of them by attempts that made more than one)",
            counts.committed
        ));
    }
    let published = counts
        .committed
        .saturating_sub(counts.lost + counts.undrained + counts.undecided);
    let records =
        published + counts.duplicated + counts.phantom + counts.corrupted + counts.foreign;
    if counts.observed != records {
        errors.push(format!(
            "accounting: {} records are on the topic, but {records} are explained ({published} \
             first, {} duplicated, {} phantom, {} corrupted, {} foreign)",
            counts.observed, counts.duplicated, counts.phantom, counts.corrupted, counts.foreign
        ));
    }
    errors.extend(misplaced(join));
    errors
}

fn known(join: &Join<'_>) -> usize {
    (0..join.truth.len())
        .filter(|slot| join.request(*slot).is_some() && join.truth[*slot].order != NONE)
        .count()
}

fn first_stranger(join: &Join<'_>) -> String {
    (0..join.truth.len())
        .find(|slot| join.request(*slot).is_none())
        .map_or_else(String::new, |slot| {
            let row = join.truth[slot];
            format!(" (first: order {} version {})", row.order, row.version)
        })
}

/// Versions beyond the first of an attempt that made several.
fn repeats(join: &Join<'_>) -> u64 {
    (0..join.truth.len())
        .filter(|slot| join.truth[*slot].order != NONE)
        .filter(|slot| {
            join.slot_of(join.truth[*slot].attempt)
                .is_some_and(|first| first != *slot)
        })
        .count() as u64
}

/// Versions that cannot be where they are: gaps, repetitions, another order's attempt, another
/// change's id. One sentence for the first of each kind.
fn misplaced(join: &Join<'_>) -> Vec<String> {
    let mut errors = Vec::new();
    let mut seen = [false; 3];
    let mut note = |kind: usize, text: String| {
        if !std::mem::replace(&mut seen[kind], true) {
            errors.push(format!("accounting: {text}"));
        }
    };
    for (slot, row) in join.truth.iter().enumerate() {
        if row.order == NONE {
            continue;
        }
        let expected = match slot.checked_sub(1).map(|s| join.truth[s]) {
            Some(before) if before.order == row.order => before.version.saturating_add(1),
            _ => 1,
        };
        if row.version != expected {
            note(
                0,
                format!(
                    "order {} has version {} where version {expected} should be",
                    row.order, row.version
                ),
            );
        }
        let Some(request) = join.request(slot) else {
            continue;
        };
        if request.order != row.order {
            note(
                1,
                format!(
                    "order {} version {} was made by attempt {}, which was for order {}",
                    row.order, row.version, row.attempt, request.order
                ),
            );
        }
        if request.change != row.change {
            note(
                2,
                format!(
                    "order {} version {} is stored as change {}, but attempt {} was for change {}",
                    row.order, row.version, row.change, row.attempt, request.change
                ),
            );
        }
    }
    errors
}
