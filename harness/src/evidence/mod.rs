//! Did a fault bite? Observers take raw observations while it is in force; a pure function of
//! those observations decides.

use crate::checkers::Bite;
use crate::history::History;

/// One [`Bite`] a fault of the scenario that applies to this strategy (a fault on a link that the
/// strategy does not use applies to it not at all and counts as bitten, saying so).
pub fn bites(history: &History) -> Vec<Bite> {
    let _ = history;
    unimplemented!("H4")
}
