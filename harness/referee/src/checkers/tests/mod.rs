//! What the referee says of histories whose faults are known.
#![allow(clippy::unwrap_used)]

mod accounting;
pub mod arbitrary;
mod blurs;
mod caches;
mod clocks;
mod combined;
mod consumers;
mod costs;
mod deaths;
mod effects;
mod expected;
mod explained;
mod inconclusive;
mod joined;
mod lessons;
mod meanings;
mod meanwhile;
mod model;
mod overtaken;
mod plan;
mod planted;
mod planter;
mod proofs;
mod scale;
mod trace;
mod undecided;
mod unread;
mod untold;
