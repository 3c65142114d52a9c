//! What the referee says of histories whose faults are known.
#![allow(clippy::unwrap_used)]

mod blurs;
mod books;
mod clocks;
mod deaths;
mod doubts;
mod effects;
mod expected;
mod explained;
mod joined;
mod lessons;
mod meanings;
mod meanwhile;
mod model;
mod plan;
mod planted;
mod planter;
mod proofs;
mod scale;
pub mod soup;
mod tangled;
mod trace;
mod undecided;
mod unread;
mod untold;
