//! Stale reads: answered a version older than one that a client had been told is committed, before the read was sent;
//! from whatever source the answer came. And how long what they should have seen had been known: the longest of them.

use super::Offence;
use super::context::{Context, version_name};
use super::tally::Tally;
use crate::history::{ReadOutcome, ReadRow, ReadSource};
use crate::view::Span;

/// Counts reads that did not see what had been acknowledged before they were sent.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    // What reads had to see is looked up for all versions at once, which nobody needs where nobody reads.
    if context.history().reads.is_empty() {
        return;
    }
    let view = &context.view;
    let freshness = view.freshness();
    for (number, read) in context.history().reads.numbered() {
        let Some((missed, told_ns)) = freshness.missed(&view.join, &read) else {
            continue;
        };
        let span = view.stale_span(missed, &read);
        tally.add(span, || {
            let due = freshness.newest_before(&view.join, read.order, read.sent_ns);
            let due = view.join.truth.at(due.unwrap_or(missed));
            Offence {
                order: read.order,
                version: due.version,
                attempt: due.attempt,
                record: None,
                read: u32::try_from(number).ok(),
                against_order: read.order,
                against: read.version,
                what: format!(
                    "{}: the read sent at {} was answered {}{} at {}, {:.3} s after a later version had been acknowledged{}",
                    version_name(read.order, due.version),
                    context.at(read.sent_ns),
                    answered(&read),
                    from(read.source),
                    context.at(read.ended_ns),
                    seconds(told_ns, &read),
                    context.meanwhile(span)
                ),
            }
        });
    }
}

/// What a read was answered, in words: `version 2`.
pub fn answered(read: &ReadRow) -> String {
    match (read.outcome, read.version) {
        (ReadOutcome::NotSent, _) => "nothing: it was never sent".to_owned(),
        (ReadOutcome::Failed, _) => "nothing".to_owned(),
        (ReadOutcome::NotFound, _) => "\"no such order\"".to_owned(),
        (ReadOutcome::Answered, version) => format!("version {version}"),
    }
}

/// Says where an answer comes from: ` from the cache`.
pub fn from(source: ReadSource) -> &'static str {
    match source {
        ReadSource::Unknown => "",
        ReadSource::Cache => " from the cache",
        ReadSource::Database => " from the database (a miss)",
        ReadSource::Fallback => " from the database (the cache could not be asked)",
    }
}

/// Returns how long, in milliseconds, what a stale read should have seen had been acknowledged when it was answered: the
/// longest of those that `counts` lets count by the time in which they came about, and 0 where none of them is. It is
/// `None` where none of the reads was answered.
pub fn longest_ms(context: &Context<'_>, counts: impl Fn(Span) -> bool) -> Option<f64> {
    if context.history().reads.is_empty() {
        return None;
    }
    let view = &context.view;
    let freshness = view.freshness();
    let mut longest_ns: Option<i64> = None;
    for read in &context.history().reads {
        if !matches!(read.outcome, ReadOutcome::Answered | ReadOutcome::NotFound) {
            continue;
        }
        let stale = freshness.missed(&view.join, &read);
        let span = match stale {
            Some((missed, _)) => view.stale_span(missed, &read),
            None => Span {
                from_ns: read.intended_ns.min(read.ended_ns),
                until_ns: read.ended_ns,
            },
        };
        if counts(span) {
            let ns = stale.map_or(0, |(_, told_ns)| read.ended_ns.saturating_sub(told_ns));
            longest_ns = longest_ns.max(Some(ns));
        }
    }
    longest_ns.map(|ns| ns as f64 / 1e6)
}

fn seconds(told_ns: i64, read: &ReadRow) -> f64 {
    read.ended_ns.saturating_sub(told_ns) as f64 / 1e9
}
