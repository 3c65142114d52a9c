//! Sentences and timelines on histories made by hand, one for each kind and cause.
#![allow(clippy::unwrap_used)]

mod answers;
mod arbitrary;
mod caches;
mod given;
mod lost;
mod phantom;
mod timelines;
mod topic;
