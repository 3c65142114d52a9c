//! Counts must add up; where they do not, the history contradicts itself and nothing that was
//! computed from it can be believed: the check fails.

use crate::history::{NONE, TruthRow};
use crate::view::Join;
use reports::record::{Counts, Outcomes};

/// What does not add up; empty when all does. Of a history that was read whole: no figure is null.
pub fn errors(join: &Join<'_>, counts: &Counts, outcomes: &Outcomes) -> Vec<String> {
    let mut errors = Vec::new();
    let is = |figure: Option<u64>| figure.unwrap_or(0);
    let in_database = is(outcomes.db_event) + is(outcomes.db_only);
    let attempts = in_database + is(outcomes.event_only) + is(outcomes.neither);
    if counts.offered != attempts {
        errors.push(format!(
            "accounting: {} attempts were offered, but the four outcomes hold {attempts}",
            counts.offered
        ));
    }
    let accounting = Accounting::of(join);
    let Accounting {
        strangers, repeats, ..
    } = accounting;
    if strangers > 0 {
        errors.push(format!(
            "accounting: the database holds {strangers} versions made by attempts that nobody offered{}",
            accounting.first_stranger.unwrap_or_default()
        ));
    }
    let committed = is(counts.committed);
    let accounted = in_database + repeats + strangers;
    if committed != accounted {
        errors.push(format!(
            "accounting: {committed} versions are committed, but the outcomes hold {accounted} \
             ({repeats} of them by attempts that made more than one)"
        ));
    }
    let undelivered = is(counts.lost) + is(counts.undrained) + is(counts.undecided);
    let published = committed.saturating_sub(undelivered);
    let (duplicated, phantom) = (is(counts.duplicated), is(counts.phantom));
    let (corrupted, foreign) = (is(counts.corrupted), is(counts.foreign));
    let records = published + duplicated + phantom + corrupted + foreign;
    let observed = is(counts.observed);
    if observed != records {
        errors.push(format!(
            "accounting: {observed} records are on the topic, but {records} are explained \
             ({published} first, {duplicated} duplicated, {phantom} phantom, {corrupted} \
             corrupted, {foreign} foreign)"
        ));
    }
    errors.extend(accounting.misplaced);
    errors
}

/// What the database holds, gone through once.
#[derive(Default)]
struct Accounting {
    /// This counts versions of no order of this run, or by attempts that nobody offered.
    strangers: u64,
    /// This names the first version by an attempt that nobody offered, as a clause in brackets.
    first_stranger: Option<String>,
    /// This counts versions beyond the first of an attempt that made several.
    repeats: u64,
    /// Versions that cannot be where they are: gaps, repetitions, another order's attempt, another
    /// change's id. One sentence for the first of each kind.
    misplaced: Vec<String>,
}

impl Accounting {
    fn of(join: &Join<'_>) -> Self {
        let mut accounting = Self::default();
        let mut noted = [false; 3];
        let mut before: Option<TruthRow> = None;
        for (slot, row) in join.truth.numbered() {
            let offered = (row.attempt as usize) < join.history.requests.len();
            if !offered || row.order == NONE {
                accounting.strangers += 1;
            }
            if !offered && accounting.first_stranger.is_none() {
                accounting.first_stranger = Some(format!(
                    " (first: order {} version {})",
                    row.order, row.version
                ));
            }
            let before = before.replace(row);
            if row.order == NONE {
                continue;
            }
            if join.slot_of(row.attempt).is_some_and(|first| first != slot) {
                accounting.repeats += 1;
            }
            let mut note = |kind: usize, text: &dyn Fn() -> String| {
                if !std::mem::replace(&mut noted[kind], true) {
                    accounting.misplaced.push(format!("accounting: {}", text()));
                }
            };
            let expected = match before {
                Some(before) if before.order == row.order => before.version.saturating_add(1),
                _ => 1,
            };
            if row.version != expected {
                note(0, &|| {
                    format!(
                        "order {} has version {} where version {expected} should be",
                        row.order, row.version
                    )
                });
            }
            if join.is_own(slot) && join.change(slot) == Some(row.change) {
                continue;
            }
            let Some(request) = join.request(slot) else {
                continue;
            };
            if request.order != row.order {
                note(1, &|| {
                    format!(
                        "order {} version {} was made by attempt {}, which was for order {}",
                        row.order, row.version, row.attempt, request.order
                    )
                });
            }
            if request.change != row.change {
                note(2, &|| {
                    format!(
                        "order {} version {} is stored as change {}, but attempt {} was for change {}",
                        row.order, row.version, row.change, row.attempt, request.change
                    )
                });
            }
        }
        accounting
    }
}
