//! What experiments run on: child processes and the reaper that ends them, PostgreSQL, Kafka and
//! Toxiproxy, started here or found, and topics of a broker. It knows nothing of workloads, strategies or verdicts.

pub mod broker;
pub mod http;
pub mod process;
pub mod stack;
pub mod toxiproxy;

use referee::{clock, disk, event, history, identity, scenario};
