//! The referee: a scenario and the history of a run in; a verdict, latencies and explanations out.
//!
//! It opens no socket and starts no process: nothing here knows PostgreSQL, Kafka or Toxiproxy, and it
//! builds and is tested without a client of any.

pub mod bite;
pub mod checkers;
pub mod claims;
pub mod clock;
pub mod compare;
pub mod course;
pub mod disk;
pub mod envelope;
pub mod event;
pub mod explain;
pub mod history;
pub mod identity;
pub mod measure;
pub mod record;
pub mod scenario;
pub mod statistics;
pub mod topics;
pub mod view;
