//! The referee: drives a workload through a strategy, injects faults, keeps the history, judges it.

pub mod bench;
pub mod checkers;
pub mod cli;
pub mod clock;
pub mod debezium;
mod disk;
pub mod event;
pub mod evidence;
pub mod explain;
pub mod fence;
pub mod history;
pub mod http;
pub mod identity;
pub mod measure;
pub mod nemesis;
pub mod observer;
pub mod process;
pub mod record;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod rooms;
pub mod run;
pub mod scenario;
pub mod stack;
pub mod topic;
pub mod toxiproxy;
pub mod view;
pub mod workload;
