//! What the harness and the system under test agree on, and all that they share: the order API with its
//! identities, the configurations of child processes, their signals, and the trace of events.
//!
//! It knows no server and no client of one, so that whoever judges can be built without any.

pub mod broker;
pub mod cache;
pub mod config;
pub mod consumer;
pub mod database;
pub mod order;
pub mod publish;
pub mod rabbitmq;
pub mod signal;
pub mod trace;
