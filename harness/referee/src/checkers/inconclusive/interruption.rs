//! A run that its user ended.

use super::{Grounds, Inconclusive, nothing};

/// It is complete only by chance.
pub fn by_the_user(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    if !grounds.context.history().meta.interrupted {
        return Vec::new();
    }
    let reason = "the run was interrupted while this strategy was under way".to_owned();
    vec![Inconclusive::new(reason, nothing)]
}
