//! Provider `local`: PostgreSQL, Kafka (KRaft) and Toxiproxy as child processes on free ports.

/// The three servers.
pub struct LocalStack {}
