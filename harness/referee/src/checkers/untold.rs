//! Lost or undrained, where the source cannot be asked what it still holds: a relay whose file has no
//! `pending` query. What was not published is one or the other. Where both are bounded so that they cannot
//! share it out, that is a miss all the same; else this run cannot tell.

use super::compared::{Compared, Seen};
use super::tally::Tally;
use super::whereabouts;
use crate::scenario::{Comparison, Expectation, Metric};

/// What comes of an expectation of the two; `None` where the source was asked, or nothing is missing.
pub(super) fn check(expectation: &Expectation, seen: &Seen<'_, '_>) -> Option<Compared> {
    if !matches!(expectation.metric, Metric::Lost | Metric::Undrained) {
        return None;
    }
    let topology = seen.context.view.topology();
    if topology.is_none_or(|topology| topology.tells_pending) {
        return None;
    }
    let missing = seen.tally(Metric::Lost).map_or(0, Tally::count);
    if missing == 0 {
        return None;
    }
    let hint = whereabouts::hint(seen.context, expectation.metric);
    let reason = format!(
        "{missing} committed changes were not published, and nothing tells whether the source still \
         holds them: the relay's file has no `pending` query{hint}"
    );
    let most = most(seen).filter(|most| missing as f64 > *most);
    if let (Metric::Lost, Some(most)) = (expectation.metric, most) {
        let expected = match most > 0.0 {
            true => format!("expected {most} at most, lost and undrained together"),
            false => "expected neither lost nor undrained".to_owned(),
        };
        let reason = format!("{expected}, and {reason}");
        return Some(Compared::missed(reason).saw(Some(missing as f64)));
    }
    Some(Compared::open(reason))
}

/// How many may be lost or undrained, whichever they are; nothing where one of the two is not bounded from
/// above.
fn most(seen: &Seen<'_, '_>) -> Option<f64> {
    let strategy = crate::view::strategy(seen.context.history());
    let expected = strategy.map_or(&[][..], |s| &s.expectations);
    let bound = |metric| {
        let of_it = expected.iter().filter(|e| e.metric == metric);
        let from_above = of_it.filter(|e| e.comparison != Comparison::AtLeast);
        from_above.map(|e| e.value).min_by(f64::total_cmp)
    };
    Some(bound(Metric::Lost)? + bound(Metric::Undrained)?)
}
