//! Sentences and timelines on histories made by hand, one for each kind and cause.
#![allow(clippy::unwrap_used)]

mod answers;
mod given;
mod lost;
mod phantom;
mod soup;
mod timelines;
mod topic;
