//! A run that its user ended.

use super::{Doubt, Grounds, nothing};

/// It is complete only by chance.
pub fn by_the_user(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    if !grounds.context.history().meta.interrupted {
        return Vec::new();
    }
    let reason = "the run was interrupted while this strategy was under way".to_owned();
    vec![Doubt::new(reason, nothing)]
}
