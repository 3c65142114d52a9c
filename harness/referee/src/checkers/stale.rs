//! Stale: the cache, after the fence, answers another version of an order than the committed one. What the cache has
//! lost is not stale: a read asks the database for it. Nor is, as yet, what a relay invalidates, where the source still
//! holds the newest change: its invalidation may still come.

use super::Offence;
use super::context::{Context, version_name};
use super::tally::Tally;
use crate::history::{CachedRow, NONE};

/// Counts orders of which the cache held another version than the highest that is committed.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let view = &context.view;
    for (row, committed, newest) in differing(context) {
        if awaits_invalidation(context, newest) {
            continue;
        }
        // Had the invalidation for this change been done, and stayed done, the entry would be gone, or as new.
        let span = newest.map_or_else(|| view.whole(), |slot| view.delivery_span(slot));
        tally.add(span, || {
            let held = match row.version {
                0 => "something that no version can be read from".to_owned(),
                version => format!("version {version}"),
            };
            let instead = match newest {
                Some(slot) => format!(
                    "version {committed} is the committed one, {}",
                    context.answer_of(slot)
                ),
                None => "nothing of that order is committed".to_owned(),
            };
            Offence {
                what: format!(
                    "{}: at the end the cache holds {held}, and {instead}{}",
                    version_name(row.order, 0),
                    context.meanwhile(span)
                ),
                ..offence(
                    row,
                    newest.map_or(NONE, |slot| view.join.attempt(slot)),
                    committed,
                )
            }
        });
    }
}

/// Counts orders of which the cache held another version, and the source still the change that takes it out.
pub fn awaiting(context: &Context<'_>) -> usize {
    differing(context)
        .filter(|(_, _, newest)| awaits_invalidation(context, *newest))
        .count()
}

/// What the cache held that is not the committed version: with that version, and the slot that has it.
fn differing<'c>(
    context: &'c Context<'_>,
) -> impl Iterator<Item = (CachedRow, u32, Option<usize>)> + 'c {
    let join = &context.view.join;
    let rows = context.history().cached.iter().map(|row| {
        let newest = join.slots_of(row.order).next_back();
        let committed = newest.map_or(0, |slot| join.truth.at(slot).version);
        (row, committed, newest)
    });
    rows.filter(|(row, committed, _)| row.version != *committed || *committed == 0)
}

fn awaits_invalidation(context: &Context<'_>, newest: Option<usize>) -> bool {
    let topology = context.view.topology();
    topology.is_some_and(|topology| topology.relay_invalidates)
        && newest.is_some_and(|slot| context.view.join.held(slot))
}

fn offence(row: CachedRow, attempt: u32, committed: u32) -> Offence {
    Offence {
        order: row.order,
        version: committed,
        attempt,
        record: None,
        read: None,
        against_order: row.order,
        against: row.version,
        what: String::new(),
    }
}
