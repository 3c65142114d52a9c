//! Drives a workload through a strategy, injects faults, keeps the history, and has the referee judge it.

pub mod bench;
pub mod call_sink;
pub mod cli;
pub mod database;
pub mod debezium;
pub mod evidence;
pub mod fence;
pub mod kept;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod names;
pub mod nemesis;
pub mod observer;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod registries;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod rooms;
pub mod run;
pub mod service_check;
pub mod workload;

pub use referee::{
    bite, checkers, claims, clock, compare, course, disk, envelope, event, explain, history,
    identity, measure, record, scenario, statistics, view,
};
pub use testbed::{broker, http, process, stack, toxiproxy};
