//! Missing: the client was told "committed at v", and `attempts[v]` is something else. A retry of
//! the same change counts as that change.

use super::context::Context;
use super::tally::Tally;
use crate::history::{NONE, Outcome, Request};

/// Counts promises that the database does not keep.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    for (attempt, request) in context.history().requests.numbered() {
        if request.outcome != Outcome::Committed {
            continue;
        }
        let slot = join.slot(request.order, request.told_version);
        if slot.is_some_and(|slot| holds(context, slot, attempt as u32, request)) {
            continue;
        }
        let span = context.view.request_span(request);
        tally.add(span, || {
            let found = match slot {
                None => "the order has no such version".to_owned(),
                Some(slot) => match join.truth.at(slot).attempt {
                    NONE => "that version was made by an attempt of nobody".to_owned(),
                    other => format!("that version was made by attempt {other}"),
                },
            };
            super::Offence {
                order: request.order,
                version: request.told_version,
                attempt: attempt as u32,
                record: None,
                read: None,
                against_order: request.order,
                against: 0,
                what: format!(
                    "order {}: the client was told at {} that its change is committed as version \
                     {}, but {found}{}",
                    request.order,
                    context.at(request.ended_ns),
                    request.told_version,
                    context.meanwhile(span)
                ),
            }
        });
    }
}

fn holds(context: &Context<'_>, slot: usize, attempt: u32, request: Request) -> bool {
    let join = &context.view.join;
    join.attempt(slot) == attempt || join.change(slot) == Some(request.change)
}
