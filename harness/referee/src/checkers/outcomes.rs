//! The four outcomes of an attempt: in the database yes or no, an event yes or no.

use super::context::Context;
use super::reading::Steps;
use crate::view::{Bits, Class};
use reports::record::Outcomes;

/// Every attempt falls into exactly one. In the database the event must be a valid one; not in
/// the database, any event of the attempt counts that is intact (a phantom).
pub fn outcomes(context: &Context<'_>) -> Outcomes {
    let join = &context.view.join;
    if context.reading.lacks(Steps::BOTH_SIDES).is_some() {
        return Outcomes::default();
    }
    let mut has_event = Bits::new(join.history.requests.len());
    let mut has_phantom = Bits::new(join.history.requests.len());
    for (row, record) in join.log.numbered() {
        match join.class(row) {
            Class::First => has_event.set(record.attempt as usize),
            Class::Phantom => has_phantom.set(record.attempt as usize),
            Class::Duplicate | Class::Corrupted | Class::Foreign => {}
        }
    }
    let [mut db_event, mut db_only, mut event_only, mut neither] = [0; 4];
    for attempt in 0..join.history.requests.len() {
        let committed = join.slot_of(attempt as u32).is_some();
        let place = match (committed, has_event.get(attempt), has_phantom.get(attempt)) {
            (true, true, _) => &mut db_event,
            (true, false, _) => &mut db_only,
            (false, _, true) => &mut event_only,
            (false, _, false) => &mut neither,
        };
        *place += 1;
    }
    Outcomes {
        db_event: Some(db_event),
        db_only: Some(db_only),
        event_only: Some(event_only),
        neither: Some(neither),
    }
}
