//! Lost or undrained, where the source cannot be asked what it still holds: a relay whose file has no
//! `pending` query. What was not published is one or the other. Where neither may be, that is a miss all
//! the same; where one of them may, this run cannot tell.

use super::compared::{Compared, Seen};
use super::tally::Tally;
use crate::scenario::{Comparison, Expectation, Metric};

/// What comes of an expectation of the two; `None` where the source was asked, or nothing is missing.
pub(super) fn check(expectation: &Expectation, seen: &Seen<'_, '_>) -> Option<Compared> {
    if !matches!(expectation.metric, Metric::Lost | Metric::Undrained) {
        return None;
    }
    let tells = |kind: &crate::scenario::StrategyKind| kind.topology().tells_pending;
    if seen.context.view.kind().is_none_or(tells) {
        return None;
    }
    let missing = seen.tally(Metric::Lost).map_or(0, Tally::count);
    if missing == 0 {
        return None;
    }
    let reason = format!(
        "{missing} committed changes were not published, and nothing tells whether the source still \
         holds them: the relay's file has no `pending` query"
    );
    if expectation.metric == Metric::Lost && neither_may_be(seen) {
        let reason = format!("expected neither lost nor undrained, and {reason}");
        return Some(Compared::missed(reason).saw(Some(missing as f64)));
    }
    Some(Compared::open(reason))
}

fn neither_may_be(seen: &Seen<'_, '_>) -> bool {
    let strategy = crate::view::strategy(seen.context.history());
    let expected = strategy.map_or(&[][..], |s| &s.expectations);
    let is_zero = |metric| {
        let none = |e: &&Expectation| e.comparison != Comparison::AtLeast && e.value == 0.0;
        expected
            .iter()
            .filter(|e| e.metric == metric)
            .any(|e| none(&e))
    };
    is_zero(Metric::Lost) && is_zero(Metric::Undrained)
}
