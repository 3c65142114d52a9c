//! Without the fence and a complete read, what is still in flight turns into false verdicts. Which
//! metrics a step that failed leaves unknown is in [`crate::checkers::reading`].

use super::{Grounds, Inconclusive, nothing};

/// Every step of the fence must have been taken and have held, and the topic read to its end.
pub fn read(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let reasons = grounds.context.reading.reasons();
    reasons
        .map(|reason| Inconclusive::new(reason.to_owned(), nothing))
        .collect()
}
