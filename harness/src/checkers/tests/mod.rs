//! What the referee says of histories whose faults are known.
#![allow(clippy::unwrap_used)]

mod doubts;
mod lessons;
mod meanings;
mod model;
mod planted;
pub(crate) mod soup;
mod trace;
