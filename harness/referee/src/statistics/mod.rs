//! What can be said of figures that were measured several times: medians with their range, and whether two
//! arms of paired rounds differ. Pure: figures in, figures out.
//!
//! No crate that is current has an exact signed-rank interval (`statrs` has no signed-rank test, others take a
//! normal approximation, which is wrong for the dozen rounds that anybody has time for), so it is here, and
//! is held against its definition by brute force.

mod figure;
mod holm;
mod signed_rank;

pub use figure::{figure, median, ratio};
pub use holm::{HolmAnswer, holm};
pub use signed_rank::{MOST_PAIRS, SignedRank};
