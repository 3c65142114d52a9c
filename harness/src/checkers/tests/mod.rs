//! What the referee says of histories whose faults are known.
#![allow(clippy::unwrap_used)]

mod doubts;
mod explained;
mod lessons;
mod meanings;
mod model;
mod planted;
mod scale;
pub(crate) mod soup;
mod tangled;
mod trace;
