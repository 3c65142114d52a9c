//! Drives a workload through a strategy, injects faults, keeps the history, and has the referee judge it.

pub mod bench;
pub mod cli;
pub mod debezium;
pub mod evidence;
pub mod fence;
pub mod http;
pub mod nemesis;
pub mod observer;
pub mod process;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod registries;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod rooms;
pub mod run;
pub mod stack;
pub mod topic;
pub mod toxiproxy;
pub mod workload;

pub use referee::{
    bite, checkers, clock, disk, envelope, event, explain, history, identity, measure, record,
    scenario, view,
};
