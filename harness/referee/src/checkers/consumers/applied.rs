//! The effects of one consumer, joined with the valid events: linear in both.

use crate::checkers::Offence;
use crate::checkers::context::{Context, version_name};
use crate::checkers::tally::Tally;
use crate::history::{ConsumerEnd, EffectRow, History};
use crate::view::{Class, Join, NEVER, Span};

/// What a consumer applied.
pub(super) struct Applied {
    consumer: u32,
    /// So many effects it did.
    pub count: u64,
    /// By slot, when it first applied its valid event; [`NEVER`] where it did not.
    first_ns: Vec<i64>,
}

impl Applied {
    pub fn join(context: &Context<'_>, consumer: u32) -> Self {
        let join = &context.view.join;
        let mut applied = Self {
            consumer,
            count: 0,
            first_ns: vec![NEVER; join.truth.len()],
        };
        for effect in applied.effects(context.history()) {
            applied.count += 1;
            if let Some(slot) = published(join, effect) {
                let first_ns = &mut applied.first_ns[slot];
                *first_ns = (*first_ns).min(effect.at_ns);
            }
        }
        applied
    }

    fn effects<'h>(&self, history: &'h History) -> impl Iterator<Item = EffectRow> + use<'h> {
        let consumer = self.consumer;
        let all = history.effects.iter();
        all.filter(move |effect| effect.consumer == consumer)
    }

    /// Counts effects beyond the first of one change. What a fault does lies between the change, or the first effect, and
    /// the second effect: both copies may be applied at once, when a fault is over.
    pub fn twice(&self, _: &ConsumerEnd, context: &Context<'_>, tally: &mut Tally<'_>) {
        let join = &context.view.join;
        let mut was_applied = vec![false; join.truth.len()];
        for effect in self.effects(context.history()) {
            let Some(slot) = published(join, effect) else {
                continue;
            };
            if !std::mem::replace(&mut was_applied[slot], true) {
                continue;
            }
            let span = self.span_until(effect.at_ns, slot, context);
            tally.add(span, || Offence {
                what: format!(
                    "{}: applied at {}, and again at {}",
                    version_name(effect.order, effect.version),
                    context.at(self.first_ns[slot]),
                    context.at(effect.at_ns)
                ),
                ..offence(effect)
            });
        }
    }

    /// Counts effects after which an order is in an older state than it had been, by whichever effect. One that comes
    /// again at once takes nothing back, and one that comes again when a later version was applied does.
    pub fn out_of_order(&self, _: &ConsumerEnd, context: &Context<'_>, tally: &mut Tally<'_>) {
        let join = &context.view.join;
        // By order, the highest version that was applied.
        let mut highest = vec![0; join.orders()];
        for effect in self.effects(context.history()) {
            let Some(slot) = published(join, effect) else {
                continue;
            };
            let Some(highest) = highest.get_mut(effect.order as usize) else {
                continue;
            };
            if *highest <= effect.version {
                *highest = effect.version;
                continue;
            }
            let against = *highest;
            let span = self.span_until(effect.at_ns, slot, context);
            tally.add(span, || Offence {
                against,
                what: format!(
                    "{}: applied at {}, when version {against} had been",
                    version_name(effect.order, effect.version),
                    context.at(effect.at_ns)
                ),
                ..offence(effect)
            });
        }
    }

    /// From when a change was to be made, or its event first applied, until an effect of it. An event that comes late for
    /// the first time comes when the fault is over that held it back, so its coming is no begin.
    fn span_until(&self, until_ns: i64, slot: usize, context: &Context<'_>) -> Span {
        let from_ns = self.first_ns[slot];
        let first_row = context.view.join.first_row(slot);
        let begun_ns = first_row.map(|row| context.view.record_span(row).from_ns);
        Span {
            from_ns: begun_ns.map_or(from_ns, |begun_ns| begun_ns.min(from_ns)),
            until_ns,
        }
    }

    /// Counts effects of which there is no valid event.
    pub fn unseen(&self, _: &ConsumerEnd, context: &Context<'_>, tally: &mut Tally<'_>) {
        let join = &context.view.join;
        for effect in self.effects(context.history()) {
            if published(join, effect).is_some() {
                continue;
            }
            let at = Span {
                from_ns: effect.at_ns,
                until_ns: effect.at_ns,
            };
            tally.add(at, || Offence {
                what: format!(
                    "{}: applied at {}, and there is no valid event of it",
                    version_name(effect.order, effect.version),
                    context.at(effect.at_ns)
                ),
                ..offence(effect)
            });
        }
    }

    /// Counts valid events without an effect, as far as the consumer has read. An event was passed by the time at
    /// which one behind it on its partition was applied.
    pub fn unapplied(&self, end: &ConsumerEnd, context: &Context<'_>, tally: &mut Tally<'_>) {
        let join = &context.view.join;
        let mut partition = None;
        let mut passed_ns = NEVER;
        let mut found = Vec::new();
        for row in (0..join.log.len()).rev() {
            let record = join.log.at(row);
            if partition.replace(record.partition) != Some(record.partition) {
                passed_ns = NEVER;
            }
            if join.class(row) != Class::First {
                continue;
            }
            let Some(slot) = join.slot_of_row(row) else {
                continue;
            };
            let has_read = committed(end, record.partition) > record.offset;
            match self.first_ns[slot] {
                NEVER if has_read => found.push((row, passed_ns)),
                NEVER => {}
                at_ns => passed_ns = passed_ns.min(at_ns),
            }
        }
        for (row, passed_ns) in found.into_iter().rev() {
            let on_topic_ns = join.on_topic_ns(row);
            let span = Span {
                from_ns: on_topic_ns,
                until_ns: passed_ns.max(on_topic_ns),
            };
            tally.add(span, || {
                let what = format!("read and not applied: {}", context.place(row));
                context.record_offence(row, &what)
            });
        }
    }
}

/// The slot of an effect, if there is a valid event that it can be of.
fn published(join: &Join<'_>, effect: EffectRow) -> Option<usize> {
    let slot = join.slot(effect.order, effect.version)?;
    let is_of_it = join.attempt(slot) == effect.attempt && join.first_row(slot).is_some();
    is_of_it.then_some(slot)
}

fn committed(end: &ConsumerEnd, partition: i32) -> i64 {
    end.committed.get(&partition).copied().unwrap_or(0)
}

/// How many records are behind what a consumer had read, whatever they are.
pub(super) fn left_unread(join: &Join<'_>, end: &ConsumerEnd) -> u64 {
    if let Some(queued @ 1..) = end.queued {
        return queued;
    }
    let unread = join
        .log
        .iter()
        .filter(|r| r.offset >= committed(end, r.partition));
    unread.count() as u64
}

/// How many events a consumer had read that were on the topic before.
pub(super) fn copies(join: &Join<'_>, end: &ConsumerEnd) -> u64 {
    let copies = join.rows_of(Class::Duplicate).filter(|row| {
        let record = join.log.at(*row);
        record.offset < committed(end, record.partition)
    });
    copies.count() as u64
}

fn offence(effect: EffectRow) -> Offence {
    Offence {
        order: effect.order,
        version: effect.version,
        attempt: effect.attempt,
        record: None,
        read: None,
        against_order: effect.order,
        against: 0,
        what: String::new(),
    }
}
